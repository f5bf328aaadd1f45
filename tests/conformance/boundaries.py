"""Comparing text boundaries ``[x1, y1, ..., xk, yk, score]``.

Vertices first, within a pixel, quads up to their starting corner; where that fails and both have an
area, the intersection over union decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_models.results import Boundary
from ocrserve.train.evaluation.polygons import overlaps

from .check import Check

ALLOWED_PX = 1.0
ALLOWED_SCORE = 1e-3
ALLOWED_IOU_LOSS = 0.02
ALLOWED_UNMATCHED = 0.05


def flat(boundaries: Sequence[Boundary]) -> list[list[float]]:
    """Our boundaries in the kit's form."""
    return [boundary.flat() for boundary in boundaries]


def vertex_distance(got: Sequence[float], expected: Sequence[float]) -> float:
    """Largest distance in x or y of corresponding vertices, in pixels; infinite if their numbers
    differ."""
    if len(got) != len(expected):
        return math.inf
    left, right = _points(got), _points(expected)
    starts = range(4) if len(left) == 4 else range(1)
    return min(float(np.abs(np.roll(left, start, axis=0) - right).max()) for start in starts)


def iou_loss(got: Sequence[float], expected: Sequence[float]) -> float:
    """1 - intersection over union; infinite if either has no area."""
    table = overlaps([_points(got)], [_points(expected)])
    if not table.area_a[0] or not table.area_b[0]:
        return math.inf
    return 1 - float(table.iou[0, 0])


def compare(
    check: Check, what: str, got: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]
) -> None:
    """The same boundaries in the same order."""
    check.equal(f"{what} count", len(got), len(expected))
    for index, (ours, theirs) in enumerate(zip(got, expected, strict=False)):
        name = f"{what}[{index}]"
        distance = vertex_distance(ours, theirs)
        if distance <= ALLOWED_PX:
            check.measured(f"{name} px", distance, ALLOWED_PX)
        else:
            loss = iou_loss(ours, theirs)
            if math.isinf(loss):
                check.measured(f"{name} px", distance, ALLOWED_PX)
            else:
                check.measured(f"{name} 1-IoU", loss, ALLOWED_IOU_LOSS)
        check.number(f"{name} score", ours[-1], theirs[-1], ALLOWED_SCORE)


def unmatched(got: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> int:
    """How many of ``expected`` have no partner among ``got``, each of which serves once."""
    free = list(got)
    missing = 0
    for theirs in expected:
        for index, ours in enumerate(free):
            if abs(ours[-1] - theirs[-1]) <= ALLOWED_SCORE and (
                vertex_distance(ours, theirs) <= ALLOWED_PX
                or iou_loss(ours, theirs) <= ALLOWED_IOU_LOSS
            ):
                del free[index]
                break
        else:
            missing += 1
    return missing


def _points(boundary: Sequence[Any]) -> NDArray[np.float64]:
    return np.asarray(boundary[:-1], np.float64).reshape(-1, 2)
