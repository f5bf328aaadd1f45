# SDMG-R with a UNet of 16 base channels; the config adds classes and says whether it sees pages.
model = dict(
    type='SDMGR',
    backbone=dict(type='UNet', base_channels=16),
    bbox_head=dict(type='SDMGRHead', visual_dim=16, num_chars=92),
    train_cfg=None,
    test_cfg=None)
