_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/schedules/schedule_adam_60e.py',
    '../../_base_/kie_models/sdmgr.py',
    '../../_base_/kie_datasets/wildreceipt.py',
    '../../_base_/kie_pipelines/sdmgr_visual_pipeline.py',
]

train = {{_base_.train}}
test = {{_base_.test}}

model = dict(
    bbox_head=dict(num_classes={{_base_.num_classes}}),
    visual_modality=True,
    class_list={{_base_.class_list}})

data = dict(
    samples_per_gpu=4,
    workers_per_gpu=4,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(train, pipeline={{_base_.train_pipeline}}),
    val=dict(test, pipeline={{_base_.test_pipeline}}),
    test=dict(test, pipeline={{_base_.test_pipeline}}))

# Keys, what is to be ignored, and others do not count.
evaluation = dict(
    interval=1,
    metric='macro_f1',
    metric_options=dict(
        macro_f1=dict(ignores=[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 25])))

find_unused_parameters = True
