"""A receipt as rows of cells, set into one image of ink with an exact box for every word.

Coordinates are pixels of the flat paper, x to the right, y down; a pixel's centre lies at whole
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .fonts import FontFace
from .lettering import Lettering, TextLayout

CLASSES = (
    "Ignore", "Store_name_value", "Store_name_key", "Store_addr_value", "Store_addr_key",
    "Tel_value", "Tel_key", "Date_value", "Date_key", "Time_value", "Time_key", "Prod_item_value",
    "Prod_item_key", "Prod_quantity_value", "Prod_quantity_key", "Prod_price_value",
    "Prod_price_key", "Subtotal_value", "Subtotal_key", "Tax_value", "Tax_key", "Tips_value",
    "Tips_key", "Total_value", "Total_key", "Others",
)  # fmt: skip
"""The classes of WildReceipt, in its order."""
CLASS_NUMBERS = {name: number for number, name in enumerate(CLASSES)}

Align = Literal["left", "centre", "right"]
_SHORTEST_NAME = 8
_CELL_GAP_EMS = 0.6
_X_HEIGHT_RATIO = 0.5  # of the em: what a dash or a point is at least as high as


@dataclass(frozen=True)
class Cell:
    """A piece of text that belongs together.

    Args:
        text: words and single spaces.
        label: one of ``CLASSES``.
        at: where on the paper, 0 the left margin and 1 the right one.
        align: which end of the text stands there; ``"centre"``: its middle.
        link: cells with the same number are keys and values of each other; None: a cell alone.
    """

    text: str
    label: str = "Others"
    at: float = 0.0
    align: Align = "left"
    link: int | None = None


@dataclass(frozen=True)
class Row:
    """What stands on one line.

    Args:
        cells: their texts should not meet; what would overlap is moved to the right.
        size: of the letters, in ems of the page.
        bold: in the page's bold face.
        gap: white space below, in lines.
        rule: instead of cells a line across the paper.
    """

    cells: tuple[Cell, ...] = ()
    size: float = 1.0
    bold: bool = False
    gap: float = 0.0
    rule: Literal["", "solid", "dashed", "double", "stars"] = ""


@dataclass(frozen=True)
class PageStyle:
    """How a page is set.

    Args:
        face: the font.
        bold: the font of bold rows.
        em_px: size of the letters.
        columns: width of the text in ems.
        margin: white border, in ems.
        leading: distance of lines, in ems.
        spacing_ratio: between letters, in ems.
    """

    face: FontFace
    bold: FontFace
    em_px: float
    columns: float
    margin: float = 1.5
    leading: float = 1.3
    spacing_ratio: float = 0.0


@dataclass(frozen=True, eq=False)
class PrintedWord:
    """One word on the paper.

    Args:
        text: without spaces.
        label: one of ``CLASSES``.
        cell: number of the cell that it is part of; its words stand in order.
        link: see ``Cell``.
        box: (4,) left, top, right, bottom around the ink, at least as high as a small letter.
    """

    text: str
    label: str
    cell: int
    link: int | None
    box: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PrintedPage:
    """Ink on flat paper.

    Args:
        ink: (H, W) uint8, 255 where the paper is black.
        words: in reading order of the rows.
    """

    ink: NDArray[np.uint8]
    words: tuple[PrintedWord, ...]


def print_page(
    rows: Sequence[Row], style: PageStyle, lettering: Lettering, foot_px: int = 0
) -> PrintedPage:
    """Set rows below each other.

    Args:
        rows: from top to bottom.
        style: of the page.
        lettering: draws the texts.
        foot_px: white paper below.
    """
    page = _Page(style, lettering, _height_px(rows, style, foot_px))
    for row in rows:
        page.add(row)
    return PrintedPage(page.ink, tuple(page.words))


def _row_height_px(row: Row, style: PageStyle) -> float:
    size = 0.7 if row.rule else row.size * style.leading
    return (size + row.gap * style.leading) * style.em_px


def _height_px(rows: Sequence[Row], style: PageStyle, foot_px: int) -> int:
    body = sum(_row_height_px(row, style) for row in rows)
    return int(body + 2 * style.margin * style.em_px) + foot_px


_Placed = tuple[Cell, TextLayout, float]


class _Page:
    """A page that rows are added to."""

    def __init__(self, style: PageStyle, lettering: Lettering, height_px: int) -> None:
        self.style = style
        self._lettering = lettering
        self._left = style.margin * style.em_px
        self._right = self._left + style.columns * style.em_px
        self.ink = np.zeros((height_px, int(self._right + self._left)), np.uint8)
        self.words: list[PrintedWord] = []
        self._y = self._left
        self._cells = 0

    def add(self, row: Row) -> None:
        top = self._y
        self._y += _row_height_px(row, self.style)
        if row.rule:
            self._rule(row.rule, top + 0.35 * self.style.em_px)
            return
        em_px = row.size * self.style.em_px
        baseline = round(top + 0.5 * (self.style.leading - 1) * em_px + 0.8 * em_px)
        for cell, layout, x in self._fitted(row, em_px):
            self._write(cell, layout, round(x), baseline)

    def _fitted(self, row: Row, em_px: float) -> list[_Placed]:
        """The cells beside each other within the margins: long names are cut, as tills do it, and
        what is still too wide is set in smaller letters."""
        cells = list(row.cells)
        while True:
            placed = self._flow(cells, row.bold, em_px)
            over_px = max((x + layout.width for _, layout, x in placed), default=0) - self._right
            if over_px <= 1:
                return placed
            names = [i for i, c in enumerate(cells) if c.label == "Prod_item_value"]
            if names and len(cells[names[0]].text) > _SHORTEST_NAME:
                name = cells[names[0]]
                kept = max(_SHORTEST_NAME, len(name.text) - max(1, int(over_px / (0.6 * em_px))))
                cells[names[0]] = replace(name, text=name.text[:kept].rstrip())
            else:
                em_px *= 0.93

    def _flow(self, cells: Sequence[Cell], bold: bool, em_px: float) -> list[_Placed]:
        face = self.style.bold if bold else self.style.face
        width = self._right - self._left
        wanted = []
        for cell in cells:
            layout = self._lettering.set_line(
                cell.text, face, em_px, spacing_ratio=self.style.spacing_ratio, exact=True
            )
            share = {"left": 0.0, "centre": 0.5, "right": 1.0}[cell.align]
            wanted.append((cell, layout, self._left + cell.at * width - share * layout.width))
        placed: list[_Placed] = []
        pen = self._left
        for cell, layout, x in sorted(wanted, key=lambda each: each[2]):
            x = max(x, pen)
            placed.append((cell, layout, x))
            pen = x + layout.width + _CELL_GAP_EMS * em_px
        return placed

    def _write(self, cell: Cell, layout: TextLayout, x: int, baseline: int) -> None:
        """Put the left end of the text at x, its baseline at y = baseline."""
        dx, dy = round(x - layout.left), round(baseline - layout.baseline_px)
        height, width = layout.mask.shape
        left, top = max(0, dx), max(0, dy)
        right, bottom = min(self.ink.shape[1], dx + width), min(self.ink.shape[0], dy + height)
        if right > left and bottom > top:
            area = self.ink[top:bottom, left:right]
            mask = layout.mask[top - dy : bottom - dy, left - dx : right - dx]
            np.maximum(area, mask, out=area)
        band = np.array([baseline - _X_HEIGHT_RATIO * layout.em_px, baseline], np.float32)
        start = 0
        for word in cell.text.split(" "):
            chars = layout.char_boxes[start : start + len(word)]
            start += len(word) + 1
            if not word:
                continue
            box = np.array(
                [
                    chars[:, 0].min() + dx,
                    min(chars[:, 1].min() + dy, band[0]),
                    chars[:, 2].max() + dx,
                    max(chars[:, 3].max() + dy, band[1]),
                ],
                np.float32,
            )
            self.words.append(PrintedWord(word, cell.label, self._cells, cell.link, box))
        self._cells += 1

    def _rule(self, kind: str, y: float) -> None:
        left, right, at = round(self._left), round(self._right), round(y)
        thick = max(1, round(self.style.em_px / 14))
        if kind in ("solid", "double"):
            cv2.line(self.ink, (left, at), (right, at), (255,), thick)
        if kind == "double":
            cv2.line(self.ink, (left, at + 3 * thick), (right, at + 3 * thick), (255,), thick)
        if kind in ("dashed", "stars"):
            step = max(4, round(self.style.em_px * 0.6))
            for x in range(left, right - step // 2, step):
                if kind == "dashed":
                    cv2.line(self.ink, (x, at), (x + step // 2, at), (255,), thick)
                else:
                    cv2.drawMarker(self.ink, (x, at), (255,), cv2.MARKER_STAR, step // 2, 1)


def joined(words: Sequence[PrintedWord], max_gap_px: float) -> list[PrintedWord]:
    """Words of a cell that stand closer than ``max_gap_px`` become one."""
    result: list[PrintedWord] = []
    for word in words:
        last = result[-1] if result else None
        if last is None or last.cell != word.cell or word.box[0] - last.box[2] > max_gap_px:
            result.append(word)
            continue
        box = np.concatenate(
            [np.minimum(last.box[:2], word.box[:2]), np.maximum(last.box[2:], word.box[2:])]
        )
        result[-1] = replace(last, text=f"{last.text} {word.text}", box=box)
    return result
