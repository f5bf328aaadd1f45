_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/schedules/schedule_sgd_1200e.py',
    '../../_base_/det_models/dbnetpp_r50dcnv2_fpnc.py',
    '../../_base_/det_datasets/icdar2015.py',
    '../../_base_/det_pipelines/dbnet_pipeline.py',
]

train_list = {{_base_.train_list}}
test_list = {{_base_.test_list}}
test_pipeline_4068_1024 = {{_base_.test_pipeline_4068_1024}}

# Polygons that the augmentation moves over the edge stay whole: the crop decides about them.
train_pipeline_r50dcnv2 = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadTextAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    dict(type='ColorJitter', brightness=32.0 / 255, saturation=0.5),
    dict(type='Normalize', **{{_base_.img_norm_cfg_r50dcnv2}}),
    dict(
        type='ImgAug',
        args=[['Fliplr', 0.5], dict(cls='Affine', rotate=[-10, 10]), ['Resize', [0.5, 3.0]]],
        clip_invalid_ploys=False),
    dict(type='EastRandomCrop', target_size=(640, 640)),
    dict(type='DBNetTargets', shrink_ratio=0.4),
    dict(type='Pad', size_divisor=32),
    dict(
        type='CustomFormatBundle',
        keys=['gt_shrink', 'gt_shrink_mask', 'gt_thr', 'gt_thr_mask'],
        visualize=dict(flag=False, boundary_key='gt_shrink')),
    dict(type='Collect', keys=['img', 'gt_shrink', 'gt_shrink_mask', 'gt_thr', 'gt_thr_mask']),
]

data = dict(
    samples_per_gpu=8,
    workers_per_gpu=4,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(type='UniformConcatDataset', datasets=train_list, pipeline=train_pipeline_r50dcnv2),
    val=dict(type='UniformConcatDataset', datasets=test_list, pipeline=test_pipeline_4068_1024),
    test=dict(type='UniformConcatDataset', datasets=test_list, pipeline=test_pipeline_4068_1024))

# Training starts from the weights of the SynthText config beside this one.
load_from = 'checkpoints/textdet/dbnetpp/res50dcnv2_synthtext.pth'

evaluation = dict(interval=100, metric='hmean-iou')
