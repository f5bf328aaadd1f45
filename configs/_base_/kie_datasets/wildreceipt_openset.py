# WildReceipt as keys and values that are linked; 'ocrserve data closeset-to-openset' makes it.
data_root = 'data/wildreceipt'
dict_file = f'{data_root}/dict.txt'
class_list = None
num_classes = 4

loader = dict(
    type='AnnFileLoader',
    repeat=1,
    parser=dict(type='LineJsonParser', keys=['file_name', 'height', 'width', 'annotations']))

train = dict(
    type='OpensetKIEDataset',
    ann_file=f'{data_root}/openset_train.txt',
    pipeline=None,
    img_prefix=data_root,
    link_type='one-to-many',
    loader=loader,
    dict_file=dict_file,
    test_mode=False)

test = dict(
    type='OpensetKIEDataset',
    ann_file=f'{data_root}/openset_test.txt',
    pipeline=None,
    img_prefix=data_root,
    link_type='one-to-many',
    loader=loader,
    dict_file=dict_file,
    test_mode=True)
