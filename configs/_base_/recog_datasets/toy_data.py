# A handful of word images, to see whether a training runs at all.
root = 'tests/data/ocr_toy_dataset'

train = dict(
    type='OCRDataset',
    img_prefix=f'{root}/imgs',
    ann_file=f'{root}/label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=100,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=False)

test = dict(
    type='OCRDataset',
    img_prefix=f'{root}/imgs',
    ann_file=f'{root}/label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=True)

train_list = [train]
test_list = [test]
