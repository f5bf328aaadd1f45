from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from ocr_models.results import (
    Boundary,
    DetectionResult,
    KeyInfoResult,
    Link,
    PageResult,
    RecognitionResult,
    Word,
)
from ocrserve import drawing
from ocrserve.drawing import SURE, UNSURE, draw_result

Box = tuple[float, float, float, float]


def page(boxes: Sequence[Box], texts: Sequence[str], score: float = 0.95) -> PageResult:
    words = []
    for (left, top, right, bottom), text in zip(boxes, texts, strict=True):
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
        words.append(Word(Boundary(points, 0.9), RecognitionResult(text, score, (), ())))
    return PageResult(tuple(words), (tuple(range(len(words))),), width=600, height=400)


def canvas(level: int = 128) -> np.ndarray:
    return np.full((400, 600, 3), level, np.uint8)


def labels(boxes: Sequence[Box], texts: Sequence[str]) -> list[Box]:
    """Where the labels go, as draw_result() places them."""
    placed = np.zeros((0, 4))
    all_boxes = np.array(boxes, float)
    for i, text in enumerate(texts):
        others = np.delete(all_boxes, i, axis=0)
        label = drawing._place(all_boxes[i], text, others, placed, (600, 400), 2)
        placed = np.vstack([placed, label.rectangle])
    return [tuple(row) for row in placed.tolist()]  # type: ignore[misc]


def overlaps(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


GRID = [
    (30.0 + 140 * column, 30.0 + 60 * row, 130.0 + 140 * column, 55.0 + 60 * row)
    for row in range(6)
    for column in range(4)
]


def test_labels_cover_neither_labels_nor_text() -> None:
    texts = [f"word {i}" for i in range(len(GRID))]
    rectangles = labels(GRID, texts)
    assert len(rectangles) == 24
    for i, rectangle in enumerate(rectangles):
        assert not any(overlaps(rectangle, other) for other in rectangles[i + 1 :])
        assert not any(overlaps(rectangle, box) for box in GRID)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 90, 20), (510, 0, 600, 20), (0, 380, 90, 400), (510, 380, 600, 400), (0, 0, 600, 400)],
)
def test_labels_stay_inside_the_picture(box: Box) -> None:
    ((left, top, right, bottom),) = labels([box], ["a longer text"])
    assert left >= 0
    assert top >= 0
    assert right <= 600
    assert bottom <= 400


def test_the_photo_is_not_changed_and_the_picture_has_its_size() -> None:
    photo = canvas()
    picture = draw_result(photo, page(GRID, ["text"] * 24))
    assert picture.shape == photo.shape
    assert picture.dtype == np.uint8
    assert np.all(photo == 128)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize(("score", "colour"), [(0.95, SURE), (0.3, UNSURE)])
def test_colour_tells_certainty_on_any_background(
    level: int, score: float, colour: tuple[int, int, int]
) -> None:
    picture = draw_result(canvas(level), page(GRID[:1], ["Ag"], score))
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).reshape(-1, 3)
    assert np.count_nonzero((rgb == colour).all(1)) > 300
    # The rim is what separates a line of the colour from a background of that colour.
    assert np.count_nonzero((rgb == 255).all(1)) > 100


def test_legible_label() -> None:
    for colour in (SURE, UNSURE):
        linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4)
                  for c in colour]  # fmt: skip
        luminance = float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
        assert 1.05 / (luminance + 0.05) >= 4.5  # contrast with white, by WCAG


def test_nothing_found() -> None:
    assert np.all(draw_result(canvas(), page([], [])) == 128)
    assert np.all(draw_result(canvas(), DetectionResult((), width=600, height=400)) == 128)


def test_boxes_alone_and_polygons() -> None:
    points = np.array([[50, 50], [150, 30], [250, 50], [250, 90], [150, 70], [50, 90]], float)
    picture = draw_result(canvas(), DetectionResult((Boundary(points, 0.9),), 600, 400))
    assert np.any(picture != 128)
    assert np.all(picture[200:] == 128)


def test_crop_gets_a_caption() -> None:
    crop = np.full((20, 60, 3), 200, np.uint8)
    picture = draw_result(crop, RecognitionResult("a word", 0.9, (), ()))
    assert picture.shape[0] > 96
    assert picture.shape[1] > 60
    assert np.all(picture[0, 0] == 200)


@pytest.mark.parametrize("text", ["", "Ünïcödé ½", "漢字", "x" * 200, "a\tb"])
def test_any_text_can_be_drawn(text: str) -> None:
    assert draw_result(canvas(), page(GRID[:1], [text])).shape == (400, 600, 3)


def info(links: tuple[Link, ...] | None, labels: tuple[str, ...]) -> KeyInfoResult:
    boxes = np.array([[[x, 200], [x + 90, 200], [x + 90, 220], [x, 220]] for x in (30, 430)], float)
    return KeyInfoResult(boxes, ("a", "b"), (1, 2), labels, (0.9, 0.9), (), links)


def changed(result: KeyInfoResult) -> np.ndarray:
    """Where the picture differs from the canvas."""
    return np.any(draw_result(canvas(), result) != canvas(), axis=2)


def test_labels_and_arrows_of_key_information() -> None:
    linked = changed(info((Link(0, 1, 0.8),), ("key", "value")))
    loose = changed(info((), ("key", "value")))
    closed = changed(info(None, ("Total_key", "Total_value")))
    assert linked[205:215, 150:400].any(axis=0).all(), "an arrow leads all the way"
    for without in (loose, closed):
        assert not without[205:215, 150:400].any()
        assert without[150:198, 20:130].any() or without[222:270, 20:130].any(), "a label"


def test_words_without_a_meaning_have_no_label() -> None:
    for names in (("Ignore", "Others"), ("background", "others")):
        drawn = changed(info((), names))
        assert drawn[200, 50], "an outline"
        assert not drawn[100:190].any()
        assert not drawn[230:320].any()


def test_a_page_is_drawn_with_what_its_words_mean() -> None:
    words = page([(30, 200, 120, 220), (430, 200, 520, 220)], ["a", "b"])
    result = info((Link(0, 1, 0.8),), ("key", "value"))
    labelled = PageResult(words.words, words.lines, 600, 400, result)
    assert np.array_equal(draw_result(canvas(), labelled), draw_result(canvas(), result))
    nothing = KeyInfoResult(np.zeros((0, 4, 2)), (), (), (), (), (), ())
    assert np.array_equal(draw_result(canvas(), nothing), canvas())
