"""Flat things with text on them: signs, posters, papers, menus, labels, badges, bare lettering.

A panel is drawn upright at about the size it will have in the scene, together with its words in
panel pixels; the scene then places it with one homography.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .backgrounds import gradient, random_colour, texture_window
from .clutter import bar_code, pictogram
from .corpus import Corpus
from .fonts import FontFace
from .geometry import Bend, Placement, translation
from .lettering import Lettering, TextLayout
from .words import contrasting_colour, pick_face


@dataclass(frozen=True)
class PanelWord:
    """A word on a panel: (K, 2) outline and (n, 4, 2) character quads in panel pixels."""

    text: str
    polygon: NDArray[np.float32]
    char_polygons: NDArray[np.float32]


@dataclass
class Panel:
    """A panel while it is drawn.

    Attributes:
        image: (H, W, 3) float32 BGR.
        alpha: (H, W) float32, 0 where the scene shows through.
        words: what has been written so far.
    """

    image: NDArray[np.float32]
    alpha: NDArray[np.float32]
    words: list[PanelWord] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """Words set side by side on one baseline: the strip's mask, and each word's left edge."""

    mask: NDArray[np.uint8]
    words: tuple[tuple[TextLayout, int, int], ...]
    baseline_px: float


class PanelPainter:
    """Draws panels with the fonts and texts it is given."""

    def __init__(
        self,
        families: tuple[tuple[FontFace, ...], ...],
        corpus: Corpus,
        lettering: Lettering,
    ) -> None:
        self._families = families
        self._corpus = corpus
        self._lettering = lettering

    def face(self, rng: np.random.Generator) -> FontFace:
        """A font for a block of text."""
        return pick_face(rng, self._families)

    def set_words(
        self, texts: Sequence[str], face: FontFace, em_px: float, spacing_ratio: float = 0.0
    ) -> Line:
        """Set words in one line with spaces of two fifths of an em between them."""
        layouts = [
            self._lettering.set_line(text, face, em_px, spacing_ratio=spacing_ratio, exact=True)
            for text in texts
        ]
        space = max(2.0, (0.4 + max(0.0, 1.6 * spacing_ratio)) * em_px)
        above = max(round(layout.baseline_px) for layout in layouts)
        below = max(layout.mask.shape[0] - round(layout.baseline_px) for layout in layouts)
        pen = 0.0
        placed = []
        for layout in layouts:
            x, y = round(pen - layout.left), above - round(layout.baseline_px)
            placed.append((layout, x, y))
            pen += layout.width + space
        shift = -min(x for _, x, _ in placed)
        width = max(x + shift + layout.mask.shape[1] for layout, x, _ in placed)
        mask = np.zeros((above + below, width), dtype=np.uint8)
        words = []
        for layout, x, y in placed:
            left = x + shift
            height, wide = layout.mask.shape
            area = mask[y : y + height, left : left + wide]
            np.maximum(area, layout.mask, out=area)
            words.append((layout, left, y))
        return Line(mask, tuple(words), float(above))

    def write(
        self,
        panel: Panel,
        line: Line,
        x: float,
        y: float,
        ink: NDArray[np.float32],
        *,
        bend: Bend | None = None,
        opacity: float = 1.0,
        rim: tuple[int, NDArray[np.float32]] | None = None,
        shadow: tuple[int, int, float] | None = None,
    ) -> None:
        """Paint a line with the left end of its first word and its baseline at (x, y).

        Args:
            panel: where; its words are added to.
            line: what.
            x, y: in panel pixels, rounded to whole pixels for straight lines.
            ink: BGR colour.
            bend: the arc, in the line's own pixels.
            opacity: 0..1.
            rim: width in pixels and colour of an outline around the letters.
            shadow: offset in x and y, and darkness, of a shadow below the letters.
        """
        height, width = panel.alpha.shape
        first = line.words[0]
        origin_x = round(x - first[0].left - first[1])
        origin_y = round(y - line.baseline_px)
        placement = Placement(translation(origin_x, origin_y), bend)
        if bend is None:
            left, top = max(0, origin_x), max(0, origin_y)
            right = min(width, origin_x + line.mask.shape[1])
            bottom = min(height, origin_y + line.mask.shape[0])
            if right <= left or bottom <= top:
                return
            mask = line.mask[top - origin_y : bottom - origin_y, left - origin_x : right - origin_x]
        else:
            left, top, right, bottom = 0, 0, width, height
            mask = placement.warp(line.mask[..., None], width, height)[..., 0]
        area = panel.image[top:bottom, left:right]
        alpha = panel.alpha[top:bottom, left:right]
        if shadow is not None:
            dx, dy, darkness = shadow
            matrix = np.array([[1, 0, dx], [0, 1, dy]], dtype=np.float32)
            soft = cv2.blur(cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0])), (3, 3))
            _blend(area, alpha, soft, np.zeros(3, dtype=np.float32), darkness)
        if rim is not None:
            size = 2 * rim[0] + 1
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
            _blend(area, alpha, cv2.dilate(mask, kernel), rim[1], opacity)
        _blend(area, alpha, mask, ink, opacity)
        for layout, word_x, word_y in line.words:
            move = np.array([word_x, word_y], dtype=np.float32)
            box = (
                layout.left + word_x,
                layout.top + word_y,
                layout.right + word_x,
                layout.bottom + word_y,
            )
            quads = placement.points(layout.char_quads() + move)
            panel.words.append(PanelWord(layout.text, placement.outline(*box), quads))

    def sign(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """One to three centred lines on a plain board with a border."""
        panel = _board(rng, width, height)
        ground = _mean_colour(panel)
        ink = contrasting_colour(rng, ground, 70 + 150 * rng.random())
        ink_tuple = _tuple(ink)
        if rng.random() < 0.5:
            thick = max(1, int(min(width, height) * 0.02 * (1 + rng.random())))
            inset = thick + int(rng.integers(0, 1 + min(width, height) // 20))
            corner = (width - 1 - inset, height - 1 - inset)
            cv2.rectangle(panel.image, (inset, inset), corner, ink_tuple, thick, cv2.LINE_AA)
        most = 1 + (height > 40) + (height > 80)
        self._centred_lines(rng, panel, ink, int(rng.integers(1, most + 1)))
        return panel

    def poster(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """A picture or colour bands, a heading, and blocks of smaller text."""
        panel = _board(rng, width, height)
        if rng.random() < 0.5:
            split = int(height * rng.uniform(0.3, 0.6))
            picture = texture_window(rng, width, split).astype(np.float32)
            if rng.random() < 0.5:
                panel.image[:split] = picture
                top, bottom = split, height
            else:
                panel.image[height - split :] = picture
                top, bottom = 0, height - split
        else:
            top, bottom = 0, height
            band = int(height * rng.uniform(0.15, 0.4))
            panel.image[:band] = random_colour(rng)
        y = float(top)
        while y < bottom - 12:
            face = self.face(rng)
            em = float(np.clip((bottom - top) * rng.uniform(0.06, 0.3), 11, 170))
            lines = int(rng.integers(1, 4)) if em < 30 else 1
            spacing = rng.uniform(1.0, 1.4)
            for _ in range(lines):
                y += em * spacing
                if y > bottom - em * 0.3:
                    return panel
                texts = self._words_to_fit(rng, face, em, width * 0.92, prose=em < 22)
                if texts:
                    self._write_aligned(rng, panel, texts, face, em, y, rng.random() * 0.5)
            y += em * rng.uniform(0.2, 1.0)
        return panel

    def paper(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """A page of running text with a heading: small dark letters on something light."""
        panel = _board(rng, width, height, light=True)
        face = self.face(rng)
        em = float(np.exp(rng.uniform(np.log(11), np.log(28))))
        margin = width * rng.uniform(0.03, 0.1)
        spacing = rng.uniform(1.15, 1.7)
        ink = contrasting_colour(rng, _mean_colour(panel), 110 + 120 * rng.random())
        y = margin
        if rng.random() < 0.6:
            big = em * rng.uniform(1.4, 2.4)
            heading_face = self.face(rng)
            texts = self._words_to_fit(rng, heading_face, big, width - 2 * margin, prose=False)
            y += big
            if texts:
                self.write(panel, self.set_words(texts, heading_face, big), margin, y, ink)
            y += em * 0.5
        while True:
            y += em * spacing
            if y > height - margin:
                return panel
            if rng.random() < 0.08:
                continue
            texts = self._words_to_fit(rng, face, em, width - 2 * margin, prose=True)
            if texts:
                self.write(panel, self.set_words(texts, face, em), margin, y, ink)

    def menu(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """Lines of an item on the left and a price on the right: menus, price lists, receipts."""
        panel = _board(rng, width, height, light=rng.random() < 0.6)
        face = self.face(rng)
        em = float(np.exp(rng.uniform(np.log(12), np.log(38))))
        ink = contrasting_colour(rng, _mean_colour(panel), 90 + 130 * rng.random())
        margin = width * rng.uniform(0.03, 0.1)
        y = margin + em * 0.3
        if rng.random() < 0.7:
            big = min(em * rng.uniform(1.2, 2.2), 80.0)
            y += big
            heading_face = self.face(rng)
            texts = self._words_to_fit(rng, heading_face, big, width - 2 * margin, prose=False)
            if texts:
                self._write_aligned(rng, panel, texts, heading_face, big, y, 0.5, ink)
        spacing = rng.uniform(1.2, 1.9)
        leaders = rng.random() < 0.3
        while True:
            y += em * spacing
            if y > height - margin:
                return panel
            price = self.set_words([self._corpus.price(rng)], face, em)
            price_width = _line_width(price)
            price_x = width - margin - price_width
            room = price_x - margin - em
            texts = self._words_to_fit(rng, face, em, room, prose=False, most=3)
            if price_x > margin:
                self.write(panel, price, price_x, y, ink)
            if not texts:
                continue
            item = self.set_words(texts, face, em)
            self.write(panel, item, margin, y, ink)
            if leaders:
                start = int(margin + _line_width(item) + em * 0.5)
                for x in range(start, int(price_x - em * 0.5), max(4, int(em * 0.35))):
                    radius = max(1, int(em * 0.05))
                    cv2.circle(panel.image, (x, int(y) - 1), radius, _tuple(ink), -1, cv2.LINE_AA)

    def label(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """A few words in several sizes, a bar code or a pictogram."""
        panel = _board(rng, width, height, light=rng.random() < 0.7)
        ink = contrasting_colour(rng, _mean_colour(panel), 80 + 140 * rng.random())
        y = height * 0.04
        while True:
            em = float(np.clip(height * rng.uniform(0.09, 0.3), 12, 90))
            y += em * rng.uniform(1.05, 1.3)
            if y > height * 0.95:
                break
            if rng.random() < 0.2:
                tall = int(em)
                if rng.random() < 0.5:
                    wide = int(width * rng.uniform(0.3, 0.8))
                    start = int((width - wide) * rng.random())
                    bar_code(rng, panel.image, start, int(y - em), wide, tall, _tuple(ink))
                else:
                    x = int(width * rng.uniform(0.1, 0.9))
                    pictogram(rng, panel.image, x, int(y - em / 2), tall, _tuple(ink))
                continue
            face = self.face(rng)
            texts = self._words_to_fit(rng, face, em, width * 0.94, prose=False, most=4)
            if texts:
                self._write_aligned(rng, panel, texts, face, em, y, rng.random(), ink)
        return panel

    def badge(self, rng: np.random.Generator, width: int, height: int) -> Panel:
        """A round board with words along its rim and perhaps one in the middle."""
        size = min(width, height)
        panel = _board(rng, size, size)
        centre, radius = (size - 1) / 2, size * 0.48
        disc = np.zeros((size, size), dtype=np.uint8)
        whole = (round(centre), round(centre))
        cv2.circle(disc, whole, round(radius), (255,), -1, cv2.LINE_AA)
        panel.alpha[:] = disc.astype(np.float32) / 255
        ink = contrasting_colour(rng, _mean_colour(panel), 80 + 140 * rng.random())
        if rng.random() < 0.6:
            thick = max(1, size // 80)
            cv2.circle(panel.image, whole, round(radius * 0.96), _tuple(ink), thick, cv2.LINE_AA)
        face = self.face(rng)
        em = float(np.clip(size * rng.uniform(0.09, 0.18), 10, 120))
        reach = radius * 0.93 - em * 0.85
        arc = reach * rng.uniform(1.6, 2.6)
        for upper in (True, False) if rng.random() < 0.6 else (True,):
            texts = self._words_to_fit(rng, face, em, arc, prose=False, most=4)
            if not texts:
                continue
            line = self.set_words(texts, face, em)
            middle = line.words[0][1] + line.words[0][0].left + _line_width(line) / 2
            turn = reach if upper else -(reach + em * 0.6)
            bend = Bend(middle, line.baseline_px, turn)
            x = centre - _line_width(line) / 2
            self.write(panel, line, x, centre - turn, ink, bend=bend)
        if rng.random() < 0.7:
            em = float(np.clip(size * rng.uniform(0.12, 0.25), 10, 120))
            face = self.face(rng)
            texts = self._words_to_fit(rng, face, em, radius * 1.1, prose=False, most=2)
            if texts:
                self._write_aligned(rng, panel, texts, face, em, centre + em * 0.35, 0.5, ink)
        return panel

    def bare(
        self, rng: np.random.Generator, width: int, height: int, ground: NDArray[np.float32]
    ) -> Panel:
        """Letters painted or mounted on whatever is there: no board."""
        panel = Panel(
            np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
        )
        ink = contrasting_colour(rng, ground, 90 + 140 * rng.random())
        panel.image[:] = ink
        self._centred_lines(rng, panel, ink, 1 if rng.random() < 0.7 else 2, bare=True)
        return panel

    def _centred_lines(
        self,
        rng: np.random.Generator,
        panel: Panel,
        ink: NDArray[np.float32],
        count: int,
        *,
        bare: bool = False,
    ) -> None:
        height, width = panel.alpha.shape
        face = self.face(rng)
        y = height * 0.06
        room = height * 0.88 / count
        align = 0.5 if rng.random() < 0.7 else 0.0
        spacing = rng.random() * 0.25 if rng.random() < 0.2 else 0.0
        effects = rng.random()
        for _ in range(count):
            em = float(np.clip(room * rng.uniform(0.6, 0.95), 8, 220))
            texts = self._words_to_fit(
                rng, face, em, width * 0.94, prose=False, most=4, spacing_ratio=spacing
            )
            if not texts:
                texts = [self._corpus.word(rng)]
                fit = _line_width(self.set_words(texts, face, em, spacing))
                em = max(9.0, min(em, em * width * 0.9 / fit))
            line = self.set_words(texts, face, em, spacing)
            wide = _line_width(line)
            rim = shadow = None
            reach = max(1, int(em * 0.05))
            if effects < 0.12:
                rim = (reach, contrasting_colour(rng, ink, 90))
            elif effects < (0.35 if bare else 0.22):
                shadow = (reach, reach, rng.uniform(0.3, 0.8))
            x = width * 0.03 + align * (width * 0.94 - wide)
            bend = None
            baseline = y + room * 0.5 + em * 0.33
            if count == 1 and wide > 2.5 * em and rng.random() < 0.25:
                turn = rng.uniform(0.3, 1.2)
                radius = wide / turn * (1 if rng.random() < 0.6 else -1)
                middle = line.words[0][1] + line.words[0][0].left + wide / 2
                bend = Bend(middle, line.baseline_px, radius)
                rise = abs(radius) * (1 - np.cos(turn / 2))
                if rise + em > height:
                    bend = None
                else:
                    baseline += -rise / 2 if radius > 0 else rise / 2
            self.write(panel, line, x, baseline, ink, bend=bend, rim=rim, shadow=shadow)
            y += room

    def _write_aligned(
        self,
        rng: np.random.Generator,
        panel: Panel,
        texts: Sequence[str],
        face: FontFace,
        em_px: float,
        y: float,
        align: float,
        ink: NDArray[np.float32] | None = None,
    ) -> None:
        """Write a line at height y, ``align`` 0 left to 1 right; the ink fits what is below it."""
        width = panel.alpha.shape[1]
        line = self.set_words(texts, face, em_px)
        wide = _line_width(line)
        x = width * 0.03 + align * max(0.0, width * 0.94 - wide)
        if ink is None:
            top, bottom = max(0, int(y - em_px * 0.8)), max(1, int(y + em_px * 0.2))
            below = panel.image[top:bottom, max(0, int(x)) : max(1, int(x + wide))]
            ground = np.array(cv2.mean(below)[:3], dtype=np.float64)
            ink = contrasting_colour(rng, ground, 80 + 140 * rng.random())
        self.write(panel, line, x, y, ink)

    def _words_to_fit(
        self,
        rng: np.random.Generator,
        face: FontFace,
        em_px: float,
        room_px: float,
        *,
        prose: bool,
        most: int = 40,
        spacing_ratio: float = 0.0,
    ) -> list[str]:
        """Words that fit side by side into ``room_px``; none when not even one does."""
        texts: list[str] = []
        wanted = most if prose else int(rng.integers(1, min(most, 4) + 1))
        used = 0.0
        misses = 0
        while len(texts) < wanted and misses < 3:
            text = self._corpus.prose(rng) if prose else self._corpus.word(rng)
            size = self._lettering.advance(face, text) + spacing_ratio * len(text)
            wide = size * em_px * 1.04
            if used + wide > room_px:
                misses += 1
                continue
            texts.append(text)
            used += wide + (0.42 + 1.6 * spacing_ratio) * em_px
        return texts


def _line_width(line: Line) -> float:
    first, last = line.words[0], line.words[-1]
    return (last[1] + last[0].right) - (first[1] + first[0].left)


def _tuple(colour: NDArray[np.float32]) -> tuple[float, float, float]:
    blue, green, red = colour.tolist()
    return blue, green, red


def _mean_colour(panel: Panel) -> NDArray[np.float32]:
    return np.array(cv2.mean(panel.image)[:3], dtype=np.float32)


def _blend(
    area: NDArray[np.float32],
    alpha: NDArray[np.float32],
    mask: NDArray[Any],
    ink: NDArray[np.float32],
    opacity: float,
) -> None:
    """Paint ``ink`` where the mask is, in place; where nothing was, the panel becomes opaque."""
    cover = mask.astype(np.float32) * np.float32(opacity / 255)
    total = np.maximum(alpha + cover * (1 - alpha), 1e-6)
    share = (cover / total)[..., None]
    area += share * (ink - area)
    np.maximum(alpha, np.where(total > 1e-5, total, 0), out=alpha)


def _board(
    rng: np.random.Generator, width: int, height: int, *, light: bool | None = None
) -> Panel:
    """An empty opaque board: a plain colour, a shaded one, or a quiet texture."""
    colour = random_colour(rng, 170, 255) if light else random_colour(rng)
    image = np.empty((height, width, 3), dtype=np.float32)
    image[:] = colour
    roll = rng.random()
    if roll < 0.3:
        image *= gradient(rng, width, height, 0.4 * rng.random())
    elif roll < 0.55:
        texture = texture_window(rng, width, height, far=rng.random() < 0.5).astype(np.float32)
        mean, spread = cv2.meanStdDev(texture)
        calm = min(1.0, (4 + 12 * rng.random()) / (float(spread.max()) + 1e-3))
        image += (texture - mean[:, 0].astype(np.float32)) * np.float32(calm)
    return Panel(np.clip(image, 0, 255), np.ones((height, width), dtype=np.float32))


PANEL_KINDS: tuple[tuple[float, Callable[..., Panel]], ...] = (
    (0.30, PanelPainter.sign),
    (0.14, PanelPainter.poster),
    (0.10, PanelPainter.paper),
    (0.12, PanelPainter.menu),
    (0.12, PanelPainter.label),
    (0.06, PanelPainter.badge),
)
"""Weights of the kinds of boards; what is left of 1 is bare lettering."""
