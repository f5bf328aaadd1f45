"""DRRG's targets, graphs and loss: equal to MMOCR's numbers, and well-behaved without text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.utils.data import default_collate

from ocr_models.detection.drrg import DRRG, DRRGConfig
from ocr_models.detection.drrg_graphs import GraphConfig, graph_members, nearest_others
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.drrg import (
    DRRGLoss,
    DRRGLossConfig,
    DRRGObjective,
    DRRGTargetMaps,
    chosen_pivots,
    labelled_graphs,
)
from ocrserve.train.objectives.drrg_targets import (
    DRRGImageTargets,
    DRRGTargets,
    jittered,
    make_targets,
    random_components,
)
from ocrserve.train.objectives.side_lines import paired, resample, side_lines

GOLDEN = Path(__file__).parents[1] / "golden"
MAP_NAMES = (
    "gt_text_mask",
    "gt_center_region_mask",
    "gt_mask",
    "gt_top_height_map",
    "gt_bot_height_map",
    "gt_sin_map",
    "gt_cos_map",
)
SCENES = sorted(path.stem[-1] for path in (GOLDEN / "targets").glob("drrg_*.npz"))
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "DRRGLoss"
}
WORD = [10, 20, 110, 20, 110, 44, 10, 44]
SMALL = DRRGConfig(
    LightResNetConfig(3, 8, (8, 8, 8, 8), (1, 1, 1, 1), ((2, 2),) * 4), neck_channels=4
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def objective() -> DRRGObjective:
    return DRRGObjective(GraphConfig(), 0.7, DRRGLossConfig())


def test_sweeps_are_complete() -> None:
    assert SCENES == ["a", "b"]
    assert sorted(LOSSES) == ["drrg_empty", "drrg_full", "drrg_half"]


# --- side lines ----------------------------------------------------------------------------------

CURVE = [
    (0, 20), (20, 6), (45, 0), (70, 6), (90, 20), (84, 34), (66, 22), (45, 17), (24, 22), (6, 34),
]  # fmt: skip


@pytest.mark.parametrize("start", range(10))
def test_side_lines_do_not_depend_on_where_an_outline_starts(start: int) -> None:
    outline = np.roll(np.array(CURVE, np.float64), start, axis=0)
    top, bottom = side_lines(outline)
    assert sorted(map(tuple, top)) == sorted(CURVE[:5])
    assert sorted(map(tuple, bottom)) == sorted(CURVE[5:])


def test_side_lines_of_quads() -> None:
    wide = np.array([[0, 0], [90, 0], [90, 30], [0, 30]], np.float64)
    top, bottom = side_lines(wide)
    assert top.tolist() == [[0, 0], [90, 0]]
    assert bottom.tolist() == [[90, 30], [0, 30]]
    tall = wide[:, ::-1]
    sides = {tuple(map(tuple, line.astype(int).tolist())) for line in side_lines(tall)}
    assert {frozenset(line) for line in sides} == {
        frozenset({(0, 0), (0, 90)}),
        frozenset({(30, 0), (30, 90)}),
    }
    square = wide / (3, 1)  # not longer by the factor: horizontal
    assert side_lines(square).top[:, 1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="at least 4 corners, got 3"):
        side_lines(wide[:3])


def test_resampling() -> None:
    corner = np.array([[0, 0], [10, 0], [10, 10]], np.float64)
    assert resample(corner, 4).tolist() == [[0, 0], [5, 0], [10, 0], [10, 5], [10, 10]]
    top, bottom = paired(side_lines(np.array(CURVE, np.float64)), 8.0)
    assert len(top) == len(bottom) >= 9
    across = np.linalg.norm(top - bottom, axis=1)
    assert across.max() < 25


# --- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES)
def test_target_maps_equal_mmocr(scene: str) -> None:
    content = json.loads((GOLDEN / "targets" / f"scene_{scene}.json").read_text())
    height, width = content["img_hw"]
    drawn = make_targets(content["polygons"], content["ignored"], height, width, rng())
    with np.load(GOLDEN / "targets" / f"drrg_{scene}.npz") as expected:
        for name, got in zip(MAP_NAMES, drawn.maps, strict=True):
            tolerance = 0 if name in MAP_NAMES[:3] else 1e-4
            np.testing.assert_allclose(got, expected[name][0], atol=tolerance, err_msg=name)
        stored = expected["gt_comp_attribs"][:, 1:]
    for ours, theirs in ((drawn.components, stored), (stored, drawn.components)):
        for component in ours:
            others = theirs[theirs[:, 6] == component[6], :2]
            assert np.linalg.norm(others - component[:2], axis=1).min() < 8


def test_components_lie_along_the_text() -> None:
    config = DRRGTargets(jitter_level=0.0)
    drawn = make_targets([WORD], [], 64, 128, rng(), config)
    own = drawn.components[drawn.components[:, 6] > 0]
    assert len(own) >= 8
    np.testing.assert_allclose(own[:, 1], 32, atol=1)
    np.testing.assert_allclose(own[:, 2], 24, atol=0.01)
    np.testing.assert_allclose(own[:, 3], 8)
    np.testing.assert_allclose(own[:, 4:6], [[0, -1]] * len(own), atol=1e-5)
    assert set(own[:, 6]) == {1}


DEGENERATE: dict[str, list[float]] = {
    "nothing": [],
    "point": [5, 5],
    "segment": [5, 5, 9, 5],
    "same point": [5, 5, 5, 5, 5, 5, 5, 5],
    "triangle": [10, 10, 50, 10, 30, 40],
    "flat": [0, 0, 60, 0, 60, 0, 0, 0],
    "bow tie": [10, 10, 60, 60, 60, 10, 10, 60],
    "outside": [-500, -500, -400, -500, -400, -400, -500, -400],
    "far away": [1e6, 1e6, 2e6, 1e6, 2e6, 2e6, 1e6, 2e6],
    "whole image": [0, 0, 95, 0, 95, 63, 0, 63],
    "larger than the image": [-900, -900, 2000, -900, 2000, 2000, -900, 2000],
    "tiny": [10, 10, 12, 10, 12, 12, 10, 12],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_every_outline_gives_targets_that_can_be_learnt(name: str) -> None:
    outline = DEGENERATE[name]
    scenes: list[tuple[list[Any], list[Any]]] = [
        ([outline], []),
        ([], [outline]),
        ([outline, WORD], [outline]),
    ]
    for polygons, ignored in scenes:
        drawn = make_targets(polygons, ignored, 64, 96, rng())
        assert all(np.isfinite(values).all() for values in drawn.maps)
        assert 9 <= len(drawn.components) <= 600
        assert np.isfinite(drawn.components).all()
        batch = objective().collate([drawn])
        assert batch.labelled.same_text.shape == batch.labelled.graphs.links.shape


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (16, 300), (40, 40)])
def test_small_images_get_their_components(size: tuple[int, int]) -> None:
    """MMOCR fails where no random component fits."""
    for polygons in ([], [[0, 0, size[1], 0, size[1], size[0], 0, size[0]]]):
        drawn = make_targets(polygons, [], *size, rng())
        assert len(drawn.components) >= 9
        x, y = drawn.components[drawn.components[:, 6] == 0, :2].T
        assert ((x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])).all()


def test_too_many_components_are_cut() -> None:
    config = DRRGTargets(num_max_comps=10)
    assert len(make_targets([WORD, WORD], [], 64, 128, rng(), config).components) == 10


def test_random_components_have_mmocrs_distribution() -> None:
    text = np.zeros((300, 400), np.uint8)
    text[100:200, 50:150] = 1
    count, config = 20_000, DRRGTargets()
    x, y, height, width, cos, sin, region = random_components(count, text, rng(), config).T
    assert not region.any()
    # Centres: everywhere, 26 px from the edges plus the erosion, and never near the text.
    assert (x.min(), x.max(), y.min(), y.max()) == (36, 363, 36, 263)
    assert not ((x > 40) & (x < 160) & (y > 90) & (y < 210)).any()
    # Heights: two halves, uniform whole numbers in 8..23.
    assert (height.min(), height.max()) == (16, 46)
    assert height.mean() == pytest.approx(31, abs=0.2)
    assert height.var() == pytest.approx(2 * (16**2 - 1) / 12, rel=0.03)
    np.testing.assert_allclose(width, (height * np.float32(0.3)).clip(8, 24), rtol=1e-5)
    # Directions: those of points in a square (the shortest vectors are not quite normalised).
    np.testing.assert_allclose(cos**2 + sin**2, 1, atol=0.01)
    square = rng(1).uniform(-1, 1, (2, count))
    angles, expected = np.sort(np.arctan2(sin, cos)), np.sort(np.arctan2(*square))
    assert np.abs(angles - expected).max() < 0.15
    assert np.abs(angles - expected).mean() < 0.03


def test_jitter_has_mmocrs_distribution() -> None:
    component = np.array([[100, 50, 40, 12, 0.6, -0.8, 3]], np.float32)
    moved = jittered(np.repeat(component, 20_000, axis=0), 0.2, rng())
    for column, half_range in enumerate((40 * 0.6 * 0.1, 40 * 0.8 * 0.1, 4, 1.2)):
        change = moved[:, column] - component[0, column]
        assert np.abs(change).max() == pytest.approx(half_range, rel=0.01)
        assert change.var() == pytest.approx(half_range**2 / 3, rel=0.05)
    cos, sin = moved[:, 4:6].T
    np.testing.assert_allclose(cos**2 + sin**2, 1, atol=1e-5)
    angle = np.arctan2(sin, cos)
    assert angle.mean() == pytest.approx(np.arctan2(-0.8, 0.6), abs=0.01)
    assert angle.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
    assert (moved[:, 6] == 3).all()
    np.testing.assert_allclose(jittered(component, 0.0, rng()), component, rtol=1e-6)


def test_the_pipeline_draws_targets() -> None:
    sample = Sample("test", np.zeros((64, 128, 3), np.uint8), polygons=[np.reshape(WORD, (4, 2))])
    pipeline = build_pipeline([{"type": "DRRGTargets", "jitter_level": 0.1}])
    assert isinstance(pipeline(sample, rng()).targets, DRRGImageTargets)
    with pytest.raises(ConfigError, match="jitter"):
        build_pipeline([{"type": "DRRGTargets", "jitter": 0.1}])


@pytest.mark.parametrize(
    "settings",
    [{"resample_step": 0}, {"num_min_comps": 700}, {"min_width": 30}, {"min_rand_half_height": 30}],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        DRRGTargets(**settings)  # type: ignore[arg-type]


# --- graphs --------------------------------------------------------------------------------------


def line_of_components(count: int, region: int, y: float = 20) -> NDArray[np.float32]:
    rows = [[12 + 9.5 * i, y, 20, 8, 0, -1, region] for i in range(count)]
    return np.array(rows, np.float32)


def test_similar_graphs_of_one_text_are_left_out() -> None:
    components = line_of_components(40, region=1)
    nearest = nearest_others(components[:, :2], 8)
    regions = components[:, 6].astype(np.int64)
    chosen = chosen_pivots(nearest, regions, (8, 4), 0.7)
    assert 5 < len(chosen) < 40
    members = graph_members(nearest, (8, 4))
    np.fill_diagonal(members, False)
    for pivot in set(range(40)) - set(chosen):
        alike = [
            (members[pivot] & members[other]).sum() / (members[pivot] | members[other]).sum()
            for other in chosen
            if other < pivot and pivot in nearest[other]
        ]
        assert max(alike) > 0.7
    everything = np.arange(40)
    np.testing.assert_array_equal(chosen_pivots(nearest, regions, (8, 4), 1.0), everything)
    np.testing.assert_array_equal(chosen_pivots(nearest, regions * 0, (8, 4), 0.0), everything)
    np.testing.assert_array_equal(chosen_pivots(nearest, everything + 1, (8, 4), 0.0), everything)


def test_labels_and_images_of_a_batch() -> None:
    first = np.vstack([line_of_components(9, region=1), line_of_components(3, region=0, y=60)])
    second = np.vstack([line_of_components(20, region=1), line_of_components(20, 2, y=44)])
    graphs, same_text = labelled_graphs([first, second], GraphConfig(), 0.7)
    regions = np.concatenate([first[:, 6], second[:, 6] * 10])  # no region is in both images
    pivot, neighbour = graphs.components().T
    expected = (regions[pivot] == regions[neighbour]) & (regions[pivot] > 0)
    np.testing.assert_array_equal(same_text, expected)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(graphs.boxes[:, 0], [0] * 12 + [1] * 40)
    assert ((pivot < 12) == (neighbour < 12)).all()
    # A node beyond the end of a graph is the pivot, and nothing is adjacent to it.
    alone = labelled_graphs([first], GraphConfig(), 0.7).graphs
    room = graphs.nodes.shape[1] - alone.nodes.shape[1]
    assert room > 0
    count = len(alone.nodes)
    assert (graphs.nodes[:count, -room:] == graphs.nodes[:count, :1]).all()
    torch.testing.assert_close(graphs.adjacency[:count], F.pad(alone.adjacency, (0, room, 0, room)))


# --- loss ----------------------------------------------------------------------------------------


def loss_case(name: str) -> tuple[torch.Tensor, torch.Tensor, DRRGTargetMaps, torch.Tensor]:
    with np.load(GOLDEN / "losses" / LOSSES[name]["input"]) as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
    ratio = LOSSES[name]["downsample_ratio"]
    maps = [
        F.interpolate(arrays[key].float(), scale_factor=ratio, mode="nearest")[:, 0]
        for key in MAP_NAMES
    ]
    maps[3:5] = [height * ratio for height in maps[3:5]]
    predictions, links = arrays["preds"].requires_grad_(), arrays["gcn_pred"].requires_grad_()
    return predictions, links, DRRGTargetMaps(*maps), arrays["gcn_labels"].flatten()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    predictions, links, targets, same_text = loss_case(name)
    losses = DRRGLoss(DRRGLossConfig(**case["args"]))(predictions, links, targets, same_text)
    assert list(losses) == list(case["losses"])
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    for key, prediction in (("preds", predictions), ("gcn_pred", links)):
        assert prediction.grad is not None
        total, size = prediction.grad.sum().item(), prediction.grad.abs().sum().item()
        assert size == pytest.approx(case["grad_abs_sum"][key], rel=1e-4)
        assert total == pytest.approx(case["grad_sum"][key], abs=1e-4 * size)


EMPTY_SCENES: dict[str, tuple[list[Any], list[Any]]] = {
    "no text": ([], []),
    "only ignored": ([], [WORD]),
    "all ignored": ([], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "only degenerate": ([DEGENERATE["flat"], DEGENERATE["triangle"]], []),
    "text": ([WORD], []),
}


@pytest.mark.parametrize("scene", EMPTY_SCENES)
def test_training_steps_stay_finite(scene: str) -> None:
    torch.manual_seed(0)
    network = DRRG(SMALL).train()
    drawn = [make_targets(*EMPTY_SCENES[scene], 64, 128, rng(i)) for i in range(2)]
    batch = objective().collate(drawn)
    losses = objective().losses(network, torch.randn(2, 3, 64, 128), batch)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    if scene != "text":
        assert losses["loss_height"].item() == 0


def test_autocast_computes_in_float32() -> None:
    predictions, links, targets, same_text = loss_case("drrg_full")
    rounded = predictions.detach().bfloat16(), links.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = DRRGLoss()(*rounded, targets, same_text)
    exact = DRRGLoss()(*(tensor.float() for tensor in rounded), targets, same_text)
    for key, value in exact.items():
        assert got[key].dtype == torch.float32
        assert got[key].item() == value.item()


def test_ignored_text_is_free() -> None:
    batch = default_collate([make_targets([WORD], [WORD], 64, 128, rng()).maps])
    links, same_text = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    maps = torch.zeros(1, 6, 64, 128)
    other = maps.clone()
    other[:, :, 22:42, 12:108] = 3
    for key, value in DRRGLoss()(maps, links, batch, same_text).items():
        if key != "loss_gcn":
            assert value.item() == DRRGLoss()(other, links, batch, same_text)[key].item()


def test_shapes_that_do_not_fit_are_named() -> None:
    batch = default_collate([make_targets([], [], 64, 96, rng()).maps])
    links, same_text = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"\(1, 6, 32, 48\)"):
        DRRGLoss()(torch.zeros(1, 6, 32, 48), links, batch, same_text)


def test_impossible_loss_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="ohem_ratio"):
        DRRGLossConfig(ohem_ratio=-1)
