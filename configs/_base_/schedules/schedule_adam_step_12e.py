# Adam whose learning rate falls to a tenth for the last of 12 epochs.
optimizer = dict(type='Adam', lr=4e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(
    policy='step', step=[11], warmup='linear', warmup_iters=100, warmup_ratio=1.0 / 3)
runner = dict(type='EpochBasedRunner', max_epochs=12)
checkpoint_config = dict(interval=1)
