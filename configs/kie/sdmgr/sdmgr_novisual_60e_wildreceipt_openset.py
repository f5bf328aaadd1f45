_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/schedules/schedule_adam_60e.py',
    '../../_base_/kie_models/sdmgr.py',
    '../../_base_/kie_datasets/wildreceipt_openset.py',
    '../../_base_/kie_pipelines/sdmgr_novisual_pipeline.py',
]

train = {{_base_.train}}
test = {{_base_.test}}

model = dict(
    bbox_head=dict(num_classes={{_base_.num_classes}}),
    visual_modality=False,
    class_list={{_base_.class_list}},
    openset=True)

data = dict(
    samples_per_gpu=4,
    workers_per_gpu=1,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(train, pipeline={{_base_.train_pipeline}}),
    val=dict(test, pipeline={{_base_.test_pipeline}}),
    test=dict(test, pipeline={{_base_.test_pipeline}}))

evaluation = dict(interval=1, metric='openset_f1', metric_options=None)

find_unused_parameters = True
