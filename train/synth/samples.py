"""Draws the sample photograph of the README: the front of a small café, with its text.

    python -m ocrserve.train.synth.samples ocrserve/assets

writes ``sample.jpg`` (1280x720) and ``sample.txt`` (its words in reading order, one a line). It
uses the pip fonts only. Everything on the wall is drawn flat and seen through one homography; the
board on the pavement through another. It is drawn twice as large and shrunk, as a lens would.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.geometry import reading_order

from . import damage
from .backgrounds import smooth_noise
from .corpus import Corpus
from .fonts import FontFace, find_fonts
from .geometry import Bend, apply_homography, quad_to_quad, rectangle
from .lettering import Lettering
from .panels import Panel, PanelPainter
from .scenes import SceneWord
from .words import group_by_family

WIDTH_PX, HEIGHT_PX = 1280, 720
_SEED = 4
_SCALE = 2
_W, _H = WIDTH_PX * _SCALE, HEIGHT_PX * _SCALE
_WALL_HEIGHT = 1260

Canvas = NDArray[np.float32]
Colour = tuple[float, float, float]

_CREAM: Colour = (205, 232, 243)
_GREEN: Colour = (62, 74, 38)
_DARK_GREEN: Colour = (40, 47, 24)
_CHALK: Colour = (222, 228, 230)
_INK: Colour = (52, 44, 40)
_RED: Colour = (48, 46, 178)


@dataclass(frozen=True)
class SamplePhoto:
    """The photograph, (720, 1280, 3) uint8 BGR, and its words in reading order."""

    image: NDArray[np.uint8]
    words: tuple[SceneWord, ...]


class _Studio:
    """The drawing tools: a painter, named faces, and one generator."""

    def __init__(self) -> None:
        faces = find_fonts("pip", "all")
        self._faces = {face.path.stem: face for face in faces}
        self._painter = PanelPainter(group_by_family(faces), Corpus(), Lettering())
        self.rng = np.random.default_rng(_SEED)

    def face(self, stem: str) -> FontFace:
        return self._faces[stem]

    def write(
        self,
        panel: Panel,
        text: str,
        stem: str,
        em_px: float,
        xy: tuple[float, float],
        ink: Colour,
        *,
        align: float = 0.0,
        spacing_ratio: float = 0.0,
        turn_rad: float = 0.0,
        shadow: tuple[int, int, float] | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Write words with their baseline at y, and x at their left (0), middle or right (1)."""
        line = self._painter.set_words(text.split(), self.face(stem), em_px, spacing_ratio)
        first, last = line.words[0], line.words[-1]
        left = first[1] + first[0].left
        wide = last[1] + last[0].right - left
        bend = Bend(left + wide / 2, line.baseline_px, wide / turn_rad) if turn_rad else None
        colour = np.array(ink, dtype=np.float32)
        self._painter.write(
            panel, line, xy[0] - align * wide, xy[1], colour,
            bend=bend, shadow=shadow, opacity=opacity,
        )  # fmt: skip

    def noise(self, height: int, width: int, cell_px: float, octaves: int = 4) -> Canvas:
        """Smooth noise of any size, (height, width, 1) in 0..1."""
        square = smooth_noise(self.rng, max(height, width), cell_px=cell_px, octaves=octaves)
        return square[:height, :width, None]


def draw_sample() -> SamplePhoto:
    """Draw the photograph; always the same one for the same fonts."""
    studio = _Studio()
    wall = _draw_wall(studio)
    # The camera stands a little to the right of the middle and looks slightly up.
    wall_view = quad_to_quad(
        rectangle(0, 0, _W - 1, _WALL_HEIGHT - 1),
        np.array(
            [[-90, -70], [_W + 30, -10], [_W + 10, 1190], [-60, 1290]],
            dtype=np.float32,
        ),
    )
    canvas = _draw_pavement(studio)
    _place(canvas, wall, wall_view)
    _shade_foot_of_wall(canvas, wall_view)
    words = _words(wall, wall_view)

    board = _draw_board(studio)
    height, width = board.alpha.shape
    corners = np.array([[1030, 752], [1510, 766], [1562, 1388], [1000, 1362]], dtype=np.float32)
    board_view = quad_to_quad(rectangle(0, 0, width - 1, height - 1), corners)
    _contact_shadow(canvas, corners)
    _place(canvas, board, board_view)
    words += _words(board, board_view)
    _draw_plant(studio, canvas, 420, 1395, 250)

    image = _photograph(studio, canvas)
    small = [
        SceneWord(w.text, _shrink(w.polygon), _shrink(w.char_polygons), ignore=False) for w in words
    ]
    order = reading_order([word.polygon for word in small])
    return SamplePhoto(image, tuple(small[index] for index in order))


def _shrink(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the big drawing to the photograph; pixel centres lie at whole numbers in both."""
    return ((points + 0.5) / _SCALE - 0.5).astype(np.float32)


def _words(panel: Panel, view: NDArray[np.float64]) -> list[SceneWord]:
    words = []
    for word in panel.words:
        chars = apply_homography(view, word.char_polygons.reshape(-1, 2)).reshape(-1, 4, 2)
        words.append(SceneWord(word.text, apply_homography(view, word.polygon), chars, False))
    return words


def _place(canvas: Canvas, panel: Panel, view: NDArray[np.float64]) -> None:
    image = cv2.warpPerspective(panel.image, view, (_W, _H), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpPerspective(panel.alpha, view, (_W, _H), flags=cv2.INTER_LINEAR)
    canvas += alpha[..., None] * (image - canvas)


def _box(canvas: Canvas, box: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, right, bottom = box
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colour, -1)


def _darken(canvas: Canvas, box: tuple[int, int, int, int], amount: float, soft_px: float) -> None:
    """Multiply a box with soft edges by ``1 - amount``."""
    left, top, right, bottom = box
    mask = np.zeros(canvas.shape[:2], dtype=np.float32)
    mask[max(0, top) : bottom, max(0, left) : right] = amount
    canvas *= 1 - cv2.GaussianBlur(mask, (0, 0), soft_px)[..., None]


def _raised(canvas: Canvas, box: tuple[int, int, int, int], colour: Colour, edge: int) -> None:
    """A wooden part that stands out: lit from above left, dark below right, with a shadow."""
    left, top, right, bottom = box
    _darken(canvas, (left + edge, top + edge, right + edge, bottom + 2 * edge), 0.45, edge)
    _box(canvas, box, colour)
    light = tuple(min(255.0, c * 1.5 + 14) for c in colour)
    dark = tuple(c * 0.55 for c in colour)
    thick = max(2, edge // 3)
    _box(canvas, (left, top, right, top + thick), light)  # type: ignore[arg-type]
    _box(canvas, (left, top, left + thick, bottom), light)  # type: ignore[arg-type]
    _box(canvas, (left, bottom - thick, right, bottom), dark)  # type: ignore[arg-type]
    _box(canvas, (right - thick, top, right, bottom), dark)  # type: ignore[arg-type]


def _draw_wall(studio: _Studio) -> Panel:
    """The front, flat: bricks, the shop sign, a window, a door with a notice, a street sign."""
    canvas = _bricks(studio)
    panel = Panel(canvas, np.ones(canvas.shape[:2], dtype=np.float32))

    # The shop sign over window and door.
    _raised(canvas, (430, 130, 2480, 370), _GREEN, 14)
    cv2.rectangle(canvas, (456, 156), (2453, 343), (112, 168, 196), 3, cv2.LINE_AA)
    studio.write(
        panel, "The Copper Kettle", "SourceSerifPro-Semibold", 156, (1455, 296), _CREAM,
        align=0.5, spacing_ratio=0.03, shadow=(5, 6, 0.65),
    )  # fmt: skip

    # The window.
    _raised(canvas, (500, 430, 1690, 1120), _GREEN, 12)
    _glass(studio, canvas, (536, 466, 1654, 1084))
    _raised(canvas, (1084, 466, 1106, 1084), _GREEN, 5)
    studio.write(
        panel, "Freshly Roasted", "Caladea-BoldItalic", 66, (810, 640), (214, 226, 232),
        align=0.5, opacity=0.93,
    )  # fmt: skip
    _raised(canvas, (470, 1120, 1720, 1160), (108, 116, 120), 10)

    # The door, with a notice taped to its glass.
    _raised(canvas, (1830, 430, 2400, 1260), _GREEN, 14)
    _glass(studio, canvas, (1900, 500, 2330, 1060))
    _raised(canvas, (1900, 1100, 2330, 1220), _DARK_GREEN, 8)
    cv2.circle(canvas, (1868, 860), 17, (70, 150, 180), -1, cv2.LINE_AA)
    cv2.circle(canvas, (1864, 855), 6, (190, 225, 240), -1, cv2.LINE_AA)
    _notice(studio, panel, (1925, 540, 2308, 830))

    # The street sign on the bricks.
    _raised(canvas, (84, 480, 416, 600), (146, 74, 28), 9)
    cv2.rectangle(canvas, (95, 491), (404, 588), (235, 235, 235), 3, cv2.LINE_AA)
    studio.write(
        panel, "MILL LANE", "Roboto-Bold", 50, (250, 558), (240, 240, 240), align=0.5,
        spacing_ratio=0.04,
    )  # fmt: skip

    # The sun: an awning's shadow above, dirt below, uneven light everywhere.
    _darken(canvas, (430, 372, 2480, 450), 0.40, 16)
    height, width = canvas.shape[:2]
    down = np.linspace(1.06, 0.86, height, dtype=np.float32)[:, None, None]
    across = np.linspace(1.08, 0.88, width, dtype=np.float32)[None, :, None]
    canvas *= down * across * (0.92 + 0.16 * studio.noise(height, width, 700))
    return panel


def _bricks(studio: _Studio) -> Canvas:
    """A wall of worn bricks, (wall height, width, 3)."""
    rng = studio.rng
    height, width = _WALL_HEIGHT, _W
    mortar = np.array([150, 160, 168], dtype=np.float32)
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[:] = mortar
    mask = np.zeros((height, width), dtype=np.float32)
    tall, wide, joint = 42, 128, 7
    for row, y in enumerate(range(-10, height, tall)):
        for x in range(-(row % 2) * wide // 2 - wide, width, wide):
            tone = rng.normal(1.0, 0.10)
            colour = np.array([72, 86, 148]) * tone + rng.normal(0, 5, 3)
            box = (x + int(rng.integers(0, 3)), y, x + wide - joint, y + tall - joint)
            left, top = max(0, box[0]), max(0, box[1])
            canvas[top : box[3], left : max(0, box[2])] = colour
            mask[top : box[3], left : max(0, box[2])] = 1
    relief = cv2.GaussianBlur(mask, (0, 0), 1.6)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2)  # type: ignore[assignment]
    # Light from above left: joints are dark below each brick and bright above the next.
    slope = np.roll(relief, 3, axis=0) - np.roll(relief, -3, axis=0)
    canvas -= 26 * slope[..., None]
    canvas += 46 * (studio.noise(height, width, 26) - 0.5)
    canvas += 40 * (studio.noise(height, width, 300) - 0.5)
    canvas += rng.normal(0, 5, (height, width, 1)).astype(np.float32)
    return np.clip(canvas, 0, 255)


def _glass(studio: _Studio, canvas: Canvas, box: tuple[int, int, int, int]) -> None:
    """A dark room with lamps behind glass that mirrors the street and the sky."""
    rng = studio.rng
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    room = np.empty((height, width, 3), dtype=np.float32)
    room[:] = (26, 32, 40)
    room += 16 * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    for _ in range(max(4, width // 70)):
        x, y = int(rng.integers(0, width)), int(rng.integers(height // 2, height))
        shape = (x + int(rng.integers(20, 120)), y + int(rng.integers(30, 200)))
        colour = (rng.uniform(24, 60), rng.uniform(30, 70), rng.uniform(40, 95))
        cv2.rectangle(room, (x, y), shape, colour, -1)
    room = cv2.GaussianBlur(room, (0, 0), 14)  # type: ignore[assignment]
    for index in range(max(1, width // 300)):
        lamp = np.zeros((height, width), dtype=np.float32)
        x = int(width * (index + 0.5) / max(1, width // 300))
        cv2.circle(lamp, (x, height // 11), 15, (1.0,), -1, cv2.LINE_AA)
        glow = cv2.GaussianBlur(lamp, (0, 0), 60) * 22 + cv2.GaussianBlur(lamp, (0, 0), 3) * 1.1
        room += glow[..., None] * np.array([90, 165, 225], dtype=np.float32)
    mirror = studio.noise(height, width, 340, 3)
    skyline = np.repeat(rng.uniform(0.35, 0.8, 12), -(-width // 12))[:width] * height
    rows = np.arange(height, dtype=np.float32)[:, None]
    open_sky = (rows < skyline[None, :]).astype(np.float32)
    open_sky = cv2.GaussianBlur(open_sky, (0, 0), 5)[..., None]  # type: ignore[assignment]
    streaks = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    streaks = streaks + 0.6 * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    band = 0.5 + 0.5 * np.sin(streaks * 8.0)
    sky = np.array([172, 158, 140], dtype=np.float32)
    room += (0.03 + 0.16 * mirror * open_sky + 0.06 * band) * sky
    canvas[top:bottom, left:right] = np.clip(room, 0, 255)
    _darken(canvas, (left, top, right, top + 14), 0.5, 8)
    _darken(canvas, (left, top, left + 10, bottom), 0.4, 6)


def _notice(studio: _Studio, panel: Panel, box: tuple[int, int, int, int]) -> None:
    """A sheet with the opening hours."""
    left, top, right, bottom = box
    canvas = panel.image
    _darken(canvas, (left + 4, top + 6, right + 6, bottom + 10), 0.5, 6)
    _box(canvas, box, (226, 236, 240))
    area = canvas[top:bottom, left:right]
    area *= 0.93 + 0.1 * studio.noise(bottom - top, right - left, 200, 3)
    area[:, (right - left) // 2 - 1 : (right - left) // 2 + 1] *= 0.95  # it was folded
    area[(bottom - top) // 2 :] *= 0.975
    middle = (left + right) / 2
    studio.write(panel, "OPEN", "FredokaOne-Regular", 96, (middle, top + 108), _RED, align=0.5)
    for index, (days, hours) in enumerate([("Mon-Fri", "8:00-18:00"), ("Saturday", "9:00-16:00")]):
        y = top + 182 + 58 * index
        studio.write(panel, days, "SourceSansPro-Semibold", 37, (left + 20, y), _INK)
        studio.write(panel, hours, "SourceSansPro-Semibold", 37, (right - 20, y), _INK, align=1.0)
    for x in (left + 20, right - 60):
        tape = canvas[top - 12 : top + 18, x : x + 44]
        tape += 0.5 * (np.array([190, 214, 222], dtype=np.float32) - tape)


def _draw_board(studio: _Studio) -> Panel:
    """A blackboard in a wooden frame, standing on the pavement, written on with chalk."""
    height, width = 680, 500
    rng = studio.rng
    wood = smooth_noise(rng, height, cell_px=90, octaves=3)
    grain = 0.5 + 0.5 * np.sin(60 * wood)[:, :width, None]
    canvas: Canvas = ((0.82 + 0.18 * grain) * np.array([58, 100, 148])).astype(np.float32)
    panel = Panel(canvas, np.ones((height, width), dtype=np.float32))
    inner = (34, 34, width - 34, height - 70)
    _box(canvas, inner, (50, 50, 47))
    left, top, right, bottom = inner
    area = canvas[top:bottom, left:right]
    # Chalk that was wiped off.
    area += 26 * np.clip(studio.noise(bottom - top, right - left, 150) - 0.4, 0, 1)
    area += 5 * (studio.noise(bottom - top, right - left, 6, 2) - 0.5)
    _darken(canvas, (left, top, right, top + 8), 0.45, 5)
    _darken(canvas, (left, top, left + 6, bottom), 0.45, 4)
    yellow: Colour = (120, 208, 236)
    studio.write(panel, "Menu", "FredokaOne-Regular", 104, (width / 2, 148), yellow, align=0.5)
    cv2.line(canvas, (150, 176), (350, 171), _CHALK, 3, cv2.LINE_AA)
    for index, (item, price) in enumerate(
        [("Coffee", "$2.50"), ("Hot Soup", "$6.90"), ("Apple Cake", "$4.75")]
    ):
        y = 300 + 106 * index
        studio.write(panel, item, "Manrope-SemiBold", 45, (58, y), _CHALK)
        studio.write(panel, price, "Manrope-SemiBold", 45, (width - 56, y), yellow, align=1.0)
    # Chalk leaves gaps.
    text = (area.mean(axis=2) > 130)[..., None]
    area -= text * 60 * np.clip(studio.noise(bottom - top, right - left, 5, 2) - 0.45, 0, 1)
    canvas *= np.linspace(1.08, 0.86, height, dtype=np.float32)[:, None, None]
    return panel


def _draw_pavement(studio: _Studio) -> Canvas:
    """Slabs that run away from the camera, as the canvas that everything stands on."""
    size = 1400
    flat = np.empty((size, size, 3), dtype=np.float32)
    flat[:] = (128, 133, 138)
    for start in range(0, size, 200):
        for column in range(0, size, 200):
            shift = 100 * ((start // 200) % 2)
            tone = studio.rng.normal(1, 0.04)
            flat[start : start + 200, max(0, column - shift) : column - shift + 200] *= tone
    flat[::200] *= 0.55
    flat[1::200] *= 0.7
    for start in range(0, size, 200):
        shift = 100 * ((start // 200) % 2)
        flat[start : start + 200, (100 - shift) :: 200] *= 0.6
    flat += 30 * (studio.noise(size, size, 40) - 0.5) + 40 * (studio.noise(size, size, 400) - 0.5)
    flat += studio.rng.normal(0, 6, (size, size, 1)).astype(np.float32)
    view = quad_to_quad(
        rectangle(0, 0, size - 1, size - 1),
        np.array([[300, 1130], [2300, 1130], [4300, 1700], [-1900, 1700]], dtype=np.float32),
    )
    return cv2.warpPerspective(  # type: ignore[return-value]
        flat, view, (_W, _H), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def _shade_foot_of_wall(canvas: Canvas, wall_view: NDArray[np.float64]) -> None:
    """Where wall and pavement meet it is dark."""
    foot = np.array([[0, _WALL_HEIGHT], [_W, _WALL_HEIGHT]], dtype=np.float32)
    ends = apply_homography(wall_view, foot)
    mask = np.zeros(canvas.shape[:2], dtype=np.float32)
    (x0, y0), (x1, y1) = np.round(ends).astype(int).tolist()
    cv2.line(mask, (x0, y0 + 4), (x1, y1 + 4), (0.6,), 16)
    mask = cv2.GaussianBlur(mask, (0, 0), 14)  # type: ignore[assignment]
    canvas *= 1 - mask[..., None]


def _contact_shadow(canvas: Canvas, corners: NDArray[np.float32]) -> None:
    """The board's shadow: on the ground to its right and on the wall behind."""
    mask = np.zeros(canvas.shape[:2], dtype=np.float32)
    foot_left, foot_right = corners[3], corners[2]
    away = np.array([[190, -95], [230, -110]], dtype=np.float32)
    ground = np.stack([foot_left, foot_right, foot_right + away[0], foot_left + away[1]])
    cv2.fillConvexPoly(mask, ground.astype(np.int32), (0.55,))
    mask = cv2.GaussianBlur(mask, (0, 0), 12)  # type: ignore[assignment]
    edge = np.zeros_like(mask)
    start, end = np.round(foot_left).astype(int), np.round(foot_right).astype(int)
    cv2.line(edge, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), (0.8,), 14)
    mask = np.maximum(mask, cv2.GaussianBlur(edge, (0, 0), 7))
    canvas *= 1 - mask[..., None]


def _draw_plant(studio: _Studio, canvas: Canvas, x: int, foot: int, tall: int) -> None:
    """A pot with a bush of small leaves."""
    rng = studio.rng
    shadow = np.zeros(canvas.shape[:2], dtype=np.float32)
    cv2.ellipse(shadow, (x + 60, foot), (170, 26), 0, 0, 360, (0.6,), -1)
    canvas *= 1 - cv2.GaussianBlur(shadow, (0, 0), 14)[..., None]
    wide = tall // 3
    pot = np.array(
        [[x - wide, foot - tall // 2], [x + wide, foot - tall // 2],
         [x + wide * 3 // 4, foot], [x - wide * 3 // 4, foot]], dtype=np.int32,
    )  # fmt: skip
    clay = canvas.copy()
    cv2.fillConvexPoly(clay, pot, (62, 88, 150), cv2.LINE_AA)
    rim = foot - tall // 2
    _box(clay, (x - wide - 8, rim - 12, x + wide + 9, rim + 23), (70, 98, 164))
    covered = np.any(clay != canvas, axis=2)
    light = 1.15 - 0.55 * np.clip((np.arange(_W, dtype=np.float32) - x + wide) / (2 * wide), 0, 1)
    canvas[covered] = (clay * light[None, :, None])[covered]
    for _ in range(1500):
        angle, reach = rng.uniform(0, 2 * math.pi), tall * 0.62 * math.sqrt(rng.random())
        leaf_x = int(x + reach * math.cos(angle))
        leaf_y = int(foot - tall * 0.95 + 0.85 * reach * math.sin(angle))
        lit = np.clip(1.0 - (leaf_x - x + (leaf_y - foot + tall)) / (2.2 * tall), 0.25, 1.3)
        shade = lit * rng.uniform(0.55, 1.1)
        colour = (38 * shade, 112 * shade, 66 * shade)
        axes = (int(rng.integers(9, 18)), int(rng.integers(4, 8)))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(canvas, (leaf_x, leaf_y), axes, turn, 0, 360, colour, -1, cv2.LINE_AA)


def _photograph(studio: _Studio, canvas: Canvas) -> NDArray[np.uint8]:
    """Sunlight with the shadow of something beside the camera, lens, sensor, JPEG."""
    ys, xs = np.mgrid[0:_H, 0:_W].astype(np.float32)
    edge = (xs + 0.75 * ys) - 0.42 * _W
    sun = np.clip(edge / 120 + 0.5, 0, 1)
    canvas = canvas * (0.72 + 0.36 * sun[..., None]) * np.array([0.95, 1.0, 1.05], np.float32)
    radius = np.hypot((xs - _W / 2) / _W, (ys - _H / 2) / _H)
    canvas *= (1.04 - 0.42 * radius**2)[..., None]
    canvas = np.clip(canvas, 0, 255)
    bloom = cv2.GaussianBlur(np.clip(canvas - 205, 0, None), (0, 0), 12)
    small = cv2.resize(canvas + bloom, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    small = damage.gaussian_blur(small.astype(np.float32), 0.55)
    grey = small @ np.array([0.114, 0.587, 0.299], dtype=np.float32)
    small = grey[..., None] + 0.80 * (small - grey[..., None])
    small = damage.add_noise(studio.rng, 6 + 0.96 * small, 4.0)
    return damage.to_uint8(small)


def main() -> None:
    """Writes ``sample.jpg`` and ``sample.txt`` into a folder."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    photo = draw_sample()
    options.folder.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".jpg", photo.image, (cv2.IMWRITE_JPEG_QUALITY, 90))[1]
    (options.folder / "sample.jpg").write_bytes(encoded.tobytes())
    text = "".join(f"{word.text}\n" for word in photo.words)
    (options.folder / "sample.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
