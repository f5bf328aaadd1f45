"""Things in a scene that are not text: shapes, lines, and what only looks like text.

A detector learns precision from these: fences, windows, hatching, bar codes, dots and pictograms
have the stroke widths and the rhythm of writing and are labelled as nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .backgrounds import random_colour

Canvas = NDArray[np.float32]
"""(H, W, 3) float32 BGR, 0..255; drawn on in place."""

Colour = tuple[float, float, float]


def _colour(rng: np.random.Generator) -> Colour:
    blue, green, red = random_colour(rng).tolist()
    return blue, green, red


def _spot(rng: np.random.Generator, canvas: Canvas) -> tuple[int, int]:
    height, width = canvas.shape[:2]
    return int(rng.integers(0, width)), int(rng.integers(0, height))


def draw_shapes(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Big and small filled shapes: walls, doors, windows, cars, people out of focus."""
    height, width = canvas.shape[:2]
    for _ in range(count):
        x, y = _spot(rng, canvas)
        reach_x = int(width * 0.35 * rng.random() ** 2) + 6
        reach_y = int(height * 0.35 * rng.random() ** 2) + 6
        colour = _colour(rng)
        kind = rng.random()
        if kind < 0.5:
            cv2.rectangle(
                canvas, (x - reach_x, y - reach_y), (x + reach_x, y + reach_y), colour, -1
            )
            if rng.random() < 0.4:
                edge = _colour(rng)
                corner = (x + reach_x, y + reach_y)
                cv2.rectangle(canvas, (x - reach_x, y - reach_y), corner, edge, 2, cv2.LINE_AA)
        elif kind < 0.7:
            angle = float(rng.random() * 180)
            cv2.ellipse(canvas, (x, y), (reach_x, reach_y), angle, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            offsets = (rng.random((int(rng.integers(3, 7)), 2)) - 0.5) * 2 * [reach_x, reach_y]
            points = (offsets + np.array([x, y])).astype(np.int32)
            cv2.fillPoly(canvas, [cv2.convexHull(points)], colour, cv2.LINE_AA)


def draw_lines(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Wires, poles, edges."""
    for _ in range(count):
        thickness = 1 + int(rng.random() ** 3 * 8)
        start, end = _spot(rng, canvas), _spot(rng, canvas)
        if rng.random() < 0.4:
            end = (start[0], end[1]) if rng.random() < 0.5 else (end[0], start[1])
        cv2.line(canvas, start, end, _colour(rng), thickness, cv2.LINE_AA)


def _grid(rng: np.random.Generator, canvas: Canvas) -> None:
    """Windows of a house, tiles, a fence, the cells of a table without content."""
    x, y = _spot(rng, canvas)
    columns, rows = int(rng.integers(2, 14)), int(rng.integers(1, 9))
    cell_x, cell_y = int(rng.integers(6, 40)), int(rng.integers(6, 40))
    thickness = int(rng.integers(1, 4))
    colour, fill = _colour(rng), _colour(rng)
    filled = rng.random() < 0.5
    gap = int(rng.integers(0, 8))
    for row in range(rows):
        for column in range(columns):
            left, top = x + column * cell_x, y + row * cell_y
            corner = (left + cell_x - gap, top + cell_y - gap)
            if filled:
                cv2.rectangle(canvas, (left, top), corner, fill, -1)
            cv2.rectangle(canvas, (left, top), corner, colour, thickness)


def _dots(rng: np.random.Generator, canvas: Canvas) -> None:
    x, y = _spot(rng, canvas)
    step, radius = int(rng.integers(5, 24)), int(rng.integers(1, 6))
    colour = _colour(rng)
    shaken = rng.random() < 0.5
    for row in range(int(rng.integers(1, 7))):
        for column in range(int(rng.integers(3, 16))):
            dx, dy = rng.integers(-3, 4, 2) if shaken else (0, 0)
            centre = (x + column * step + int(dx), y + row * step + int(dy))
            cv2.circle(canvas, centre, radius, colour, -1, cv2.LINE_AA)


def _hatching(rng: np.random.Generator, canvas: Canvas) -> None:
    x, y = _spot(rng, canvas)
    width, height = int(rng.integers(20, 160)), int(rng.integers(8, 80))
    step, thickness = int(rng.integers(3, 14)), int(rng.integers(1, 4))
    slant = int((rng.random() - 0.5) * 2 * height)
    colour = _colour(rng)
    for offset in range(0, width, step):
        start, end = (x + offset, y), (x + offset + slant, y + height)
        cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA)


def bar_code(
    rng: np.random.Generator, canvas: Canvas, x: int, y: int, width: int, height: int, ink: Colour
) -> None:
    """Bars of random widths from (x, y) on."""
    position = x
    while position < x + width:
        bar = int(rng.integers(1, 4))
        cv2.rectangle(canvas, (position, y), (position + bar - 1, y + height), ink, -1)
        position += bar + int(rng.integers(1, 5))


def _bar_code(rng: np.random.Generator, canvas: Canvas) -> None:
    x, y = _spot(rng, canvas)
    width, height = int(rng.integers(40, 140)), int(rng.integers(14, 60))
    cv2.rectangle(canvas, (x - 4, y - 4), (x + width + 4, y + height + 4), (240, 240, 240), -1)
    bar_code(rng, canvas, x, y, width, height, (25, 25, 25))


def pictogram(
    rng: np.random.Generator, canvas: Canvas, x: int, y: int, size: int, ink: Colour
) -> None:
    """An arrow, a cross, a star, a ring, a head and shoulders: about ``size`` pixels wide."""
    kind = int(rng.integers(0, 8))
    half, thick = max(2, size // 2), max(1, size // 8)
    if kind == 0:
        cv2.line(canvas, (x - half, y), (x + half // 3, y), ink, 2 * thick, cv2.LINE_AA)
        head = np.array([[x, y - half // 2], [x + half, y], [x, y + half // 2]], dtype=np.int32)
        cv2.fillPoly(canvas, [head], ink, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(canvas, (x, y), half, ink, thick, cv2.LINE_AA)
        cv2.line(canvas, (x - half, y - half), (x + half, y + half), ink, thick, cv2.LINE_AA)
    elif kind == 2:
        turn = np.arange(10) * math.pi / 5 + rng.random()
        reach = np.where(np.arange(10) % 2 == 0, half, half * 0.45)
        star = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)
        cv2.fillPoly(canvas, [star.astype(np.int32)], ink, cv2.LINE_AA)
    elif kind == 3:
        cv2.circle(canvas, (x, y - half // 2), max(2, half // 3), ink, -1, cv2.LINE_AA)
        cv2.ellipse(canvas, (x, y + half), (half // 2 + 1, half), 0, 180, 360, ink, -1, cv2.LINE_AA)
    elif kind == 4:
        cv2.rectangle(canvas, (x - half, y - thick), (x + half, y + thick), ink, -1)
        cv2.rectangle(canvas, (x - thick, y - half), (x + thick, y + half), ink, -1)
    elif kind == 5:
        corners = np.array([[x, y - half], [x + half, y + half], [x - half, y + half]], np.int32)
        cv2.polylines(canvas, [corners], True, ink, thick, cv2.LINE_AA)
    elif kind == 6:
        cv2.rectangle(canvas, (x - half, y - half // 2), (x + half, y + half // 2), ink, thick)
        cv2.circle(canvas, (x - half // 2, y + half // 2), half // 3 + 1, ink, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x + half // 2, y + half // 2), half // 3 + 1, ink, -1, cv2.LINE_AA)
    else:
        for radius in range(thick, half, 2 * thick + 1):
            cv2.ellipse(canvas, (x, y), (radius, radius), 0, 200, 340, ink, thick, cv2.LINE_AA)


def _pictograms(rng: np.random.Generator, canvas: Canvas) -> None:
    x, y = _spot(rng, canvas)
    size = int(rng.integers(10, 60))
    ink = _colour(rng)
    for index in range(int(rng.integers(1, 5))):
        pictogram(rng, canvas, x + int(index * size * 1.3), y, size, ink)


def _scribble(rng: np.random.Generator, canvas: Canvas) -> None:
    """A branch, a cable, a crack: a line that turns at random."""
    x, y = _spot(rng, canvas)
    count = int(rng.integers(6, 40))
    turns = np.cumsum(rng.normal(0, 0.6, count)) + rng.random() * 6.3
    step = rng.uniform(3, 14)
    path = np.stack([np.cumsum(np.cos(turns)), np.cumsum(np.sin(turns))], axis=1) * step + [x, y]
    thickness = int(rng.integers(1, 4))
    cv2.polylines(canvas, [path.astype(np.int32)], False, _colour(rng), thickness, cv2.LINE_AA)


def _arches(rng: np.random.Generator, canvas: Canvas) -> None:
    """A row of equal arches, posts or rings: rhythm without letters."""
    x, y = _spot(rng, canvas)
    step = int(rng.integers(8, 36))
    tall = int(step * rng.uniform(0.8, 2.2))
    thickness = int(rng.integers(1, 5))
    colour = _colour(rng)
    kind = rng.random()
    for index in range(int(rng.integers(3, 12))):
        left = x + index * step
        if kind < 0.4:
            axes = (max(2, step // 3), max(2, tall // 2))
            cv2.ellipse(canvas, (left, y), axes, 0, 180, 360, colour, thickness, cv2.LINE_AA)
        elif kind < 0.7:
            cv2.line(canvas, (left, y), (left, y + tall), colour, thickness, cv2.LINE_AA)
        else:
            cv2.circle(canvas, (left, y), max(2, step // 3), colour, thickness, cv2.LINE_AA)


def _beams(rng: np.random.Generator, canvas: Canvas) -> None:
    """Beams of a ceiling or steps of an escalator: stripes that run to a vanishing point."""
    height, width = canvas.shape[:2]
    centre = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    first, step = rng.uniform(0, 2 * math.pi), rng.uniform(0.02, 0.12)
    near, far = rng.uniform(0.05, 0.4) * width, rng.uniform(0.5, 1.4) * width
    share = rng.uniform(0.2, 0.7)
    colour = _colour(rng)
    for index in range(int(rng.integers(3, 14))):
        angles = first + step * np.array([index, index + share])
        rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        corners = np.concatenate([centre + rays * near, (centre + rays * far)[::-1]])
        cv2.fillConvexPoly(canvas, corners.astype(np.int32), colour, cv2.LINE_AA)


def _lamp(rng: np.random.Generator, canvas: Canvas) -> None:
    """A light source: a bright core with a glow around it."""
    height, width = canvas.shape[:2]
    x, y = _spot(rng, canvas)
    reach = int(rng.integers(10, 90))
    left, top, right, bottom = max(0, x - reach), max(0, y - reach), x + reach, y + reach
    area = canvas[top : min(bottom, height), left : min(right, width)]
    columns = (np.arange(left, left + area.shape[1], dtype=np.float32) - x) / reach
    rows = (np.arange(top, top + area.shape[0], dtype=np.float32) - y) / reach
    flat = np.float32(rng.uniform(1, 6))
    distance = np.sqrt(columns[None, :] ** 2 + (rows[:, None] * flat) ** 2)
    glow = np.clip(1.3 - 1.3 * distance, 0, 1)[..., None]
    area += glow * (np.float32(250) - area)


_DISTRACTORS: tuple[Callable[[np.random.Generator, Canvas], None], ...] = (
    _grid, _grid, _dots, _hatching, _bar_code, _pictograms, _pictograms, _scribble, _arches,
    _beams, _lamp,
)  # fmt: skip


def draw_distractors(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Things that a weak detector takes for text."""
    for _ in range(count):
        _DISTRACTORS[int(rng.random() * len(_DISTRACTORS))](rng, canvas)
