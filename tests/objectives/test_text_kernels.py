"""Target maps of kernels, and the parts of losses that PANet and PSENet share."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocr_models.errors import ConfigError
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.text_kernels import (
    KernelTargets,
    at_output_size,
    dice,
    hard_pixels,
    make_targets,
)

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {
    name: setting
    for name, setting in json.loads((GOLDEN / "targets" / "index.json").read_text())[
        "target_settings"
    ].items()
    if setting["type"] in ("PANetTargets", "PSENetTargets")
}
PAN = KernelTargets((1.0, 0.5))
GOOD = [10, 20, 80, 20, 80, 44, 10, 44]

# Outlines from which little or nothing can be learnt; none may fail.
DEGENERATE: dict[str, list[float]] = {
    "nothing": [],
    "point": [5, 5],
    "segment": [5, 5, 9, 5],
    "same point": [5, 5, 5, 5, 5, 5, 5, 5],
    "flat": [0, 0, 60, 0, 60, 0, 0, 0],
    "bow tie": [10, 10, 60, 60, 60, 10, 10, 60],
    "thin": [10, 10, 50, 10, 50, 11, 10, 11],
    "sliver triangle": [10, 10, 50, 10, 50.5, 10.2],
    "outside": [-500, -500, -400, -500, -400, -400, -500, -400],
    "far away": [1e6, 1e6, 2e6, 1e6, 2e6, 2e6, 1e6, 2e6],
    "larger than the image": [-900, -900, 2000, -900, 2000, 2000, -900, 2000],
    "repeated corner": [10, 10, 40, 10, 40, 30, 10, 30, 10, 10, 10, 10],
}


def test_sweep_sizes() -> None:
    assert sorted(KINDS) == ["panet_ctw", "panet_ic15", "psenet"]
    assert len(DEGENERATE) == 12


# --- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["a", "b"])
@pytest.mark.parametrize("kind", KINDS)
def test_targets_equal_mmocr(kind: str, scene: str) -> None:
    content = json.loads((GOLDEN / "targets" / f"scene_{scene}.json").read_text())
    height, width = content["img_hw"]
    sample = Sample("scene", image=np.zeros((height, width, 3), np.uint8))
    sample.polygons = [np.reshape(polygon, (-1, 2)) for polygon in content["polygons"]]
    sample.ignored = [np.reshape(polygon, (-1, 2)) for polygon in content["ignored"]]
    maps = build_pipeline([KINDS[kind]])(sample, np.random.default_rng(0)).targets
    with np.load(GOLDEN / "targets" / f"{kind}_{scene}.npz") as expected:
        np.testing.assert_array_equal(maps.kernels, expected["gt_kernels"])
        np.testing.assert_array_equal(maps.mask, expected["gt_mask"][0])
    assert (maps.kernels.dtype, maps.mask.dtype) == (np.int16, np.uint8)


def test_kernels_lie_in_each_other_and_keep_their_numbers() -> None:
    config = KernelTargets((1.0, 0.8, 0.6, 0.4))
    kernels, _ = make_targets([GOOD, [90, 5, 150, 25, 140, 60, 85, 40]], [], 70, 160, config)
    assert set(np.unique(kernels)) == {0, 1, 2}
    for larger, smaller in pairwise(kernels):
        assert ((smaller == 0) | (smaller == larger)).all()
        assert 0 < (smaller > 0).sum() < (larger > 0).sum()


def test_no_outline_moves_further_than_max_shrink() -> None:
    square = [10, 10, 210, 10, 210, 210, 10, 210]
    kernels, _ = make_targets([square], [], 220, 220, KernelTargets((1.0, 0.1), max_shrink=7))
    rows = np.flatnonzero(kernels[1].any(axis=1))
    assert (rows[0], rows[-1]) == (17, 203)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_outlines_do_no_harm(name: str) -> None:
    outline = DEGENERATE[name]
    maps = make_targets([outline, GOOD, outline], [outline], 64, 96, PAN)
    assert maps.kernels.max() <= 3
    if name in ("nothing", "point", "segment", "same point", "flat", "outside", "far away"):
        alone = make_targets([GOOD], [], 64, 96, PAN)
        np.testing.assert_array_equal(maps.kernels > 0, alone.kernels > 0)


def test_no_text_at_all() -> None:
    maps = make_targets([], [], 32, 48, PAN)
    assert maps.kernels.shape == (2, 32, 48)
    assert not maps.kernels.any()
    assert maps.mask.all()


def test_ignored_text_is_only_in_the_mask() -> None:
    maps = make_targets([], [GOOD], 64, 96, PAN)
    assert not maps.kernels.any()
    np.testing.assert_array_equal(maps.mask == 0, make_targets([GOOD], [], 64, 96, PAN)[0][0] > 0)


@pytest.mark.parametrize("polygon", [[1, 2, 3, float("nan")], [1, 2, 3, float("inf")], [1, 2, 3]])
def test_impossible_coordinates_are_refused(polygon: list[float]) -> None:
    with pytest.raises(ValueError, match="polygon has"):
        make_targets([polygon], [], 32, 32, PAN)


@pytest.mark.parametrize(
    ("ratios", "max_shrink", "message"),
    [
        ((1.0,), 20, "at least two"),
        ((0.9, 0.5), 20, "the first 1.0"),
        ((1.0, 0), 20, "each must be in"),
        ((1.0, 1.5), 20, "each must be in"),
        ((1.0, 0.5), -1, "max_shrink is -1"),
    ],
)
def test_impossible_settings_are_refused(
    ratios: tuple[float, ...], max_shrink: float, message: str
) -> None:
    for step in ("PANetTargets", "PSENetTargets"):
        with pytest.raises(ConfigError, match=message):
            build_pipeline([{"type": step, "shrink_ratio": ratios, "max_shrink": max_shrink}])


def test_maps_are_drawn_after_all_geometry() -> None:
    """MMOCR's configs have the target step before the last crop and padding."""
    steps: list[dict[str, Any]] = [
        {"type": "PANetTargets"},
        {"type": "ImgAug", "args": [["Fliplr", 1.0]]},
        {"type": "EastRandomCrop", "target_size": (64, 64)},
        {"type": "Pad", "size_divisor": 32},
        {"type": "CustomFormatBundle", "keys": ["gt_kernels", "gt_mask"]},
    ]
    sample = Sample("scene", image=np.zeros((60, 100, 3), np.uint8))
    sample.polygons = [np.reshape(GOOD, (-1, 2)).astype(np.float64)]
    sample = build_pipeline(steps)(sample, np.random.default_rng(0))
    expected = make_targets(sample.polygons, [], 64, 64, PAN)
    np.testing.assert_array_equal(sample.targets.kernels, expected.kernels)
    assert sample.targets.kernels.any()


# --- parts of losses ---------------------------------------------------------------------------


def test_reduction_takes_the_pixel_that_opencv_takes() -> None:
    maps = torch.arange(2 * 8 * 12).reshape(2, 8, 12)
    np.testing.assert_array_equal(at_output_size(maps, (2, 3), "maps"), maps[:, ::4, ::4])


@pytest.mark.parametrize("shape", [(3, 3), (2, 6), (16, 24)])
def test_sizes_that_do_not_fit_are_named(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="the target mask has 8 x 12 pixels"):
        at_output_size(torch.zeros(1, 8, 12), shape, "mask")


def plain_hard_pixels(
    scores: np.ndarray, text: np.ndarray, valid: np.ndarray, ratio: float
) -> np.ndarray:
    """One image, as MMOCR's rule reads."""
    wanted = int(min((text & valid).sum() * ratio, (~text).sum()))
    if wanted == 0:
        return valid
    threshold = np.sort(scores[~text])[::-1][wanted - 1]
    return ((scores >= threshold) | text) & valid


@pytest.mark.parametrize("seed", range(10))
def test_hard_pixels_equal_the_plain_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(4, 9, 11)).round(1).astype(np.float32)  # with ties
    text = rng.random((4, 9, 11)) < np.array([0, 0.1, 0.5, 1])[:, None, None]
    valid = rng.random((4, 9, 11)) < rng.random()
    for ratio in (0.001, 1, 3, 2.5):
        got = hard_pixels(
            torch.from_numpy(scores), torch.from_numpy(text), torch.from_numpy(valid), ratio
        )
        for image in range(4):
            expected = plain_hard_pixels(scores[image], text[image], valid[image], ratio)
            np.testing.assert_array_equal(got[image], expected)


def test_dice_by_hand() -> None:
    logits = torch.tensor([[0.0, 100.0], [-100.0, 0.0]])
    target = torch.tensor([[True, True], [False, False]])
    counted = torch.tensor([[True, True], [True, False]])
    # Predictions .5, 1, 0: overlap 1.5, squares 1.25 and 2.
    assert dice(logits, target, counted).item() == pytest.approx(1 - 2 * 1.501 / 3.252)
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    assert dice(logits, target, nothing).item() == pytest.approx(0)
