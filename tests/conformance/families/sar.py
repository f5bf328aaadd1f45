"""SAR."""

from __future__ import annotations

from .family import Family
from .recognition import SAR_PIPELINE, sequence_train_forward, writing_forward

SAR_FAMILY = Family(
    model_type="SARNet",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNet31OCR",),
        "encoder": ("SAREncoder",),
        "decoder": ("ParallelSARDecoder", "SequentialSARDecoder"),
    },
    pipeline=SAR_PIPELINE,
    forward=writing_forward("summary"),
    train_forward=sequence_train_forward,
)
