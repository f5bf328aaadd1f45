"""From a config's list of steps to something that can be called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ocr_models.errors import ConfigError

from . import (
    characters,
    cropping,
    formatting,
    geometric,
    loading,
    photometric,
    resizing,
    spoiling,
    targets_drrg,
    targets_fcenet,
    targets_kernels,
    targets_segocr,
    targets_textsnake,
    texts,
    turning,
    word_boxes,
    wrappers,
)
from .sample import Sample, Step
from .torchvision_steps import TORCHVISION

STEPS: dict[str, type[Any]] = {
    "LoadImageFromFile": loading.LoadImageFromFile,
    "LoadImageFromLMDB": loading.LoadImageFromLMDB,
    "LoadTextAnnotations": loading.LoadTextAnnotations,
    "LoadAnnotations": loading.LoadAnnotations,
    "ColorJitter": photometric.ColorJitter,
    "Normalize": photometric.Normalize,
    "ToTensorOCR": photometric.ToTensorOCR,
    "NormalizeOCR": photometric.NormalizeOCR,
    "FancyPCA": photometric.FancyPCA,
    "WordAugment": photometric.WordAugment,
    "PyramidRescale": spoiling.PyramidRescale,
    "Albu": spoiling.Albu,
    "OneOfWrapper": wrappers.OneOfWrapper,
    "RandomWrapper": wrappers.RandomWrapper,
    "OpencvToPil": wrappers.OpencvToPil,
    "PilToOpencv": wrappers.PilToOpencv,
    "OnlineCropOCR": word_boxes.OnlineCropOCR,
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
    "RandomPaddingOCR": characters.RandomPaddingOCR,
    "RandomRotateImageBox": characters.RandomRotateImageBox,
    "OCRSegTargets": targets_segocr.OCRSegTargets,
    "DBNetTargets": formatting.DBNetTargets,
    "DRRGTargets": targets_drrg.DRRGTargets,
    "PANetTargets": targets_kernels.PANetTargets,
    "PSENetTargets": targets_kernels.PSENetTargets,
    "FCENetTargets": targets_fcenet.FCENetTargets,
    "TextSnakeTargets": targets_textsnake.TextSnakeTargets,
    "NerTransform": texts.NerTransform,
    "ToTensorNER": texts.ToTensorNER,
    "CustomFormatBundle": formatting.CustomFormatBundle,
    "DefaultFormatBundle": formatting.DefaultFormatBundle,
    "Collect": formatting.Collect,
}
"""MMOCR's names, and of ours ``WordAugment``; ``TorchVisionWrapper`` has a table of its own."""

INNER_STEPS: Mapping[str, Mapping[str, type[Any]]] = {
    "OneOfWrapper": STEPS,
    "RandomWrapper": STEPS,
    "Albu": spoiling.ALBUMENTATIONS,
}
"""Steps that hold others in ``transforms``, and what these may be."""


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
    built = [_step(f"pipeline step {number}", settings) for number, settings in enumerate(steps)]
    return Pipeline(tuple(sorted(built, key=lambda step: getattr(step, "draws_maps", False))))


def _step(
    place: str, settings: Mapping[str, Any], steps: Mapping[str, type[Any]] | None = None
) -> Step:
    """One step of ``steps`` (``STEPS``) with its own steps, if it has any."""
    steps = STEPS if steps is None else steps
    if not isinstance(settings, Mapping) or "type" not in settings:
        raise ConfigError(f"{place} must be a dict with a type, got {settings!r}")
    arguments = dict(settings)
    name = arguments.pop("type")
    if name == "TorchVisionWrapper" and steps is STEPS:
        name, steps, place = arguments.pop("op", None), TORCHVISION, f"{place}: TorchVisionWrapper"
    if name not in steps:
        raise ConfigError(
            f"{place}: {name!r} is not supported in training; known: {', '.join(steps)}"
        )
    step = steps[name]
    known = [field.name for field in dataclasses.fields(step) if field.init]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ConfigError(
            f"{place}: {name} does not read {', '.join(unknown)}; "
            f"it reads {', '.join(known) or 'nothing'}"
        )
    if name in INNER_STEPS and steps is STEPS:
        inner = arguments.get("transforms")
        if not isinstance(inner, list | tuple):
            raise ConfigError(f"{place}: {name}.transforms must be a list of steps, got {inner!r}")
        arguments["transforms"] = tuple(
            _step(f"{place}: {name}, step {number}", settings, INNER_STEPS[name])
            for number, settings in enumerate(inner)
        )
    try:
        return cast(Step, step(**arguments))
    except TypeError as error:
        raise ConfigError(f"{place}: {name}: {error}") from None
