"""Steps that move pixels and polygons together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from ocr_models.errors import ConfigError

from .sample import Sample, apply_matrix, compose

Points = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class Fliplr:
    """Mirror left and right with probability ``p``."""

    p: float = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        width, _ = sample.size()
        _transform(sample, np.array([[-1.0, 0, width], [0, 1, 0]]))


@dataclass(frozen=True)
class Flipud:
    """Mirror top and bottom with probability ``p``."""

    p: float = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        _, height = sample.size()
        _transform(sample, np.array([[1.0, 0, 0], [0, -1, height]]))


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
        angle = np.deg2rad(rng.uniform(*_as_range(self.rotate)))
        factor = rng.uniform(*_as_range(self.scale))
        shares = rng.uniform(*_as_range(self.translate_percent), size=2)
        if sample.view is not None and sample.view.turned:
            sample.pixels()  # what the first turn cut off must not come back by the second
        width, height = sample.size()
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        centre = np.array([width / 2, height / 2])
        offset = centre - linear @ centre + shares * (width, height)
        _transform(sample, np.hstack([linear, offset[:, None]]), turned=True)


@dataclass(frozen=True)
class Scale:
    """imgaug's ``Resize``: enlarge both sides by one factor.

    Args:
        size: the factor, or a pair to draw from.
    """

    size: float | Sequence[float]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        factor = rng.uniform(*_as_range(self.size))
        width, height = sample.size()
        new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
        matrix = np.array([[new_width / width, 0.0, 0.0], [0.0, new_height / height, 0.0]])
        _transform(sample, matrix, size=(new_width, new_height))


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
            sample.polygons = _clipped(sample.polygons, width, height)
            sample.ignored = _clipped(sample.ignored, width, height)


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
        # The fitted side must not lose a pixel to rounding: 49 * (128 / 49) is below 128.
        content_width = int(width * scale + 1e-6)
        content_height = int(height * scale + 1e-6)
        matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
        _transform(sample, matrix, size=(target_width, target_height))
        assert sample.view is not None
        sample.view = replace(
            sample.view, content_width=content_width, content_height=content_height
        )
        sample.polygons = _touching(sample.polygons, 0, 0, content_width, content_height)
        sample.ignored = _touching(sample.ignored, 0, 0, content_width, content_height)

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
            if _touching(sample.polygons, x_min, y_min, crop_width, crop_height):
                return x_min, y_min, crop_width, crop_height
        return 0, 0, width, height


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


def _as_range(value: float | Sequence[float]) -> Range:
    if isinstance(value, int | float):
        return float(value), float(value)
    low, high = value
    return float(low), float(high)


def _transform(
    sample: Sample,
    matrix: NDArray[np.float64],
    *,
    size: tuple[int, int] | None = None,
    turned: bool = False,
) -> None:
    """Compose ``matrix`` onto the sample's view and move its polygons."""
    view = sample.pending_view()
    width, height = size or (view.width, view.height)
    sample.view = replace(
        view,
        matrix=compose(matrix, view.matrix),
        width=width,
        height=height,
        content_width=width,
        content_height=height,
        turned=view.turned or turned,
    )
    sample.move_polygons(matrix)


def _clipped(polygons: Sequence[Points], width: int, height: int) -> list[Points]:
    frame = box(0, 0, width, height)
    kept: list[Points] = []
    for points in polygons:
        x_min, y_min = points.min(axis=0)
        x_max, y_max = points.max(axis=0)
        if x_min >= 0 and y_min >= 0 and x_max <= width and y_max <= height:
            kept.append(points)
        elif x_max > 0 and y_max > 0 and x_min < width and y_min < height:
            shape = Polygon(points)
            shape = shape if shape.is_valid else shape.buffer(0)
            kept.extend(_outlines(shape.intersection(frame)))
    return kept


def _outlines(shape: BaseGeometry) -> list[Points]:
    pieces = getattr(shape, "geoms", [shape])
    return [
        np.asarray(piece.exterior.coords[:-1], np.float64)
        for piece in pieces
        if isinstance(piece, Polygon) and piece.area > 0
    ]


def _touching(
    polygons: Sequence[Points], x: float, y: float, width: float, height: float
) -> list[Points]:
    """The polygons whose bounding box is not wholly outside the rectangle."""
    kept = []
    for points in polygons:
        x_min, y_min = points.min(axis=0)
        x_max, y_max = points.max(axis=0)
        if x_max >= x and x_min <= x + width and y_max >= y and y_min <= y + height:
            kept.append(points)
    return kept


def _runs(free: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _draw_pair(runs: Sequence[tuple[int, int]], rng: np.random.Generator) -> tuple[int, int]:
    """Two positions, smaller first, each from a run drawn with equal chances."""
    chosen = rng.integers(len(runs), size=2)
    positions = [int(rng.integers(*runs[number])) for number in chosen]
    return min(positions), max(positions)


__all__ = [
    "IMGAUG",
    "Affine",
    "EastRandomCrop",
    "Fliplr",
    "Flipud",
    "ImgAug",
    "Pad",
    "Scale",
    "apply_matrix",
]
