# SynthText, SynthAdd and MJSynth: rendered words.
train_root = 'data/mixture'

train1 = dict(
    type='OCRDataset',
    img_prefix=f'{train_root}/Syn90k/mnt/ramdisk/max/90kDICT32px',
    ann_file=f'{train_root}/Syn90k/label.lmdb',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='lmdb',
        parser=dict(type='LineJsonParser', keys=['filename', 'text'])),
    pipeline=None,
    test_mode=False)

train2 = {key: value for key, value in train1.items()}
train2['img_prefix'] = f'{train_root}/SynthText/synthtext/SynthText_patch_horizontal'
train2['ann_file'] = f'{train_root}/SynthText/label.lmdb'

train3 = dict(
    type='OCRDataset',
    img_prefix=f'{train_root}/SynthText_Add',
    ann_file=f'{train_root}/SynthText_Add/label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=False)

train_list = [train1, train2, train3]
