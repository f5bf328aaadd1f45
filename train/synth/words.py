"""Draws word crops: what a detector and a perspective crop hand to a recogniser.

A word is set flat, put into the crop by one exact mapping (rotation, perspective, an arc), painted
over a background, and then damaged. The damage is rationed: a sample draws one difficulty, and
blur, noise and contrast share it, in proportion to the height of the letters, so that nearly every
crop stays readable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from . import damage
from .backgrounds import gradient, random_colour, texture_window
from .corpus import Corpus, CorpusConfig
from .fonts import FontError, FontFace
from .geometry import Bend, Placement, quad_to_quad, rectangle, translation
from .lettering import Lettering, TextLayout

_EM_PER_INK_HEIGHT = 1.35


@dataclass(frozen=True)
class WordSample:
    """A word crop and its exact label.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        text: what is written.
        char_polygons: (n, 4, 2) float32, one quad per character of ``text`` (spaces too), in
            image pixels, clockwise from the character's own top-left corner.
        polygon: (K, 2) float32 around the whole text, clockwise from the text's top-left corner;
            K is 4 for straight text and more along an arc.
    """

    image: NDArray[np.uint8]
    text: str
    char_polygons: NDArray[np.float32]
    polygon: NDArray[np.float32]


@dataclass(frozen=True)
class WordRenderConfig:
    """How word crops look; ratios are shares of samples unless they say otherwise.

    Attributes:
        min_height_px, max_height_px: height of the letters in the crop, drawn log-uniformly.
        max_margin_ratio: the widest margin around the text, as a part of its height.
        cut_ratio, max_cut_ratio: share of crops that lose a little of the text, and at most how
            much of its height on a side.
        max_width_ratio: the text is squeezed when it is wider than this many heights.
        max_rotation_degrees: of usual crops; one in sixteen goes to three times that.
        min_contrast: smallest difference of brightness between text and ground, 0..255 scale.
        max_difficulty: 0 (no damage at all) to 1; the share of blur, noise and the like allowed.
    """

    min_height_px: float = 12.0
    max_height_px: float = 64.0
    max_margin_ratio: float = 0.20
    cut_ratio: float = 0.06
    max_cut_ratio: float = 0.05
    max_width_ratio: float = 20.0
    max_rotation_degrees: float = 4.0
    perspective_ratio: float = 0.5
    curved_ratio: float = 0.13
    texture_ratio: float = 0.55
    outline_ratio: float = 0.07
    shadow_ratio: float = 0.08
    clutter_ratio: float = 0.15
    min_contrast: float = 38.0
    max_difficulty: float = 1.0
    corpus: CorpusConfig = field(default_factory=CorpusConfig)

    def __post_init__(self) -> None:
        if not 6 <= self.min_height_px <= self.max_height_px:
            raise ConfigError(
                f"heights are {self.min_height_px} to {self.max_height_px} px; "
                "they must grow from at least 6"
            )
        if not 0 <= self.max_difficulty <= 1:
            raise ConfigError(f"max_difficulty is {self.max_difficulty}; it must be in 0..1")


class WordRenderer:
    """Draws ``WordSample`` from fonts, a configuration and a seed.

    The same fonts, configuration and seed give the same bytes. Families are drawn evenly, so that
    a family with many weights is not seen more often than one with a single file.
    """

    def __init__(self, fonts: Sequence[FontFace], config: WordRenderConfig | None = None) -> None:
        self.config = config if config is not None else WordRenderConfig()
        self.corpus = Corpus(self.config.corpus)
        self.lettering = Lettering()
        self._families = group_by_family(fonts)

    def render(self, seed: int | np.random.Generator, text: str | None = None) -> WordSample:
        """Draw one crop.

        Args:
            seed: a seed, or a generator to draw from.
            text: what to write instead of a text of the corpus; printable ASCII with at least one
                character that is not a space.
        """
        rng = np.random.default_rng(seed)
        config = self.config
        if text is None:
            text = self.corpus.text(rng)
        elif not text.strip():
            raise ConfigError(f"text is {text!r}; it must hold something other than spaces")
        face = pick_face(rng, self._families)
        low, high = math.log(config.min_height_px), math.log(config.max_height_px)
        height_px = math.exp(low + (high - low) * rng.random())
        layout = set_text(rng, self.lettering, text, face, height_px)
        placement, width, height = self._place(rng, layout, height_px)
        masks = _paint_masks(rng, layout, config)
        alphas = placement.warp(masks, width, height)
        if rng.random() < config.clutter_ratio:
            alphas = self._neighbour(rng, alphas, layout, placement, face)
        difficulty = config.max_difficulty * rng.random()
        image = _compose(rng, alphas, config, difficulty)
        return WordSample(
            image=_damaged(rng, image, height_px, difficulty),
            text=text,
            char_polygons=placement.points(layout.char_quads()),
            polygon=placement.outline(layout.left, layout.top, layout.right, layout.bottom),
        )

    def _place(
        self, rng: np.random.Generator, layout: TextLayout, height_px: float
    ) -> tuple[Placement, int, int]:
        """Choose the mapping into the crop, and the crop's width and height in pixels."""
        config = self.config
        stretch = 0.85 + 0.35 * rng.random() if rng.random() < 0.5 else 1.0
        scale = height_px / layout.height
        width_px = min(layout.width * scale * stretch, config.max_width_ratio * height_px)
        bend = None
        box = rectangle(layout.left, layout.top, layout.right, layout.bottom)
        if rng.random() < config.curved_ratio and layout.width > 2.0 * layout.height:
            turn = 0.25 + 0.75 * rng.random()
            radius = max(layout.width / turn, 1.3 * layout.height)
            bend = Bend(
                (layout.left + layout.right) / 2,
                layout.baseline_px,
                radius if rng.random() < 0.6 else -radius,
            )
        target = rectangle(0, 0, width_px, height_px)
        if rng.random() < config.perspective_ratio:
            jitter = (rng.random((4, 2)) - 0.5) * 0.16 * height_px
            target += jitter.astype(np.float32)
            slope = (rng.random() - 0.5) * 0.3 * height_px
            target[:2, 0] += slope
        limit = config.max_rotation_degrees * (3.0 if rng.random() < 1 / 16 else 1.0)
        # A long word turned by the same angle would be a sliver in a tall crop.
        limit = min(limit, 2.2 * limit * height_px / max(width_px, 1.0) + 0.5)
        angle = math.radians((rng.random() * 2 - 1) * limit)
        cos, sin = math.cos(angle), math.sin(angle)
        turned = target @ np.array([[cos, sin], [-sin, cos]], dtype=np.float32)
        placement = Placement(quad_to_quad(box, turned), bend)
        outline = placement.outline(layout.left, layout.top, layout.right, layout.bottom)
        left, top = outline.min(axis=0)
        right, bottom = outline.max(axis=0)
        margins = rng.random(4) * rng.random() * config.max_margin_ratio * height_px
        if rng.random() < config.cut_ratio:
            margins[int(rng.random() * 4)] = -rng.random() * config.max_cut_ratio * height_px
        width = max(4, round(float(right - left + margins[0] + margins[2])))
        height = max(6, round(float(bottom - top + margins[1] + margins[3])))
        shift = translation(float(margins[0] - left) - 0.5, float(margins[1] - top) - 0.5)
        return placement.then(shift), width, height

    def _neighbour(
        self,
        rng: np.random.Generator,
        alphas: NDArray[np.uint8],
        layout: TextLayout,
        placement: Placement,
        face: FontFace,
    ) -> NDArray[np.uint8]:
        """Add what often stands close to a word: another line's edge, a rule, the next word."""
        height, width = alphas.shape[:2]
        roll = rng.random()
        gap = layout.height * (0.12 + 0.3 * rng.random())
        if roll < 0.45:
            other = set_text(rng, self.lettering, self.corpus.word(rng), face, layout.height * 0.9)
            above = rng.random() < 0.5
            y = layout.top - gap - other.bottom if above else layout.bottom + gap - other.top
            x = layout.left + (rng.random() - 0.5) * layout.width * 0.5
            moved = Placement(placement.homography @ translation(x, y))
            added = moved.warp(other.mask[..., None], width, height)[..., 0]
        else:
            added = np.zeros((height, width), dtype=np.uint8)
            if roll < 0.75:
                y = layout.bottom + gap * 0.6 if rng.random() < 0.75 else layout.top - gap * 0.6
                ends = np.array([[layout.left - 99, y], [layout.right + 99, y]], dtype=np.float32)
            else:
                x = layout.left - gap if rng.random() < 0.5 else layout.right + gap
                ends = np.array([[x, layout.top - 99], [x, layout.bottom + 99]], dtype=np.float32)
            (x0, y0), (x1, y1) = Placement(placement.homography).points(ends).tolist()
            start, end = (round(x0), round(y0)), (round(x1), round(y1))
            thickness = max(1, round(layout.height * 0.06))
            cv2.line(added, start, end, (255,), thickness, cv2.LINE_AA)
        alphas[..., 0] = np.maximum(alphas[..., 0], added)
        return alphas


def group_by_family(fonts: Sequence[FontFace]) -> tuple[tuple[FontFace, ...], ...]:
    """Faces in groups of one family, sorted, so that the order of ``fonts`` does not matter."""
    if not fonts:
        raise FontError("no fonts given; find_fonts(source='pip') finds the small set")
    families: dict[str, set[FontFace]] = {}
    for face in fonts:
        families.setdefault(face.family, set()).add(face)
    return tuple(tuple(sorted(families[name])) for name in sorted(families))


def pick_face(rng: np.random.Generator, families: tuple[tuple[FontFace, ...], ...]) -> FontFace:
    """A family evenly, then one of its faces evenly."""
    family = families[int(rng.random() * len(families))]
    return family[int(rng.random() * len(family))]


def set_text(
    rng: np.random.Generator,
    lettering: Lettering,
    text: str,
    face: FontFace,
    height_px: float,
) -> TextLayout:
    """Set a text about ``height_px`` high, with some letter spacing."""
    spacing = 0.0
    if rng.random() < 0.25:
        spacing = rng.random() * 0.32 - 0.04
    return lettering.set_line(text, face, height_px * _EM_PER_INK_HEIGHT, spacing_ratio=spacing)


def _paint_masks(
    rng: np.random.Generator, layout: TextLayout, config: WordRenderConfig
) -> NDArray[np.uint8]:
    """The text's coverage (h, w, 1), with a second channel for an outline or a shadow if any."""
    fill = layout.mask
    roll = rng.random()
    reach = max(1, round(layout.height * (0.03 + 0.05 * rng.random())))
    if roll < config.outline_ratio:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        return np.dstack([fill, cv2.dilate(fill, kernel)])
    if roll < config.outline_ratio + config.shadow_ratio:
        dx = reach if rng.random() < 0.7 else -reach
        matrix = np.array([[1, 0, dx], [0, 1, reach]], dtype=np.float32)
        shadow = cv2.warpAffine(fill, matrix, (fill.shape[1], fill.shape[0]))
        if rng.random() < 0.5:
            shadow = cv2.blur(shadow, (2 * reach + 1, 2 * reach + 1))
        return np.dstack([fill, shadow])
    return fill[..., None]


def contrasting_colour(
    rng: np.random.Generator, ground: NDArray[np.floating], contrast: float
) -> NDArray[np.float32]:
    """A BGR colour whose brightness differs from the ground's by about ``contrast`` or more."""
    brightness = float(ground @ _BRIGHTNESS)
    darker_room, lighter_room = brightness, 255.0 - brightness
    darker = rng.random() < 0.5
    if (darker_room if darker else lighter_room) < contrast:
        darker = darker_room > lighter_room
    room = darker_room if darker else lighter_room
    step = min(room, contrast)
    target = brightness - step if darker else brightness + step
    tint = (rng.random(3) - 0.5) * 2 * (rng.random() ** 2) * 110
    tint -= float(tint @ _BRIGHTNESS)
    colour = np.clip(target + tint, 0, 255)
    # Clipping may eat the contrast of a strong tint: give the missing part back to all channels.
    missing = target - float(colour @ _BRIGHTNESS)
    return np.clip(colour + missing, 0, 255).astype(np.float32)


_BRIGHTNESS = np.array([0.114, 0.587, 0.299], dtype=np.float64)
"""Weights of blue, green and red in brightness (ITU-R BT.601)."""


def _ground(
    rng: np.random.Generator, width: int, height: int, config: WordRenderConfig, contrast: float
) -> NDArray[np.float32]:
    """The surface under a word, (H, W, 3) float32, quiet enough for the wanted contrast."""
    if rng.random() >= config.texture_ratio:
        ground = np.empty((height, width, 3), dtype=np.float32)
        ground[:] = random_colour(rng)
        return ground
    window = texture_window(rng, width, height, far=rng.random() < 0.5).astype(np.float32)
    mean, spread = cv2.meanStdDev(window)
    centre = mean[:, 0].astype(np.float32)
    allowed = contrast * (0.08 + 0.22 * rng.random())
    calm = np.float32(min(1.0, allowed / (float(spread.max()) + 1e-3)))
    moved = centre if rng.random() < 0.5 else random_colour(rng, 15, 240)
    return (window - centre) * calm + moved


def _compose(
    rng: np.random.Generator,
    alphas: NDArray[np.uint8],
    config: WordRenderConfig,
    difficulty: float,
) -> NDArray[np.float32]:
    """Paint the masks (H, W, 1 or 2) over a ground."""
    height, width = alphas.shape[:2]
    most = 70.0 + 160.0 * rng.random()
    contrast = max(config.min_contrast, most * (1 - 0.75 * difficulty * rng.random()))
    ground = _ground(rng, width, height, config, contrast)
    mean = np.array(cv2.mean(ground)[:3], dtype=np.float64)
    ink = contrasting_colour(rng, mean, contrast)
    image = ground
    coverage = alphas.astype(np.float32) * np.float32(1 / 255)
    if alphas.shape[2] == 2:
        second = contrasting_colour(rng, ink, contrast)
        if rng.random() < 0.5:
            second = (mean * (0.3 + 0.3 * rng.random())).astype(np.float32)
        keep_apart = abs(float((second - ink) @ _BRIGHTNESS)) > 30
        strength = np.float32(0.4 + 0.6 * rng.random()) if keep_apart else np.float32(0)
        image = image + (coverage[..., 1:] * strength) * (second - image)
    fill: NDArray[np.float32] = ink
    if rng.random() < 0.12:
        shade = gradient(rng, width, height, 0.35)
        fill = np.clip(ink * shade, 0, 255)
    return image + coverage[..., :1] * (fill - image)


def _damaged(
    rng: np.random.Generator, image: NDArray[np.float32], height_px: float, difficulty: float
) -> NDArray[np.uint8]:
    """Light, blur, noise and JPEG within the sample's difficulty."""
    if difficulty <= 0:
        return damage.to_uint8(image)
    height, width = image.shape[:2]
    if rng.random() < 0.4:
        image = image * gradient(rng, width, height, 0.5 * rng.random())
    if rng.random() < 0.08:
        image = damage.cast_shadow(rng, image, 0.2 + 0.35 * rng.random())
    # Strokes are about a tenth of the letters' height wide; blur beyond that closes the counters.
    stroke_px = 0.1 * height_px
    budget = difficulty
    roll = rng.random()
    if roll < 0.40:
        sigma = stroke_px * (0.15 + 0.75 * budget * rng.random())
        if sigma > 0.25:
            image = damage.gaussian_blur(image, sigma)
            budget *= 0.6
    elif roll < 0.52:
        length = stroke_px * (0.6 + 1.7 * budget * rng.random())
        if length > 1.0:
            image = damage.motion_blur(image, length, rng.random() * math.pi)
            budget *= 0.6
    elif roll < 0.67 and height_px > 20:
        most = height_px / 13.0
        image = damage.fewer_pixels(image, 1.0 + (most - 1.0) * budget * rng.random())
        budget *= 0.6
    if rng.random() < 0.12:
        image = damage.sharpen(image, max(0.6, 0.7 * stroke_px), 0.4 + 1.2 * rng.random())
    if rng.random() < 0.5:
        image = damage.add_noise(rng, image, 1.0 + 11.0 * budget * rng.random())
    result = damage.to_uint8(image)
    if rng.random() < 0.45:
        result = damage.jpeg(result, 92 - int(55 * budget * rng.random()))
    return result
