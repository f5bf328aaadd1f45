"""Which models and test pipelines are compared, and which are "not yet".

Cases are judged by what they hold (a model's parts, a pipeline's steps), never by their name, and
never by trying whether the comparison works. Other folders compare what their tables name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .families import FAMILIES

# Steps of the test pipelines that our preprocessing covers, by task.
PIPELINE_STEPS: Mapping[str, frozenset[str]] = {
    "textdet": frozenset(
        (
            "LoadImageFromFile",
            "MultiScaleFlipAug",
            "Resize",
            "RandomFlip",
            "Normalize",
            "Pad",
            "ImageToTensor",
            "DefaultFormatBundle",
            "Collect",
        )
    ),
    "textrecog": frozenset(
        (
            "LoadImageFromFile",
            "MultiRotateAugOCR",
            "ResizeOCR",
            "ToTensorOCR",
            "NormalizeOCR",
            "Normalize",
            "DefaultFormatBundle",
            "Collect",
        )
    ),
    "kie": frozenset(
        (
            "LoadImageFromFile",
            "LoadAnnotations",
            "Resize",
            "ResizeNoImg",
            "RandomFlip",
            "Normalize",
            "Pad",
            "KIEFormatBundle",
            "Collect",
        )
    ),
}


def pipeline_landed(task: str, pipeline: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every step of a test pipeline is covered, those inside other steps too."""
    known = PIPELINE_STEPS.get(task, frozenset())
    return all(
        step["type"] in known and pipeline_landed(task, step.get("transforms", ()))
        for step in pipeline
    )


def model_landed(model: Mapping[str, Any]) -> bool:
    """Whether a resolved ``model`` dictionary belongs to a landed family."""
    family = FAMILIES.get(model["type"])
    if family is None:
        return False
    for part, allowed in family.part_types.items():
        if (model.get(part) or {}).get("type") not in allowed:
            return False
    return all(
        (model.get(part) or {}).get(key) is None
        for part, keys in family.without.items()
        for key in keys
    )
