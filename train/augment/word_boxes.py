"""Cutting the word out of its picture while training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocr_models.errors import ConfigError
from ocr_models.geometry import order_vertices, upright_crop

from .sample import Sample, SampleError

BOX_KEYS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")


@dataclass(frozen=True)
class OnlineCropOCR:
    """Cut the quadrangle of the annotation out; an annotation without one keeps its whole image.

    Args:
        box_keys: eight columns of the annotation, x and y of each corner in pixels.
        jitter_prob: probability of **not** moving the corners; MMOCR compares it the wrong way
            round, which shows only when it is not 0.5.
        max_jitter_ratio_x: largest move of a corner along x, as a share of the word's height.
        max_jitter_ratio_y: along y.
    """

    box_keys: Sequence[str] = BOX_KEYS
    jitter_prob: float = 0.5
    max_jitter_ratio_x: float = 0.05
    max_jitter_ratio_y: float = 0.02

    def __post_init__(self) -> None:
        if len(self.box_keys) != 8:
            raise ConfigError(
                f"OnlineCropOCR.box_keys names x and y of four corners, got {list(self.box_keys)}"
            )
        for name in ("jitter_prob", "max_jitter_ratio_x", "max_jitter_ratio_y"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"OnlineCropOCR.{name} must be between 0 and 1, got {getattr(self, name)}"
                )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if not set(self.box_keys) <= set(sample.fields):
            return
        try:
            points = [float(sample.fields[key]) for key in self.box_keys]
        except (TypeError, ValueError):
            raise SampleError(f"{sample.source}: the corners of the word must be numbers") from None
        image = sample.pixels()
        height, width = image.shape[:2]
        corners = order_vertices(np.array(points).reshape(4, 2).clip(0, (width, height)))
        if rng.random() > self.jitter_prob:
            sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
            moves = rng.uniform(-1, 1, (4, 2)) * (self.max_jitter_ratio_x, self.max_jitter_ratio_y)
            corners = corners + moves * max(sides[1], sides[3])
        sample.image = upright_crop(image, corners)
