"""TextSnake's targets and loss: equal to MMOCR's numbers, and well-behaved in odd cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ocr_models.detection.textsnake import TextSnake, TextSnakeConfig
from ocr_models.errors import ConfigError
from ocr_models.layers.resnet import ResNetConfig
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.textsnake import (
    TextSnakeLoss,
    TextSnakeLossConfig,
    TextSnakeObjective,
    TextSnakeTargetMaps,
    TextSnakeTargets,
    balanced_cross_entropy,
    make_targets,
)

GOLDEN = Path(__file__).parents[1] / "golden"
MAP_NAMES = (
    "gt_text_mask",
    "gt_center_region_mask",
    "gt_mask",
    "gt_radius_map",
    "gt_sin_map",
    "gt_cos_map",
)
LOSS_NAMES = ["loss_text", "loss_center", "loss_radius", "loss_sin", "loss_cos"]
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "TextSnakeLoss"
}
OBJECTIVE = TextSnakeObjective(TextSnakeLossConfig())
WORD: list[float] = [10, 20, 90, 20, 90, 44, 10, 44]

# Outlines without sides: nothing is learnt from them, and nothing is held against them.
IGNORED: dict[str, list[float]] = {
    "nothing": [],
    "point": [5, 5],
    "segment": [5, 5, 9, 5],
    "triangle": [10, 10, 60, 10, 60, 40],
    "same point": [5, 5, 5, 5, 5, 5, 5, 5],
    "three corners, one twice": [10, 10, 60, 10, 60, 40, 60, 40],
}
# What can be drawn one way or the other, and must not fail.
UNUSUAL: dict[str, list[float]] = {
    "flat": [0, 0, 60, 0, 60, 0, 0, 0],
    "bow tie": [10, 10, 60, 60, 60, 10, 10, 60],
    "there and back": [10, 10, 60, 10, 10, 10, 60, 10],
    "thin": [10, 10, 50, 10, 50, 11, 10, 11],
    "tiny": [10, 10, 12, 10, 12, 12, 10, 12],
    "outside": [-500, -500, -400, -500, -400, -400, -500, -400],
    "far away": [1e6, 1e6, 2e6, 1e6, 2e6, 2e6, 1e6, 2e6],
    "larger than the image": [-900, -900, 2000, -900, 2000, 2000, -900, 2000],
    "over the edge": [-20, 10, 40, 10, 40, 30, -20, 30],
    "five corners": [10, 10, 30, 8, 50, 10, 50, 30, 10, 30],
    "repeated corners": [10, 10, 40, 10, 40, 10, 40, 30, 10, 30, 10, 10],
}


def test_sweeps_are_complete() -> None:
    assert sorted(LOSSES) == ["textsnake_empty", "textsnake_full", "textsnake_half"]
    assert (len(IGNORED), len(UNUSUAL)) == (6, 11)


# --- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["a", "b"])
def test_targets_equal_mmocr(scene: str) -> None:
    content = json.loads((GOLDEN / "targets" / f"scene_{scene}.json").read_text())
    maps = make_targets(content["polygons"], content["ignored"], *content["img_hw"])
    with np.load(GOLDEN / "targets" / f"textsnake_{scene}.npz") as expected:
        for name, got in zip(MAP_NAMES, maps, strict=True):
            np.testing.assert_allclose(got, expected[name][0], atol=1e-4, err_msg=name)


def test_geometry_of_a_plain_word() -> None:
    maps = make_targets([WORD], [], 64, 128)
    center = maps.center.astype(bool)
    np.testing.assert_allclose(maps.radius[center], 12, atol=1e-5)
    np.testing.assert_allclose(maps.cos[center], 1, atol=1e-5)
    np.testing.assert_allclose(maps.sin[center], 0, atol=1e-5)
    y, x = np.nonzero(center)
    assert (y.min(), y.max()) == (28, 35)  # 32 -+ 0.3 * 12, cut off
    assert x.min() > 10
    assert x.max() < 90
    assert not maps.radius[~center].any()


def test_vertical_text_runs_downwards() -> None:
    maps = make_targets([[20, 10, 40, 10, 40, 110, 20, 110]], [], 128, 64)
    center = maps.center.astype(bool)
    assert center.any()
    np.testing.assert_allclose(maps.sin[center], 1, atol=1e-5)


def test_start_and_direction_of_the_outline_do_not_matter() -> None:
    word = np.reshape(WORD, (-1, 2))
    expected = make_targets([word], [], 64, 128)
    for outline in (np.roll(word, 1, axis=0), np.roll(word, 2, axis=0), word[::-1]):
        for got, wanted in zip(make_targets([outline], [], 64, 128), expected, strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("name", IGNORED)
def test_outlines_without_sides_are_masked_out(name: str) -> None:
    maps = make_targets([IGNORED[name], WORD], [], 64, 128)
    alone = make_targets([WORD], [IGNORED[name]], 64, 128)
    for got, expected in zip(maps, alone, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert maps.mask.all() == (not IGNORED[name])


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_outlines(name: str) -> None:
    for polygons, ignored in (([UNUSUAL[name]], []), ([], [UNUSUAL[name]])):
        maps = make_targets(polygons, ignored, 64, 96)
        assert all(np.isfinite(values).all() for values in maps)
        assert np.abs(maps.sin).max() <= 1 + 1e-6
        assert maps.radius.min() >= 0


@pytest.mark.parametrize("polygon", [[1, 2, 3, float("nan")], [1, 2, 3]])
def test_impossible_coordinates_are_refused(polygon: list[float]) -> None:
    with pytest.raises(ValueError, match="polygon has"):
        make_targets([polygon], [], 32, 32)


@pytest.mark.parametrize("settings", [{"resample_step": 0}, {"center_region_shrink_ratio": 2}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        TextSnakeTargets(**settings)
    with pytest.raises(ConfigError, match="ohem_ratio"):
        TextSnakeLossConfig(ohem_ratio=-1)


def test_step_of_the_pipeline() -> None:
    sample = Sample("scene", image=np.zeros((64, 128, 3), np.float32))
    sample.polygons = [np.reshape(WORD, (-1, 2)).astype(float)]
    build_pipeline([{"type": "TextSnakeTargets", "resample_step": 8.0}])(
        sample, np.random.default_rng(0)
    )
    expected = make_targets([WORD], [], 64, 128, TextSnakeTargets(resample_step=8.0))
    for got, wanted in zip(sample.targets, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


# --- loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    with np.load(GOLDEN / "losses" / case["input"]) as arrays:
        maps = torch.from_numpy(arrays["preds"]).requires_grad_()
        targets = TextSnakeTargetMaps(*(torch.from_numpy(arrays[n][:, 0]) for n in MAP_NAMES))
    losses = TextSnakeLoss()(maps, targets)
    assert list(losses) == LOSS_NAMES
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    assert maps.grad is not None
    assert maps.grad.abs().sum().item() == pytest.approx(case["grad_abs_sum"]["preds"], rel=1e-4)


EMPTY_SCENES: dict[str, tuple[list[list[float]], list[list[float]]]] = {
    "no text": ([], []),
    "only ignored": ([], [WORD]),
    "all ignored": ([], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "text that is ignored too": ([WORD], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "only degenerate": ([IGNORED["triangle"], UNUSUAL["flat"], UNUSUAL["bow tie"]], []),
}


@pytest.mark.parametrize("scene", EMPTY_SCENES)
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["moderate", "saturated"])
def test_without_text_loss_and_gradient_stay_finite(scene: str, scale: float) -> None:
    targets = OBJECTIVE.collate([make_targets(*EMPTY_SCENES[scene], 64, 96)] * 2)
    maps = torch.linspace(-1, 1, 2 * 5 * 64 * 96).reshape(2, 5, 64, 96).mul(scale).requires_grad_()
    total = torch.stack(list(TextSnakeLoss()(maps, targets).values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_zero_direction_has_a_gradient() -> None:
    targets = OBJECTIVE.collate([make_targets([WORD], [], 64, 96)])
    maps = torch.zeros(1, 5, 64, 96, requires_grad=True)
    torch.stack(list(TextSnakeLoss()(maps, targets).values())).sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_images_smaller_than_the_background_quota() -> None:
    zeros = torch.zeros(1, 4, 4)
    loss = balanced_cross_entropy(zeros, zeros, torch.ones(1, 4, 4), 3)
    assert loss.item() == pytest.approx(16 * np.log(2) / 100, rel=1e-5)


def test_perfect_maps_cost_next_to_nothing() -> None:
    targets = OBJECTIVE.collate([make_targets([WORD], [], 64, 96)])
    logits = (torch.stack([targets.text, targets.center], 1).float() - 0.5) * 60
    geometry = torch.stack([targets.sin, targets.cos, targets.radius], 1)
    losses = TextSnakeLoss()(torch.cat([logits, geometry], 1), targets)
    assert sum(loss.item() for loss in losses.values()) < 1e-4


def test_autocast_computes_in_float32_and_sizes_must_fit() -> None:
    targets = OBJECTIVE.collate([make_targets([WORD], [], 64, 96)])
    maps = torch.rand(1, 5, 64, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = TextSnakeLoss()(maps, targets)
    for key, value in TextSnakeLoss()(maps.float(), targets).items():
        assert rounded[key].dtype == torch.float32
        assert rounded[key].item() == value.item()
    with pytest.raises(ValueError, match="64 x 96"):
        TextSnakeLoss()(torch.zeros(1, 5, 40, 96), targets)


def test_a_network_learns() -> None:
    torch.manual_seed(0)
    network = TextSnake(TextSnakeConfig(ResNetConfig(18), 16)).train()
    images = torch.rand(2, 3, 64, 96)
    targets = OBJECTIVE.collate([make_targets([WORD], [], 64, 96), make_targets([], [], 64, 96)])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    totals = []
    for _ in range(8):
        losses = OBJECTIVE.losses(network, images, targets)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
