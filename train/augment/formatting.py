"""Steps that prepare targets and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ocr_models.errors import ConfigError, InputError
from ocr_models.preprocessing import RecognitionPreprocessing, recognition_width

from .. import distributed
from ..objectives import dbnet, mask_rcnn
from .moves import rectangle
from .sample import Sample, SampleError


@dataclass(frozen=True)
class ResizeOCR:
    """Resize a text line to the recogniser's height; its characters move along.

    Args:
        height: of the result in pixels; or one per process, for training at several sizes at once
            (``min_width`` and ``max_width`` then likewise).
        min_width: least width; narrower lines are stretched.
        max_width: pad on the right to this width, and squeeze what is wider.
        keep_aspect_ratio: false: resize to ``max_width`` x ``height`` whatever the shape was.
        img_pad_value: of the padding, in grey levels.
        width_downsample_ratio: widths are rounded to a multiple of its inverse.
        backend: only OpenCV resizes: ``None`` or ``"cv2"``.
    """

    height: int | Sequence[int]
    min_width: int | Sequence[int] | None = None
    max_width: int | Sequence[int] | None = None
    keep_aspect_ratio: bool = True
    img_pad_value: int = 0
    width_downsample_ratio: float = 1.0 / 16
    backend: str | None = None

    _preprocessing: RecognitionPreprocessing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.backend not in (None, "cv2"):
            raise ConfigError(f"ResizeOCR.backend must be None or 'cv2', got {self.backend!r}")
        preprocessing = RecognitionPreprocessing(
            height=self._own_size("height"),
            min_width=None if self.min_width is None else self._own_size("min_width"),
            max_width=None if self.max_width is None else self._own_size("max_width"),
            keep_aspect_ratio=self.keep_aspect_ratio,
            width_downsample_ratio=self.width_downsample_ratio,
        )
        object.__setattr__(self, "_preprocessing", preprocessing)

    def _own_size(self, name: str) -> int:
        """The size of that name for this process."""
        sizes, heights = getattr(self, name), self.height
        if isinstance(sizes, int) and isinstance(heights, int):
            return sizes
        if isinstance(sizes, int) or isinstance(heights, int) or len(sizes) != len(heights):
            raise ConfigError(
                "ResizeOCR: height, min_width and max_width must be numbers, or equally many each; "
                f"got {self.height}, {self.min_width}, {self.max_width}"
            )
        return int(sizes[distributed.rank() % len(sizes)])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        height, width = image.shape[:2]
        try:
            new_width, sample.valid_ratio = recognition_width(height, width, self._preprocessing)
        except InputError as error:
            raise SampleError(f"{sample.source}: {error}") from None
        image = cv2.resize(image, (new_width, self._preprocessing.height))
        full_width = self._preprocessing.max_width
        if full_width is not None and new_width < full_width:
            image = cv2.copyMakeBorder(
                image,
                0,
                0,
                0,
                full_width - new_width,
                cv2.BORDER_CONSTANT,
                value=(self.img_pad_value,) * 3,
            )
        sample.image = image
        sample.move_polygons(
            np.array([[new_width / width, 0.0, 0.0], [0, image.shape[0] / height, 0]])
        )
        if image.shape[1] > new_width:
            sample.ignored.append(rectangle(new_width, 0, image.shape[1], image.shape[0]))


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
        if sample.image is None:  # a text
            return
        sample.pixels()
        if "gt_masks" in self.keys:
            width, height = sample.size()
            sample.targets = mask_rcnn.make_instances(sample.polygons, height, width)
