"""Steps that mirror and turn the whole picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ocr_models.errors import ConfigError

from .moves import backdrop, rotation, transform, transform_over
from .sample import Sample

MIRRORS: Mapping[str, tuple[int, int]] = {
    "horizontal": (-1, 1),
    "vertical": (1, -1),
    "diagonal": (-1, -1),
}
"""Signs along x and y, by MMDetection's name of the direction."""


@dataclass(frozen=True)
class RandomFlip:
    """Mirror the picture.

    Args:
        flip_ratio: probability; with several directions shared among them, or one for each.
        direction: ``"horizontal"`` (left and right), ``"vertical"``, ``"diagonal"`` (both), or a
            list of these.
    """

    flip_ratio: float | Sequence[float]
    direction: str | Sequence[str] = "horizontal"

    def __post_init__(self) -> None:
        unknown = sorted(set(self._directions()) - set(MIRRORS))
        if unknown:
            raise ConfigError(
                f"RandomFlip.direction is {', '.join(unknown)}; known: {', '.join(MIRRORS)}"
            )
        chances = self._chances()
        if len(chances) != len(self._directions()) or min(chances) < 0 or sum(chances) > 1 + 1e-9:
            raise ConfigError(
                "RandomFlip.flip_ratio must be a probability, or one for each direction with a sum "
                f"of at most 1; got {self.flip_ratio}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        number = int(np.searchsorted(np.cumsum(self._chances()), rng.random(), side="right"))
        directions = self._directions()
        if number == len(directions):
            return
        signs = np.array(MIRRORS[directions[number]], np.float64)
        offset = np.where(signs < 0, sample.size(), 0.0)
        transform(sample, np.hstack([np.diag(signs), offset[:, None]]))

    def _directions(self) -> list[str]:
        return [self.direction] if isinstance(self.direction, str) else list(self.direction)

    def _chances(self) -> list[float]:
        if isinstance(self.flip_ratio, int | float):
            count = len(self._directions())
            return [self.flip_ratio / count] * count
        return list(self.flip_ratio)


@dataclass(frozen=True)
class RandomRotateTextDet:
    """Turn the picture about its centre; it keeps its size, and its corners get lost.

    Args:
        rotate_ratio: probability.
        max_angle: degrees, both ways.
    """

    rotate_ratio: float = 1.0
    max_angle: float = 10

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.rotate_ratio:
            return
        if sample.view is not None and sample.view.turned:
            sample.pixels()  # what the first turn cut off must not come back by the second
        degrees = rng.uniform(-self.max_angle, self.max_angle)
        transform(sample, rotation(*sample.size(), degrees), turned=True)


@dataclass(frozen=True)
class RandomRotatePolyInstances:
    """Turn the picture about its centre on a canvas that holds all of it.

    Args:
        rotate_ratio: probability.
        max_angle: degrees, both ways.
        pad_with_fixed_color: fill the corners with ``pad_value``; otherwise with a small part of
            the picture, enlarged.
        pad_value: per channel, in the image's present scale.
    """

    rotate_ratio: float = 0.5
    max_angle: float = 10
    pad_with_fixed_color: bool = False
    pad_value: Sequence[float] = (0, 0, 0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.rotate_ratio:
            return
        width, height = sample.size()
        matrix = rotation(width, height, rng.uniform(-self.max_angle, self.max_angle))
        spread = np.abs(matrix[:, :2])
        new_width, new_height = (int(side) for side in spread @ (width, height))
        matrix[:, 2] += (np.array([new_width, new_height]) - (width, height)) / 2
        size = (max(1, new_width), max(1, new_height))
        color = self.pad_value if self.pad_with_fixed_color else None
        transform_over(sample, matrix, size, backdrop(sample.pixels(), size, color, rng))
