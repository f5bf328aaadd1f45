"""imgaug's augmenters under MMOCR's wrapper, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ocr_models.errors import ConfigError

from .moves import as_range, clipped, transform
from .sample import Sample


@dataclass(frozen=True)
class Fliplr:
    """Mirror left and right with probability ``p``."""

    p: float = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        width, _ = sample.size()
        transform(sample, np.array([[-1.0, 0, width], [0, 1, 0]]))


@dataclass(frozen=True)
class Flipud:
    """Mirror top and bottom with probability ``p``."""

    p: float = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        _, height = sample.size()
        transform(sample, np.array([[1.0, 0, 0], [0, -1, height]]))


@dataclass(frozen=True)
class Affine:
    """Rotate, scale and shift about the centre; the canvas keeps its size.

    Args:
        rotate: degrees clockwise on the screen; a number, or a pair to draw from.
        scale: factor; a number, or a pair to draw from.
        translate_percent: share of width and of height; a number, or a pair to draw from.
    """

    rotate: float | Sequence[float] = 0.0
    scale: float | Sequence[float] = 1.0
    translate_percent: float | Sequence[float] = 0.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        angle = np.deg2rad(rng.uniform(*as_range(self.rotate)))
        factor = rng.uniform(*as_range(self.scale))
        shares = rng.uniform(*as_range(self.translate_percent), size=2)
        if sample.view is not None and sample.view.turned:
            sample.pixels()  # what the first turn cut off must not come back by the second
        width, height = sample.size()
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        centre = np.array([width / 2, height / 2])
        offset = centre - linear @ centre + shares * (width, height)
        transform(sample, np.hstack([linear, offset[:, None]]), turned=True)


@dataclass(frozen=True)
class Scale:
    """imgaug's ``Resize``: enlarge both sides by one factor.

    Args:
        size: the factor, or a pair to draw from.
    """

    size: float | Sequence[float]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        factor = rng.uniform(*as_range(self.size))
        width, height = sample.size()
        new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
        matrix = np.array([[new_width / width, 0.0, 0.0], [0.0, new_height / height, 0.0]])
        transform(sample, matrix, size=(new_width, new_height))


IMGAUG = {"Fliplr": Fliplr, "Flipud": Flipud, "Affine": Affine, "Resize": Scale}


@dataclass(frozen=True)
class ImgAug:
    """MMOCR's wrapper of imgaug, for the augmenters listed in ``IMGAUG``.

    Args:
        args: ``["Name", argument, ...]`` or ``dict(cls="Name", key=value)`` each.
        clip_invalid_ploys: cut polygons at the edges of the result and drop what lies outside.
            (MMOCR's spelling.)
    """

    args: Sequence[Any] = ()
    clip_invalid_ploys: bool = True
    _steps: tuple[Any, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_steps", tuple(_augmenter(arg) for arg in self.args or ()))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        for step in self._steps:
            step(sample, rng)
        if self.clip_invalid_ploys:
            width, height = sample.size()
            sample.polygons = clipped(sample.polygons, width, height)
            sample.ignored = clipped(sample.ignored, width, height)


def _augmenter(arg: Any) -> Any:
    if isinstance(arg, dict):
        settings = dict(arg)
        name, positional = settings.pop("cls", None), []
    elif isinstance(arg, list | tuple) and arg and isinstance(arg[0], str):
        (name, *positional), settings = arg, {}
    else:
        raise ConfigError(
            f"ImgAug cannot read {arg!r}; write ['Name', argument] or dict(cls='Name', key=value)"
        )
    if name not in IMGAUG:
        raise ConfigError(f"ImgAug knows {', '.join(IMGAUG)}; got {name!r}")
    try:
        return IMGAUG[name](*positional, **settings)
    except TypeError as error:
        raise ConfigError(f"ImgAug: {arg!r}: {error}") from None


@dataclass(frozen=True)
class Pad:
    """Pad with ``pad_val`` on the right and at the bottom.

    Args:
        size: (height, width) to pad to; or
        size_divisor: pad both sides to a multiple of this.
        pad_val: in the image's present scale.
    """

    size: Sequence[int] | None = None
    size_divisor: int | None = None
    pad_val: float = 0

    def __post_init__(self) -> None:
        if (self.size is None) == (self.size_divisor is None):
            raise ConfigError("Pad needs exactly one of size and size_divisor")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        height, width = image.shape[:2]
        if self.size is not None:
            new_height, new_width = self.size
        else:
            divisor = self.size_divisor or 1
            new_height, new_width = -height % divisor + height, -width % divisor + width
        if (new_height, new_width) == (height, width):
            return
        if sample.targets is not None:
            raise ConfigError("Pad would make the image larger than its target maps; pad first")
        if new_height < height or new_width < width:
            raise ConfigError(
                f"Pad: the image is {width}x{height}, larger than {new_width}x{new_height}"
            )
        sample.image = cv2.copyMakeBorder(
            image,
            0,
            new_height - height,
            0,
            new_width - width,
            cv2.BORDER_CONSTANT,
            value=(self.pad_val,) * 3,
        )
