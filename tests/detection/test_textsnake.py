"""TextSnake from network to boundaries, against MMOCR's numbers and in odd cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ocr_models.detection.masks import fill_holes, number_regions
from ocr_models.detection.textsnake import TextSnake, TextSnakeConfig
from ocr_models.detection.textsnake_postprocess import (
    TextSnakePostprocessing,
    textsnake_boundaries,
)
from ocr_models.detection.thinning import thin
from ocr_models.errors import ConfigError
from ocr_models.layers.resnet import ResNetConfig
from tests.conformance import formulas

GOLDEN = Path(__file__).parents[1] / "golden" / "postprocess"
CASES = json.loads((GOLDEN / "cases.json").read_text())
DEFAULT_CASES = sorted(
    name for name, case in CASES.items() if case["type"] == "TextSnakePostprocessor"
    and not case["args"]
)  # fmt: skip
CONFIG = TextSnakePostprocessing()

Mask = NDArray[np.bool_]


def blobs(count: int) -> Iterator[Mask]:
    """Random masks from specks to large areas."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        noise = generator.standard_normal((40, 50)).astype(np.float32)
        yield cv2.GaussianBlur(noise, (0, 0), generator.uniform(0.4, 4)) > 0


def regions(mask: Mask) -> int:
    return cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[0] - 1


def maps_of(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> NDArray[np.float32]:
    """Maps of upright words that a trained network might give: (left, top, right, bottom) each."""
    maps = np.zeros((5, height, width), np.float32)
    maps[:2] = -6
    maps[3] = 1
    for left, top, right, bottom in boxes:
        radius = (bottom - top) / 2
        middle, reach = (top + bottom) / 2, 0.3 * radius
        maps[0, top:bottom, left:right] = 6
        ends = int(radius / 2)
        maps[1, int(middle - reach) : int(middle + reach) + 1, left + ends : right - ends] = 6
        maps[4, top:bottom, left:right] = radius
    return maps


# --- network -----------------------------------------------------------------------------------


def test_network_has_five_maps_of_the_images_size() -> None:
    network = TextSnake(TextSnakeConfig(ResNetConfig(18))).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(2, 3, 64, 96))
        assert torch.equal(torch.stack(maps, dim=1), network.maps(torch.zeros(2, 3, 64, 96)))
    assert maps._fields == ("text_logits", "center_logits", "sin", "cos", "radius")
    assert all(tensor.shape == (2, 64, 96) for tensor in maps)


def test_network_of_an_image_does_not_depend_on_its_batch() -> None:
    network = TextSnake(TextSnakeConfig(ResNetConfig(18))).eval()
    formulas.fill(network, 3)
    images = torch.from_numpy(formulas.tensor((2, 3, 64, 64), 1))
    with torch.inference_mode():
        both, alone = network.maps(images), network.maps(images[1:])
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-4, atol=1e-5)


# --- masks and thinning ------------------------------------------------------------------------


def test_holes_are_filled() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:7, 2:9] = True
    mask[4, 4:6] = False  # a hole
    mask[5, 8] = False  # a bay
    mask[0, 0] = True  # the corner that filling starts beside
    filled = fill_holes(mask).astype(bool)
    assert filled[4, 4:6].all()
    assert not filled[5, 8]
    np.testing.assert_array_equal(filled[mask], True)
    assert filled.sum() == mask.sum() + 2
    ring = ~np.eye(8, dtype=bool)
    assert fill_holes(ring).sum() == 64 - 2  # leaks at the two corners only
    assert not fill_holes(np.zeros((3, 4), bool)).any()
    assert fill_holes(np.ones((3, 4), bool)).all()


def test_regions_are_numbered_and_small_ones_left_out() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:5, 2:5], mask[5, 5], mask[10:18, 10:28] = 1, 1, 1
    labels, numbers = number_regions(mask)
    assert len(numbers) == 2
    assert labels[5, 5] == labels[2, 2] != labels[10, 10] != 0
    np.testing.assert_array_equal(labels > 0, mask > 0)
    labels, numbers = number_regions(mask, min_area=50)
    assert len(numbers) == 1
    assert (labels > 0).sum() == 8 * 18


def test_skeletons_hang_together_as_their_masks_do_and_are_thin() -> None:
    compared = 0
    for mask in blobs(60):
        skeleton = thin(mask)
        assert not (skeleton & ~mask).any()
        # Squares of two pixels are the only components that thinning may lose.
        kept = [
            (skeleton & (labels == number)).any()
            for labels in [cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[1]]
            for number in range(1, labels.max() + 1)
        ]
        assert regions(skeleton) >= sum(kept) - 1
        np.testing.assert_array_equal(thin(skeleton), skeleton)
        squares = skeleton[1:, 1:] & skeleton[1:, :-1] & skeleton[:-1, 1:] & skeleton[:-1, :-1]
        assert squares.sum() <= 0.05 * skeleton.sum() + 1
        compared += int(skeleton.sum())
    assert compared > 3000


def test_skeleton_of_a_bar_is_its_middle() -> None:
    bar = np.zeros((15, 60), bool)
    bar[4:11, 5:55] = True
    y, x = np.nonzero(thin(bar))
    inner = (x > 12) & (x < 47)
    assert set(y[inner]) == {7}
    assert len(np.unique(x[inner])) == 34
    assert not thin(np.zeros((4, 4), bool)).any()
    speck = np.zeros((5, 5), bool)
    speck[2, 2] = True
    np.testing.assert_array_equal(thin(speck), speck)


# --- boundaries --------------------------------------------------------------------------------


def test_sweep_size() -> None:
    assert DEFAULT_CASES == ["textsnake_a_default", "textsnake_b_default"]


@pytest.mark.parametrize("name", DEFAULT_CASES)
def test_boundaries_equal_mmocr(name: str) -> None:
    case = CASES[name]
    with np.load(GOLDEN / f"{name.removesuffix('_default')}.npz") as arrays:
        found = textsnake_boundaries(arrays["preds"], CONFIG)
    assert len(found) == len(case["boundaries"]) > 0
    for ours, theirs in zip(found, case["boundaries"], strict=True):
        np.testing.assert_array_equal(ours.points, np.reshape(theirs[:-1], (-1, 2)))
        assert ours.score == pytest.approx(theirs[-1], abs=1e-6)


def test_words_are_found_where_they_are() -> None:
    boxes = [(20, 20, 120, 44), (150, 30, 280, 50), (20, 80, 90, 110), (200, 120, 300, 140)]
    found = textsnake_boundaries(maps_of(boxes, 160, 320), CONFIG)
    assert len(found) == len(boxes)
    for left, top, right, bottom in boxes:
        truth = np.zeros((160, 320), np.uint8)
        truth[top:bottom, left:right] = 1
        overlaps = []
        for boundary in found:
            mask = cv2.fillPoly(np.zeros_like(truth), [boundary.points.astype(np.int32)], (1,))
            both = np.logical_and(mask, truth).sum()
            overlaps.append(both / np.logical_or(mask, truth).sum())
        assert max(overlaps) > 0.8
    # The last disks reach over the ends of the words.
    assert all(boundary.score > 0.85 for boundary in found)


@pytest.mark.parametrize("value", [-9.0, 9.0])
@pytest.mark.parametrize("radius", [0.0, -3.0, 0.5, 40.0, 1e9])
def test_nonsense_maps_end_in_time(value: float, radius: float) -> None:
    maps = np.zeros((5, 64, 96), np.float32)
    maps[:2], maps[3], maps[4] = value, 1, radius
    for boundary in textsnake_boundaries(maps, CONFIG):
        assert np.isfinite(boundary.points).all()
        assert 0 <= boundary.score <= 1


def test_random_maps_and_half_precision() -> None:
    maps = np.random.default_rng(1).standard_normal((5, 96, 128)).astype(np.float16) * 4
    for boundary in textsnake_boundaries(maps, CONFIG):
        assert boundary.points.dtype == np.float64
    assert textsnake_boundaries(np.full((5, 8, 8), -20, np.float32), CONFIG) == []


def test_every_word_of_a_page_is_found() -> None:
    boxes = [
        (20 + 125 * column, 10 + 36 * row, 120 + 125 * column, 34 + 36 * row)
        for row in range(20)
        for column in range(10)
    ]
    maps = maps_of(boxes, 736, 1280)
    assert len(textsnake_boundaries(maps, CONFIG)) == 200


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="disk_overlap_thr is -1"):
        TextSnakePostprocessing(disk_overlap_thr=-1)
