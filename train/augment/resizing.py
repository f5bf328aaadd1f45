"""Steps that change the size of the whole picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocr_models.errors import ConfigError

from .moves import backdrop, resize, transform_over
from .sample import Sample

RESIZE_TYPES = ("around_min_img_scale", "long_short_bound", "indep_sample_in_range")


@dataclass(frozen=True)
class Resize:
    """Resize to a drawn scale.

    Args:
        img_scale: bounds of both sides in pixels, in either order; or a list of such pairs.
        multiscale_mode: how to choose from a list of pairs: ``"value"`` takes one of them,
            ``"range"`` draws each bound between the least and the greatest.
        ratio_range: with one pair (or None: the picture's own size), a factor to draw for it.
        keep_ratio: stay within the bounds; otherwise they are (width, height) of the result.
    """

    img_scale: Sequence[Any] | None = None
    multiscale_mode: str = "range"
    ratio_range: Sequence[float] | None = None
    keep_ratio: bool = True

    def __post_init__(self) -> None:
        if self.multiscale_mode not in ("range", "value"):
            raise ConfigError(
                f"Resize.multiscale_mode must be 'range' or 'value', got {self.multiscale_mode!r}"
            )
        if self.img_scale is None and self.ratio_range is None:
            raise ConfigError("Resize needs img_scale, ratio_range, or both")
        if self.ratio_range is not None and len(self._pairs()) > 1:
            raise ConfigError("Resize: ratio_range goes with one img_scale, not with a list")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        first, second = self._draw(width, height, rng)
        if not self.keep_ratio:
            resize(sample, max(1, first), max(1, second))
            return
        factor = min(
            max(first, second) / max(width, height), min(first, second) / min(width, height)
        )
        resize(sample, max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))

    def _pairs(self) -> list[tuple[int, int]]:
        if self.img_scale is None:
            return []
        scales = self.img_scale
        pairs = [scales] if not isinstance(scales[0], list | tuple) else list(scales)
        return [(pair[0], pair[1]) for pair in pairs]

    def _draw(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
        pairs = self._pairs() or [(width, height)]
        if self.ratio_range is not None:
            factor = rng.uniform(min(self.ratio_range), max(self.ratio_range))
            return int(pairs[0][0] * factor), int(pairs[0][1] * factor)
        if self.multiscale_mode == "value" or len(pairs) == 1:
            return pairs[rng.integers(len(pairs))]
        longer, shorter = [max(pair) for pair in pairs], [min(pair) for pair in pairs]
        return (
            int(rng.integers(min(longer), max(longer) + 1)),
            int(rng.integers(min(shorter), max(shorter) + 1)),
        )


@dataclass(frozen=True)
class ScaleAspectJitter:
    """Draw a scale and an aspect ratio.

    Args:
        img_scale: ``[(long side, short side)]`` in pixels; the smaller number is what
            ``"around_min_img_scale"`` brings the short side near to.
        multiscale_mode: nothing to do: the scale is always drawn as ``resize_type`` says.
        ratio_range: factor of the scale.
        keep_ratio: must be false.
        resize_type: ``"around_min_img_scale"``; ``"long_short_bound"``: shrink what is longer than
            ``long_size_bound``, apply the factor, and keep the short side above
            ``short_size_bound``; or ``"indep_sample_in_range"``: draw both sides from
            ``scale_range``.
        aspect_ratio_range: factor of height over width.
        long_size_bound: pixels.
        short_size_bound: pixels.
        scale_range: pixels.
    """

    img_scale: Sequence[Sequence[int]] | None = None
    multiscale_mode: str = "range"
    ratio_range: Sequence[float] | None = None
    keep_ratio: bool = False
    resize_type: str = "around_min_img_scale"
    aspect_ratio_range: Sequence[float] | None = None
    long_size_bound: int | None = None
    short_size_bound: int | None = None
    scale_range: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.resize_type not in RESIZE_TYPES:
            raise ConfigError(
                f"ScaleAspectJitter.resize_type is {self.resize_type!r}; "
                f"known: {', '.join(RESIZE_TYPES)}"
            )
        if self.keep_ratio:
            raise ConfigError("ScaleAspectJitter changes the aspect ratio: set keep_ratio=False")
        needed = {
            "around_min_img_scale": ("img_scale", "ratio_range", "aspect_ratio_range"),
            "long_short_bound": (
                "long_size_bound", "short_size_bound", "ratio_range", "aspect_ratio_range",
            ),
            "indep_sample_in_range": ("scale_range",),
        }[self.resize_type]  # fmt: skip
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ConfigError(
                f"ScaleAspectJitter with resize_type={self.resize_type!r} needs "
                f"{', '.join(missing)}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if self.resize_type == "indep_sample_in_range":
            assert self.scale_range is not None
            width, height = rng.uniform(min(self.scale_range), max(self.scale_range), size=2)
        else:
            assert self.ratio_range is not None
            assert self.aspect_ratio_range is not None
            old_width, old_height = sample.size()
            factor = rng.uniform(min(self.ratio_range), max(self.ratio_range))
            scale = self._scale(old_width, old_height, factor)
            aspect = rng.uniform(min(self.aspect_ratio_range), max(self.aspect_ratio_range))
            width = old_width * scale / math.sqrt(aspect)
            height = old_height * scale * math.sqrt(aspect)
        resize(sample, max(1, int(width)), max(1, int(height)))

    def _scale(self, width: int, height: int, factor: float) -> float:
        """New over old size before the aspect ratio is changed."""
        if self.resize_type == "around_min_img_scale":
            assert self.img_scale is not None
            return factor * min(self.img_scale[0]) / min(width, height)
        assert self.long_size_bound is not None
        assert self.short_size_bound is not None
        scale = factor * min(1.0, self.long_size_bound / max(width, height))
        if min(width, height) * scale <= self.short_size_bound:
            # Ten pixels to spare, so that the change of the aspect ratio does not undo it.
            scale = (self.short_size_bound + 10) / min(width, height)
        return scale


@dataclass(frozen=True)
class RandomScaling:
    """Bring the longer side near a size.

    Args:
        size: of the longer side in pixels.
        scale: factor of it to draw.
    """

    size: int = 800
    scale: Sequence[float] = (3.0 / 4, 5.0 / 2)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        factor = rng.uniform(min(self.scale), max(self.scale)) * self.size / max(width, height)
        resize(sample, max(1, int(width * factor)), max(1, int(height * factor)))


@dataclass(frozen=True)
class SquareResizePad:
    """Make a square: by padding about the middle, or by stretching.

    Args:
        target_size: side of the square in pixels.
        pad_ratio: probability of padding.
        pad_with_fixed_color: pad with ``pad_value``; otherwise with a small part of the picture,
            enlarged.
        pad_value: per channel, in the image's present scale.
    """

    target_size: int
    pad_ratio: float = 0.6
    pad_with_fixed_color: bool = False
    pad_value: Sequence[float] = (0, 0, 0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() < self.pad_ratio:
            self._pad(sample, rng)
        else:
            resize(sample, self.target_size, self.target_size)

    def _pad(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        side = self.target_size
        new_width = max(1, int(width * side / max(width, height)))
        new_height = max(1, int(height * side / max(width, height)))
        matrix = np.array(
            [
                [new_width / width, 0.0, (side - new_width) // 2],
                [0.0, new_height / height, (side - new_height) // 2],
            ]
        )
        color = self.pad_value if self.pad_with_fixed_color else None
        background = backdrop(sample.pixels(), (side, side), color, rng)
        transform_over(sample, matrix, (side, side), background)
