"""Steps that make a picture worse: ABINet's pyramid, and what it takes from albumentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .moves import as_range
from .sample import Sample, Step


@dataclass(frozen=True)
class PyramidRescale:
    """Lose detail: stretch to one size, halve it a few times, and go back (ABINet).

    Args:
        factor: how often to halve.
        base_shape: (width, height) of the first size. ABINet's own program means (height, width)
            by the same numbers, so that MMOCR's pictures become narrow and tall in between.
        randomize_factor: draw the number from 0 to ``factor``.
    """

    factor: int = 4
    base_shape: Sequence[int] = (128, 512)
    randomize_factor: bool = True

    def __post_init__(self) -> None:
        if self.factor < 0 or len(self.base_shape) != 2 or min(self.base_shape) < 1:
            raise ConfigError(
                "PyramidRescale needs a factor of at least 0 and a base_shape (width, height); "
                f"got {self.factor} and {self.base_shape}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        factor = int(rng.integers(self.factor + 1)) if self.randomize_factor else self.factor
        if factor == 0:
            return
        image = sample.pixels()
        height, width = image.shape[:2]
        small = cv2.resize(image, (self.base_shape[0], self.base_shape[1]))
        for _ in range(factor):
            small = cv2.pyrDown(small)
        sample.image = cv2.resize(small, (width, height))


@dataclass(frozen=True)
class GaussNoise:
    """Noise of its own for every value of every channel.

    Args:
        var_limit: range of the variance, in grey levels squared; one number means from 0 to it.
        mean: of the noise, in grey levels.
        p: probability.
    """

    var_limit: float | Sequence[float] = (10.0, 50.0)
    mean: float = 0.0
    p: float = 0.5

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        limit = self.var_limit
        variance = rng.uniform(*as_range((0, limit) if isinstance(limit, int | float) else limit))
        image = sample.pixels()
        noise = rng.normal(self.mean, np.sqrt(variance), image.shape)
        # Fractions are cut off, as albumentations does.
        sample.image = np.clip(image + noise, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class MotionBlur:
    """Average along a line.

    Args:
        blur_limit: range of the side of the square that holds the line, in pixels; one number
            means from 3 to it. Steps of 2 from the smaller number on are drawn from.
        p: probability.
    """

    blur_limit: int | Sequence[int] = 7
    p: float = 0.5

    def __post_init__(self) -> None:
        low, high = self._limits()
        if not 2 <= low <= high:
            raise ConfigError(
                f"MotionBlur.blur_limit must be 3 or more, or a rising pair; got {self.blur_limit}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        low, high = self._limits()
        kernel = _line(int(rng.choice(np.arange(low, high + 1, 2))), rng)
        sample.image = cv2.filter2D(sample.pixels(), -1, kernel / kernel.sum())

    def _limits(self) -> tuple[int, int]:
        limit = self.blur_limit
        return (3, limit) if isinstance(limit, int) else (limit[0], limit[1])


def _line(side: int, rng: np.random.Generator) -> NDArray[Any]:
    """A line between two different points of a square."""
    x0, x1 = rng.integers(side, size=2).tolist()
    y0, y1 = rng.choice(side, 2, replace=x0 != x1).tolist()
    return cv2.line(np.zeros((side, side), np.float32), (x0, y0), (x1, y1), [1.0])


ALBUMENTATIONS: Mapping[str, type[Any]] = {"GaussNoise": GaussNoise, "MotionBlur": MotionBlur}
"""By albumentations' names."""


@dataclass(frozen=True)
class Albu:
    """MMDetection's wrapper of albumentations, for what ``ALBUMENTATIONS`` lists.

    Args:
        transforms: the steps, in a config each ``dict(type="Name", ...)``.
        bbox_params: must be None: the steps move nothing.
        keymap: no effect: a sample has one image.
        update_pad_shape: no effect, likewise.
        skip_img_without_anno: no effect, likewise.
    """

    transforms: Sequence[Step]
    bbox_params: Mapping[str, Any] | None = None
    keymap: Mapping[str, str] | None = None
    update_pad_shape: bool = False
    skip_img_without_anno: bool = False

    def __post_init__(self) -> None:
        if self.bbox_params is not None:
            raise ConfigError("Albu.bbox_params is not supported: its steps here move no boxes")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        for step in self.transforms:
            step(sample, rng)
