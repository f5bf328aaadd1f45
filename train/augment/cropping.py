"""Steps that cut a part out of the picture, and one that flips a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .moves import Points, crop, touching
from .sample import Sample


@dataclass(frozen=True)
class EastRandomCrop:
    """Cut a random part that crosses no text, fit it into ``target_size``, pad with 0.

    Corners are drawn from rows and columns without text; a part without any text is drawn again.
    (Unlike MMOCR, the rows below the last text and the columns right of it may be drawn too.)

    Args:
        target_size: (width, height) of the result in pixels.
        max_tries: then the whole picture is taken.
        min_crop_side_ratio: least side of the part, as a share of the picture's.
        instance_key: only polygons (``"gt_masks"``) can be kept whole.
    """

    target_size: Sequence[int] = (640, 640)
    max_tries: int = 10
    min_crop_side_ratio: float = 0.1
    instance_key: str = "gt_masks"

    def __post_init__(self) -> None:
        if self.instance_key != "gt_masks":
            raise ConfigError(
                f"EastRandomCrop.instance_key must be 'gt_masks', got {self.instance_key!r}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        x, y, width, height = self._area(sample, rng)
        target_width, target_height = self.target_size
        scale = min(target_width / width, target_height / height)
        crop(sample, (x, y, width, height), (target_width, target_height), scale)
        sample.polygons = touching(sample.polygons, 0, 0, width * scale, height * scale)
        sample.ignored = touching(sample.ignored, 0, 0, width * scale, height * scale)

    def _area(self, sample: Sample, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the part to cut."""
        width, height = sample.size()
        free_columns, free_rows = np.ones(width, bool), np.ones(height, bool)
        for points in sample.polygons:
            x_min, y_min = np.maximum(np.round(points.min(axis=0)), 0).astype(int)
            x_max, y_max = np.maximum(np.round(points.max(axis=0)), 0).astype(int)
            free_columns[x_min:x_max] = False
            free_rows[y_min:y_max] = False
        columns, rows = _runs(free_columns), _runs(free_rows)
        if not columns or not rows:
            return 0, 0, width, height
        for _ in range(self.max_tries):
            x_min, x_max = _draw_pair(columns, rng)
            y_min, y_max = _draw_pair(rows, rng)
            crop_width, crop_height = x_max - x_min, y_max - y_min
            if crop_width < max(1, self.min_crop_side_ratio * width) or crop_height < max(
                1, self.min_crop_side_ratio * height
            ):
                continue
            if touching(sample.polygons, x_min, y_min, crop_width, crop_height):
                return x_min, y_min, crop_width, crop_height
        return 0, 0, width, height


@dataclass(frozen=True)
class RandomCropInstances:
    """Cut a part of a fixed size that, mostly, reaches into the region of the texts.

    The result always has the target's size: smaller pictures are padded with 0 on the right and at
    the bottom. Texts that are cut stay whole polygons that reach over the edge.

    Args:
        target_size: (height, width) of the result in pixels, or one number for both.
        instance_key: where MMOCR looks for the texts; here always the polygons.
        mask_type: which of its maps MMOCR looks at; the union of all texts in either case.
        positive_sample_ratio: probability of looking at the texts at all.
    """

    target_size: int | Sequence[int]
    instance_key: str
    mask_type: str = "inx0"
    positive_sample_ratio: float = 5.0 / 8.0

    def __post_init__(self) -> None:
        if self.mask_type not in ("inx0", "union_all"):
            raise ConfigError(
                "RandomCropInstances.mask_type must be 'inx0' or 'union_all', "
                f"got {self.mask_type!r}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        target_height, target_width = (
            (self.target_size,) * 2 if isinstance(self.target_size, int) else self.target_size
        )
        width, height = sample.size()
        near_text = bool(sample.polygons) and rng.random() < self.positive_sample_ratio
        corners = np.concatenate(sample.polygons) if near_text else None
        x = _start(width, target_width, None if corners is None else corners[:, 0], rng)
        y = _start(height, target_height, None if corners is None else corners[:, 1], rng)
        kept_width, kept_height = min(width, target_width), min(height, target_height)
        crop(sample, (x, y, kept_width, kept_height), (target_width, target_height))
        sample.polygons = touching(sample.polygons, 0, 0, kept_width, kept_height)
        sample.ignored = touching(sample.ignored, 0, 0, kept_width, kept_height)


def _start(
    length: int, target: int, text: NDArray[np.float64] | None, rng: np.random.Generator
) -> int:
    """Where along one axis to begin a cut of ``target`` out of ``length`` pixels.

    With ``text`` (coordinates along this axis) the cut begins no more than its own length before
    the first of them, and ends no later than the last, as far as the picture allows.
    """
    last = max(length - target, 0)
    if text is None:
        return int(rng.integers(0, last + 1))
    low, high = (int(np.clip(value - target, 0, last)) for value in (text.min(), text.max()))
    return int(rng.integers(low, high + 1))


@dataclass(frozen=True)
class RandomCropPolyInstances:
    """Cut a random part that keeps at least one text whole and cuts no other.

    Args:
        instance_key: only polygons (``"gt_masks"``) can be kept whole.
        crop_ratio: probability of doing it.
        min_side_ratio: least side of the part, as a share of the picture's.
    """

    instance_key: str = "gt_masks"
    crop_ratio: float = 5.0 / 8.0
    min_side_ratio: float = 0.4

    def __post_init__(self) -> None:
        if self.instance_key != "gt_masks":
            raise ConfigError(
                f"RandomCropPolyInstances.instance_key must be 'gt_masks', got "
                f"{self.instance_key!r}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if not sample.polygons or rng.random() >= self.crop_ratio:
            return
        kept = sample.polygons[rng.integers(len(sample.polygons))]
        texts = [*sample.polygons, *sample.ignored]
        (x, x_end), (y, y_end) = (
            self._span(length, kept[:, axis], [points[:, axis] for points in texts], rng)
            for axis, length in enumerate(sample.size())
        )
        width, height = x_end - x, y_end - y
        crop(sample, (x, y, width, height))
        sample.polygons = _within(sample.polygons, width, height)
        sample.ignored = _within(sample.ignored, width, height)

    def _span(
        self,
        length: int,
        kept: NDArray[np.float64],
        texts: Sequence[NDArray[np.float64]],
        rng: np.random.Generator,
    ) -> tuple[int, int]:
        """[start, end) of the cut along one axis, between texts or at the picture's edges."""
        free = np.ones(length + 1, bool)
        for text in (kept, *texts):
            free[max(int(text.min()) - MARGIN_PX, 0) : max(int(text.max()) + MARGIN_PX + 1, 0)] = 0
        shortest = int(length * self.min_side_ratio)
        positions = np.arange(length + 1)
        starts = free & (positions < min(int(kept.min()) - MARGIN_PX, length - shortest))
        starts[0] = True
        start = _draw_position(starts, rng)
        ends = free & (positions >= max(start + max(shortest, 1), int(kept.max()) + MARGIN_PX + 1))
        ends[-1] = True
        return start, _draw_position(ends, rng)


MARGIN_PX = 2
"""Least distance between a cut and a text."""


def _within(polygons: Sequence[Points], width: int, height: int) -> list[Points]:
    """Polygons that lie in the picture, or reach over its edge by less than four pixels."""
    size = np.array([width, height])
    return [
        np.clip(points, 0, size)
        for points in polygons
        if (points > -4).all() and (points < size + 4).all()
    ]


@dataclass(frozen=True)
class RandomCropFlip:
    """Mirror a random rectangle of the picture that cuts no text.

    Args:
        pad_ratio: how far outside the picture corners may be drawn, as a share of its sides; such
            corners lie on the edge, which makes rectangles at the edges likelier.
        crop_ratio: probability of each turn.
        iter_num: number of turns.
        min_area_ratio: least area of the rectangle, as a share of the picture's.
    """

    pad_ratio: float = 0.1
    crop_ratio: float = 0.5
    iter_num: int = 1
    min_area_ratio: float = 0.2

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        for _ in range(self.iter_num):
            if sample.polygons and rng.random() < self.crop_ratio:
                self._flip_part(sample, rng)

    def _flip_part(self, sample: Sample, rng: np.random.Generator) -> None:
        area = self._area(sample, rng)
        if area is None:
            return
        x, y, x_end, y_end = area
        signs = FLIPS[rng.integers(len(FLIPS))]
        image = sample.pixels().copy()
        image[y:y_end, x:x_end] = image[y:y_end, x:x_end][:: signs[1], :: signs[0]]
        sample.image = image
        corner, far_corner = np.array([x, y]), np.array([x_end, y_end])
        for polygons in (sample.polygons, sample.ignored):
            for number, points in enumerate(polygons):
                if (points >= corner).all() and (points <= far_corner).all():
                    mirrored = corner + far_corner - points
                    polygons[number] = np.where(np.array(signs) < 0, mirrored, points)

    def _area(self, sample: Sample, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
        """(x, y, end of x, end of y), or None when ten draws found none."""
        texts = [*sample.polygons, *sample.ignored]
        width, height = sample.size()
        columns, rows = (
            self._free(length, [points[:, axis] for points in texts])
            for axis, length in enumerate((width, height))
        )
        if not len(columns) or not len(rows):
            return None
        for _ in range(10):
            x, x_end = np.sort(rng.choice(columns, 2))
            y, y_end = np.sort(rng.choice(rows, 2))
            if (x_end - x) * (y_end - y) >= max(1, self.min_area_ratio * width * height):
                return int(x), int(y), int(x_end), int(y_end)
        return None

    def _free(self, length: int, texts: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
        """Positions along one axis that lie in no text, repeated by their chances."""
        margin = int(length * self.pad_ratio)
        free = np.ones(length + 1, bool)
        for text in texts:
            free[max(int(np.floor(text.min())) + 1, 0) : max(int(np.ceil(text.max())), 0)] = False
        edges = [edge for edge in (0, length) if free[edge]]
        return np.concatenate([np.flatnonzero(free), np.repeat(edges, margin).astype(np.int64)])


FLIPS = ((-1, 1), (1, -1), (-1, -1))
"""Signs along x and y: left and right, top and bottom, both."""


def _runs(free: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _draw_position(allowed: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """A true position, from a run drawn with equal chances."""
    runs = _runs(allowed)
    return int(rng.integers(*runs[rng.integers(len(runs))]))


def _draw_pair(runs: Sequence[tuple[int, int]], rng: np.random.Generator) -> tuple[int, int]:
    """Two positions, smaller first, each from a run drawn with equal chances."""
    chosen = rng.integers(len(runs), size=2)
    positions = [int(rng.integers(*runs[number])) for number in chosen]
    return min(positions), max(positions)
