import math

import numpy as np
import pytest
from PIL import features

from ocrserve.train.synth import CHARSET, FontFace, find_fonts
from ocrserve.train.synth.lettering import Lettering, TextLayout


def _ink_box(layout: TextLayout) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(layout.mask)
    return columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5


@pytest.mark.parametrize("em_px", [64.0, 160.0])
def test_boxes_are_exactly_around_the_ink(pip_fonts: tuple[FontFace, ...], em_px: float) -> None:
    """Drawn one by one, each character's box is the bounding box of its pixels."""
    lettering = Lettering()
    for char in CHARSET.strip():
        layout = lettering.set_line(char, pip_fonts[3], em_px)
        np.testing.assert_array_equal(layout.char_boxes[0], _ink_box(layout), err_msg=char)


@pytest.mark.parametrize("text", ["Typography", "AVATAR", "fjord, (1.50)", "a b", "---", "q~^_"])
@pytest.mark.parametrize("face_index", [0, 7, 20])
@pytest.mark.parametrize("em_px", [17.0, 40.0, 64.0, 120.0])
def test_a_line_is_covered_by_its_boxes(
    pip_fonts: tuple[FontFace, ...], text: str, face_index: int, em_px: float
) -> None:
    layout = Lettering().set_line(text, pip_fonts[face_index], em_px, exact=True)
    assert layout.em_px == pytest.approx(em_px)
    assert len(layout.char_boxes) == len(text)
    left, top, right, bottom = _ink_box(layout)
    # Shrinking spreads an edge over a pixel: ink may show up to one pixel outside.
    assert layout.left - 1 <= left
    assert right <= layout.right + 1
    assert layout.top - 1 <= top
    assert bottom <= layout.bottom + 1
    covered = np.zeros_like(layout.mask, dtype=bool)
    for char, box in zip(text, layout.char_boxes, strict=True):
        if char == " ":
            continue
        x0, y0, x1, y1 = box
        rows = slice(max(0, math.floor(y0 - 0.5)), math.ceil(y1 + 1.5))
        columns = slice(max(0, math.floor(x0 - 0.5)), math.ceil(x1 + 1.5))
        covered[rows, columns] = True
        assert layout.mask[rows, columns].any()
    assert not layout.mask[~covered].any()


def test_boxes_advance_from_left_to_right(pip_fonts: tuple[FontFace, ...]) -> None:
    boxes = Lettering().set_line("Reading order", pip_fonts[0], 50).char_boxes
    assert (np.diff(boxes[:, 0]) > 0).all()


def test_spacing_widens(pip_fonts: tuple[FontFace, ...]) -> None:
    lettering = Lettering()
    plain = lettering.set_line("WAVE", pip_fonts[0], 64)
    wide = lettering.set_line("WAVE", pip_fonts[0], 64, spacing_ratio=0.2)
    assert wide.width - plain.width == pytest.approx(3 * 0.2 * 64, abs=2)


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow has no Raqm")
def test_kerning_comes_from_the_font() -> None:
    roboto = next(f for f in find_fonts("pip") if f.path.stem == "Roboto-Regular")
    lettering = Lettering()
    kerned = lettering.set_line("AV", roboto, 64)
    glyphs = [lettering.set_line(char, roboto, 64).width for char in "AV"]
    assert kerned.width < sum(glyphs), "V leans over A"
    assert lettering.set_line("fi", roboto, 64).char_boxes.shape == (2, 4), "no ligature"


def test_small_marks_get_a_box_of_letter_height(pip_fonts: tuple[FontFace, ...]) -> None:
    dash = Lettering().set_line("-", pip_fonts[0], 64)
    letter = Lettering().set_line("x", pip_fonts[0], 64)
    assert dash.height >= letter.height - 1
    assert dash.char_boxes[0][3] - dash.char_boxes[0][1] < letter.height / 2
