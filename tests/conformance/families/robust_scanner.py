"""RobustScanner."""

from __future__ import annotations

from .family import Family
from .recognition import SAR_PIPELINE, sequence_train_forward, writing_forward

ROBUST_SCANNER_FAMILY = Family(
    model_type="RobustScanner",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNet31OCR",),
        "encoder": ("ChannelReductionEncoder",),
        "decoder": ("RobustScannerDecoder",),
    },
    pipeline=SAR_PIPELINE,
    forward=writing_forward("reduced"),
    train_forward=sequence_train_forward,
)
