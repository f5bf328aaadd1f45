"""DB post-processing against MMOCR's boundaries."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.detection.db_postprocess import (
    DBPostprocessing,
    db_boundaries,
    expand_polygon,
    mean_inside,
)
from ocr_models.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "postprocess"
CASES = json.loads((GOLDEN / "cases.json").read_text())
DB_CASES = sorted(name for name, case in CASES.items() if case["type"] == "DBPostprocessor")


def probability_map(case: dict[str, Any]) -> np.ndarray:
    file, key = case["input"].split(":")
    with np.load(GOLDEN / file) as arrays:
        return arrays[key]


def same_ring(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal within a pixel up to the starting corner, which differs between OpenCV versions."""
    return ours.shape == theirs.shape and any(
        np.abs(np.roll(ours, shift, axis=0) - theirs).max() <= 1 for shift in range(len(ours))
    )


def test_sweep_size() -> None:
    assert len(DB_CASES) == 18


@pytest.mark.parametrize("name", DB_CASES)
def test_boundaries_equal_mmocr(name: str) -> None:
    case = CASES[name]
    boundaries = db_boundaries(probability_map(case), DBPostprocessing(**case["args"]))
    assert len(boundaries) == len(case["boundaries"]) > 0
    for ours, theirs in zip(boundaries, case["boundaries"], strict=True):
        assert same_ring(ours.points, np.reshape(theirs[:-1], (-1, 2)))
        assert ours.score == pytest.approx(theirs[-1], abs=1e-6)


def test_polygon_expansion_equals_mmocr() -> None:
    cases = CASES["unclip"]["cases"]
    assert len(cases) >= 5
    for case in cases:
        rings = expand_polygon(np.array(case["polygon"]), case["ratio"])
        assert [ring.tolist() for ring in rings] == case["expanded"]


def test_mean_inside_equals_mmocr() -> None:
    with np.load(GOLDEN / "box_score.npz") as arrays:
        bitmap = arrays["bitmap"]
    cases = CASES["box_score"]["cases"]
    assert len(cases) >= 3
    for case in cases:
        assert mean_inside(bitmap, np.array(case["box"])) == pytest.approx(case["score"], abs=1e-9)


def page(words: int = 200) -> np.ndarray:
    """A 1280 x 736 map of tilted words in rows of ten."""
    rng = np.random.default_rng(0)
    probability = np.zeros((736, 1280), np.float32)
    for index in range(words):
        row, column = divmod(index, 10)
        size = (rng.uniform(50, 100), rng.uniform(8, 14))
        box = cv2.boxPoints(((64 + column * 127, 20 + row * 36), size, rng.uniform(-6, 6)))
        cv2.fillPoly(probability, [box.astype(np.int32)], (0.9,))
    return cv2.GaussianBlur(probability, (5, 5), 0)


@pytest.mark.parametrize("kind", ["quad", "poly"])
def test_every_word_of_a_page_is_found_clockwise(kind: Any) -> None:
    boundaries = db_boundaries(page(), DBPostprocessing(text_repr_type=kind))
    assert len(boundaries) == 200
    for boundary in boundaries:
        assert boundary.points.dtype == np.float64
        assert cv2.contourArea(boundary.points.astype(np.float32), oriented=True) > 0


def test_nothing_to_find() -> None:
    assert db_boundaries(np.zeros((64, 96), np.float32), DBPostprocessing()) == []
    speck = np.zeros((64, 96), np.float32)
    speck[10, 10] = 1
    assert db_boundaries(speck, DBPostprocessing()) == []


def test_half_precision_maps_are_accepted() -> None:
    half = page(20).astype(np.float16)
    assert len(db_boundaries(half, DBPostprocessing(text_repr_type="quad"))) == 20


def test_unknown_representation() -> None:
    with pytest.raises(ConfigError, match="'quad' and 'poly'"):
        DBPostprocessing(text_repr_type="box")  # type: ignore[arg-type]
