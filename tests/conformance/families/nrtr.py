"""NRTR, SATRN and MASTER."""

from __future__ import annotations

from .family import Family
from .recognition import SAR_PIPELINE, line_pipeline, sequence_train_forward, writing_forward

NRTR_FAMILY = Family(
    model_type="NRTR",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNet31OCR", "NRTRModalityTransform"),
        "encoder": ("NRTREncoder",),
        "decoder": ("NRTRDecoder",),
    },
    pipeline=line_pipeline(height=32, max_width=160),
    forward=writing_forward("encoded"),
    train_forward=sequence_train_forward,
)
SATRN_FAMILY = Family(
    model_type="SATRN",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ShallowCNN",),
        "encoder": ("SatrnEncoder",),
        "decoder": ("NRTRDecoder",),
    },
    pipeline=line_pipeline(height=32, max_width=160),
    forward=writing_forward("encoded"),
    train_forward=sequence_train_forward,
)
MASTER_FAMILY = Family(
    model_type="MASTER",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNet",),
        "encoder": (None,),
        "decoder": ("MasterDecoder",),
    },
    pipeline=SAR_PIPELINE,
    forward=writing_forward(None, "logits", masked=False),
    train_forward=sequence_train_forward,
)
