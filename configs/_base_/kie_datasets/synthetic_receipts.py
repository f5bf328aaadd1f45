# Rendered receipts with WildReceipt's 26 classes, the same pages as the default OCR reads them, and
# both with the upper and the lower part of each page exchanged.
data_root = 'data/synthetic_receipts'
dict_file = f'{data_root}/dict.txt'
class_list = f'{data_root}/class_list.txt'
num_classes = 26

dataset = dict(
    type='KIEDataset',
    pipeline=None,
    img_prefix=data_root,
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        parser=dict(type='LineJsonParser', keys=['file_name', 'height', 'width', 'annotations'])),
    dict_file=dict_file)

train = dict(dataset, ann_file=f'{data_root}/train.txt', test_mode=False)
train_read = dict(dataset, ann_file=f'{data_root}/train_read.txt', test_mode=False)
train_swapped = dict(dataset, ann_file=f'{data_root}/train_swapped.txt', test_mode=False)
read_swapped = dict(dataset, ann_file=f'{data_root}/train_read_swapped.txt', test_mode=False)
test = dict(dataset, ann_file=f'{data_root}/heldout.txt', test_mode=True)
