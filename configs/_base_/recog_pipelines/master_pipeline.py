# Crops keep their shape, up to 160 pixels; tall ones are also read turned by a quarter.
img_norm_cfg = dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
resize = dict(
    type='ResizeOCR',
    height=48, min_width=48, max_width=160, keep_aspect_ratio=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='ToTensorOCR'),
    dict(type='NormalizeOCR', **img_norm_cfg),
    dict(
        type='Collect',
        keys=['img'],
        meta_keys=[
            'filename', 'ori_shape', 'img_shape', 'text', 'valid_ratio', 'resize_shape'
        ]),
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
                meta_keys=[
                    'filename', 'ori_shape', 'img_shape', 'valid_ratio', 'img_norm_cfg',
                    'ori_filename', 'resize_shape'
                ]),
        ]),
]
