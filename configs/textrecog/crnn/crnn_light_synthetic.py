# The default recogniser: a light CRNN for CPUs, trained on rendered words alone.
# ocrserve train configs/textrecog/crnn/crnn_light_synthetic.py --work-dir work_dirs/crnn_light
_base_ = ['../../_base_/default_runtime.py']

# All printable ASCII, the space included.
label_convertor = dict(
    type='CTCConvertor',
    dict_list=list(' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`'
                   'abcdefghijklmnopqrstuvwxyz{|}~'),
    with_unknown=False,
    lower=False)

model = dict(
    type='CRNNNet',
    preprocessor=None,
    backbone=dict(
        type='LightColumns',
        in_channels=1,
        stem_channels=32,
        channels=(64, 96, 160, 160),
        blocks=(1, 1, 1, 1),
        strides=((2, 2), (2, 1), (2, 1), (1, 1)),
        feature_channels=192),
    encoder=None,
    decoder=dict(type='CRNNDecoder', in_channels=192, rnn_flag=True, hidden=128, layers=1),
    loss=dict(type='CTCLoss', zero_infinity=True),
    label_convertor=label_convertor,
    pretrained=None)

img_norm_cfg = dict(mean=[127], std=[127])
resize = dict(type='ResizeOCR', height=32, min_width=32, max_width=None, keep_aspect_ratio=True)

train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    resize,
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img'], meta_keys=['filename', 'resize_shape', 'text']),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(
        type='MultiRotateAugOCR',
        rotate_degrees=[0, 90, 270],
        swap_rotated_shape=True,
        transforms=[
            resize,
            dict(type='Normalize', **img_norm_cfg),
            dict(type='DefaultFormatBundle'),
            dict(
                type='Collect',
                keys=['img'],
                meta_keys=['filename', 'resize_shape', 'valid_ratio', 'img_norm_cfg',
                           'ori_filename', 'img_shape', 'ori_shape']),
        ]),
]

# Rendered anew in every epoch; "held-out" fonts are never trained on.
data = dict(
    samples_per_gpu=96,
    workers_per_gpu=1,
    train_dataloader=dict(bucket_batches=8, drop_last=True),
    val_dataloader=dict(samples_per_gpu=64),
    train=dict(type='SyntheticWords', size=96000, split='train', pipeline=train_pipeline),
    val=dict(type='SyntheticWords', size=1000, seed=20261, split='heldout', pipeline=test_pipeline),
    test=dict(
        type='SyntheticWords', size=5000, seed=20262, split='heldout', pipeline=test_pipeline))

optimizer = dict(type='AdamW', lr=2e-3, weight_decay=0.01)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(
    policy='CosineAnnealing', by_epoch=False, min_lr=1e-5,
    warmup='linear', warmup_iters=300, warmup_ratio=0.01)
runner = dict(type='IterBasedRunner', max_iters=5000)
ema = dict(momentum=0.002)
precision = 'bf16'
checkpoint_config = dict(interval=250, max_keep_ckpts=2)
evaluation = dict(interval=1000, metric='acc', save_best='word_acc', rule='greater')
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
seed = 0
