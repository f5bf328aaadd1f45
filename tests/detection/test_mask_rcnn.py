"""Mask R-CNN: both stages, masks, and what its config door refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ocr_models.detection.mask_rcnn import (
    MASK_SIZE,
    POOLED_STRIDES,
    STRIDES,
    DetectionSettings,
    MaskRCNN,
    MaskRCNNConfig,
    ProposalSettings,
    pool_boxes,
    propose_boxes,
    select_text,
)
from ocr_models.detection.mask_rcnn_postprocess import (
    MaskRCNNPostprocessing,
    mask_outline,
    mask_rcnn_boundaries,
    paste_mask,
)
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.anchors import decode_boxes
from ocr_models.layers.nms import nms
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.layers.roi_align import roi_align
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.results import Boundary
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.detection.test_panet import same_as_mmocr

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = {
    name: case
    for name, case in json.loads((GOLDEN / "postprocess" / "cases.json").read_text()).items()
    if case["type"] == "OCRMaskRCNN.get_boundary"
}
CONFIGS = sorted((ROOT / "configs" / "textdet" / "maskrcnn").glob("*.py"))
PLAIN = RuntimeOptions(kind="torch", device="cpu", precision="float32")
SMALL = MaskRCNNConfig(
    ResNetConfig(depth=18), channels=16, fc_channels=32, mask_convs=1, mask_channels=8
)


def small_detector(options: RuntimeOptions = PLAIN, **changes: Any) -> TextDetector:
    """A small network with weights by formula, that finds something in noise."""
    config = replace(SMALL, **changes)
    network = MaskRCNN(config)
    formulas.fill(network, 1)
    spec = DetectorSpec(
        config,
        DetectionPreprocessing(image_scale=(200, 160), size_divisor=32),
        MaskRCNNPostprocessing("poly", mask_thr=0.3),
    )
    return TextDetector(spec, network.state_dict(), options)


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return small_detector()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_sweeps_are_complete() -> None:
    assert len(CASES) == 4
    assert len(CONFIGS) == 3


# --- proposals ---------------------------------------------------------------------------------


def plain_proposals(
    scores: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], settings: ProposalSettings
) -> list[tuple[float, list[float]]]:
    """Level by level and box by box."""
    kept = []
    for level_scores, level_deltas, level_anchors in zip(scores, deltas, anchors, strict=True):
        count, height, width = level_scores.shape
        found = []
        for y in range(height):
            for x in range(width):
                for a in range(count):
                    anchor = level_anchors[(y * width + x) * count + a]
                    delta = level_deltas[4 * a : 4 * a + 4, y, x]
                    box = decode_boxes(anchor, delta, (1.0,) * 4, (90, 120))
                    found.append((float(level_scores[a, y, x].sigmoid()), box))
        found.sort(key=lambda pair: -pair[0])
        found = [
            (score, box)
            for score, box in found[: settings.nms_pre]
            if min(box[2] - box[0], box[3] - box[1]) > settings.min_bbox_size
        ]
        if found:
            boxes, chances = torch.stack([b for _, b in found]), torch.tensor([s for s, _ in found])
            chosen = nms(boxes, chances, settings.iou_threshold).tolist()
            kept += [(found[i][0], found[i][1].tolist()) for i in chosen]
    kept.sort(key=lambda pair: -pair[0])
    return kept[: settings.max_per_img]


@pytest.mark.parametrize(
    "settings",
    [
        ProposalSettings(),
        ProposalSettings(nms_pre=40, max_per_img=50, iou_threshold=0.3),
        ProposalSettings(nms_pre=100, min_bbox_size=30),
        ProposalSettings(min_bbox_size=1000),
    ],
)
def test_proposals_equal_the_plain_way(settings: ProposalSettings) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(16 // step, 16 // step) for step in (1, 2, 4, 8, 16)]
    scores = [torch.randn(5, *size, generator=generator) for size in sizes]
    deltas = [torch.randn(20, *size, generator=generator) * 0.5 for size in sizes]
    anchors = MaskRCNN(SMALL).anchors(sizes)
    got = propose_boxes(scores, deltas, anchors, (90, 120), (1.0,) * 4, settings)
    expected = [box for _, box in plain_proposals(scores, deltas, anchors, settings)]
    torch.testing.assert_close(got, torch.tensor(expected).reshape(-1, 4), atol=1e-4, rtol=1e-5)


def test_boxes_are_pooled_from_the_level_of_their_size() -> None:
    pyramid = [torch.full((2, 3, 640 // s, 640 // s), float(s)) for s in STRIDES]
    sides = torch.tensor([1.0, 111, 113, 223, 225, 447, 449, 600])
    boxes = torch.stack([sides % 2, torch.ones(8), torch.ones(8), sides + 1, sides + 1], dim=1)
    pooled = pool_boxes(pyramid, boxes, 7)
    assert pooled[:, 0, 3, 3].tolist() == pytest.approx([4, 4, 8, 8, 16, 16, 32, 32])
    generator = torch.Generator().manual_seed(0)
    pyramid = [torch.randn(level.shape, generator=generator) for level in pyramid]
    pooled = pool_boxes(pyramid, boxes, 7)
    for i, level in enumerate([0, 0, 1, 1, 2, 2, 3, 3]):
        alone = roi_align(pyramid[level], boxes[i : i + 1], 7, 1 / POOLED_STRIDES[level])
        torch.testing.assert_close(pooled[i], alone[0])


# --- selection of text -------------------------------------------------------------------------


def logits_of(*probabilities: list[float]) -> Tensor:
    return torch.tensor(probabilities).log()


def test_only_text_comes_out_and_other_classes_count() -> None:
    config = replace(SMALL, num_classes=2, detections=DetectionSettings(0.1, 0.5, 2))
    proposals = torch.tensor([[0.0, 0, 20, 10], [40, 0, 60, 10], [0, 30, 20, 50], [40, 30, 60, 50]])
    logits = logits_of([0.5, 0.1, 0.4], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3], [0.05, 0.05, 0.9])
    boxes, scores = select_text(proposals, logits, torch.zeros(4, 8), (100, 100), config)
    # The two best are a text of 0.5 and the other class's 0.8.
    torch.testing.assert_close(boxes, proposals[:1])
    torch.testing.assert_close(scores, torch.tensor([0.5]))


def test_boxes_are_refined_clipped_and_suppressed() -> None:
    proposals = torch.tensor([[10.0, 10, 30, 20], [10, 10, 30, 20], [80, 10, 99, 30]])
    logits = logits_of([0.6, 0.4], [0.9, 0.1], [0.7, 0.3])
    deltas = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0], [10, 0, 0, 0]])
    boxes, scores = select_text(proposals, logits, deltas, (100, 100), SMALL)
    # A tenth of the width to the right; the third by a whole width, of which one pixel is left.
    torch.testing.assert_close(boxes, torch.tensor([[12.0, 10, 32, 20], [99, 10, 100, 30]]))
    torch.testing.assert_close(scores, torch.tensor([0.9, 0.7]))


# --- masks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CASES))
def test_outlines_equal_mmocr(name: str) -> None:
    case = CASES[name]
    with np.load(GOLDEN / "postprocess" / case["input"]) as arrays:
        masks, scores = arrays["masks"], arrays["bboxes"][:, 4]
    outlines = [mask_outline(mask, case["args"]["text_repr_type"]) for mask in masks]
    found = [
        (outline, float(score))
        for outline, score in zip(outlines, scores, strict=True)
        if outline is not None
    ]
    assert len(found) == len(case["boundaries"]) >= 4
    for (outline, score), expected in zip(found, case["boundaries"], strict=True):
        assert same_as_mmocr(Boundary(outline, score), expected)


@pytest.mark.parametrize("box", [(3.3, 4.7, 40.2, 21.9), (-5, -3, 30, 20), (50, 30, 90, 70)])
def test_pasting_equals_sampling_the_whole_image(box: tuple[float, ...]) -> None:
    """As PyTorch samples a grid, which is how MMDetection pastes."""
    height, width = 50, 70
    mask = np.random.default_rng(0).random((MASK_SIZE, MASK_SIZE), np.float32)
    left, top, right, bottom = box
    x = (torch.arange(width) + 0.5 - left) / (right - left) * 2 - 1
    y = (torch.arange(height) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
    whole = F.grid_sample(torch.from_numpy(mask)[None, None], grid, align_corners=False)[0, 0]
    part, (x0, y0) = paste_mask(mask, np.array(box, np.float32), (height, width))
    pasted = np.zeros((height, width), np.float32)
    pasted[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    np.testing.assert_allclose(pasted, whole.numpy(), atol=1e-5)


def test_a_full_mask_fills_its_box() -> None:
    masks = np.ones((2, MASK_SIZE, MASK_SIZE), np.float32)
    boxes = np.array([[10, 20, 50, 40], [5.0, 5, 5, 25]], np.float32)
    for kind in ("quad", "poly"):
        config = MaskRCNNPostprocessing(kind)  # type: ignore[arg-type]
        found = mask_rcnn_boundaries(boxes, np.array([0.9, 0.8]), masks, (60, 80), config)
        assert [round(boundary.score, 6) for boundary in found] == [0.9]  # no box, no text
        points = found[0].points
        assert points.min(axis=0).tolist() == [10, 20]
        assert points.max(axis=0).tolist() == [49, 39]
        x, y = points.T
        assert np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0  # clockwise


def test_quads_need_only_the_ends_of_rows() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((40, 60)) < rng.random() ** 3
        outline = mask_outline(mask, "quad")
        if outline is None:
            assert not mask.any()
            continue
        points = np.argwhere(mask)[:, ::-1].astype(np.int32)
        expected = cv2.boxPoints(cv2.minAreaRect(np.ascontiguousarray(points)))
        np.testing.assert_allclose(outline, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["quad", "poly"])
def test_masks_without_an_outline(kind: str) -> None:
    assert mask_outline(np.zeros((5, 8), bool), kind) is None  # type: ignore[arg-type]
    assert mask_outline(np.zeros((0, 0), bool), kind) is None  # type: ignore[arg-type]


def test_unknown_outline_is_refused() -> None:
    with pytest.raises(ConfigError, match="'circle'"):
        MaskRCNNPostprocessing("circle")  # type: ignore[arg-type]


# --- the detector ------------------------------------------------------------------------------


def test_detections_lie_in_the_image_and_fall_in_score(detector: TextDetector) -> None:
    result = detector.predict([noise(100, 140)])[0]
    assert len(result.boundaries) > 5
    scores = [boundary.score for boundary in result.boundaries]
    assert scores == sorted(scores, reverse=True)
    for boundary in result.boundaries:
        assert (boundary.points >= 0).all()
        assert (boundary.points < (140, 100)).all()


def test_results_do_not_depend_on_neighbours(detector: TextDetector) -> None:
    images = [noise(60, 80, 1), noise(90, 40, 2)]
    together = detector.predict(images)
    assert [r.to_json() for r in together] == [detector.predict([i])[0].to_json() for i in images]


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2)])
def test_tiny_images(size: tuple[int, int], detector: TextDetector) -> None:
    result = detector.predict([noise(*size)])[0]
    assert (result.height, result.width) == size


def test_nothing_found() -> None:
    nothing = small_detector(detections=DetectionSettings(score_thr=1.0))
    assert nothing.predict([noise(60, 80)])[0].boundaries == ()
    nowhere = small_detector(proposals=ProposalSettings(min_bbox_size=1e6))
    assert nowhere.predict([noise(60, 80)])[0].boundaries == ()


def best_scores(detector: TextDetector, image: np.ndarray) -> list[float]:
    """Of the ten best boundaries: the last ones may lie on either side of the threshold."""
    boundaries = detector.predict([image])[0].boundaries
    assert len(boundaries) > 10
    return [boundary.score for boundary in boundaries[:10]]


@pytest.mark.slow
def test_the_first_stage_runs_in_openvino(detector: TextDetector) -> None:
    pytest.importorskip("openvino")
    options = RuntimeOptions(kind="openvino", device="cpu", precision="float32", threads=1)
    traced = small_detector(options)
    assert "openvino" in traced.runtime_name
    for size in ((100, 140), (70, 50)):  # neither is the size that it was traced with
        image = noise(*size)
        np.testing.assert_allclose(
            best_scores(traced, image), best_scores(detector, image), atol=1e-3
        )


def test_both_stages_in_bfloat16(detector: TextDetector) -> None:
    options = RuntimeOptions(kind="torch", device="cpu", precision="bfloat16", threads=1)
    image = noise(100, 140)
    np.testing.assert_allclose(
        best_scores(small_detector(options), image), best_scores(detector, image), atol=0.1
    )


# --- the config door ---------------------------------------------------------------------------


def test_config_is_kept_in_archives() -> None:
    spec = model_from_mmocr(load_config(CONFIGS[0]))
    assert from_json_dict(DetectorSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec
    assert isinstance(spec.network, MaskRCNNConfig)
    assert spec.network.num_classes == 80
    assert spec.postprocessing == MaskRCNNPostprocessing("poly")


MISTAKES: list[tuple[str, Any, str]] = [
    ("text_repr_type", "circle", "'quad' or 'poly'"),
    ("neck.num_outs", 4, "needs 5"),
    ("rpn_head.in_channels", 128, "only has in_channels=256"),
    ("rpn_head.anchor_generator.strides", [4, 8], "only has strides"),
    ("rpn_head.anchor_generator.ratios", [], "scales and ratios above 0"),
    ("rpn_head.bbox_coder.target_stds", [1.0], "expected four numbers"),
    ("rpn_head.bbox_coder.target_means", [1.0, 0, 0, 0], "target_means"),
    ("roi_head.type", "CascadeRoIHead", "Did you mean 'StandardRoIHead'"),
    ("roi_head.bbox_head.num_classes", 0, "num_classes"),
    ("roi_head.mask_head.num_classes", 2, "only has num_classes=1"),
    ("roi_head.bbox_roi_extractor.roi_layer.sampling_ratio", 2, "only has sampling_ratio=0"),
    ("roi_head.mask_head.num_conv", 4, "Did you mean 'num_convs'?"),
    ("test_cfg.rcnn.nms.type", "soft_nms", "'soft_nms'"),
    ("test_cfg.rcnn.score_th", 0.5, "Did you mean 'score_thr'?"),
    ("test_cfg", None, "model.test_cfg: expected a dict(...)"),
]


def test_number_of_mistakes() -> None:
    assert len(MISTAKES) == 15


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_are_told(key: str, value: Any, message: str) -> None:
    config = load_config(CONFIGS[1])
    *parents, last = key.split(".")
    target: Any = config["model"]
    for step in parents:
        target = target[step]
    target[last] = value
    with pytest.raises(ConfigError) as caught:
        model_from_mmocr(config)
    assert message in str(caught.value)
