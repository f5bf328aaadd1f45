"""Growing labels: whole generations at once give what one queue of pixels gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ocr_models.detection.label_growth import connected_kernels, grow, label_boundaries

# (row, column) steps in the order in which MMOCR's two compiled functions try them.
PSE_ORDER = ((-1, 0), (1, 0), (0, -1), (0, 1))
PAN_ORDER = ((0, -1), (0, 1), (-1, 0), (1, 0))
SEEDS = range(40)

Accepts = Callable[[int, int, int], bool]


def grow_by_queue(
    seeds: np.ndarray,
    start: np.ndarray,
    allowed: np.ndarray,
    order: tuple[tuple[int, int], ...],
    accepts: Accepts = lambda row, column, label: True,
) -> np.ndarray:
    """The definition: one queue that starts with the pixels of ``start`` in row-major order."""
    labels = seeds.copy()
    queue = deque(zip(*np.nonzero(start & (seeds > 0)), strict=True))
    while queue:
        row, column = queue.popleft()
        for down, right in order:
            y, x = row + down, column + right
            if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
                continue
            if labels[y, x] or not allowed[y, x] or not accepts(y, x, labels[row, column]):
                continue
            labels[y, x] = labels[row, column]
            queue.append((y, x))
    return labels


def random_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(kernels' labels, text mask) with plenty of places where several kernels arrive at once."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    text = rng.random((height, width)) < rng.uniform(0.5, 1)
    kernels = text & (rng.random((height, width)) < rng.uniform(0.02, 0.4))
    return connected_kernels(kernels), text


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", [PSE_ORDER, PAN_ORDER], ids=["pse", "pan"])
def test_growth_equals_the_queue(seed: int, order: tuple[tuple[int, int], ...]) -> None:
    seeds, text = random_maps(seed)
    expected = grow_by_queue(seeds, np.ones_like(text), text, order)
    np.testing.assert_array_equal(grow(seeds, text), expected)


def test_random_maps_have_ties() -> None:
    """The order of the seeds must matter on them, or the test above proves little."""
    differing = 0
    for seed in SEEDS:
        seeds, text = random_maps(seed)
        differing += bool((grow(seeds, text) != grow(seeds.T, text.T).T).any())
    assert differing > len(SEEDS) / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_refused_pixels_stay_free_for_others(seed: int) -> None:
    seeds, text = random_maps(seed)
    likes = np.random.default_rng(seed + 1000).random((int(seeds.max()) + 1, *text.shape)) < 0.6
    by_index = likes.reshape(len(likes), -1)
    got = grow(seeds, text, lambda pixels, labels: by_index[labels, pixels])
    expected = grow_by_queue(
        seeds, np.ones_like(text), text, PAN_ORDER, lambda y, x, label: likes[label, y, x]
    )
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_starting_at_contours_changes_nothing(seed: int) -> None:
    """MMOCR's pixel aggregation starts at the kernels' contours, holes' included."""
    seeds, text = random_maps(seed)
    contours, _ = cv2.findContours(
        (seeds > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    drawn = np.zeros(text.shape, np.uint8)
    cv2.drawContours(drawn, contours, -1, (255,))
    expected = grow_by_queue(seeds, drawn > 0, text, PAN_ORDER)
    np.testing.assert_array_equal(grow(seeds, text), expected)


def test_seeds_outside_the_allowed_area_stay_and_grow() -> None:
    seeds = np.zeros((3, 5), np.int32)
    seeds[1, 0] = 7
    allowed = np.zeros((3, 5), bool)
    allowed[1, 1:4] = True
    np.testing.assert_array_equal(grow(seeds, allowed)[1], [7, 7, 7, 7, 0])


def test_nothing_wraps_around_the_edges() -> None:
    seeds = np.zeros((3, 4), np.int32)
    seeds[1, 3] = 1
    allowed = np.zeros((3, 4), bool)
    allowed[:, 0] = True
    np.testing.assert_array_equal(grow(seeds, allowed), seeds)


def test_the_input_is_left_alone() -> None:
    seeds, text = random_maps(3)
    before = seeds.copy(), text.copy()
    grow(seeds, text)
    np.testing.assert_array_equal(seeds, before[0])
    np.testing.assert_array_equal(text, before[1])


@pytest.mark.parametrize("kind", ["quad", "poly"])
def test_outlines_run_clockwise_in_the_order_of_labels(kind: str) -> None:
    labels = np.zeros((60, 90), np.int32)
    labels[5:15, 50:80] = 2
    labels[30:40, 10:30] = 1
    scores = np.where(labels == 2, 0.9, 0.5).astype(np.float32)
    found = label_boundaries(labels, scores, kind, 16, 0.1)  # type: ignore[arg-type]
    assert [boundary.score for boundary in found] == pytest.approx([0.5, 0.9])
    for boundary, (left, top, right, bottom) in zip(
        found, [(10, 30, 29, 39), (50, 5, 79, 14)], strict=True
    ):
        assert boundary.points.dtype == np.float64
        corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
        assert {tuple(point) for point in boundary.points.round(3).tolist()} == corners
        assert cv2.contourArea(boundary.points.astype(np.float32), oriented=True) > 0


def test_area_and_score_decide() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[2:6, 2:6] = 1  # 16 pixels
    labels[10:13, 2:7] = 2  # 15 pixels
    labels[2:8, 20:30] = 4  # there is no 3
    scores = np.full(labels.shape, 0.5, np.float32)
    scores[labels == 4] = 0.75
    kept = label_boundaries(labels, scores, "quad", 16, 0.25)
    assert [boundary.score for boundary in kept] == [0.5, 0.75]
    assert [b.score for b in label_boundaries(labels, scores, "quad", 16, 0.5)] == [0.75]
    assert len(label_boundaries(labels, scores, "quad", 0, 0.25)) == 3
    assert label_boundaries(np.zeros_like(labels), scores, "poly", 0, -1) == []


def test_outlines_with_fewer_than_four_points_are_dropped() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[3, 3:9] = 1
    scores = np.ones(labels.shape, np.float32)
    assert label_boundaries(labels, scores, "poly", 0, 0) == []
    assert len(label_boundaries(labels, scores, "quad", 0, 0)) == 1
