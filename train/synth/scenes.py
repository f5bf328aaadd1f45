"""Draws whole scenes: boards, papers and lettering on a cluttered background, seen by a camera.

Panels are drawn flat and placed one after the other where nothing stands yet; the homography that
places a panel also moves its words' polygons, and no later step moves a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from . import damage
from .backgrounds import gradient, random_colour, texture_window
from .clutter import draw_distractors, draw_lines, draw_shapes
from .corpus import Corpus, CorpusConfig
from .fonts import FontFace
from .geometry import apply_homography, outline_height, quad_to_quad, rectangle, translation
from .lettering import Lettering
from .panels import PANEL_KINDS, Panel, PanelPainter
from .photos import photo_window
from .words import group_by_family

_OCCUPANCY_STEP_PX = 4
_PLACING_ATTEMPTS = 10
_TINY_MARKS = "`'\"^,.-_~:;"
"""A word of nothing but these cannot be told from a speck."""


@dataclass(frozen=True)
class SceneWord:
    """A word in a scene.

    Attributes:
        text: what is written; no spaces.
        polygon: (K, 2) float32 in image pixels, clockwise from the word's own top-left corner;
            K is 4 for straight words. Points of cut words lie outside the image.
        char_polygons: (n, 4, 2) float32, one quad per character.
        ignore: too small to read, or cut by the image's edge: neither to be found nor an error.
    """

    text: str
    polygon: NDArray[np.float32]
    char_polygons: NDArray[np.float32]
    ignore: bool


@dataclass(frozen=True)
class SceneSample:
    """A scene, (H, W, 3) uint8 BGR, and its words."""

    image: NDArray[np.uint8]
    words: tuple[SceneWord, ...]


def _corpus() -> CorpusConfig:
    return CorpusConfig(symbols=0.01, random_strings=0.03, two_words_ratio=0.0)


@dataclass(frozen=True)
class SceneRenderConfig:
    """How scenes look.

    Attributes:
        size: (height, width) in pixels.
        max_panels: most boards, papers and letterings tried; small images hold fewer.
        empty_ratio: share of scenes without any text.
        min_height_px: words lower than this are marked ``ignore``.
        max_difficulty: 0 (no damage) to 1.
        smallest_panel_ratio: width of the smallest boards, as a part of the image's shorter side.
        dark_ratio: share of scenes taken in poor light: dim, soft and noisy.
        photo_ratio: share of scenes in front of a photograph, where photographs are given.
    """

    size: tuple[int, int] = (640, 640)
    max_panels: int = 12
    empty_ratio: float = 0.02
    min_height_px: float = 8.0
    max_difficulty: float = 1.0
    smallest_panel_ratio: float = 0.2
    dark_ratio: float = 0.0
    photo_ratio: float = 0.7
    corpus: CorpusConfig = field(default_factory=_corpus)

    def __post_init__(self) -> None:
        if min(self.size) < 64:
            raise ConfigError(f"size is {self.size}; height and width must be at least 64 px")
        if self.max_panels < 2:
            raise ConfigError(f"max_panels is {self.max_panels}; it must be at least 2")
        if not 0 <= self.max_difficulty <= 1:
            raise ConfigError(f"max_difficulty is {self.max_difficulty}; it must be in 0..1")
        if not 0.05 <= self.smallest_panel_ratio <= 0.9:
            raise ConfigError(
                f"smallest_panel_ratio is {self.smallest_panel_ratio}; it must be in 0.05..0.9"
            )
        for name in ("dark_ratio", "photo_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be in 0..1")


class SceneRenderer:
    """Draws ``SceneSample`` from fonts, a configuration and a seed: same input, same bytes.

    Args:
        fonts: to write with.
        config: how scenes look.
        photos: pictures without writing to use as backgrounds, see ``find_photos``; none: all
            backgrounds are procedural.
    """

    def __init__(
        self,
        fonts: Sequence[FontFace],
        config: SceneRenderConfig | None = None,
        photos: Sequence[Path] = (),
    ) -> None:
        self.config = config if config is not None else SceneRenderConfig()
        self._photos = tuple(photos)
        self._painter = PanelPainter(
            group_by_family(fonts), Corpus(self.config.corpus), Lettering()
        )

    def render(self, seed: int | np.random.Generator) -> SceneSample:
        """Draw one scene."""
        rng = np.random.default_rng(seed)
        height, width = self.config.size
        canvas = self._background(rng, width, height)
        words: list[SceneWord] = []
        if rng.random() >= self.config.empty_ratio:
            occupied = np.zeros(
                (height // _OCCUPANCY_STEP_PX + 1, width // _OCCUPANCY_STEP_PX + 1), np.uint8
            )
            for _ in range(int(rng.integers(2, self.config.max_panels + 1))):
                words.extend(self._add_panel(rng, canvas, occupied))
        if self.config.dark_ratio > 0 and rng.random() < self.config.dark_ratio:
            canvas = _poor_light(rng, canvas)
        image = _photograph(rng, canvas, self.config.max_difficulty * rng.random())
        return SceneSample(image, tuple(words))

    def _background(self, rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
        # Nothing is drawn from the generator without photographs: old seeds keep their scenes.
        if not self._photos or rng.random() >= self.config.photo_ratio:
            return _background(rng, width, height)
        canvas = photo_window(rng, self._photos, width, height)
        if rng.random() < 0.5:
            draw_distractors(rng, canvas, int(rng.integers(1, 5)))
        return canvas

    def _add_panel(
        self, rng: np.random.Generator, canvas: NDArray[np.float32], occupied: NDArray[np.uint8]
    ) -> list[SceneWord]:
        """Draw a panel where there is room; nothing happens when none is found."""
        height, width = canvas.shape[:2]
        kind = _pick_kind(rng)
        largest = min(height, width)
        smallest = math.log(self.config.smallest_panel_ratio)
        for attempt in range(_PLACING_ATTEMPTS):
            shrink = 0.88**attempt
            wide = largest * math.exp(rng.uniform(smallest, math.log(0.98))) * shrink
            aspect = _aspect(rng, kind)
            panel_width = int(min(wide, 1.2 * width))
            panel_height = int(np.clip(wide * aspect, 14, 1.2 * height))
            if aspect == 1.0:  # a badge stays round
                panel_width = panel_height
            if panel_width < 40:
                continue
            quad = _random_quad(rng, panel_width, panel_height, width, height)
            if quad is None:
                continue
            cells = np.round(quad / _OCCUPANCY_STEP_PX).astype(np.int32)
            area = np.zeros_like(occupied)
            cv2.fillConvexPoly(area, cells, (1,))
            if cv2.countNonZero(cv2.bitwise_and(area, occupied)) > 0:
                continue
            break
        else:
            return []
        source = rectangle(0, 0, panel_width - 1, panel_height - 1)
        if kind is None:
            ground = _mean_below(canvas, quad)
            panel = self._painter.bare(rng, panel_width, panel_height, ground)
        else:
            panel = PANEL_KINDS[kind][1](self._painter, rng, panel_width, panel_height)
        homography = quad_to_quad(source, quad)
        _paste(rng, canvas, panel, homography, quad, board=kind is not None)
        cv2.fillConvexPoly(occupied, cells, (1,))
        # One more cell around, so that neighbours do not touch.
        np.maximum(occupied, cv2.dilate(area, np.ones((3, 3), np.uint8)), out=occupied)
        return self._words_in_image(panel, homography, width, height)

    def _words_in_image(
        self, panel: Panel, homography: NDArray[np.float64], width: int, height: int
    ) -> list[SceneWord]:
        words = []
        for word in panel.words:
            polygon = apply_homography(homography, word.polygon)
            chars = apply_homography(homography, word.char_polygons.reshape(-1, 2))
            visible = _visible_ratio(polygon, width, height)
            if visible <= 0.02:
                continue
            small = outline_height(polygon) < self.config.min_height_px
            panel_height, panel_width = panel.alpha.shape
            cut = min(visible, _visible_ratio(word.polygon, panel_width, panel_height)) < 0.97
            ignore = small or cut or word.text.strip(_TINY_MARKS) == ""
            words.append(SceneWord(word.text, polygon, chars.reshape(-1, 4, 2), bool(ignore)))
        return words


def _pick_kind(rng: np.random.Generator) -> int | None:
    roll = rng.random()
    for index, (weight, _) in enumerate(PANEL_KINDS):
        if roll < weight:
            return index
        roll -= weight
    return None


def _aspect(rng: np.random.Generator, kind: int | None) -> float:
    """Height over width of a panel: lettering is flat, papers are tall."""
    if kind is None:
        return float(math.exp(rng.uniform(math.log(0.12), math.log(0.4))))
    name = PANEL_KINDS[kind][1].__name__
    low, high = {
        "sign": (0.15, 0.8),
        "poster": (0.7, 1.8),
        "paper": (0.5, 1.5),
        "menu": (0.6, 1.6),
        "label": (0.35, 1.3),
        "badge": (1.0, 1.0),
    }[name]
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _random_quad(
    rng: np.random.Generator, panel_width: int, panel_height: int, width: int, height: int
) -> NDArray[np.float32] | None:
    """Where a panel's corners go: (4, 2), clockwise from its own top left; None if it is outside.

    One in ten panels may be cut by the image's edge.
    """
    roll = rng.random()
    if roll < 0.62:
        angle = rng.normal(0, 4)
    elif roll < 0.88:
        angle = rng.uniform(-22, 22)
    elif roll < 0.96:
        angle = rng.uniform(-50, 50)
    else:
        angle = rng.choice([-90, 90]) + rng.normal(0, 3)
    half = np.array([panel_width, panel_height], dtype=np.float64) / 2
    corners = rectangle(-half[0], -half[1], half[0], half[1]).astype(np.float64)
    if rng.random() < 0.6:
        # A board seen from the side: one end is nearer, hence larger, and the board is narrower.
        tilt_x, tilt_y = rng.uniform(-0.35, 0.35, 2) * rng.random()
        corners[:, 0] *= 1 - abs(tilt_x) * 0.8
        corners[:, 1] *= 1 - abs(tilt_y) * 0.8
        near = 1 + tilt_x * np.sign(corners[:, 0]) * 0.5 + tilt_y * np.sign(corners[:, 1]) * 0.5
        corners *= near[:, None]
    turn = math.radians(float(angle))
    cos, sin = math.cos(turn), math.sin(turn)
    corners = corners @ np.array([[cos, sin], [-sin, cos]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = high - low
    room = np.array([width, height]) - extent
    if rng.random() < 0.1:
        spill = 0.3 * extent
        start = -spill + rng.random(2) * (np.maximum(room, 0) + 2 * spill)
    elif (room <= 4).any():
        return None
    else:
        start = 2 + rng.random(2) * (room - 4)
    return (corners - low + start).astype(np.float32)


def _visible_ratio(polygon: NDArray[np.float32], width: int, height: int) -> float:
    """The part of a polygon's bounding box that lies inside the image."""
    left, top = polygon.min(axis=0)
    right, bottom = polygon.max(axis=0)
    area = max(1e-6, (right - left) * (bottom - top))
    inside_x = min(right, width - 0.5) - max(left, -0.5)
    inside_y = min(bottom, height - 0.5) - max(top, -0.5)
    return float(max(0.0, inside_x) * max(0.0, inside_y) / area)


def _mean_below(canvas: NDArray[np.float32], quad: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = canvas.shape[:2]
    left, top = np.clip(quad.min(axis=0), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(quad.max(axis=0), 0, [width - 1, height - 1]).astype(int)
    area = canvas[top : bottom + 1, left : right + 1]
    return np.array(cv2.mean(area)[:3], dtype=np.float32)


def _paste(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    panel: Panel,
    homography: NDArray[np.float64],
    quad: NDArray[np.float32],
    *,
    board: bool,
) -> None:
    """Put a panel into the scene, boards perhaps with a shadow behind them."""
    height, width = canvas.shape[:2]
    left, top = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 2, 0).tolist()
    right = min(width, int(quad[:, 0].max()) + 3)
    bottom = min(height, int(quad[:, 1].max()) + 3)
    if right <= left or bottom <= top:
        return
    move = translation(-left, -top) @ homography
    size = (right - left, bottom - top)
    image = cv2.warpPerspective(
        panel.image, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpPerspective(panel.alpha, move, size, flags=cv2.INTER_LINEAR)
    if not board:
        # Bare letters must stand out from what is behind them, so that is calmed down.
        _calm(canvas[top:bottom, left:right], alpha, panel)
    elif rng.random() < 0.35:
        reach = int(rng.integers(2, 9))
        shadow = cv2.blur(alpha, (2 * reach + 1, 2 * reach + 1))
        x, y = min(left + reach, width), min(top + reach, height)
        part = canvas[y : bottom + reach, x : right + reach]
        cover = shadow[: part.shape[0], : part.shape[1], None]
        part *= 1 - np.float32(rng.uniform(0.3, 0.7)) * cover
    area = canvas[top:bottom, left:right]
    area += alpha[..., None] * (image - area)


def _calm(area: NDArray[np.float32], alpha: NDArray[Any], panel: Panel) -> None:
    """Reduce the contrast of the ground around bare letters where it would hide them."""
    mean, spread = cv2.meanStdDev(area)
    centre = mean[:, 0].astype(np.float32)
    ink = np.array(cv2.mean(panel.image, (panel.alpha > 0.9).astype(np.uint8))[:3])
    contrast = float(np.abs(ink - centre).mean())
    excess = float(spread.mean()) / max(1.0, 0.25 * contrast)
    if excess <= 1:
        return
    reach = max(3, min(area.shape[:2]) // 6) | 1
    zone = cv2.blur(cv2.dilate(alpha, np.ones((reach, reach), np.uint8)), (reach, reach))
    keep = 1 - zone[..., None] * np.float32(1 - 1 / excess)
    area[:] = centre + (area - centre) * keep


def _background(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """A surface or a muddle of surfaces, shapes, lines and things that look like text."""
    roll = rng.random()
    if roll < 0.12:
        canvas = np.empty((height, width, 3), dtype=np.float32)
        canvas[:] = random_colour(rng)
        canvas *= gradient(rng, width, height, 0.6 * rng.random())
    else:
        canvas = texture_window(rng, width, height).astype(np.float32)
    if roll > 0.3:
        for _ in range(int(rng.integers(0, 4))):
            _surface(rng, canvas)
        draw_shapes(rng, canvas, int(rng.integers(0, 14)))
        draw_lines(rng, canvas, int(rng.integers(0, 9)))
        if rng.random() < 0.4:
            canvas = damage.gaussian_blur(canvas, 0.5 + 2.5 * rng.random())
    if rng.random() < 0.8:
        draw_distractors(rng, canvas, int(rng.integers(1, 9)))
    return canvas


def _surface(rng: np.random.Generator, canvas: NDArray[np.float32]) -> None:
    """Another texture over a part of the picture: a wall, the road, a hedge."""
    height, width = canvas.shape[:2]
    wide, tall = int(width * rng.uniform(0.2, 1)), int(height * rng.uniform(0.2, 0.8))
    x, y = int((width - wide) * rng.random()), int((height - tall) * rng.random())
    canvas[y : y + tall, x : x + wide] = texture_window(rng, wide, tall, far=rng.random() < 0.4)


def _poor_light(rng: np.random.Generator, canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dusk or a dim room: little light, a slow lens, a noisy sensor."""
    np.clip(canvas, 0, 255, out=canvas)
    dim = canvas * np.float32(rng.uniform(0.2, 0.55)) + np.float32(rng.uniform(0, 20))
    soft = damage.gaussian_blur(dim, rng.uniform(0.4, 1.3))
    return damage.add_noise(rng, soft, rng.uniform(2, 8))


def _photograph(
    rng: np.random.Generator, canvas: NDArray[np.float32], difficulty: float
) -> NDArray[np.uint8]:
    """Light and camera."""
    np.clip(canvas, 0, 255, out=canvas)
    if difficulty <= 0:
        return damage.to_uint8(canvas)
    height, width = canvas.shape[:2]
    if rng.random() < 0.6:
        canvas *= gradient(rng, width, height, 0.7 * rng.random())
    if rng.random() < 0.25:
        canvas = damage.cast_shadow(rng, canvas, 0.2 + 0.35 * rng.random())
    if rng.random() < 0.5:
        exposure = rng.uniform(0.55, 1.2)
        cast = exposure * (1 + (rng.random(3) - 0.5) * 0.25)
        canvas *= cast.astype(np.float32)
    if rng.random() < 0.2:
        canvas = canvas * np.float32(rng.uniform(0.5, 0.9)) + np.float32(rng.uniform(0, 60))
    roll = rng.random()
    if roll < 0.35:
        canvas = damage.gaussian_blur(canvas, 0.35 + 1.1 * difficulty * rng.random())
    elif roll < 0.45:
        length = 1.2 + 2.3 * difficulty * rng.random()
        canvas = damage.motion_blur(canvas, length, rng.random() * math.pi)
    if rng.random() < 0.15:
        canvas = damage.sharpen(canvas, rng.uniform(0.8, 2.0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.6:
        canvas = damage.add_noise(rng, canvas, 1 + 9 * difficulty * rng.random())
    image = damage.to_uint8(canvas)
    if rng.random() < 0.7:
        image = damage.jpeg(image, 95 - int(55 * difficulty * rng.random()))
    return image
