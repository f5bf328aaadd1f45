"""Sets a text in a font: its coverage mask and an exact box around the ink of each character.

Glyphs are drawn one by one with FreeType and put side by side here, with the font's own kerning,
because that is what makes the box of every character exact, letter spacing free, and the cost of
a word about a hundred microseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont, features

from .fonts import FontFace

_METRICS_SIZE_PX = 64
_EM_SIZES_PX = (_METRICS_SIZE_PX, 160)
"""The only sizes glyphs are drawn at; anything between is shrunk, as a camera would, so that the
glyphs of all fonts at the first size fit the cache."""
_NO_LIGATURES = ["-liga", "-clig"]
_KERNED_AFTER = frozenset("AFKLPRTVWXYfrvwy")
_KERNED_BEFORE = frozenset("AJTVWYvwy")
"""Fonts hardly kern other pairs, and asking for a pair costs as much as drawing a letter."""
_HAS_RAQM = features.check("raqm")
_MAX_GLYPHS = 80_000
_MAX_FONTS = 1_000


@dataclass(frozen=True)
class TextLayout:
    """A line of text set flat.

    Attributes:
        mask: (H, W) uint8 coverage; the ink touches no edge, ``padding_px`` wide, of the mask.
        char_boxes: (n, 4) float32 left, top, right, bottom around each character's ink, on the
            outer edges of its pixels; a space gets the line's height and its own advance.
        left, top, right, bottom: box around all ink that is at least as high as the band from
            the baseline to the x-height, so that "-" and "." are not slivers.
        baseline_px: y of the baseline in the mask.
        em_px: size of the em square that the line is set with.
    """

    text: str
    mask: NDArray[np.uint8]
    char_boxes: NDArray[np.float32]
    left: float
    top: float
    right: float
    bottom: float
    baseline_px: float
    em_px: float

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return self.bottom - self.top

    def shrunk(self, factor: float) -> TextLayout:
        """The same line ``factor`` times smaller (larger when below 1)."""
        height, width = self.mask.shape
        small_width, small_height = max(1, round(width / factor)), max(1, round(height / factor))
        method = cv2.INTER_AREA if factor >= 1 else cv2.INTER_LINEAR
        mask = cv2.resize(self.mask, (small_width, small_height), interpolation=method)
        # Edges of the image stay edges: they lie at -0.5 and at size - 0.5.
        x, y = small_width / width, small_height / height
        scale = np.array([x, y, x, y], dtype=np.float32)
        return TextLayout(
            text=self.text,
            mask=mask,  # type: ignore[arg-type]
            char_boxes=(self.char_boxes + 0.5) * scale - 0.5,
            left=(self.left + 0.5) * x - 0.5,
            top=(self.top + 0.5) * y - 0.5,
            right=(self.right + 0.5) * x - 0.5,
            bottom=(self.bottom + 0.5) * y - 0.5,
            baseline_px=(self.baseline_px + 0.5) * y - 0.5,
            em_px=self.em_px / factor,
        )

    def char_quads(self) -> NDArray[np.float32]:
        """The character boxes as (n, 4, 2) corners, clockwise from the top left."""
        return self.char_boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


@dataclass(frozen=True)
class _Glyph:
    ink: NDArray[np.uint8]
    left_px: int
    top_px: int
    advance_px: float


class Lettering:
    """Draws texts; keeps the fonts and glyphs used last, so that common sizes cost little."""

    def __init__(self) -> None:
        self._fonts: OrderedDict[tuple[Path, int], ImageFont.FreeTypeFont] = OrderedDict()
        self._glyphs: OrderedDict[tuple[Path, int, str], _Glyph] = OrderedDict()
        self._shapers: dict[Path, ImageFont.FreeTypeFont] = {}
        self._shaped_advances: dict[tuple[Path, str], float] = {}
        self._advances: dict[tuple[Path, str], float] = {}

    def set_line(
        self,
        text: str,
        face: FontFace,
        em_px: float,
        *,
        spacing_ratio: float = 0.0,
        exact: bool = False,
    ) -> TextLayout:
        """Set ``text`` with an em of about ``em_px`` pixels.

        Args:
            text: characters that the face has glyphs for, and spaces; not only spaces.
            face: the font.
            em_px: wanted size of the em square.
            spacing_ratio: added after each character, as a part of the em; may be negative.
            exact: give that size and not only one close to it (``em_px`` of the layout says
                which), which saves a resampling where the line is placed by a warp anyway.
        """
        size_px = next((s for s in _EM_SIZES_PX if s * 1.4 >= em_px), _EM_SIZES_PX[-1])
        layout = self._layout(text, face, size_px, spacing_ratio * size_px, 4 + size_px // 8)
        factor = size_px / em_px
        return layout.shrunk(factor) if exact or factor > 1.25 else layout

    def advance(self, face: FontFace, text: str) -> float:
        """About how wide a text is, as a part of the em, without drawing it."""
        return sum(self._advance(face, char) for char in text)

    def _layout(
        self, text: str, face: FontFace, size_px: int, spacing_px: float, padding_px: int
    ) -> TextLayout:
        glyphs = [self._glyph(face, size_px, char) for char in text]
        pen = 0.0
        lefts = []
        starts = []
        for i, glyph in enumerate(glyphs):
            if i:
                pen += spacing_px
                pen += self._kern(face, text[i - 1 : i + 1]) * size_px
            starts.append(pen)
            lefts.append(round(pen) + glyph.left_px)
            pen += glyph.advance_px
        inked = [i for i, glyph in enumerate(glyphs) if glyph.ink.size]
        x_height = -self._glyph(face, size_px, "x").top_px
        min_x = min(lefts[i] for i in inked)
        max_x = max(lefts[i] + glyphs[i].ink.shape[1] for i in inked)
        ink_top = min(glyphs[i].top_px for i in inked)
        ink_bottom = max(glyphs[i].top_px + glyphs[i].ink.shape[0] for i in inked)
        top = min(ink_top, -x_height)
        bottom = max(ink_bottom, 0)
        dx, dy = padding_px - min_x, padding_px - top
        mask = np.zeros((bottom - top + 2 * padding_px, max_x - min_x + 2 * padding_px), np.uint8)
        boxes = np.empty((len(text), 4), dtype=np.float32)
        for i, glyph in enumerate(glyphs):
            if glyph.ink.size == 0:
                start = starts[i] + dx
                boxes[i] = (start, top + dy, start + max(1.0, glyph.advance_px), bottom + dy)
                continue
            x, y = lefts[i] + dx, glyph.top_px + dy
            height, width = glyph.ink.shape
            area = mask[y : y + height, x : x + width]
            np.maximum(area, glyph.ink, out=area)
            boxes[i] = (x, y, x + width, y + height)
        # Pixel centres lie at whole numbers, so a pixel column x covers x - 0.5 to x + 0.5.
        boxes -= 0.5
        return TextLayout(
            text=text,
            mask=mask,
            char_boxes=boxes,
            left=min_x + dx - 0.5,
            top=top + dy - 0.5,
            right=max_x + dx - 0.5,
            bottom=bottom + dy - 0.5,
            baseline_px=float(dy) - 0.5,
            em_px=float(size_px),
        )

    def _font(self, path: Path, size_px: int) -> ImageFont.FreeTypeFont:
        key = (path, size_px)
        font = self._fonts.get(key)
        if font is None:
            font = ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)
            self._fonts[key] = font
            if len(self._fonts) > _MAX_FONTS:
                self._fonts.popitem(last=False)
        else:
            self._fonts.move_to_end(key)
        return font

    def _glyph(self, face: FontFace, size_px: int, char: str) -> _Glyph:
        key = (face.path, size_px, char)
        glyph = self._glyphs.get(key)
        if glyph is not None:
            self._glyphs.move_to_end(key)
            return glyph
        font = self._font(face.path, size_px)
        core, (left, top) = font.getmask2(char, mode="L", anchor="ls")
        width, height = core.size
        ink: NDArray[np.uint8] = np.frombuffer(bytes(core), dtype=np.uint8).reshape(height, width)
        if width and height:
            x, y, width, height = cv2.boundingRect(ink)
            ink = ink[y : y + height, x : x + width]
            left, top = left + x, top + y
        advance_px = self._advance(face, char) * size_px
        glyph = _Glyph(ink, int(left), int(top), advance_px)
        self._glyphs[key] = glyph
        if len(self._glyphs) > _MAX_GLYPHS:
            self._glyphs.popitem(last=False)
        return glyph

    def _advance(self, face: FontFace, char: str) -> float:
        """How far the pen moves over one character, as a part of the em."""
        key = (face.path, char)
        advance = self._advances.get(key)
        if advance is None:
            font = self._font(face.path, _METRICS_SIZE_PX)
            advance = self._advances[key] = font.getlength(char) / _METRICS_SIZE_PX
        return advance

    def _kern(self, face: FontFace, pair: str) -> float:
        """Kerning of two characters as a part of the em; 0 where Pillow came without Raqm.

        FreeType alone sees only the old "kern" tables, which newer fonts do not have.
        """
        if not _HAS_RAQM or (pair[0] not in _KERNED_AFTER and pair[1] not in _KERNED_BEFORE):
            return 0.0
        apart = self._shaped_advance(face, pair[0]) + self._shaped_advance(face, pair[1])
        return self._shaped_advance(face, pair) - apart

    def _shaped_advance(self, face: FontFace, text: str) -> float:
        key = (face.path, text)
        advance = self._shaped_advances.get(key)
        if advance is None:
            shaper = self._shapers.get(face.path)
            if shaper is None:
                shaper = self._shapers[face.path] = ImageFont.truetype(
                    str(face.path), _METRICS_SIZE_PX, layout_engine=ImageFont.Layout.RAQM
                )
            length = shaper.getlength(text, features=_NO_LIGATURES)
            advance = self._shaped_advances[key] = length / _METRICS_SIZE_PX
        return advance
