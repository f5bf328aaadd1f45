# SGD with a polynomial decay over 1500 epochs.
optimizer = dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='poly', power=0.9, min_lr=1e-7, by_epoch=True)
runner = dict(type='EpochBasedRunner', max_epochs=1500)
checkpoint_config = dict(interval=100)
