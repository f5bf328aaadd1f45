# Five sets of photographed words, twenty times over, and three of rendered ones.
train_prefix = 'data/mixture'

train1 = dict(
    type='OCRDataset',
    img_prefix=f'{train_prefix}/icdar_2011',
    ann_file=f'{train_prefix}/icdar_2011/train_label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=20,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=False)

train2 = {key: value for key, value in train1.items()}
train2['img_prefix'] = f'{train_prefix}/icdar_2013'
train2['ann_file'] = f'{train_prefix}/icdar_2013/train_label.txt'

train3 = {key: value for key, value in train1.items()}
train3['img_prefix'] = f'{train_prefix}/icdar_2015'
train3['ann_file'] = f'{train_prefix}/icdar_2015/train_label.txt'

train4 = {key: value for key, value in train1.items()}
train4['img_prefix'] = f'{train_prefix}/coco_text'
train4['ann_file'] = f'{train_prefix}/coco_text/train_label.txt'

train5 = {key: value for key, value in train1.items()}
train5['img_prefix'] = f'{train_prefix}/IIIT5K'
train5['ann_file'] = f'{train_prefix}/IIIT5K/train_label.txt'

train6 = dict(
    type='OCRDataset',
    img_prefix=f'{train_prefix}/SynthText_Add',
    ann_file=f'{train_prefix}/SynthText_Add/label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=False)

train7 = {key: value for key, value in train6.items()}
train7['img_prefix'] = f'{train_prefix}/SynthText'
train7['ann_file'] = f'{train_prefix}/SynthText/shuffle_labels.txt'

train8 = {key: value for key, value in train6.items()}
train8['img_prefix'] = f'{train_prefix}/Syn90k'
train8['ann_file'] = f'{train_prefix}/Syn90k/shuffle_labels.txt'

train_list = [train1, train2, train3, train4, train5, train6, train7, train8]
