_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/recog_models/sar.py',
    '../../_base_/schedules/schedule_adam_step_5e.py',
]

# One character per line. The file is not part of the published weights: MMOCR's model zoo offers it
# beside them. Its lines and their order decide what each class of the network means.
dict_file = 'data/chineseocr/labels/dict_printed_chinese_english_digits.txt'

label_convertor = dict(
    _delete_=True, type='AttnConvertor', dict_file=dict_file, with_unknown=True)
model = dict(label_convertor=label_convertor)

img_norm_cfg = dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
resize = dict(
    type='ResizeOCR',
    height=48,
    min_width=48,
    max_width=256,
    keep_aspect_ratio=True,
    width_downsample_ratio=0.25)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='ToTensorOCR'),
    dict(type='NormalizeOCR', **img_norm_cfg),
    dict(
        type='Collect',
        keys=['img'],
        meta_keys=['filename', 'ori_shape', 'resize_shape', 'text', 'valid_ratio']),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiRotateAugOCR',
        rotate_degrees=[0, 90, 270],
        transforms=[
            resize,
            dict(type='ToTensorOCR'),
            dict(type='NormalizeOCR', **img_norm_cfg),
            dict(
                type='Collect',
                keys=['img'],
                meta_keys=['filename', 'ori_shape', 'resize_shape', 'valid_ratio']),
        ]),
]

train = dict(
    type='OCRDataset',
    img_prefix='data/chinese/',
    ann_file='data/chinese/labels/train.txt',
    loader=dict(
        type='HardDiskLoader',
        repeat=1,
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=False)

test = {key: value for key, value in train.items()}
test['img_prefix'] = 'data/chineseocr/'
test['ann_file'] = 'data/chineseocr/labels/test.txt'

data = dict(
    samples_per_gpu=40,
    workers_per_gpu=2,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(type='UniformConcatDataset', datasets=[train], pipeline=train_pipeline),
    val=dict(type='UniformConcatDataset', datasets=[test], pipeline=test_pipeline),
    test=dict(type='UniformConcatDataset', datasets=[test], pipeline=test_pipeline))

evaluation = dict(interval=1, metric='acc')
