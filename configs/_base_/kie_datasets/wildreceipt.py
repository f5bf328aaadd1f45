# WildReceipt: 26 classes, 25 keys and values and what does not matter.
data_root = 'data/wildreceipt'
dict_file = f'{data_root}/dict.txt'
class_list = f'{data_root}/class_list.txt'
num_classes = 26

loader = dict(
    type='AnnFileLoader',
    repeat=1,
    parser=dict(type='LineJsonParser', keys=['file_name', 'height', 'width', 'annotations']))

train = dict(
    type='KIEDataset',
    ann_file=f'{data_root}/train.txt',
    pipeline=None,
    img_prefix=data_root,
    loader=loader,
    dict_file=dict_file,
    test_mode=False)

test = dict(
    type='KIEDataset',
    ann_file=f'{data_root}/test.txt',
    pipeline=None,
    img_prefix=data_root,
    loader=loader,
    dict_file=dict_file,
    test_mode=True)
