# The default extractor of key information: SDMG-R that reads words and places alone, trained on
# rendered receipts. docs/models/kie.md has the commands that write the data.
# ocrserve train configs/kie/sdmgr/sdmgr_novisual_synthetic.py --work-dir work_dirs/sdmgr
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/kie_models/sdmgr.py',
    '../../_base_/kie_datasets/synthetic_receipts.py',
    '../../_base_/kie_pipelines/sdmgr_novisual_pipeline.py',
]

train = {{_base_.train}}
train_read = {{_base_.train_read}}
train_swapped = {{_base_.train_swapped}}
read_swapped = {{_base_.read_swapped}}
test = {{_base_.test}}

# Half of MMOCR's widths: a quarter of the time. 94 characters of printable ASCII, and none of them.
# What would see the picture is there without being used, so it is as small as can be.
model = dict(
    backbone=dict(base_channels=1),
    bbox_head=dict(
        num_classes={{_base_.num_classes}},
        num_chars=95,
        visual_dim=1,
        fusion_dim=20,
        node_embed=128,
        edge_embed=128),
    visual_modality=False,
    class_list={{_base_.class_list}})

data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    val_dataloader=dict(samples_per_gpu=1),
    test_dataloader=dict(samples_per_gpu=1),
    train=dict(
        type='UniformConcatDataset',
        datasets=[train, train_read, train_swapped, read_swapped],
        pipeline={{_base_.train_pipeline}}),
    val=dict(test, pipeline={{_base_.test_pipeline}}),
    test=dict(test, pipeline={{_base_.test_pipeline}}))

# Left out are what is to be ignored, which only a picture would show, and two kinds of keys that
# the held-out layouts do not print.
evaluation = dict(
    interval=1000,
    metric='macro_f1',
    metric_options=dict(macro_f1=dict(ignores=[0, 2, 4])))

optimizer = dict(type='Adam', lr=1.5e-3)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(
    policy='step', by_epoch=False, step=[2200, 2700],
    warmup='linear', warmup_iters=100, warmup_ratio=0.01)
runner = dict(type='IterBasedRunner', max_iters=3000)
checkpoint_config = dict(interval=250, max_keep_ckpts=2)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
seed = 0
