"""From a config's list of steps to something that can be called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ocr_models.errors import ConfigError

from . import (
    cropping,
    formatting,
    geometric,
    loading,
    photometric,
    resizing,
    targets_drrg,
    targets_fcenet,
    targets_kernels,
    targets_textsnake,
    turning,
)
from .sample import Sample, Step

STEPS: dict[str, type[Any]] = {
    "LoadImageFromFile": loading.LoadImageFromFile,
    "LoadImageFromLMDB": loading.LoadImageFromLMDB,
    "LoadTextAnnotations": loading.LoadTextAnnotations,
    "LoadAnnotations": loading.LoadAnnotations,
    "ColorJitter": photometric.ColorJitter,
    "Normalize": photometric.Normalize,
    "ToTensorOCR": photometric.ToTensorOCR,
    "NormalizeOCR": photometric.NormalizeOCR,
    "WordAugment": photometric.WordAugment,
    "ImgAug": geometric.ImgAug,
    "Resize": resizing.Resize,
    "ScaleAspectJitter": resizing.ScaleAspectJitter,
    "RandomScaling": resizing.RandomScaling,
    "SquareResizePad": resizing.SquareResizePad,
    "RandomFlip": turning.RandomFlip,
    "RandomRotateTextDet": turning.RandomRotateTextDet,
    "RandomRotatePolyInstances": turning.RandomRotatePolyInstances,
    "EastRandomCrop": cropping.EastRandomCrop,
    "RandomCropInstances": cropping.RandomCropInstances,
    "RandomCropPolyInstances": cropping.RandomCropPolyInstances,
    "RandomCropFlip": cropping.RandomCropFlip,
    "Pad": geometric.Pad,
    "ResizeOCR": formatting.ResizeOCR,
    "DBNetTargets": formatting.DBNetTargets,
    "DRRGTargets": targets_drrg.DRRGTargets,
    "PANetTargets": targets_kernels.PANetTargets,
    "PSENetTargets": targets_kernels.PSENetTargets,
    "FCENetTargets": targets_fcenet.FCENetTargets,
    "TextSnakeTargets": targets_textsnake.TextSnakeTargets,
    "CustomFormatBundle": formatting.CustomFormatBundle,
    "DefaultFormatBundle": formatting.DefaultFormatBundle,
    "Collect": formatting.Collect,
}
"""MMOCR's names, and of ours ``WordAugment``."""


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Steps in order."""

    steps: tuple[Step, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Run all steps on ``sample`` (changed in place) and return it."""
        for step in self.steps:
            step(sample, rng)
        return sample


def build_pipeline(steps: Sequence[Mapping[str, Any]]) -> Pipeline:
    """Read a training pipeline.

    Steps with ``draws_maps`` run last. MMOCR has some of them before the last crops, which then cut
    the maps as well; here polygons move until all is in place, and the maps are drawn once.

    Args:
        steps: ``dict(type="Name", argument=value)`` each.

    Raises:
        ConfigError: unknown step, unknown or wrong argument.
    """
    built = [_step(number, settings) for number, settings in enumerate(steps)]
    return Pipeline(tuple(sorted(built, key=lambda step: getattr(step, "draws_maps", False))))


def _step(number: int, settings: Mapping[str, Any]) -> Step:
    if not isinstance(settings, Mapping) or "type" not in settings:
        raise ConfigError(f"pipeline step {number} must be a dict with a type, got {settings!r}")
    arguments = dict(settings)
    name = arguments.pop("type")
    if name not in STEPS:
        raise ConfigError(
            f"pipeline step {number}: {name!r} is not supported in training; "
            f"known: {', '.join(STEPS)}"
        )
    step = STEPS[name]
    known = [field.name for field in dataclasses.fields(step) if field.init]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ConfigError(
            f"pipeline step {number}: {name} does not read {', '.join(unknown)}; "
            f"it reads {', '.join(known) or 'nothing'}"
        )
    try:
        return cast(Step, step(**arguments))
    except TypeError as error:
        raise ConfigError(f"pipeline step {number}: {name}: {error}") from None
