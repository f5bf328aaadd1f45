"""FCENet's targets and loss: equal to MMOCR's numbers, and well-behaved in odd cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ocr_models.detection.fcenet import STRIDES, FCELevel, FCENet, FCENetConfig
from ocr_models.detection.fcenet_postprocess import outlines
from ocr_models.errors import ConfigError
from ocr_models.layers.resnet import ResNetConfig
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.fcenet import (
    FCELossConfig,
    FCENetTargets,
    FCEObjective,
    FCETargetMaps,
    fourier_series,
    level_ranges,
    make_targets,
)

from .test_textsnake import IGNORED, UNUSUAL

GOLDEN = Path(__file__).parents[1] / "golden"
MAP_NAMES = ("p3_maps", "p4_maps", "p5_maps")
SETTINGS = {
    name: settings
    for name, settings in json.loads((GOLDEN / "targets" / "index.json").read_text())[
        "target_settings"
    ].items()
    if settings["type"] == "FCENetTargets"
}
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "FCELoss"
}
OBJECTIVE = FCEObjective(FCELossConfig(num_sample=50), fourier_degree=5)
WORD: list[float] = [10, 20, 90, 20, 90, 44, 10, 44]


def random_levels(batch: int, height: int, width: int, scale: float = 1) -> list[FCELevel]:
    generator = torch.Generator().manual_seed(0)
    return [
        FCELevel(
            *(
                torch.randn(batch, c, height // s, width // s, generator=generator)
                .mul(scale)
                .requires_grad_()
                for c in (4, 22)
            )
        )
        for s in STRIDES
    ]


def test_sweeps_are_complete() -> None:
    assert sorted(SETTINGS) == ["fcenet_ctw", "fcenet_ic15"]
    assert sorted(LOSSES) == ["fcenet_empty", "fcenet_full"]


# --- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["a", "b"])
@pytest.mark.parametrize("name", SETTINGS)
def test_targets_equal_mmocr(name: str, scene: str) -> None:
    content = json.loads((GOLDEN / "targets" / f"scene_{scene}.json").read_text())
    height, width = content["img_hw"]
    sample = Sample("scene", image=np.zeros((height, width, 3), np.float32))
    sample.polygons = [np.reshape(polygon, (-1, 2)) for polygon in content["polygons"]]
    sample.ignored = [np.reshape(polygon, (-1, 2)) for polygon in content["ignored"]]
    build_pipeline([SETTINGS[name]])(sample, np.random.default_rng(0))
    with np.load(GOLDEN / "targets" / f"{name}_{scene}.npz") as expected:
        for key, got in zip(MAP_NAMES, sample.targets, strict=True):
            np.testing.assert_array_equal(got[:3], expected[key][:3], err_msg=key)
            np.testing.assert_allclose(got[3:], expected[key][3:], atol=1e-5, err_msg=key)


def test_series_give_the_outline_back_whatever_its_start_and_direction() -> None:
    wave = np.array([[10, 30], [40, 18], [80, 22], [110, 34], [108, 52], [78, 40], [42, 36]], float)
    expected = fourier_series(wave, 5)
    assert abs(expected[6]) > abs(expected[4])
    curve = outlines(fourier_series(wave, 50)[None], 400)[0]
    to_corner = np.hypot(*(curve[:, None] - wave).transpose(2, 0, 1)).min(axis=0)
    assert to_corner.max() < 3
    for start in range(len(wave)):
        for outline in (np.roll(wave, start, axis=0), np.roll(wave[::-1], start, axis=0)):
            np.testing.assert_allclose(fourier_series(outline, 5), expected, atol=0.4)


def test_every_text_pixel_predicts_the_same_outline() -> None:
    maps = make_targets([WORD], [], 320, 160).stride8
    y, x = np.nonzero(maps[0])
    assert len(y) > 20
    constant = maps[3 + 5, y, x] + x
    np.testing.assert_allclose(constant, constant[0], atol=1e-4)
    np.testing.assert_allclose(constant[0] * 8, 50, atol=0.5)  # the middle of the word
    assert (maps[1] <= maps[0]).all()


def test_levels_share_texts_by_size() -> None:
    height = width = 320
    small, middle, large = ([10, 10, 10 + w, 10, 10 + w, 40, 10, 40] for w in (40, 160, 280))
    for outline, levels in ((small, {0}), (middle, {1}), (large, {2})):
        maps = make_targets([outline], [], height, width)
        assert {i for i, level in enumerate(maps) if level[0].any()} == levels
        hidden = make_targets([], [outline], height, width)
        assert {i for i, level in enumerate(hidden) if not level[2].all()} == levels
        assert not any(level[0].any() for level in hidden)


@pytest.mark.parametrize("name", IGNORED)
def test_outlines_without_sides_are_ignored(name: str) -> None:
    maps = make_targets([IGNORED[name], WORD], [], 128, 160)
    alone = make_targets([WORD], [IGNORED[name]], 128, 160)
    for got, expected in zip(maps, alone, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_outlines(name: str) -> None:
    for polygons, ignored in (([UNUSUAL[name]], []), ([], [UNUSUAL[name]])):
        maps = make_targets(polygons, ignored, 64, 96)
        assert all(np.isfinite(values).all() for values in maps)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="polygon has"):
        make_targets([[1, 2, 3]], [], 32, 32)
    for settings in (
        {"fourier_degree": 0},
        {"resample_step": 0},
        {"center_region_shrink_ratio": 2},
    ):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            FCENetTargets(**settings)  # type: ignore[arg-type]
    for ranges in ([], [(0, 1)], [(0, 0.4), (0.3, 0.7), (0.6, 1), (0, 1)]):
        with pytest.raises(ConfigError, match="level_proportion_range"):
            level_ranges(ranges)
    step = {"type": "FCENetTargets", "level_size_divisors": (4, 8, 16)}
    with pytest.raises(ConfigError, match="level_size_divisors"):
        build_pipeline([step])
    for loss in ({"num_sample": 0}, {"num_sample": 50, "ohem_ratio": -1}):
        with pytest.raises(ConfigError, match=list(loss)[-1]):
            FCELossConfig(**loss)  # type: ignore[arg-type]


# --- loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    with np.load(GOLDEN / "losses" / case["input"]) as arrays:
        inputs = {
            key: torch.from_numpy(arrays[key]).requires_grad_()
            for key in arrays.files
            if not key.endswith("_maps")
        }
        targets = FCETargetMaps(*(torch.from_numpy(arrays[key]) for key in MAP_NAMES))
    levels = [FCELevel(inputs[f"cls{i}"], inputs[f"reg{i}"]) for i in range(3)]
    losses = OBJECTIVE.loss(levels, targets)
    assert list(losses) == ["loss_text", "loss_center", "loss_reg_x", "loss_reg_y"]
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    for key, tensor in inputs.items():
        got = 0.0 if tensor.grad is None else tensor.grad.abs().sum().item()
        assert got == pytest.approx(case["grad_abs_sum"][key] or 0.0, rel=1e-4)


EMPTY_SCENES: dict[str, tuple[list[list[float]], list[list[float]]]] = {
    "no text": ([], []),
    "only ignored": ([], [WORD]),
    "all ignored": ([], [[1, 1, 60, 1, 60, 62, 1, 62]]),
    "text that is ignored too": ([WORD], [WORD]),
    "only degenerate": ([IGNORED["triangle"], UNUSUAL["flat"], UNUSUAL["bow tie"]], []),
    "nothing but text": ([[-8, -8, 104, -8, 104, 72, -8, 72]], []),
}


@pytest.mark.parametrize("scene", EMPTY_SCENES)
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["moderate", "saturated"])
def test_extreme_scenes_have_finite_loss_and_gradient(scene: str, scale: float) -> None:
    everything = FCENetTargets(level_proportion_range=((0, 9), (0, 9), (0, 9)))
    targets = OBJECTIVE.collate([make_targets(*EMPTY_SCENES[scene], 64, 96, everything)] * 2)
    levels = random_levels(2, 64, 96, scale)
    total = torch.stack(list(OBJECTIVE.loss(levels, targets).values())).sum()
    total.backward()
    assert torch.isfinite(total)
    for level in levels:
        for tensor in level:
            assert tensor.grad is None or torch.isfinite(tensor.grad).all()


def test_perfect_maps_cost_next_to_nothing() -> None:
    targets = OBJECTIVE.collate([make_targets([WORD], [], 128, 160)])
    levels = []
    for target in targets:
        flags = torch.stack([1 - target[:, 0], target[:, 0], 1 - target[:, 1], target[:, 1]], dim=1)
        levels.append(FCELevel(flags * 60, target[:, 3:]))
    assert sum(loss.item() for loss in OBJECTIVE.loss(levels, targets).values()) < 1e-4


def test_autocast_computes_in_float32_and_sizes_must_fit() -> None:
    targets = OBJECTIVE.collate([make_targets([WORD], [], 128, 160)])
    levels = [FCELevel(*(t.detach().bfloat16() for t in x)) for x in random_levels(1, 128, 160)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = OBJECTIVE.loss(levels, targets)
    exact = OBJECTIVE.loss([FCELevel(*(t.float() for t in x)) for x in levels], targets)
    for key, value in exact.items():
        assert rounded[key].dtype == torch.float32
        assert rounded[key].item() == value.item()
    with pytest.raises(ValueError, match="multiples of 32"):
        OBJECTIVE.loss(random_levels(1, 64, 160), targets)


def test_a_network_learns() -> None:
    torch.manual_seed(0)
    network = FCENet(FCENetConfig(ResNetConfig(18), 32)).train()
    images = torch.rand(2, 3, 64, 96)
    everything = FCENetTargets(level_proportion_range=((0, 9), (0, 9), (0, 9)))
    targets = OBJECTIVE.collate(
        [make_targets([WORD], [], 64, 96, everything), make_targets([], [], 64, 96, everything)]
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    totals = []
    for _ in range(10):
        losses = OBJECTIVE.losses(network, images, targets)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
