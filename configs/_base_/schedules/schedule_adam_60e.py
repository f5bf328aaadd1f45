# Adam whose learning rate falls to a tenth twice in 60 epochs.
optimizer = dict(type='Adam', lr=1e-3, weight_decay=1e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', warmup='linear', warmup_iters=1, warmup_ratio=1, step=[40, 50])
runner = dict(type='EpochBasedRunner', max_epochs=60)
checkpoint_config = dict(interval=1)
