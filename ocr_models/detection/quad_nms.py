"""Overlap, merging and suppression of parallelograms, many at once.

Paper of the locality-aware suppression: Zhou et al., "EAST: An Efficient and Accurate Scene Text
Detector", arXiv:1704.03155, section 3.6. Numbers are those of the ``lanms`` library that MMOCR
0.6.1 uses. It looks at one pair at a time; here the running mean of a merged box is a quotient of
prefix sums, so many pairs are looked at together.

Shapes: N quads of 4 corners, which go around the quad in either direction. All are parallelograms,
like components of text, and so are weighted means of parallelograms.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Corners are rounded towards 0 to this many steps per pixel, as in lanms.
_STEPS_PER_PX = 10_000
# How many quads are compared with a running mean at once; runs are mostly a little longer.
_LOOKAHEAD = 8
# Rows of the table of pairs that are held at once.
_ROWS_AT_ONCE = 256

Quads = NDArray[np.float64]


def locality_aware_nms(
    quads_N9: NDArray[np.floating], iou_thr: float, group_sizes: Sequence[int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Merges runs of overlapping quads to weighted means, then keeps the best of what overlaps.

    Args:
        quads_N9: four corners x, y in pixels and a positive score; neighbours should follow each
            other, for instance row by row.
        iou_thr: quads with a larger intersection over union are merged or suppressed.
        group_sizes: groups that follow each other and do not see each other; None for one group.

    Returns:
        The kept quads (K, 9), group by group with falling scores, which are sums over what was
        merged; and the number of each one's group (K,).
    """
    sizes = np.array([len(quads_N9)] if group_sizes is None else group_sizes, np.intp)
    corners = np.trunc(quads_N9[:, :8].astype(np.float64) * _STEPS_PER_PX).reshape(-1, 4, 2)
    scores = quads_N9[:, 8].astype(np.float64)
    corners, scores, groups = _merge_runs(corners, scores, sizes, iou_thr)
    order = np.lexsort((-scores, groups))
    corners, scores, groups = corners[order], scores[order], groups[order]
    kept = _suppress(corners, groups, iou_thr)
    result = np.empty((len(kept), 9), np.float32)
    result[:, :8] = corners[kept].reshape(-1, 8) / _STEPS_PER_PX
    result[:, 8] = scores[kept]
    return result, groups[kept]


def quad_iou(a_N42: Quads, b_N42: Quads) -> NDArray[np.float64]:
    """Intersection over union of parallelograms, pair by pair, (N,); 0 where one has no area.

    Args:
        a_N42: of lengths well above 1 (lanms's steps, not pixels).
        b_N42: the other of each pair.
    """
    result = np.zeros(len(a_N42))
    # One contiguous row per corner: numpy is slow on short last axes.
    a, b = (np.ascontiguousarray(np.moveaxis(quads, 0, -1)) for quads in (a_N42, b_N42))
    near = (a.min(axis=0) < b.max(axis=0)).all(axis=0) & (b.min(axis=0) < a.max(axis=0)).all(axis=0)
    area_a, area_b = (np.abs(_cross(q[1] - q[0], q[3] - q[0])) for q in (a, b))
    near &= (area_a > 0) & (area_b > 0)
    both = area_a[near] * _share_of_unit_square(_in_frame_of(a[..., near], b[..., near]))
    result[near] = both / np.maximum(area_a[near] + area_b[near] - both, 1.0)
    return result


def _in_frame_of(a_42N: Quads, b_42N: Quads) -> Quads:
    """The corners of b where a is the unit square, (4, 2, N)."""
    side, other_side = a_42N[1] - a_42N[0], a_42N[3] - a_42N[0]
    offset = b_42N - a_42N[0]
    along, across = _cross(offset, other_side), _cross(side, offset)
    return np.stack([along, across], axis=1) / _cross(side, other_side)


def _share_of_unit_square(quads_42N: Quads) -> NDArray[np.float64]:
    """Area of each quad's intersection with 0 <= x, y <= 1, (N,).

    At a height y the intersection is as long as the difference of where the quad's right and left
    side are, both brought into 0..1. So its area is the sum over the sides of the integral of x,
    brought into 0..1, over the part of the side with y in 0..1.
    """
    x, y = quads_42N[:, 0], quads_42N[:, 1]
    step_x, step_y = np.roll(x, -1, axis=0) - x, np.roll(y, -1, axis=0) - y
    level = step_y == 0  # nothing to integrate over
    slope = step_x / np.where(level, 1, step_y)
    low, high = (edge.clip(0, 1) for edge in (y, y + step_y))
    x_low, x_high = x + (low - y) * slope, x + (high - y) * slope
    run = x_high - x_low
    steep = np.abs(run) < 1e-7  # x hardly changes, and the quotient below would be noise
    mean = np.where(
        steep,
        ((x_low + x_high) / 2).clip(0, 1),
        (_integral_of_clip(x_high) - _integral_of_clip(x_low)) / np.where(steep, 1, run),
    )
    return np.abs(np.where(level, 0, mean * (high - low)).sum(axis=0))


def _integral_of_clip(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to x, of a function that is t between 0 and 1, and 0 and 1 beyond."""
    inside = x.clip(0, 1)
    return inside * inside / 2 + np.maximum(x - 1, 0)


def _cross(a: Quads, b: Quads) -> NDArray[np.float64]:
    """Of vectors (..., 2, N), (..., N)."""
    return np.asarray(a[..., 0, :] * b[..., 1, :] - a[..., 1, :] * b[..., 0, :])


def _merge_runs(
    corners: Quads, scores: NDArray[np.float64], sizes: NDArray[np.intp], iou_thr: float
) -> tuple[Quads, NDArray[np.float64], NDArray[np.intp]]:
    """Means of runs of quads each of which overlaps with the mean of those before it.

    Returns:
        Corners in whole steps, sums of scores, and groups of the runs, in no particular order.
    """
    if not len(corners):
        return corners, scores, np.empty(0, np.intp)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    starts = _certain_starts(corners, groups)
    merging = _Merging(corners, scores, starts)
    while len(merging.following):
        merging.advance(iou_thr)
    totals, weights, firsts = (np.concatenate(part) for part in zip(*merging.runs, strict=True))
    return np.trunc(totals / weights[:, None, None]), weights, groups[firsts]


class _Merging:
    """Stretches of quads that cannot influence each other, merged side by side.

    Args:
        corners: (N, 4, 2) in whole steps.
        scores: (N,).
        starts: first quad of each stretch.

    Attributes:
        following: next quad of each stretch that is not finished.
        runs: finished runs: corners times scores, sums of scores, and first quads of the stretches.
    """

    def __init__(
        self, corners: Quads, scores: NDArray[np.float64], starts: NDArray[np.intp]
    ) -> None:
        self._corners, self._scores = corners, scores
        self._weighted = corners * scores[:, None, None]
        self._first, self._end = starts, np.append(starts[1:], len(corners))
        self.following = starts + 1
        self._total, self._weight = self._weighted[starts], scores[starts]
        self.runs: list[tuple[Quads, NDArray[np.float64], NDArray[np.intp]]] = []

    def advance(self, iou_thr: float) -> None:
        """Looks at some quads of every stretch, up to the first that does not simply join."""
        window = self.following[:, None] + np.arange(_LOOKAHEAD)
        exists = window < self._end[:, None]
        window = np.minimum(window, len(self._corners) - 1)
        # Sums before each quad of the window, and after the last, if all before it join.
        totals = np.concatenate([self._total[:, None], self._weighted[window]], axis=1).cumsum(
            axis=1
        )
        weights = np.concatenate([self._weight[:, None], self._scores[window]], axis=1).cumsum(
            axis=1
        )
        means = np.trunc(totals[:, :-1] / weights[:, :-1, None, None])
        overlaps = _pairwise_overlap(means, self._corners[window], exists) > iou_thr
        mirror = _mirror(means, self._corners[window])
        joins = overlaps & (mirror == 0)
        count = np.where(joins.all(axis=1), _LOOKAHEAD, joins.argmin(axis=1))
        rows = np.arange(len(count))
        self._total, self._weight = totals[rows, count], weights[rows, count]
        self.following = self.following + count
        stopped = np.flatnonzero(count < _LOOKAHEAD)
        turned = overlaps[stopped, count[stopped]]
        self._join_mirrored(stopped[turned], mirror[stopped, count[stopped]][turned])
        self._start_runs(stopped[~turned])

    def _join_mirrored(self, rows: NDArray[np.intp], mirror: NDArray[np.intp]) -> None:
        """The next quad of some stretches joins with its corners in another order."""
        quads = self.following[rows]
        order = _ORDERS[mirror][..., None]
        self._total[rows] += np.take_along_axis(self._weighted[quads], order, axis=1)
        self._weight[rows] += self._scores[quads]
        self.following[rows] += 1

    def _start_runs(self, rows: NDArray[np.intp]) -> None:
        """The runs of some stretches end; the next quad, if there is one, starts another."""
        self.runs.append((self._total[rows], self._weight[rows], self._first[rows]))
        ended = self.following[rows] >= self._end[rows]
        going_on = rows[~ended]
        quads = self.following[going_on]
        self._total[going_on], self._weight[going_on] = self._weighted[quads], self._scores[quads]
        self.following[going_on] += 1
        keep = np.ones(len(self.following), bool)
        keep[rows[ended]] = False
        self._first, self._end, self.following = (
            values[keep] for values in (self._first, self._end, self.following)
        )
        self._total, self._weight = self._total[keep], self._weight[keep]


def _certain_starts(corners: Quads, groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Quads that start a run whatever came before: nothing since the last such one is near them."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    apart = ((low[1:] > high[:-1]) | (high[1:] < low[:-1])).any(axis=1)
    new_group = groups[1:] != groups[:-1]
    pieces = np.concatenate([[0], np.flatnonzero(apart | new_group) + 1])
    # Upright boxes (left, top, right, bottom) of whole pieces, and of the first quad of each.
    whole = np.hstack([np.minimum.reduceat(low, pieces), np.maximum.reduceat(high, pieces)])
    boxes, firsts = whole.tolist(), np.hstack([low, high])[pieces].tolist()
    piece_group = groups[pieces].tolist()
    starts = [0]
    left, top, right, bottom = boxes[0]
    for i in range(1, len(pieces)):
        x0, y0, x1, y1 = firsts[i]
        near = x0 <= right and x1 >= left and y0 <= bottom and y1 >= top
        x0, y0, x1, y1 = boxes[i]
        if near and piece_group[i] == piece_group[i - 1]:
            left, top, right, bottom = min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)
        else:
            starts.append(int(pieces[i]))
            left, top, right, bottom = x0, y0, x1, y1
    return np.array(starts, np.intp)


# How the corners of a quad are taken before they join a mean: as they are, or reversed where that
# brings them nearer. The last is what lanms does for quads upside down whose width exceeds their
# height; it pairs other corners than those it measured.
_ORDERS = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 3, 2, 1]])
_MEASURED = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])


def _mirror(means: Quads, corners: Quads) -> NDArray[np.intp]:
    """Row of ``_ORDERS`` by which each quad joins its mean; both (..., 4, 2)."""
    # The order of the least squared distance has the largest product; the squares are the same.
    products = [np.einsum("...ij,...ij->...", means, corners[..., order, :]) for order in _MEASURED]
    return np.argmax(products, axis=0)


def _pairwise_overlap(a: Quads, b: Quads, exists: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of the pairs that exist, and 0 elsewhere; the shape of ``exists``."""
    result = np.zeros(exists.shape)
    result[exists] = quad_iou(a[exists], b[exists])
    return result


def _suppress(corners: Quads, groups: NDArray[np.intp], iou_thr: float) -> NDArray[np.intp]:
    """Indices of the quads that overlap with no better one that is kept.

    Args:
        corners: ordered by group, the best of each first.
        groups: their groups.
        iou_thr: allowed overlap.
    """
    better, worse = _near_pairs(corners, groups)
    overlap = quad_iou(corners[better], corners[worse]) > iou_thr
    better, worse = better[overlap], worse[overlap]
    kept, waiting = np.zeros(len(corners), bool), np.ones(len(corners), bool)
    while waiting.any():
        # What no waiting quad beats is kept, and what that overlaps with is gone.
        best = waiting.copy()
        best[worse] = False
        kept |= best
        waiting &= ~best
        waiting[worse[best[better]]] = False
        open_pairs = waiting[better] & waiting[worse]
        better, worse = better[open_pairs], worse[open_pairs]
    return np.flatnonzero(kept)


def _near_pairs(
    corners: Quads, groups: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of quads of one group, the earlier one first, whose upright boxes overlap."""
    (left, top), (right, bottom) = corners.min(axis=1).T, corners.max(axis=1).T
    first_of_group = np.flatnonzero(np.diff(groups, prepend=-1))
    earlier, later = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for start, end in pairwise([*first_of_group, len(corners)]):
        for first in range(start, end, _ROWS_AT_ONCE):
            row, column = slice(first, min(first + _ROWS_AT_ONCE, end)), slice(first, end)
            near = (left[row, None] < right[column]) & (left[column] < right[row, None])
            near &= (top[row, None] < bottom[column]) & (top[column] < bottom[row, None])
            i, j = np.nonzero(np.triu(near, 1))
            earlier.append(first + i)
            later.append(first + j)
    return np.concatenate(earlier), np.concatenate(later)
