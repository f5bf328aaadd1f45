"""Steps that prepare targets and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ocr_models.errors import ConfigError, InputError
from ocr_models.preprocessing import RecognitionPreprocessing, recognition_width

from ..objectives import dbnet, mask_rcnn
from .sample import Sample, SampleError


@dataclass(frozen=True)
class ResizeOCR:
    """Resize a text line to the recogniser's height.

    Args:
        height: of the result in pixels.
        min_width: least width; narrower lines are stretched.
        max_width: pad on the right to this width, and squeeze what is wider.
        keep_aspect_ratio: false: resize to ``max_width`` x ``height`` whatever the shape was.
        img_pad_value: of the padding, in grey levels.
        width_downsample_ratio: widths are rounded to a multiple of its inverse.
        backend: only OpenCV resizes: ``None`` or ``"cv2"``.
    """

    height: int
    min_width: int | None = None
    max_width: int | None = None
    keep_aspect_ratio: bool = True
    img_pad_value: int = 0
    width_downsample_ratio: float = 1.0 / 16
    backend: str | None = None

    _preprocessing: RecognitionPreprocessing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.backend not in (None, "cv2"):
            raise ConfigError(f"ResizeOCR.backend must be None or 'cv2', got {self.backend!r}")
        preprocessing = RecognitionPreprocessing(
            height=self.height,
            min_width=self.min_width,
            max_width=self.max_width,
            keep_aspect_ratio=self.keep_aspect_ratio,
            width_downsample_ratio=self.width_downsample_ratio,
        )
        object.__setattr__(self, "_preprocessing", preprocessing)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        height, width = image.shape[:2]
        try:
            new_width, sample.valid_ratio = recognition_width(height, width, self._preprocessing)
        except InputError as error:
            raise SampleError(f"{sample.source}: {error}") from None
        image = cv2.resize(image, (new_width, self.height))
        if self.max_width is not None and new_width < self.max_width:
            image = cv2.copyMakeBorder(
                image,
                0,
                0,
                0,
                self.max_width - new_width,
                cv2.BORDER_CONSTANT,
                value=(self.img_pad_value,) * 3,
            )
        sample.image = image


@dataclass(frozen=True)
class DBNetTargets:
    """Draw DBNet's target maps; see ``train.objectives.dbnet``.

    Args:
        shrink_ratio: how much text kernels shrink.
        thr_min: far from any border.
        thr_max: on the border of a text.
        min_short_size: text thinner than this many pixels is ignored.
    """

    shrink_ratio: float = 0.4
    thr_min: float = 0.3
    thr_max: float = 0.7
    min_short_size: float = 8
    _settings: dbnet.DBNetTargets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = dbnet.DBNetTargets(
            self.shrink_ratio, self.thr_min, self.thr_max, self.min_short_size
        )
        object.__setattr__(self, "_settings", settings)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        sample.targets = dbnet.make_targets(
            sample.polygons, sample.ignored, height, width, self._settings
        )


@dataclass(frozen=True)
class CustomFormatBundle:
    """Batches are formed by the task, so there is nothing to do here.

    Args:
        keys: names of MMOCR's target maps.
        call_super: nothing to do.
        visualize: drawing targets is not supported; ``dict(flag=False, ...)`` is accepted.
    """

    keys: Sequence[str] = ()
    call_super: bool = True
    visualize: dict[str, Any] = field(default_factory=lambda: {"flag": False})

    def __post_init__(self) -> None:
        if self.visualize.get("flag"):
            raise ConfigError("CustomFormatBundle: visualize is not supported, set flag=False")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.pixels()


@dataclass(frozen=True)
class DefaultFormatBundle:
    """Batches are formed by the task, so there is nothing to do here."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.pixels()


@dataclass(frozen=True)
class Collect:
    """The task knows which parts of a sample it needs; only boxes and masks are made here.

    Args:
        keys: names of MMOCR's batch entries; with ``"gt_masks"`` among them the boxes and masks of
            the text become the targets, see ``train.objectives.mask_rcnn``.
        meta_keys: names of MMOCR's image metadata.
    """

    keys: Sequence[str] = ()
    meta_keys: Sequence[str] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.pixels()
        if "gt_masks" in self.keys:
            width, height = sample.size()
            sample.targets = mask_rcnn.make_instances(sample.polygons, height, width)
