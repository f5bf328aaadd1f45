"""Steps for word crops whose characters move along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from shapely.geometry import Polygon, box

from ocr_models.errors import ConfigError

from .moves import rotation, transform
from .sample import Character, Sample

BOX_TYPES = ("char_rects", "char_quads")
_LEAST_VISIBLE_SHARE = 0.7


def check_box_type(step: str, box_type: str | None) -> None:
    """Raises ``ConfigError`` unless it is one of MMOCR's."""
    if box_type not in BOX_TYPES:
        raise ConfigError(f"{step}.box_type is {box_type!r}; known: {', '.join(BOX_TYPES)}")


@dataclass(frozen=True)
class RandomPaddingOCR:
    """Widen the crop on all sides by repeating its outermost pixels.

    Args:
        max_ratio: at most so much on the left, top, right and bottom, as a share of width, height,
            width and height.
        box_type: MMOCR's name of the boxes to move; here characters always move along.
    """

    max_ratio: Sequence[float] = (0.1, 0.2, 0.1, 0.2)
    box_type: str | None = None

    def __post_init__(self) -> None:
        if self.box_type is not None:
            check_box_type("RandomPaddingOCR", self.box_type)
        if len(self.max_ratio) != 4 or min(self.max_ratio) < 0:
            raise ConfigError(
                "RandomPaddingOCR.max_ratio needs four numbers of at least 0 (left, top, right, "
                f"bottom), got {self.max_ratio}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        height, width = image.shape[:2]
        shares = rng.uniform(0, self.max_ratio)
        left, top, right, bottom = np.rint(shares * (width, height, width, height)).astype(int)
        sample.image = cv2.copyMakeBorder(
            image, int(top), int(bottom), int(left), int(right), cv2.BORDER_REPLICATE
        )
        sample.move_polygons(np.array([[1.0, 0, left], [0, 1, top]]))


@dataclass(frozen=True)
class RandomRotateImageBox:
    """Turn the crop about its centre; it keeps its size, and its corners get lost.

    Characters of which less than 70 % stays inside are lost, too. A crop is never turned by more
    than the angle of its diagonal.

    Args:
        min_angle: degrees anticlockwise.
        max_angle: degrees anticlockwise.
        box_type: MMOCR's name of the boxes to move; here characters always move along.
    """

    min_angle: float = -10
    max_angle: float = 10
    box_type: str = "char_quads"

    def __post_init__(self) -> None:
        check_box_type("RandomRotateImageBox", self.box_type)
        if self.min_angle > self.max_angle:
            raise ConfigError(
                f"RandomRotateImageBox: min_angle {self.min_angle} is above max_angle "
                f"{self.max_angle}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if sample.view is not None and sample.view.turned:
            sample.pixels()  # what an earlier turn cut off must not come back
        width, height = sample.size()
        most = np.degrees(np.arctan2(height, width))
        degrees = rng.uniform(*np.clip((self.min_angle, self.max_angle), -most, most))
        transform(sample, rotation(width, height, -degrees), turned=True)
        sample.characters = [
            character for character in sample.characters if _visible(character, width, height)
        ]


def _visible(character: Character, width: int, height: int) -> bool:
    shape = Polygon(character.quad).buffer(0)
    inside = shape.intersection(box(0, 0, width, height)).area
    return bool(shape.area > 0 and inside >= _LEAST_VISIBLE_SHARE * shape.area)
