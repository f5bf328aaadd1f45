"""From boxes and texts to graphs; ``test_conformance.py`` has MMOCR's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocr_models.errors import ConfigError, InputError
from ocr_models.geometry import order_vertices
from ocr_models.kie.preprocessing import (
    KiePreprocessing,
    character_indices,
    check_quads,
    corner_boxes,
    encode_texts,
    order_corners,
    read_characters,
    relations_of,
    resize_relations,
)
from ocr_models.preprocessing import DetectionPreprocessing

SQUARE = [10, 10, 30, 10, 30, 20, 10, 20]


def test_corners_like_one_box_at_a_time() -> None:
    rng = np.random.default_rng(0)
    quads = rng.uniform(0, 100, (200, 4, 2)).round()
    expected = np.stack([order_vertices(quad) for quad in quads])
    assert np.array_equal(order_corners(quads), expected)
    assert order_corners(np.zeros((0, 4, 2))).shape == (0, 4, 2)


def test_relations_of_two_words() -> None:
    boxes = corner_boxes(np.array([SQUARE, [50.9, 40, 50.9, 44, 89, 44, 89, 40]]))
    assert boxes.tolist() == [[10, 10, 30, 20], [50, 40, 89, 44]]
    relations = relations_of(boxes, 10.0)
    # Widths 21 and 40, heights 11 and 5.
    assert relations[0, 1] == pytest.approx([4.0, 3.0, 21 / 11, 5 / 11, 40 / 11])
    assert relations[1, 0] == pytest.approx([-4.0, -3.0, 8.0, 11 / 5, 21 / 5])
    assert relations[0, 0] == pytest.approx([0.0, 0.0, 21 / 11, 1.0, 21 / 11])
    resized = resize_relations(relations, 2.0, 0.5)
    assert resized[0, 1] == pytest.approx([8.0, 1.5, 84 / 11, 5 / 11, 160 / 11])


@pytest.mark.parametrize("count", [0, 1, 400])
def test_any_number_of_words(count: int) -> None:
    rng = np.random.default_rng(count)
    quads = rng.uniform(0, 900, (count, 4, 2))
    assert relations_of(corner_boxes(quads), 10.0).shape == (count, count, 5)
    texts = ["".join(rng.choice(list("ab?"), 5)) for _ in range(count)]
    encoded = encode_texts(texts, character_indices(("a", "b")))
    assert encoded.shape[0] == count
    assert encoded.dtype == np.int64


def test_unknown_characters_are_left_out() -> None:
    index_of = character_indices(("a", "", "b", "a"))
    assert index_of == {"a": 4, "b": 3}
    assert encode_texts(["axb", "", "b"], index_of).tolist() == [[4, 3], [-1, -1], [3, -1]]
    assert encode_texts(["x"], index_of).shape == (1, 0)


def test_dictionary_files(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_bytes("a\r\n \r\n\r\n€\r\n".encode())
    assert read_characters(path) == ("a", " ", "", "€")
    path.write_text("a\nbc\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: expected one character, got 'bc'"):
        read_characters(path)
    with pytest.raises(ConfigError, match=r"none\.txt that the config names as dict_file"):
        read_characters(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_characters(path)


GOOD_BOXES: dict[str, tuple[Any, tuple[int, int] | None]] = {
    "flat": (SQUARE, (100, 50)),
    "pairs": (np.array(SQUARE).reshape(4, 2), (100, 50)),
    "on the edge": ([0, 0, 100, 0, 100, 50, 0, 50], (100, 50)),
    "rounded": ([-1, 10, 30, 10, 30, 51, -1, 51], (100, 50)),
    "no size": ([0, 0, 5000, 0, 5000, 9, 0, 9], None),
}


@pytest.mark.parametrize("name", GOOD_BOXES)
def test_good_boxes(name: str) -> None:
    box, size = GOOD_BOXES[name]
    quads = check_quads([box], ["x"], size)
    assert quads.shape == (1, 4, 2)
    if size is not None:
        assert quads.min() >= 0
        assert (quads <= size).all()


BAD_BOXES: dict[str, tuple[Any, tuple[int, int] | None, str]] = {
    "three corners": ([1, 1, 5, 1, 5, 5], (100, 50), "wrong_box"),
    "five corners": (list(range(10)), (100, 50), "wrong_box"),
    "ragged": ([[1, 2], [3]], (100, 50), "wrong_box"),
    "words": (["a"] * 8, (100, 50), "wrong_box"),
    "huge": ([10**400] * 8, (100, 50), "wrong_box"),
    "nan": ([float("nan"), *SQUARE[1:]], (100, 50), "wrong_box"),
    "infinite": ([float("inf"), *SQUARE[1:]], None, "wrong_box"),
    "none": (None, (100, 50), "wrong_box"),
    "right of the page": ([90, 10, 130, 10, 130, 20, 90, 20], (100, 50), "box_outside_page"),
    "below the page": ([10, 60, 30, 60, 30, 90, 10, 90], (100, 50), "box_outside_page"),
    "left of the page": ([-20, 10, 30, 10, 30, 20, -20, 20], (100, 50), "box_outside_page"),
    "negative": ([-1, 10, 30, 10, 30, 20, -1, 20], None, "box_outside_page"),
    "absurd": ([0, 0, 2e6, 0, 2e6, 9, 0, 9], None, "box_outside_page"),
}


def test_number_of_bad_boxes() -> None:
    assert len(BAD_BOXES) == 13


@pytest.mark.parametrize("name", BAD_BOXES)
def test_bad_boxes(name: str) -> None:
    box, size, kind = BAD_BOXES[name]
    with pytest.raises(InputError, match="box 1 ") as caught:
        check_quads([SQUARE, box], ["x", "y"], size)
    assert (caught.value.code, caught.value.kind) == (422, kind)


def test_texts_are_needed() -> None:
    for texts in (["x"], ["x", None], ["x", 3]):
        with pytest.raises(InputError) as caught:
            check_quads([SQUARE, SQUARE], texts, (100, 50))  # type: ignore[arg-type]
        assert caught.value.kind == "missing_text"


def test_sizes() -> None:
    keeping = KiePreprocessing(DetectionPreprocessing(image_scale=(1024, 512)))
    assert keeping.resized(411, 237) == (888, 512)
    stretched = DetectionPreprocessing(image_scale=(640, 480), keep_ratio=False)
    assert KiePreprocessing(stretched).resized(411, 237) == (640, 480)
    with pytest.raises(ConfigError, match="norm_px"):
        KiePreprocessing(norm_px=0)
