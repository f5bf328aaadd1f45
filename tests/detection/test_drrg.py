"""DRRG: components, graphs, links and boundaries, stage by stage, against MMOCR's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shapely.geometry import Polygon

from ocr_models.detection.drrg import DRRG, DRRGConfig, DRRGHead
from ocr_models.detection.drrg_components import (
    ComponentProposals,
    GeometryMaps,
    propose_components,
)
from ocr_models.detection.drrg_graphs import (
    GraphConfig,
    geometric_embedding,
    graph_members,
    local_graphs,
    nearest_others,
)
from ocr_models.detection.drrg_postprocess import DRRGPostprocessing, drrg_boundaries
from ocr_models.detection.quad_nms import locality_aware_nms, quad_iou
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.rotated_roi_align import rotated_roi_align
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec
from tests.conformance.formulas import fill, tensor

GOLDEN = Path(__file__).parents[1] / "golden" / "postprocess"
CASES = json.loads((GOLDEN / "cases.json").read_text())
SCENES = ("a", "b")
SMALL = DRRGConfig(
    LightResNetConfig(3, 8, (8, 8, 8, 8), (1, 1, 1, 1), ((2, 2),) * 4), neck_channels=8
)
PLAIN = RuntimeOptions(kind="torch", device="cpu", precision="float32")


def stored(name: str) -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / f"drrg_{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def rectangle(x: float, y: float, width: float, height: float, angle: float) -> NDArray[np.float64]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return corners @ turn + (x, y)


def rectangles(count: int, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    low, high = (0, 0, 4, 4, 0), (60, 60, 30, 30, 2 * np.pi)
    return np.array([rectangle(*generator.uniform(low, high)) for _ in range(count)])


def test_sweeps_are_complete() -> None:
    assert sorted(name for name in CASES if name.startswith("drrg")) == [
        f"drrg_{scene}_{kind}" for scene in SCENES for kind in ("links", "single_test")
    ]


# --- quads ---------------------------------------------------------------------------------------


def test_iou_is_that_of_shapely() -> None:
    a, b = rectangles(300, seed=1), rectangles(300, seed=2)
    b[:40] = a[:40]
    b[40:80] = a[40:80, ::-1]
    b[80:120] = a[80:120] + np.array([3, 0])
    b[120:160] = a[120:160] * 0.5 + a[120:160].mean(axis=1, keepdims=True) * 0.5  # inside
    a, b = np.trunc(a * 1e4), np.trunc(b * 1e4)
    expected = []
    for p, q in zip(map(Polygon, a), map(Polygon, b), strict=True):
        expected.append(p.intersection(q).area / p.union(q).area)
    assert 0.3 < np.mean(np.array(expected) > 0) < 0.9
    # Rounded corners make slightly crooked parallelograms.
    np.testing.assert_allclose(quad_iou(a, b), expected, atol=2e-4)


@pytest.mark.parametrize("shift", [(0, 0), (4, 0), (0, 4), (4, 4), (20, 0), (0, 20), (30, 0)])
def test_iou_of_quads_with_common_sides(shift: tuple[int, int]) -> None:
    quad = rectangle(10, 10, 20, 20, 0)[None]
    overlap = max(20 - shift[0], 0) * max(20 - shift[1], 0)
    expected = overlap / (800 - overlap)
    moved = quad + np.array(shift)
    assert quad_iou(quad, moved) == pytest.approx([expected], abs=1e-9)
    assert quad_iou(quad, moved[:, ::-1]) == pytest.approx([expected], abs=1e-9)


def test_quads_without_area_overlap_with_nothing() -> None:
    point, line = np.full((1, 4, 2), 5.0), np.array([[[0.0, 0], [9, 0], [9, 0], [0, 0]]])
    square = rectangle(5, 0, 10, 10, 0)[None]
    for flat in (point, line):
        assert quad_iou(flat, square) == 0
        assert quad_iou(square, flat) == 0
        assert quad_iou(flat, flat) == 0


def _one_by_one(quads: NDArray[np.float64], iou_thr: float) -> NDArray[np.float64]:
    """Locality-aware suppression as the paper tells it, a pair at a time."""

    def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        p, q = Polygon(a), Polygon(b)
        return float(p.intersection(q).area / p.union(q).area)

    merged: list[tuple[NDArray[np.float64], float]] = []
    for *values, score in quads.tolist():
        corners = np.reshape(values, (4, 2))
        if merged and overlap(merged[-1][0], corners) > iou_thr:
            before, weight = merged[-1]
            total = weight + score
            merged[-1] = (before * weight + corners * score) / total, total
        else:
            merged.append((corners, score))
    kept: list[tuple[NDArray[np.float64], float]] = []
    for corners, score in sorted(merged, key=lambda quad: -quad[1]):
        if all(overlap(corners, other) <= iou_thr for other, _ in kept):
            kept.append((corners, score))
    return np.array([[*corners.ravel(), score] for corners, score in kept])


@pytest.mark.parametrize("iou_thr", [0.1, 0.3, 0.6])
def test_locality_aware_nms_is_that_of_single_pairs(iou_thr: float) -> None:
    generator = np.random.default_rng(3)
    # A text of 12 rows and another one beside it; their pixels alternate row by row.
    quads = np.array(
        [
            [*rectangle(x, y, 9, 22, 0.01 * y).ravel(), generator.uniform(0.5, 1)]
            for y in range(12)
            for start in (20, 140)
            for x in range(start, start + 60)
        ]
    )
    got, groups = locality_aware_nms(quads, iou_thr)
    expected = _one_by_one(quads, iou_thr)
    assert not groups.any()
    assert len(expected) >= 8
    np.testing.assert_allclose(got, expected, atol=0.01)


def test_groups_of_quads_do_not_see_each_other() -> None:
    quads = np.hstack([rectangles(90, seed=4).reshape(90, 8), np.linspace(0.5, 1, 90)[:, None]])
    sizes = [30, 0, 25, 35, 0]
    got, groups = locality_aware_nms(quads, 0.2, sizes)
    ends = np.cumsum(sizes)
    alone = [locality_aware_nms(quads[e - n : e], 0.2)[0] for e, n in zip(ends, sizes, strict=True)]
    np.testing.assert_array_equal(got, np.concatenate(alone))
    assert np.bincount(groups, minlength=5).tolist() == [len(part) for part in alone]
    assert 0 < len(got) < 90


def test_a_quad_upside_down_joins_as_in_lanms() -> None:
    """Each corner joins the nearest one that a reversed order allows: here across the width."""
    upright = [*rectangle(20, 20, 10, 24, 0).ravel(), 1.0]
    turned = [*rectangle(20, 20, 10, 24, np.pi).ravel(), 1.0]
    got, _ = locality_aware_nms(np.array([upright, turned]), 0.3)
    expected = [[20, 8, 20, 8, 20, 32, 20, 32, 2]]
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_no_quads_at_all() -> None:
    got, groups = locality_aware_nms(np.empty((0, 9)), 0.3)
    assert got.shape == (0, 9)
    assert groups.shape == (0,)


# --- pooling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES)
def test_pooling_equals_mmcv(scene: str) -> None:
    arrays = stored(scene)
    neck = torch.from_numpy(tensor((1, 8, 160, 256), 21))
    features = torch.cat([neck, torch.from_numpy(arrays["pred_maps"])[None]], dim=1)
    pooled = rotated_roi_align(features, torch.from_numpy(arrays["rois"]), (4, 3))
    np.testing.assert_allclose(pooled.numpy(), arrays["pooled"], atol=1e-4)


def test_pooling_takes_the_right_image_and_lets_gradients_through() -> None:
    features = torch.rand(3, 5, 20, 30, dtype=torch.float32, requires_grad=True)
    box = torch.tensor([[0.0, 15, 10, 8, 12, 0.3]])
    boxes = box.repeat(3, 1)
    boxes[:, 0] = torch.tensor([2.0, 0, 1])
    pooled = rotated_roi_align(features, boxes, (4, 3))
    for row, image in enumerate((2, 0, 1)):
        alone = rotated_roi_align(features[image : image + 1], box, (4, 3))
        torch.testing.assert_close(pooled[row], alone[0])
    pooled.sum().backward()
    assert features.grad is not None
    # Each bin is a mean, so the weights of the pixels sum to the number of bins.
    assert features.grad[0, 0].sum().item() == pytest.approx(12, rel=1e-5)


def test_pooling_outside_the_image_and_without_size() -> None:
    features = torch.ones(1, 2, 10, 10)
    boxes = torch.tensor([[0.0, 100, 100, 8, 8, 0], [0, 5, 5, 0, 0, 0], [0, 5, 5, 4, 4, 1]])
    pooled = rotated_roi_align(features, boxes, (2, 2))
    assert not pooled[:2].any()
    torch.testing.assert_close(pooled[2], torch.ones(2, 2, 2))
    assert rotated_roi_align(features, boxes[:0], (2, 2)).shape == (0, 2, 2, 2)


# --- components ----------------------------------------------------------------------------------


def bar_maps(
    height: int = 80, width: int = 200
) -> tuple[NDArray[np.float32], NDArray[np.float32], GeometryMaps]:
    """Maps of one horizontal text, 24 pixels high and 140 long, around the row 40."""
    text, center = np.zeros((2, height, width), np.float32)
    text[28:52, 30:170] = 0.9
    center[37:44, 40:160] = 0.9
    rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    up = np.zeros_like(text), np.full_like(text, -2.0)  # not normalised
    return text, center, GeometryMaps(up[1], up[0], rows - 28, 52 - rows)


def test_components_of_one_text() -> None:
    text, center, geometry = bar_maps()
    found = propose_components(text, center, geometry, ComponentProposals())
    assert 10 <= len(found.boxes) <= 14
    x, y, height, width, cos, sin = found.attributes.T
    assert x.min() < 50
    assert x.max() > 150
    np.testing.assert_allclose(y, 40, atol=2)
    np.testing.assert_allclose(height, 24, atol=1e-4)
    np.testing.assert_allclose(width, 24 * 0.4, atol=1e-4)
    np.testing.assert_allclose(cos, 0, atol=1e-6)
    np.testing.assert_allclose(sin, -1, atol=1e-6)
    top_left, _, bottom_right, _ = found.boxes[:, :8].reshape(-1, 4, 2).swapaxes(0, 1)
    np.testing.assert_allclose((bottom_right - top_left)[:, 1], 24 * 1.03, atol=0.1)
    np.testing.assert_allclose(found.boxes[:, 8], 0.9, atol=0.1)


def test_no_components_without_text() -> None:
    text, center, geometry = bar_maps()
    for own_text, own_center in ((text * 0, center), (text, center * 0), (text * 0.1, center)):
        found = propose_components(own_text, own_center, geometry, ComponentProposals())
        assert found.boxes.shape == (0, 9)
        assert found.attributes.shape == (0, 6)


def test_small_centre_regions_and_components_off_the_text_are_dropped() -> None:
    text, center, geometry = bar_maps()
    config = ComponentProposals(center_region_area_thr=7 * 120)
    assert not len(propose_components(text, center, geometry, config).boxes)
    config = ComponentProposals(center_region_area_thr=7 * 120 - 1)
    assert len(propose_components(text, center, geometry, config).boxes)
    tall = geometry._replace(top_height=geometry.top_height + 60)
    assert not len(propose_components(text, center, tall, ComponentProposals()).boxes)


def test_text_everywhere_stays_within_the_image() -> None:
    generator = np.random.default_rng(5)
    text, center = np.full((2, 48, 64), 0.9, np.float32)
    geometry = GeometryMaps(*generator.normal(0, 20, (4, 48, 64)).astype(np.float32))
    found = propose_components(text, center, geometry, ComponentProposals())
    corners = found.boxes[:, :8].reshape(-1, 4, 2)
    assert len(corners)
    assert corners.min() >= 0
    assert (corners.max(axis=(0, 1)) <= (63, 47)).all()
    assert np.isfinite(found.attributes).all()


# --- graphs --------------------------------------------------------------------------------------


def test_nearest_others() -> None:
    centers = np.random.default_rng(6).uniform(0, 500, (1500, 2))
    got = nearest_others(centers, 8)
    table = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    np.fill_diagonal(table, np.inf)
    np.testing.assert_array_equal(got, np.argsort(table, axis=1)[:, :8])


@pytest.mark.parametrize("count", [2, 3, 8, 9])
def test_few_components_are_all_neighbours(count: int) -> None:
    twins = np.zeros((count, 2))  # nobody is a neighbour of itself, even at the same place
    nearest = nearest_others(twins, 8)
    for own, others in enumerate(nearest.tolist()):
        assert own not in others
        assert len(set(others)) == min(count - 1, 8)
    assert graph_members(nearest, (8, 4)).all()


def test_geometric_embedding() -> None:
    attributes = np.random.default_rng(7).uniform(0, 100, (5, 6))
    got = geometric_embedding(attributes, 24)
    for row, values in enumerate(attributes):
        wave = np.cos if row % 2 else np.sin
        expected = [wave(values / 1000 ** (2 * (j // 2) / 4)) for j in range(4)]
        np.testing.assert_allclose(got[row], np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize("scene", SCENES)
def test_graphs_and_link_scores_equal_mmocr(scene: str) -> None:
    arrays = stored(scene)
    graphs = local_graphs(arrays["comp_attribs"], arrays["pivot_knn_nodes"], GraphConfig())
    np.testing.assert_array_equal(graphs.components(), arrays["edges"])
    np.testing.assert_allclose(graphs.geometry[:6], arrays["geo_feats"], atol=1e-5)
    head = DRRGHead(DRRGConfig(neck_channels=8)).eval()
    fill(head, 0)
    neck = torch.from_numpy(tensor((1, 8, 160, 256), 21))
    features = torch.cat([neck, torch.from_numpy(arrays["pred_maps"])[None]], dim=1)
    with torch.inference_mode():
        components = head.component_features(features, graphs)
        scores = head.link_logits(components, graphs).softmax(dim=1)[:, 1]
    np.testing.assert_allclose(scores, arrays["scores"], atol=1e-5)


def test_links_do_not_depend_on_how_many_graphs_run_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = stored("a")
    network = DRRG(SMALL).eval()
    fill(network, 0)
    graphs = local_graphs(arrays["comp_attribs"], arrays["pivot_knn_nodes"], SMALL.graphs)
    features = torch.from_numpy(tensor((1, 14, 160, 256), 1))
    with torch.inference_mode():
        together = network.link_probabilities(features, graphs)
        monkeypatch.setattr("ocr_models.detection.drrg._NODES_AT_ONCE", 17 * 10)
        apart = network.link_probabilities(features, graphs)
    np.testing.assert_allclose(apart, together, atol=1e-6)
    assert together.shape == (608,)


# --- boundaries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", ["links", "single_test"])
def test_boundaries_equal_mmocr(scene: str, kind: str) -> None:
    case = CASES[f"drrg_{scene}_{kind}"]
    arrays = stored(f"{scene}_links" if kind == "links" else scene)
    scores = arrays["link_scores" if kind == "links" else "scores"]
    config = DRRGPostprocessing(case["args"]["link_thr"])
    found = drrg_boundaries(arrays["edges"], scores, arrays["text_comps"], config)
    got = sorted(boundary.flat() for boundary in found)
    assert len(got) == len(case["boundaries_sorted"])
    for ours, theirs in zip(got, case["boundaries_sorted"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def row_of_components(xs: list[float], y: float = 20) -> NDArray[np.float64]:
    return np.array([[*rectangle(x, y, 10, 20, 0).ravel(), 0.5 + x / 1000] for x in xs])


def test_a_chain_becomes_one_boundary_whatever_the_order() -> None:
    xs = [100.0, 60, 80, 120, 40]
    links = np.array([[0, 2], [1, 2], [0, 3], [1, 4]])
    found = drrg_boundaries(links, np.ones(4), row_of_components(xs), DRRGPostprocessing())
    (boundary,) = found
    assert boundary.score == pytest.approx(0.58)
    outline = Polygon(boundary.points)
    assert outline.bounds == (35, 10, 125, 30)
    assert outline.area == 90 * 20


def test_single_components_and_weak_or_long_links_give_nothing() -> None:
    components = row_of_components([40, 60, 200])
    config = DRRGPostprocessing(link_thr=0.8)
    for links, scores in (
        (np.empty((0, 2), int), np.empty(0)),
        (np.array([[0, 1]]), np.array([0.79])),
        (np.array([[1, 2]]), np.array([1.0])),
        (np.array([[0, 1], [1, 0]]), np.array([1.0, 0.5])),  # their mean counts
    ):
        assert drrg_boundaries(links, scores, components, config) == []
    both = np.array([[0, 1], [1, 0]])
    assert len(drrg_boundaries(both, np.array([1.0, 0.6]), components, config)) == 1
    assert drrg_boundaries(np.empty((0, 2), int), np.empty(0), components[:0], config) == []


# --- the whole detector --------------------------------------------------------------------------


def spec() -> DetectorSpec:
    preprocessing = DetectionPreprocessing(image_scale=(160, 96))
    return DetectorSpec(SMALL, preprocessing, DRRGPostprocessing(link_thr=0.0))


@pytest.mark.parametrize("bias", [-20.0, 20.0], ids=["no text", "text everywhere"])
def test_detector_runs_both_stages(bias: float) -> None:
    network = DRRG(SMALL)
    fill(network, 0)
    with torch.no_grad():
        assert network.bbox_head.out_conv.bias is not None
        network.bbox_head.out_conv.bias.copy_(torch.tensor([bias, bias, -1, 0, 10, 10]))
    image = np.random.default_rng(8).integers(0, 256, (90, 150, 3), np.uint8)
    detector = TextDetector(spec(), network.state_dict(), PLAIN)
    (result,) = detector.predict([image])
    assert bool(result.boundaries) == (bias > 0)
    for boundary in result.boundaries:
        assert np.isfinite(boundary.points).all()
        assert 0 <= boundary.score <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphConfig(node_geo_feat_len=100), "multiple of 6"),
        (lambda: GraphConfig(k_at_hops=(8, 0)), "at least 1"),
        (lambda: ComponentProposals(min_width=30), "min_width <= max_width"),
        (lambda: ComponentProposals(comp_score_thr=-1), "must not be negative"),
    ],
)
def test_impossible_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
