# Adam whose learning rate falls to a tenth twice in 600 epochs.
optimizer = dict(type='Adam', lr=1e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[200, 400])
runner = dict(type='EpochBasedRunner', max_epochs=600)
checkpoint_config = dict(interval=100)
