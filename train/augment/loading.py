"""Steps that bring the image in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ocr_models.errors import ConfigError, OcrError

from .sample import Sample, SampleError

COLOR_TYPES = (
    "color",
    "grayscale",
    "unchanged",
    "color_ignore_orientation",
    "grayscale_ignore_orientation",
)


@dataclass(frozen=True)
class LoadImageFromFile:
    """Read and decode the image.

    Args:
        color_type: as in MMOCR; the ``..._ignore_orientation`` types leave EXIF orientation
            unapplied, so that annotations made on the raw pixels fit.
        to_float32: hand floats on.
        file_client_args: only the disk is read: absent, or ``dict(backend='disk')``.
    """

    color_type: str = "color"
    to_float32: bool = False
    file_client_args: dict[str, Any] = field(default_factory=lambda: {"backend": "disk"})

    def __post_init__(self) -> None:
        if self.color_type not in COLOR_TYPES:
            raise ConfigError(
                f"LoadImageFromFile.color_type is {self.color_type!r}; "
                f"known: {', '.join(COLOR_TYPES)}"
            )
        if self.file_client_args.get("backend") != "disk":
            raise ConfigError(
                f"file_client_args {self.file_client_args} is not supported: "
                "images are read from disk (or from lmdb by LoadImageFromLMDB)"
            )

    @property
    def apply_exif(self) -> bool:
        """Whether EXIF orientation is applied."""
        return not self.color_type.endswith("ignore_orientation")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if sample.image is None:
            if sample.load is None:
                raise SampleError(f"{sample.source}: the annotation names no image")
            try:
                sample.image = sample.load(self.apply_exif)
            except (OcrError, OSError) as error:
                raise SampleError(f"{sample.source}: {error}") from error
        if self.color_type.startswith("grayscale") and sample.image.ndim == 3:
            sample.image = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY)
        if self.to_float32:
            sample.image = sample.image.astype(np.float32)


@dataclass(frozen=True)
class LoadImageFromLMDB(LoadImageFromFile):
    """The same step under the name that MMOCR uses for lmdb data sets."""


@dataclass(frozen=True)
class LoadTextAnnotations:
    """Polygons come with the sample, so this keeps or drops them.

    Args:
        with_bbox: nothing here works on boxes.
        with_label: nothing here works on class labels: text is the only class.
        with_mask: keep the polygons.
        with_seg: must be false: there are no segmentation files.
        poly2mask: must be false: targets are drawn from polygons.
        use_img_shape: nothing to do: the image's own shape is always used.
    """

    with_bbox: bool = True
    with_label: bool = True
    with_mask: bool = False
    with_seg: bool = False
    poly2mask: bool = True
    use_img_shape: bool = False

    def __post_init__(self) -> None:
        if self.with_seg or (self.with_mask and self.poly2mask):
            raise ConfigError(
                "LoadTextAnnotations works with polygons: set with_seg=False, poly2mask=False"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if not self.with_mask:
            sample.polygons, sample.ignored = [], []


@dataclass(frozen=True)
class LoadAnnotations(LoadTextAnnotations):
    """The same step under MMDetection's name, where masks may be asked for.

    Polygons stay polygons until all geometry is decided; ``Collect`` draws the masks.
    """

    def __post_init__(self) -> None:
        if self.with_seg:
            raise ConfigError(
                "LoadAnnotations: there are no segmentation files, set with_seg=False"
            )
