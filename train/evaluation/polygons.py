"""Areas and overlaps of polygons, as MMOCR's metrics measure them.

A self-crossing polygon is repaired by a buffer of width zero before it is intersected or united;
its own area, where a metric divides by it, stays that of the polygon as it came (for a figure of
eight: zero). Coordinates are pixels, (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

Geometries = NDArray[Any]
"""1-D array of shapely polygons."""


def make_polygons(boundaries: Sequence[ArrayLike]) -> Geometries:
    """Boundaries, each (K, 2) or flat ``x1, y1, ...``, as shapely polygons, unrepaired.

    Raises:
        ValueError: a boundary has fewer than 3 points, or an odd number of values.
    """
    points = []
    for boundary in boundaries:
        values = np.asarray(boundary, np.float64).ravel()
        if values.size % 2 or values.size < 6:
            raise ValueError(
                f"a boundary has {values.size} values; needed: x and y of at least 3 points"
            )
        points.append(values.reshape(-1, 2))
    polygons = np.empty(len(points), object)
    # Boundaries with the same number of points are built in one call: ten times faster.
    counts = np.array([len(item) for item in points], np.int64)
    for count in np.unique(counts):
        where = np.flatnonzero(counts == count)
        polygons[where] = shapely.polygons(np.stack([points[i] for i in where]))
    return polygons


def repair(polygons: Geometries) -> Geometries:
    """Self-crossing polygons through a zero buffer, the others as they are."""
    broken = ~shapely.is_valid(polygons)
    if not broken.any():
        return polygons
    repaired = polygons.copy()
    repaired[broken] = shapely.buffer(polygons[broken], 0)
    return repaired


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Every polygon of A against every polygon of B.

    Args:
        intersection: (A, B), square pixels.
        union: (A, B), square pixels.
        area_a: (A,), of the polygons before any repair.
        area_b: (B,), likewise.
    """

    intersection: NDArray[np.float64]
    union: NDArray[np.float64]
    area_a: NDArray[np.float64]
    area_b: NDArray[np.float64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """(A, B) intersection over union; 0 for two polygons without area."""
        return _divide(self.intersection, self.union)

    @property
    def covered_a(self) -> NDArray[np.float64]:
        """(A, B) part of each polygon of A that lies in B; 0 where A has no area."""
        return _divide(self.intersection, self.area_a[:, None])

    @property
    def covered_b(self) -> NDArray[np.float64]:
        """(A, B) part of each polygon of B that lies in A; 0 where B has no area."""
        return _divide(self.intersection, self.area_b[None, :])


def overlaps(boundaries_a: Sequence[ArrayLike], boundaries_b: Sequence[ArrayLike]) -> Overlaps:
    """Compare two sets of boundaries of one image; see `make_polygons` for their form."""
    raw_a, raw_b = make_polygons(boundaries_a), make_polygons(boundaries_b)
    polygons_a, polygons_b = repair(raw_a), repair(raw_b)
    intersection = np.zeros((len(raw_a), len(raw_b)))
    union = shapely.area(polygons_a)[:, None] + shapely.area(polygons_b)[None, :]
    rows, columns = np.nonzero(_bounds_touch(polygons_a, polygons_b))
    pairs = polygons_a[rows], polygons_b[columns]
    intersection[rows, columns] = shapely.area(shapely.intersection(*pairs))
    union[rows, columns] = shapely.area(shapely.union(*pairs))
    return Overlaps(intersection, union, shapely.area(raw_a), shapely.area(raw_b))


def _bounds_touch(polygons_a: Geometries, polygons_b: Geometries) -> NDArray[np.bool_]:
    """(A, B) whether the bounding boxes meet; empty polygons meet nothing."""
    a = shapely.bounds(polygons_a).reshape(-1, 1, 4)
    b = shapely.bounds(polygons_b).reshape(1, -1, 4)
    with np.errstate(invalid="ignore"):  # bounds of an empty polygon are NaN
        result: NDArray[np.bool_] = (
            np.maximum(a[..., :2], b[..., :2]) <= np.minimum(a[..., 2:], b[..., 2:])
        ).all(axis=-1)
    return result


def _divide(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
