"""Rendered photos of receipts and invoices, with a box, a text and a class for everything printed.

Classes are those of WildReceipt; keys and values that belong together share a link. A text unit is
what a text detector would put a box around: single words (``units="words"``), or the stretches of a
line between wide gaps (``units="segments"``), as WildReceipt has them. Real detectors give both, so
the default draws one of the two for each page. A key and its value are never one unit, since they
differ in class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from ocr_models.errors import ConfigError

from .fonts import FontError, FontFace
from .geometry import Points
from .lettering import Lettering
from .receipt_contents import ContentMaker
from .receipt_layouts import Layout, layouts
from .receipt_page import PageStyle, PrintedWord, Row, joined, print_page
from .receipt_paper import photograph, print_on_paper, random_print, random_sheet

Split = Literal["train", "heldout"]
Units = Literal["words", "segments", "mixed"]

PRINTER_FAMILIES = frozenset(
    {
        "Anonymous Pro", "B612 Mono", "CMU Typewriter Text", "Courier Prime", "Courier Prime Code",
        "Courier Prime Sans", "DejaVu Sans Mono", "FreeMono", "Go Mono", "Hack", "IBM 3270",
        "Inconsolata", "JetBrains Mono", "Liberation Mono", "Nimbus Mono PS", "Noto Mono",
        "Noto Sans Mono", "OCR B", "OCRA", "PT Mono", "mononoki",
    }
)  # fmt: skip
"""Families that look like those of till printers."""
ORNATE_FAMILIES = frozenset(
    {
        "Comic Neue", "Dancing Script", "Fredoka One", "Kaushan Script", "Lobster", "Lobster Two",
        "OpenDyslexic", "Chancery", "URW Chancery L",
    }
)  # fmt: skip
"""Families that no receipt is printed in."""
_PRINTER_RATIO = 0.7
_SEGMENT_GAP_EMS = 1.0
"""Words of a cell that stand further apart are different segments."""


@dataclass(frozen=True)
class ReceiptConfig:
    """What pages look like.

    Args:
        units: what a box is put around.
        em_px: least and greatest size of the letters in the photo, in pixels.
        max_height_px: longer receipts are drawn smaller.
        tilt: how far the camera may be turned and tilted; 0 gives flat scans.
        clean: 0..1, the share of shadow, blur and noise that is left out.
        illegible_ratio: share of pages where a line is too faint to read (class ``Ignore``).
    """

    units: Units = "mixed"
    em_px: tuple[float, float] = (16.0, 25.0)
    max_height_px: int = 1500
    tilt: float = 1.0
    clean: float = 0.0
    illegible_ratio: float = 0.1

    def __post_init__(self) -> None:
        if self.units not in get_args(Units):
            raise ConfigError(f"units is {self.units!r}; known: {', '.join(get_args(Units))}")
        if not 6 <= self.em_px[0] <= self.em_px[1]:
            raise ConfigError(f"em_px is {self.em_px}; it must be (least, greatest), from 6 on")
        for name in ("tilt", "clean", "illegible_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        if self.max_height_px < 200:
            raise ConfigError(f"max_height_px is {self.max_height_px}; it must be at least 200")


@dataclass(frozen=True, eq=False)
class ReceiptBox:
    """One text unit.

    Args:
        text: what it says.
        label: one of ``CLASSES``.
        polygon: (4, 2) corners in pixels of the photo, clockwise from the text's own top left.
        link: units with the same number are keys and values of each other; units of a value that
            has no key share a number that no key has, and so do those of a text of class Others.
    """

    text: str
    label: str
    polygon: NDArray[np.float32]
    link: int


@dataclass(frozen=True, eq=False)
class Receipt:
    """A photo and its truth.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: in the order of printing.
        layout: name of the layout.
    """

    image: NDArray[np.uint8]
    boxes: tuple[ReceiptBox, ...]
    layout: str


class ReceiptRenderer:
    """Draws receipts; the same seed gives the same receipt.

    Args:
        fonts: faces to print with, see ``find_fonts``.
        split: layouts and words of training, or those that are held out.
        config: what pages look like.

    Raises:
        FontError: no face of ``fonts`` suits a receipt.
    """

    def __init__(
        self,
        fonts: Sequence[FontFace],
        split: Split = "train",
        config: ReceiptConfig = ReceiptConfig(),
    ) -> None:
        self.config = config
        upright = [f for f in fonts if _is_plain(f)]
        self._printer = [f for f in upright if f.family in PRINTER_FAMILIES]
        self._others = [f for f in upright if f.family not in PRINTER_FAMILIES]
        if not upright:
            raise FontError("none of the fonts is an upright one that receipts are printed in")
        self._layouts = layouts(split)
        self._contents = ContentMaker(heldout=split == "heldout")
        self._lettering = Lettering()

    def render(self, seed: int, layout: str | None = None) -> Receipt:
        """Draw one receipt.

        Args:
            seed: of everything random.
            layout: name of the layout; a random one if not given.
        """
        rng = np.random.default_rng([seed, 0x5EC])
        chosen = self._layout(rng, layout)
        rows = self._rows(rng, chosen)
        style = self._style(rng, chosen)
        foot_px = int(rng.uniform(0, 3) * style.em_px)
        page = print_page(rows, style, self._lettering, foot_px)
        too_high = page.ink.shape[0] / self.config.max_height_px
        if too_high > 1:
            style = replace(style, em_px=max(6.0, style.em_px / too_high))
            page = print_page(rows, style, self._lettering, int(foot_px / too_high))
        words, ink = list(page.words), page.ink
        if rng.random() < self.config.illegible_ratio:
            words, ink = _fade_a_row(rng, words, ink)
        paper = print_on_paper(rng, ink, random_print(rng, form=chosen.form))
        height, width = paper.shape
        sheet, wide, high = random_sheet(
            rng, width, height, tilt=self.config.tilt, form=chosen.form
        )
        image = photograph(rng, paper, sheet, wide, high, clean=self.config.clean)
        units = self.config.units
        if units == "segments" or (units == "mixed" and rng.random() < 0.5):
            words = joined(words, _SEGMENT_GAP_EMS * style.em_px)
        return Receipt(image, _boxes(words, sheet.points), chosen.name)

    def _layout(self, rng: np.random.Generator, name: str | None) -> Layout:
        if name is None:
            return self._layouts[int(rng.random() * len(self._layouts))]
        for each in self._layouts:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self._layouts)
        raise ConfigError(f"there is no layout {name!r} in this split; known: {known}")

    def _rows(self, rng: np.random.Generator, layout: Layout) -> list[Row]:
        trade = layout.trades[int(rng.random() * len(layout.trades))]
        low, high = layout.items
        # Short receipts are more frequent than long ones.
        count = low + int((high - low + 1) * rng.random() ** 1.6)
        return layout.build(rng, self._contents.purchase(rng, trade, count))

    def _style(self, rng: np.random.Generator, layout: Layout) -> PageStyle:
        pool = self._printer if rng.random() < _PRINTER_RATIO and not layout.form else self._others
        pool = pool or self._printer or self._others
        families = sorted({face.family for face in pool})
        family = families[int(rng.random() * len(families))]
        faces = [f for f in pool if f.family == family]
        light = [f for f in faces if not _is_bold(f)] or faces
        bold = [f for f in faces if _is_bold(f)] or light
        face = light[int(rng.random() * len(light))]
        return PageStyle(
            face=face,
            bold=bold[int(rng.random() * len(bold))],
            em_px=rng.uniform(*self.config.em_px),
            columns=rng.uniform(*layout.columns),
            margin=rng.uniform(0.6, 2.2),
            leading=rng.uniform(1.12, 1.5),
            spacing_ratio=float(rng.choice([0.0, 0.0, 0.0, 0.04, -0.03])),
        )


def _is_plain(face: FontFace) -> bool:
    slanted = any(part in _style_name(face) for part in ("italic", "oblique", "slanted"))
    return not slanted and face.family not in ORNATE_FAMILIES


def _is_bold(face: FontFace) -> bool:
    return any(part in _style_name(face) for part in ("bold", "black", "heavy"))


@cache
def _style_name(face: FontFace) -> str:
    """What the font calls its own style, and its file name, in lower case."""
    own = ImageFont.truetype(str(face.path), 10).getname()[1] or ""
    return f"{own} {face.path.stem}".lower()


def _fade_a_row(
    rng: np.random.Generator, words: list[PrintedWord], ink: NDArray[np.uint8]
) -> tuple[list[PrintedWord], NDArray[np.uint8]]:
    """Print one row so faintly that nobody can read it."""
    chosen = words[int(rng.random() * len(words))].box
    middle = (chosen[1] + chosen[3]) / 2
    hit = [word.box[1] <= middle <= word.box[3] for word in words]
    rows = np.stack([word.box for word, here in zip(words, hit, strict=True) if here])
    top, bottom = int(rows[:, 1].min()), int(np.ceil(rows[:, 3].max())) + 1
    ink = ink.copy()
    ink[max(0, top) : bottom] //= int(rng.integers(7, 12))
    faded = [
        replace(word, label="Ignore") if here else word
        for word, here in zip(words, hit, strict=True)
    ]
    return faded, ink


def _boxes(
    words: Sequence[PrintedWord], move: Callable[[Points], Points]
) -> tuple[ReceiptBox, ...]:
    """Units in pixels of the photo, links counted from 0."""
    if not words:
        return ()
    corners = np.stack([word.box[[0, 1, 2, 1, 2, 3, 0, 3]] for word in words])
    moved = move(corners.reshape(-1, 2)).reshape(-1, 4, 2)
    numbers: dict[tuple[str, int], int] = {}
    boxes = []
    for word, polygon in zip(words, moved, strict=True):
        key = ("cell", word.cell) if word.link is None else ("link", word.link)
        link = numbers.setdefault(key, len(numbers))
        boxes.append(ReceiptBox(word.text, word.label, polygon, link))
    return tuple(boxes)
