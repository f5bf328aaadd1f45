# SynthText with a quadrangle per character.
train_root = 'data/mixture/SynthText'

train = dict(
    type='OCRSegDataset',
    img_prefix=train_root,
    ann_file=f'{train_root}/instances_train.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='txt',
        parser=dict(type='LineJsonParser', keys=['file_name', 'annotations', 'text'])),
    pipeline=None,
    test_mode=False)

train_list = [train]
