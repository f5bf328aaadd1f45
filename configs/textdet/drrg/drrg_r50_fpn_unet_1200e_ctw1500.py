_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/schedules/schedule_sgd_1200e.py',
    '../../_base_/det_models/drrg_r50_fpn_unet.py',
    '../../_base_/det_datasets/ctw1500.py',
    '../../_base_/det_pipelines/drrg_pipeline.py',
]

train_list = {{_base_.train_list}}
test_list = {{_base_.test_list}}
train_pipeline = {{_base_.train_pipeline}}
test_pipeline = {{_base_.test_pipeline}}

data = dict(
    samples_per_gpu=4,
    workers_per_gpu=4,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(type='UniformConcatDataset', datasets=train_list, pipeline=train_pipeline),
    val=dict(type='UniformConcatDataset', datasets=test_list, pipeline=test_pipeline),
    test=dict(type='UniformConcatDataset', datasets=test_list, pipeline=test_pipeline))

evaluation = dict(interval=20, metric='hmean-iou')
