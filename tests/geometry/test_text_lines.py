"""Stitching against MMOCR's numbers; reading order on pages of known order."""

import json
from pathlib import Path

import numpy as np
import pytest

from ocr_models.geometry import (
    bounding_quad,
    merge_words,
    on_same_line,
    padded_crop,
    reading_order,
    stitch_lines,
    text_lines,
)
from ocr_models.results import Boundary, RecognitionResult, Word

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "geometry" / "geometry.json").read_text())
GLUE = json.loads((GOLDEN / "e2e" / "readtext_glue.json").read_text())


def test_same_line_equals_mmocr() -> None:
    assert len(CASES["same_line"]) == 13
    for case in CASES["same_line"]:
        for ratio, expected in case["results"].items():
            minimum = None if ratio == "None" else float(ratio)
            assert on_same_line(case["a"], case["b"], minimum) is expected


def stitched(boxes: list[list[float]], texts: list[str], *limits: float) -> list[dict]:
    return [
        {
            "text": " ".join(texts[index] for index in line),
            "box": bounding_quad(
                np.concatenate([np.reshape(boxes[index], (-1, 2)) for index in line])
            )
            .ravel()
            .tolist(),
        }
        for line in stitch_lines(boxes, *limits)
    ]


def test_stitching_equals_mmocr() -> None:
    assert len(CASES["stitch"]) == 18
    for case in CASES["stitch"]:
        boxes = [entry["box"] for entry in case["boxes"]]
        texts = [entry["text"] for entry in case["boxes"]]
        result = stitched(boxes, texts, case["max_x_dist"], case["min_y_overlap_ratio"])
        if len(boxes) == 1:  # MMOCR hands a lone box through as it came
            assert [line["text"] for line in result] == texts
        else:
            assert result == case["result"]


def test_readtext_glue_equals_mmocr() -> None:
    """Boundary -> crop -> text -> merging, with the stored stand-in for the recogniser."""
    image = formula_image(GLUE["image"]["size"], GLUE["image"]["seed"])
    boundaries = [np.reshape(b[:-1], (-1, 2)) for b in GLUE["boundaries"]]
    crops, boxes, texts, scores = [], [], [], []
    for points in boundaries:
        crop = padded_crop(image, points)
        height, width = crop.shape[:2]
        text = f"w{width}" + "y" * (width % 7) if height % 2 else ""
        char_scores = [0.5 + 0.05 * (i % 5) for i in range(width % 7 + 2)] if height % 2 else []
        crops.append([list(crop.shape), int(crop.sum())])
        boxes.append([round(value) for value in points.ravel().tolist()])
        texts.append(text)
        scores.append(sum(char_scores) / max(1, len(text)))
    assert len(GLUE["cases"]) == 3
    for case in GLUE["cases"]:
        assert crops == case["crops"]
        (expected,) = [page["result"] for page in case["result"]]
        if case["merge"]:
            assert stitched(boxes, texts, case["merge_xdist"], 0.5) == expected
        else:
            assert boxes == [word["box"] for word in expected]
            assert texts == [word["text"] for word in expected]
            assert scores == pytest.approx([word["text_score"] for word in expected])


def formula_image(size: tuple[int, int], seed: int) -> np.ndarray:
    """The kit's test image: ramps with hard-edged rectangles, from integers only."""
    height, width = size
    random = np.random.RandomState(1000 + seed)
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.int64)
    for channel in range(3):
        a, b, offset = random.randint(1, 9), random.randint(1, 9), random.randint(0, 255)
        image[..., channel] = (y * a + x * b + offset) % 256
    for _ in range(12):
        top, left = random.randint(0, height), random.randint(0, width)
        rows = random.randint(2, max(3, height // 3))
        columns = random.randint(2, max(3, width // 3))
        image[top : top + rows, left : left + columns] = random.randint(0, 256, 3)
    return image.astype(np.uint8)


def word(x: float, y: float, text: str, score: float = 0.9) -> Word:
    points = np.array([[x, y], [x + 40, y], [x + 40, y + 20], [x, y + 20]], float)
    scores = (score,) * len(text)
    return Word(Boundary(points, 0.8), RecognitionResult(text, score, scores, scores))


def test_merged_words() -> None:
    far, first, second = word(500, 2, "far"), word(0, 0, "hello", 0.5), word(45, 3, "you", 0.9)
    line, alone = merge_words([far, second, first], max_gap_px=10)
    assert alone is far
    assert line.text == "hello you"
    assert line.boundary.points.tolist() == [[0, 0], [85, 0], [85, 23], [0, 23]]
    assert line.boundary.score == pytest.approx(0.8)
    assert line.recognition.score == pytest.approx((0.5 * 5 + 0.9 * 3) / 8)
    assert line.recognition.char_scores == (0.5,) * 5 + (0.9,) * 3
    assert line.recognition.char_probabilities == line.recognition.char_scores
    assert merge_words([]) == ()


def page(
    lines: int, words: int, degrees: float = 0, jitter: float = 0, seed: int = 0
) -> tuple[list[np.ndarray], list[int]]:
    """Word quads of a page in random order, and the indices in reading order."""
    rng = np.random.default_rng(seed)
    quads = []
    for row in range(lines):
        left = 0.0
        for _ in range(words):
            width, height = rng.uniform(15, 120), rng.uniform(14, 26)
            top = row * 34 + (26 - height) / 2 + rng.uniform(-jitter, jitter)
            corners = [(0, 0), (width, 0), (width, height), (0, height)]
            quads.append(np.add(corners, (left, top)))
            left += width + rng.uniform(5, 60)
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shuffled = rng.permutation(len(quads))
    return [quads[i] @ rotation for i in shuffled], np.argsort(shuffled).tolist()


@pytest.mark.parametrize("degrees", [0, 3, -8, 15, -30])
@pytest.mark.parametrize("jitter", [0, 4])
def test_pages_are_read_line_by_line(degrees: float, jitter: float) -> None:
    quads, order = page(lines=12, words=9, degrees=degrees, jitter=jitter)
    assert reading_order(quads) == order
    assert [len(line) for line in text_lines(quads)] == [9] * 12


def test_curved_lines_hold_together() -> None:
    quads, order = page(lines=5, words=8)
    centre = np.array([400.0, 1500.0])
    bent = []
    for quad in quads:  # wrap the page around a circle far below it
        angle = (quad[:, 0] - centre[0]) / 1500
        radius = centre[1] - quad[:, 1]
        bent.append(
            np.stack([centre[0] + radius * np.sin(angle), centre[1] - radius * np.cos(angle)], 1)
        )
    assert reading_order(bent) == order


def test_a_tall_neighbour_does_not_join_lines() -> None:
    logo = [[0, 0], [80, 0], [80, 100], [0, 100]]
    small = [
        [[100 + 60 * column, 5 + 35 * row], [150 + 60 * column, 5 + 35 * row],
         [150 + 60 * column, 25 + 35 * row], [100 + 60 * column, 25 + 35 * row]]
        for row in range(3)
        for column in range(3)
    ]  # fmt: skip
    lines = text_lines([logo, *small])
    assert sorted(lines) == [(0,), (1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert [line for line in lines if line != (0,)] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]


def test_long_polygons_are_welcome() -> None:
    quads, order = page(lines=4, words=5)
    polygons = [np.stack([q, (q + np.roll(q, -1, axis=0)) / 2], 1).reshape(-1, 2) for q in quads]
    assert reading_order(polygons) == order
    assert text_lines([polygons[0].ravel()]) == ((0,),)


def test_reading_order_is_a_permutation_whatever_comes() -> None:
    rng = np.random.default_rng(0)
    quads = list(rng.uniform(0, 500, (100, 4, 2))) + [np.zeros((4, 2))] * 3
    assert sorted(reading_order(quads)) == list(range(103))
    assert reading_order(quads) == reading_order(quads)
    assert reading_order([]) == []


def test_a_thousand_words_in_order() -> None:
    quads, order = page(lines=50, words=20, degrees=4)
    assert reading_order(quads) == order
