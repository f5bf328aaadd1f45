# The default detector: a light DBNet for CPUs, trained on rendered scenes alone.
# ocrserve train configs/textdet/dbnet/dbnet_light_fpnc_synthetic.py --work-dir work_dirs/dbnet_light
_base_ = ['../../_base_/default_runtime.py']

model = dict(
    type='DBNet',
    backbone=dict(
        type='LightResNet',
        in_channels=3,
        stem_channels=24,
        channels=(32, 64, 96, 160),
        blocks=(1, 2, 2, 2),
        strides=((2, 2), (2, 2), (2, 2), (2, 2))),
    neck=dict(type='FPNC', in_channels=[32, 64, 96, 160], lateral_channels=64),
    bbox_head=dict(
        type='DBHead',
        in_channels=64,
        loss=dict(type='DBLoss', alpha=5.0, beta=10.0, bbce_loss=True),
        postprocessor=dict(
            type='DBPostprocessor', text_repr_type='quad', mask_thr=0.4, min_text_score=0.6,
            unclip_ratio=1.9)),
    train_cfg=None,
    test_cfg=None)

img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadTextAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    dict(type='ColorJitter', brightness=32.0 / 255, saturation=0.5),
    dict(type='Normalize', **img_norm_cfg),
    dict(
        type='ImgAug',
        args=[['Fliplr', 0.2], dict(cls='Affine', rotate=[-8, 8]), ['Resize', [0.6, 1.8]]],
        clip_invalid_ploys=False),
    dict(type='EastRandomCrop', target_size=(480, 480)),
    dict(type='DBNetTargets', shrink_ratio=0.4),
    dict(type='Pad', size_divisor=32),
    dict(
        type='CustomFormatBundle',
        keys=['gt_shrink', 'gt_shrink_mask', 'gt_thr', 'gt_thr_mask'],
        visualize=dict(flag=False, boundary_key='gt_shrink')),
    dict(type='Collect', keys=['img', 'gt_shrink', 'gt_shrink_mask', 'gt_thr', 'gt_thr_mask']),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(1312, 736),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ]),
]

# Scenes are rendered once and read back: drawing one takes as long as learning from it twice.
# python -m ocrserve.train.synth.export data/synthetic_scenes --split train --count 6000
# python -m ocrserve.train.synth.export data/synthetic_scenes --split heldout --count 300
data_root = 'data/synthetic_scenes'
data = dict(
    samples_per_gpu=8,
    workers_per_gpu=1,
    train_dataloader=dict(drop_last=True),
    train=dict(
        type='IcdarDataset',
        ann_file=f'{data_root}/instances_train.json',
        img_prefix=f'{data_root}/imgs',
        pipeline=train_pipeline),
    val=dict(
        type='IcdarDataset',
        ann_file=f'{data_root}/instances_heldout.json',
        img_prefix=f'{data_root}/imgs',
        select_first_k=60,
        pipeline=test_pipeline),
    test=dict(
        type='IcdarDataset',
        ann_file=f'{data_root}/instances_heldout.json',
        img_prefix=f'{data_root}/imgs',
        pipeline=test_pipeline))

optimizer = dict(type='AdamW', lr=2e-3, weight_decay=0.01)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(
    policy='CosineAnnealing', by_epoch=False, min_lr=1e-5,
    warmup='linear', warmup_iters=200, warmup_ratio=0.01)
runner = dict(type='IterBasedRunner', max_iters=2800)
ema = dict(momentum=0.004)
precision = 'bf16'
checkpoint_config = dict(interval=100, max_keep_ckpts=2)
evaluation = dict(interval=500, metric='hmean-iou', save_best='hmean-iou:hmean', rule='greater')
log_config = dict(interval=20, hooks=[dict(type='TextLoggerHook')])
seed = 0
