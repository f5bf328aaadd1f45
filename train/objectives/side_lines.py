"""The two long sides of a text's outline, sampled in pairs along the text.

Annotators start and end outlines where they like, so the two short ends are found by shape. The
measures and weights are those of MMOCR 0.6.1's targets of TextSnake and DRRG.

Shapes: K corners of an outline, P pairs of points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_EPS = 1e-8
# How much each measure says that a side is an end of the text.
_TURN_WEIGHT = 0.5
_U_TURN_WEIGHT = 0.15
_DISTANCE_WEIGHT = 0.35
_POSITION_WEIGHT = 0.1
_PARTNER_WEIGHT = 0.3

Points = NDArray[np.float64]


class SideLines(NamedTuple):
    """The upper and the lower line of a text, (K_i, 2) each."""

    top: Points
    bottom: Points


def side_lines(outline_K2: Points, orientation_thr: float = 2.0) -> SideLines:
    """The long sides of a text, the one with the smaller mean y first, in opposite directions.

    Args:
        outline_K2: at least four corners x, y.
        orientation_thr: a quad is taken as vertical text when its steep sides are longer than the
            flat ones by this factor.

    Raises:
        ValueError: fewer than four corners.
    """
    count = len(outline_K2)
    if count < 4:
        raise ValueError(f"an outline with side lines has at least 4 corners, got {count}")
    head, tail = _ends_of_quad(outline_K2, orientation_thr) if count == 4 else _ends(outline_K2)
    head_end, tail_end = (head + 1) % count, (tail + 1) % count or count
    around = np.vstack([outline_K2, outline_K2])
    first = around[head_end:tail_end]
    second = around[tail_end : head_end + count]
    if first[:, 1].mean() - second[:, 1].mean() > 0:
        first, second = second, first
    return SideLines(first, second)


def paired(sides: SideLines, step_px: float) -> SideLines:
    """The same lines with equally many points and in the same direction, (P, 2) each.

    Args:
        sides: from ``side_lines``.
        step_px: wanted distance of neighbouring points.
    """
    mean_length = (_lengths(sides.top).sum() + _lengths(sides.bottom).sum()) / 2
    parts = max(int(mean_length / step_px), 2)
    return SideLines(resample(sides.top, parts), resample(sides.bottom, parts)[::-1])


def resample(line: Points, parts: int) -> Points:
    """Ends of ``parts`` equally long parts of a line, (parts + 1, 2)."""
    distances = np.concatenate([[0.0], np.cumsum(_lengths(line))])
    wanted = np.linspace(0, distances[-1], parts + 1)
    return np.stack([np.interp(wanted, distances, line[:, i]) for i in (0, 1)], axis=1)


def _lengths(line: Points) -> NDArray[np.float64]:
    return np.linalg.norm(np.diff(line, axis=0), axis=1)


def _ends_of_quad(quad: Points, orientation_thr: float) -> tuple[int, int]:
    """First corners of the sides that end the text."""
    sides = np.roll(quad, -1, axis=0) - quad
    slopes = np.abs(sides[:, 1] / (sides[:, 0] + _EPS))
    flat = 0 if slopes[0] + slopes[2] < slopes[1] + slopes[3] else 1
    lengths = np.linalg.norm(sides, axis=1)
    steep_length, flat_length = (lengths[[i, i + 2]].sum() for i in (1 - flat, flat))
    is_vertical = steep_length > flat_length * orientation_thr
    ends = flat if is_vertical else 1 - flat
    # Which of two opposite sides is the head decides which long side is the top one where both have
    # the same mean y.
    return (0, 2) if ends == 0 else (3, 1)


def _ends(outline: Points) -> tuple[int, int]:
    """First corners of the two sides that look most like ends, by their turns and distance."""
    count = len(outline)
    sides = np.roll(outline, -1, axis=0) - outline
    before, after = np.roll(sides, 1, axis=0), np.roll(sides, -1, axis=0)
    turns = (_angles(sides, before) + _angles(sides, after)) / np.pi
    u_turns = _angles(before, after) / np.pi
    from_middle = np.linalg.norm(outline - outline.mean(axis=0), axis=1)
    distances = np.maximum(from_middle, np.roll(from_middle, -1))
    score = (
        _TURN_WEIGHT * turns
        + _U_TURN_WEIGHT * u_turns
        + _DISTANCE_WEIGHT * distances / max(float(distances.max()), _EPS)
    )
    if count % 2 == 0:  # the usual notation: one side from left to right, then the other back
        score[[count // 2 - 1, -1]] += _POSITION_WEIGHT
    # Partners half the outline away fit best.
    away = np.arange(count - 3) / (count - 4)
    nearness = np.exp(-(((away - 0.5) / 0.5) ** 2) / 2)
    partner = _PARTNER_WEIGHT * nearness / nearness.max()
    steps = np.arange(count)[:, None] + np.arange(2, count - 1)
    pairs = score[:, None] + score[steps % count] * partner
    head, increment = np.unravel_index(pairs.argmax(), pairs.shape)
    tail = (head + increment + 2) % count
    if (head + 1) % count > (tail + 1) % count:
        head, tail = tail, head
    return int(head), int(tail)


def _angles(a: Points, b: Points) -> NDArray[np.float64]:
    """Angles between vectors, row by row, in radians."""
    norms = (np.linalg.norm(a, axis=1) + _EPS) * (np.linalg.norm(b, axis=1) + _EPS)
    return np.arccos(((a * b).sum(axis=1) / norms).clip(-1, 1))
