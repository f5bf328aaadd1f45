"""DBNet's targets and loss: equal to MMOCR's numbers, and well-behaved where there is no text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from ocr_models.errors import ConfigError
from ocrserve.train.objectives.dbnet import (
    DBLoss,
    DBLossConfig,
    DBNetTargets,
    DBTargetMaps,
    make_targets,
)

GOLDEN = Path(__file__).parents[1] / "golden"
MAP_NAMES = ("gt_shrink", "gt_shrink_mask", "gt_thr", "gt_thr_mask")
SCENES = sorted(path.stem[-1] for path in (GOLDEN / "targets").glob("scene_*.json"))
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "DBLoss"
}

# Outlines from which nothing can be learnt; none may fail, and each is masked out.
DEGENERATE = {
    "nothing": [],
    "point": [5, 5],
    "segment": [5, 5, 9, 5],
    "same point": [5, 5, 5, 5, 5, 5, 5, 5],
    "flat": [0, 0, 60, 0, 60, 0, 0, 0],
    "bow tie": [10, 10, 60, 60, 60, 10, 10, 60],
    "thin": [10, 10, 50, 10, 50, 13, 10, 13],
    "sliver triangle": [10, 10, 50, 10, 50.5, 10.2],
}
# Ordinary text in an extraordinary place or notation.
UNUSUAL = {
    "outside": [-500, -500, -400, -500, -400, -400, -500, -400],
    "far away": [1e6, 1e6, 2e6, 1e6, 2e6, 2e6, 1e6, 2e6],
    "whole image": [0, 0, 95, 0, 95, 63, 0, 63],
    "larger than the image": [-900, -900, 2000, -900, 2000, 2000, -900, 2000],
    "over the edge": [-20, 10, 40, 10, 40, 30, -20, 30],
    "repeated corner": [10, 10, 40, 10, 40, 30, 10, 30, 10, 10, 10, 10],
    "anticlockwise": [10, 10, 10, 30, 40, 30, 40, 10],
}


def _rectangles(count: int, size: int, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    outlines = []
    for _ in range(count):
        width, height = generator.uniform(30, 160), generator.uniform(10, 40)
        angle = generator.uniform(-0.5, 0.5)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
        outlines.append(corners @ turn.T + generator.uniform(0, size, 2))
    return outlines


def test_sweeps_are_complete() -> None:
    assert SCENES == ["a", "b"]
    assert sorted(LOSSES) == ["db_bbce", "db_bbce_neg1", "db_dice", "db_empty"]
    assert len(DEGENERATE) == 8
    assert len(UNUSUAL) == 7


# --- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES)
def test_targets_equal_mmocr(scene: str) -> None:
    content = json.loads((GOLDEN / "targets" / f"scene_{scene}.json").read_text())
    maps = make_targets(content["polygons"], content["ignored"], *content["img_hw"])
    with np.load(GOLDEN / "targets" / f"dbnet_{scene}.npz") as expected:
        for name, got in zip(MAP_NAMES, maps, strict=True):
            tolerance = 1e-4 if name == "gt_thr" else 0
            np.testing.assert_allclose(got, expected[name][0], atol=tolerance, err_msg=name)


@pytest.mark.parametrize("shift", [(7, 3), (-30, 0), (0, 41), (-5, -90)])
def test_text_over_the_edge_is_the_visible_part_of_whole_text(shift: tuple[int, int]) -> None:
    outlines = [np.round(outline) for outline in _rectangles(12, 150, seed=1)]
    whole = make_targets([o + 200 for o in outlines[2:]], [o + 200 for o in outlines[:2]], 600, 600)
    outlines = [outline + np.array(shift) for outline in outlines]
    cut = make_targets(outlines[2:], outlines[:2], 160, 160)
    left, top = 200 - shift[0], 200 - shift[1]
    visible = [values[top : top + 160, left : left + 160] for values in whole]
    np.testing.assert_allclose(cut.threshold, visible[2], atol=1e-5)
    # OpenCV draws a clipped edge by up to a pixel differently.
    for got, expected in zip(cut, visible, strict=True):
        assert (np.abs(got - expected) > 1e-5).mean() < 0.02


def test_distance_is_that_of_the_plain_formula() -> None:
    """The separable form against one triangle per pixel and side, by the law of cosines."""
    outline = np.array([[20.5, 18.25], [70.75, 30.5], [64.0, 52.0], [14.25, 40.0]])
    config = DBNetTargets()
    maps = make_targets([outline], [], 80, 100, config)
    ys, xs = np.mgrid[:80, :100] + 1e-9  # never exactly on a corner
    following = np.roll(outline, -1, axis=0)
    nearest = np.full(xs.shape, np.inf)
    for (ax, ay), (bx, by) in zip(outline, following, strict=True):
        a, b = np.hypot(xs - ax, ys - ay), np.hypot(xs - bx, ys - by)
        c = np.hypot(ax - bx, ay - by)
        cosine = (a**2 + b**2 - c**2) / (2 * a * b)
        height = a * b * np.sqrt(1 - np.clip(cosine, -1, 1) ** 2) / c
        nearest = np.minimum(nearest, np.where(cosine > 0, np.minimum(a, b), height))
    perimeter = np.hypot(*(following - outline).T).sum()
    border = _area(outline) * (1 - config.shrink_ratio**2) / perimeter
    expected = 0.3 + 0.4 * (1 - np.minimum(nearest / border, 1))
    # Clipper works on whole pixels, so the outermost pixel of the border may be left out.
    inner = expected > 0.3 + 0.4 * 1.5 / border
    assert inner.sum() > 1000
    np.testing.assert_allclose(maps.threshold[inner], expected[inner], atol=1e-5)
    assert maps.threshold[~inner].max() <= expected[~inner].max() + 1e-5


def _area(outline: np.ndarray) -> float:
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    return abs(float((x * next_y - next_x * y).sum())) / 2


def test_no_text_at_all() -> None:
    maps = make_targets([], [], 32, 48)
    assert not maps.shrink.any()
    assert maps.shrink_mask.all()
    assert not maps.threshold_mask.any()
    np.testing.assert_allclose(maps.threshold, 0.3)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_outlines_are_masked_out(name: str) -> None:
    outline = DEGENERATE[name]
    good = [10, 40, 80, 40, 80, 60, 10, 60]
    maps = make_targets([outline, good, outline], [outline], 64, 96)
    alone = make_targets([good], [], 64, 96)
    np.testing.assert_array_equal(maps.shrink, alone.shrink)
    np.testing.assert_array_equal(maps.threshold, alone.threshold)
    np.testing.assert_array_equal(maps.threshold_mask, alone.threshold_mask)
    assert maps.shrink_mask.all() == (not outline)


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_outlines(name: str) -> None:
    for polygons, ignored in (([UNUSUAL[name]], []), ([], [UNUSUAL[name]])):
        maps = make_targets(polygons, ignored, 64, 96)
        assert all(np.isfinite(values).all() for values in maps)
        assert maps.threshold.min() >= 0.3
        assert maps.threshold.max() <= 0.7 + 1e-6


def test_orientation_does_not_matter() -> None:
    outlines = _rectangles(6, 200, seed=2)
    forward = make_targets(outlines, [], 200, 200)
    backward = make_targets([outline[::-1] for outline in outlines], [], 200, 200)
    for left, right in zip(forward, backward, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.parametrize("polygon", [[1, 2, 3, float("nan")], [1, 2, 3, float("inf")], [1, 2, 3]])
def test_impossible_coordinates_are_refused(polygon: list[float]) -> None:
    with pytest.raises(ValueError, match="polygon has"):
        make_targets([polygon], [], 32, 32)


@pytest.mark.parametrize(
    "settings", [{"shrink_ratio": 0}, {"shrink_ratio": 1.5}, {"thr_min": 0.8}, {"thr_max": 2}]
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        DBNetTargets(**settings)


# --- loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    with np.load(GOLDEN / "losses" / case["input"]) as arrays:
        predictions = torch.from_numpy(arrays["preds"]).requires_grad_()
        targets = DBTargetMaps(*(torch.from_numpy(arrays[key][:, 0]) for key in MAP_NAMES))
    losses = DBLoss(DBLossConfig(**case["args"]))(*predictions.unbind(1), targets)
    assert list(losses) == ["loss_prob", "loss_db", "loss_thr"]
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    assert predictions.grad is not None
    for key, got in (
        ("grad_abs_sum", predictions.grad.abs().sum()),
        ("grad_sum", predictions.grad.sum()),
    ):
        assert got.item() == pytest.approx(case[key]["preds"], rel=1e-5, abs=1e-7)


EMPTY_SCENES = {
    "no text": ([], []),
    "only ignored": ([], [[10, 10, 60, 10, 60, 40, 10, 40]]),
    "all ignored": ([], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "only degenerate": ([DEGENERATE["bow tie"], DEGENERATE["flat"]], []),
}


@pytest.mark.parametrize("balanced", [True, False], ids=["bbce", "dice"])
@pytest.mark.parametrize("scene", EMPTY_SCENES)
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["moderate", "saturated"])
def test_without_text_loss_and_gradient_stay_finite(
    scene: str, balanced: bool, scale: float
) -> None:
    targets = default_collate([make_targets(*EMPTY_SCENES[scene], 64, 96)] * 2)
    logits = torch.linspace(-1, 1, 2 * 3 * 64 * 96).reshape(2, 3, 64, 96).mul(scale)
    logits.requires_grad_()
    losses = DBLoss(DBLossConfig(bbce_loss=balanced))(*logits.sigmoid().unbind(1), targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert losses["loss_thr"].item() == 0


def test_perfect_maps_cost_next_to_nothing() -> None:
    targets = default_collate([make_targets([[10, 10, 90, 10, 90, 50, 10, 50]], [], 64, 96)])
    kernels = (targets.shrink > 0).float()
    losses = DBLoss(DBLossConfig(bbce_loss=True))(kernels, targets.threshold, kernels, targets)
    assert sum(loss.item() for loss in losses.values()) < 1e-4


def test_ignored_text_is_free() -> None:
    ignored = [[10, 10, 90, 10, 90, 50, 10, 50]]
    learnt = [[100, 10, 180, 10, 180, 50, 100, 50]]
    targets = default_collate([make_targets(learnt, ignored, 64, 192)])
    loss = DBLoss(DBLossConfig(bbce_loss=True))
    zeros = torch.full((1, 64, 192), 0.5)
    other = zeros.clone()
    other[:, 12:48, 12:88] = 0.9
    for key, value in loss(zeros, zeros, zeros, targets).items():
        assert value.item() == loss(other, other, other, targets)[key].item()


def test_autocast_computes_in_float32() -> None:
    targets = default_collate([make_targets([[10, 10, 90, 10, 90, 50, 10, 50]], [], 64, 96)])
    maps = torch.rand(3, 1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    loss = DBLoss(DBLossConfig(bbce_loss=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss(*maps.bfloat16(), targets)
    for key, value in loss(*maps.bfloat16().float(), targets).items():
        assert rounded[key].dtype == torch.float32
        assert rounded[key].item() == value.item()


def test_shapes_that_do_not_fit_are_named() -> None:
    targets = default_collate([make_targets([], [], 64, 96)])
    right, wrong = torch.rand(1, 1, 64, 96), torch.rand(1, 1, 32, 48)
    with pytest.raises(ValueError, match=r"threshold map has shape \(1, 1, 32, 48\)"):
        DBLoss()(right, wrong, right, targets)


@pytest.mark.parametrize("settings", [{"negative_ratio": -1}, {"eps": 0}])
def test_impossible_loss_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        DBLossConfig(**settings)
