"""Moving a sample's view and its polygons together: what the geometric steps share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from .sample import Sample, compose

Points = NDArray[np.float64]


def as_range(value: float | Sequence[float]) -> tuple[float, float]:
    """A number, or the ends of a range to draw from, as a range."""
    if isinstance(value, int | float):
        return float(value), float(value)
    low, high = value
    return float(low), float(high)


def transform(
    sample: Sample,
    matrix: NDArray[np.float64],
    *,
    size: tuple[int, int] | None = None,
    turned: bool = False,
) -> None:
    """Compose ``matrix`` onto the sample's view and move its polygons.

    Args:
        sample: changed in place.
        matrix: (2, 3), from the present view to the new one.
        size: (width, height) of the new view in pixels; the present one's by default.
        turned: the matrix holds a rotation.
    """
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


def resize(sample: Sample, width: int, height: int) -> None:
    """Stretch to ``width`` x ``height`` pixels."""
    old_width, old_height = sample.size()
    matrix = np.array([[width / old_width, 0.0, 0.0], [0.0, height / old_height, 0.0]])
    transform(sample, matrix, size=(width, height))


def crop(
    sample: Sample,
    area: tuple[int, int, int, int],
    size: tuple[int, int] | None = None,
    scale: float = 1.0,
) -> None:
    """Cut out a rectangle of the view; polygons move and stay whole.

    Args:
        sample: changed in place.
        area: (x, y, width, height) in pixels of the view.
        size: (width, height) of the result, which is 0 where the rectangle does not reach; that of
            the rectangle by default.
        scale: of the result.
    """
    x, y, width, height = area
    matrix = np.array([[scale, 0.0, -x * scale], [0.0, scale, -y * scale]])
    # The fitted side must not lose a pixel to rounding: 49 * (128 / 49) is below 128.
    content = int(width * scale + 1e-6), int(height * scale + 1e-6)
    transform(sample, matrix, size=size or content)
    assert sample.view is not None
    sample.view = replace(sample.view, content_width=content[0], content_height=content[1])
    sample.pixels()  # a later turn must not bring back what was cut off


def rotation(width: int, height: int, degrees: float) -> NDArray[np.float64]:
    """(2, 3): a turn about the centre of a picture, clockwise on the screen."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([width / 2, height / 2])
    return np.hstack([linear, (centre - linear @ centre)[:, None]])


def transform_over(
    sample: Sample,
    matrix: NDArray[np.float64],
    size: tuple[int, int],
    background: NDArray[Any],
) -> None:
    """As ``transform``, with ``background`` (of the new size) where the image has no pixels."""
    whole = np.ones(sample.pixels().shape[:2], np.float32)
    transform(sample, matrix, size=size, turned=True)
    share = Sample(sample.source, image=whole, view=sample.view).pixels()[..., None]
    drawn = sample.pixels()
    sample.image = (drawn + (1 - share) * background).astype(drawn.dtype)


def backdrop(
    image: NDArray[Any],
    size: tuple[int, int],
    color: Sequence[float] | None,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """(height, width, 3) of one colour, or, without a colour, a small part of the image enlarged.

    Args:
        image: (H, W, 3).
        size: (width, height) in pixels.
        color: in the image's present scale.
        rng: draws the part: a ninth of each side.
    """
    width, height = size
    if color is not None:
        return np.broadcast_to(np.asarray(color, np.float32), (height, width, 3))
    rows, columns = image.shape[:2]
    y = int(rng.integers(0, max(1, rows * 7 // 8)))
    x = int(rng.integers(0, max(1, columns * 7 // 8)))
    part = image[y : y + max(1, rows // 9), x : x + max(1, columns // 9)]
    return cv2.resize(part, size)


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """(4, 2) corners, clockwise from the top left."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def clipped(polygons: Sequence[Points], width: int, height: int) -> list[Points]:
    """The parts of polygons that lie within the picture."""
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


def touching(
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
