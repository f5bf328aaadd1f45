"""From a config's list of steps to something that can be called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ocr_models.errors import ConfigError

from . import formatting, geometric, loading, photometric
from .sample import Sample, Step

STEPS: dict[str, type[Any]] = {
    "LoadImageFromFile": loading.LoadImageFromFile,
    "LoadImageFromLMDB": loading.LoadImageFromLMDB,
    "LoadTextAnnotations": loading.LoadTextAnnotations,
    "ColorJitter": photometric.ColorJitter,
    "Normalize": photometric.Normalize,
    "ToTensorOCR": photometric.ToTensorOCR,
    "NormalizeOCR": photometric.NormalizeOCR,
    "WordAugment": photometric.WordAugment,
    "ImgAug": geometric.ImgAug,
    "EastRandomCrop": geometric.EastRandomCrop,
    "Pad": geometric.Pad,
    "ResizeOCR": formatting.ResizeOCR,
    "DBNetTargets": formatting.DBNetTargets,
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

    Args:
        steps: ``dict(type="Name", argument=value)`` each.

    Raises:
        ConfigError: unknown step, unknown or wrong argument.
    """
    return Pipeline(tuple(_step(number, settings) for number, settings in enumerate(steps)))


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
