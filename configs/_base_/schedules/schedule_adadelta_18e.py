# Adadelta for 18 epochs; the learning rate drops to a tenth after the 8th, 14th and 16th.
optimizer = dict(type='Adadelta', lr=0.5)
optimizer_config = dict(grad_clip=dict(max_norm=0.5))
lr_config = dict(policy='step', step=[8, 14, 16])
runner = dict(type='EpochBasedRunner', max_epochs=18)
checkpoint_config = dict(interval=1)
