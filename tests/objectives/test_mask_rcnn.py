"""Mask R-CNN's training: which boxes learn what, and losses that stay finite without text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ocr_models.detection.mask_rcnn import MASK_SIZE, MaskRCNN, MaskRCNNConfig, ProposalSettings
from ocr_models.errors import ConfigError
from ocr_models.layers.nms import box_iou
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.box_matching import (
    BACKGROUND,
    UNUSED,
    BoxSampler,
    MaxIoUAssigner,
    at_random,
)
from ocrserve.train.objectives.mask_rcnn import (
    Instances,
    MaskRCNNObjective,
    MaskRCNNTraining,
    make_instances,
    mask_targets,
)
from tests.conformance import formulas

CONFIG = load_config(
    Path(__file__).parents[2] / "configs/textdet/maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015.py"
)
SMALL = MaskRCNNConfig(
    ResNetConfig(depth=18), channels=16, fc_channels=32, mask_convs=1, mask_channels=8
)
HEIGHT, WIDTH = 96, 128
WORD = [10, 20, 90, 20, 90, 50, 10, 50]
SLANTED = [60, 60, 110, 70, 106, 90, 56, 80]


def training(**changes: Any) -> MaskRCNNTraining:
    """The published settings, with fewer proposals to be quick."""
    settings = MaskRCNNTraining.from_model(CONFIG["model"])
    return replace(settings, **{"proposals": ProposalSettings(200, 100), **changes})


def network() -> MaskRCNN:
    result = MaskRCNN(SMALL)
    formulas.fill(result, 2)
    return result.eval()


def images(count: int) -> Tensor:
    return torch.from_numpy(formulas.tensor((count, 3, HEIGHT, WIDTH), 3))


def scene(*polygons: Sequence[float]) -> Instances:
    return make_instances(polygons, HEIGHT, WIDTH)


# --- boxes and masks of an image ---------------------------------------------------------------


def test_boxes_and_masks_outline_the_text() -> None:
    boxes, masks = scene(WORD, SLANTED)
    assert boxes.tolist() == [[10, 20, 90, 50], [56, 60, 110, 90]]
    assert masks.shape == (2, HEIGHT, WIDTH)
    rows, columns = np.nonzero(masks[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 50, 10, 90)
    assert 0.4 < masks[1].sum() / (54 * 30) < 0.8


def test_text_over_the_edge_is_clipped() -> None:
    boxes, masks = scene([-30, 70, 50, 70, 50, 200, -30, 200])
    assert boxes.tolist() == [[0, 70, 50, HEIGHT]]
    assert masks.sum() == 51 * 26


DEGENERATE: dict[str, list[float]] = {
    "nothing": [],
    "point": [5, 5],
    "segment": [5, 5, 9, 5],
    "same point": [5, 5, 5, 5, 5, 5, 5, 5],
    "flat": [0, 0, 60, 0, 60, 0, 0, 0],
    "outside": [-500, -500, -400, -500, -400, -400, -500, -400],
    "far away": [1e9, 1e9, 2e9, 1e9, 2e9, 2e9, 1e9, 2e9],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_outlines_are_left_out(name: str) -> None:
    boxes, masks = scene(DEGENERATE[name], WORD)
    assert boxes.tolist() == [[10, 20, 90, 50]]
    assert len(masks) == 1


def test_no_text() -> None:
    boxes, masks = scene()
    assert boxes.shape == (0, 4)
    assert masks.shape == (0, HEIGHT, WIDTH)


def test_the_pipeline_ends_in_instances() -> None:
    """MMOCR's training steps, from a picture with a white word to its mask."""
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:160, 80:300] = 255
    corners = np.array([[80.0, 100], [300, 100], [300, 160], [80, 160]])
    steps = CONFIG["data"]["train"]["pipeline"][1:]  # the image is there
    seen = 0
    for seed in range(8):
        sample = Sample("test", image=image.copy(), polygons=[corners.copy()])
        build_pipeline(steps)(sample, np.random.default_rng(seed))
        boxes, masks = sample.targets
        height, width = sample.pixels().shape[:2]
        assert (height % 32, width % 32) == (0, 0)
        assert masks.shape == (len(boxes), height, width)
        white = sample.pixels()[..., 0] > 0
        if white.sum() > 100:
            seen += 1
            mask = masks.any(axis=0)
            assert (mask & white).sum() / (mask | white).sum() > 0.95
    assert seen > 3


# --- assigning and sampling --------------------------------------------------------------------

TRUE = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
CANDIDATES = torch.tensor(
    [
        [0.0, 0, 10, 10],  # the first one
        [0, 0, 10, 20],  # half of it
        [0, 0, 10, 40],  # a quarter
        [26, 0, 36, 10],  # 4 / 16 of the second, its nearest
        [50, 50, 60, 60],  # nothing
    ]
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, BACKGROUND, BACKGROUND, BACKGROUND, BACKGROUND]),
        ({"neg_iou_thr": 0.3}, [0, UNUSED, BACKGROUND, BACKGROUND, BACKGROUND]),
        ({"pos_iou_thr": 0.5, "neg_iou_thr": 0.5}, [0, 0, BACKGROUND, BACKGROUND, BACKGROUND]),
        ({"min_pos_iou": 0.2}, [0, BACKGROUND, BACKGROUND, 1, BACKGROUND]),
        (
            {"min_pos_iou": 0.2, "match_low_quality": False},
            [0, BACKGROUND, BACKGROUND, BACKGROUND, BACKGROUND],
        ),
    ],
)
def test_assigner(settings: dict[str, Any], expected: list[int]) -> None:
    assigner = MaxIoUAssigner(
        **{"pos_iou_thr": 0.7, "neg_iou_thr": 0.6, "min_pos_iou": 0.3, **settings}
    )
    assert assigner(CANDIDATES, TRUE).tolist() == expected


def test_of_two_true_boxes_the_last_takes_a_candidate() -> None:
    assigner = MaxIoUAssigner(0.9, 0.1, min_pos_iou=0.1)
    twice = torch.cat([TRUE[:1], TRUE[:1]])
    assert assigner(CANDIDATES[:2], twice).tolist() == [1, UNUSED]


def test_nothing_to_assign() -> None:
    assigner = MaxIoUAssigner(0.7, 0.3)
    assert assigner(CANDIDATES, TRUE[:0]).tolist() == [BACKGROUND] * 5
    assert assigner(CANDIDATES[:0], TRUE).tolist() == []


def test_sampler_counts() -> None:
    matches = torch.tensor([0] * 10 + [BACKGROUND] * 30 + [UNUSED] * 5)

    def counts(**settings: Any) -> tuple[int, int]:
        sampled = BoxSampler(**settings)(matches, at_random)
        assert (matches[sampled.positive] == 0).all()
        assert (matches[sampled.background] == BACKGROUND).all()
        assert len({*sampled.positive.tolist(), *sampled.background.tolist()}) == sum(
            len(part) for part in sampled
        )
        return len(sampled.positive), len(sampled.background)

    assert counts(num=1000, pos_fraction=0.5) == (10, 30)
    assert counts(num=20, pos_fraction=0.25) == (5, 15)
    assert counts(num=20, pos_fraction=1.0) == (10, 10)
    assert counts(num=100, pos_fraction=0.5, neg_pos_ub=2) == (10, 20)
    assert counts(num=20, pos_fraction=0.0, neg_pos_ub=2) == (0, 2)


def test_each_candidate_is_equally_likely() -> None:
    torch.manual_seed(0)
    counts = torch.zeros(10)
    for _ in range(3000):
        counts[at_random(torch.arange(10), 3)] += 1
    # 900 each with a standard deviation of 25.
    assert (counts - 900).abs().max() < 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxIoUAssigner(0.3, 0.7), "neg_iou_thr is 0.7"),
        (lambda: MaxIoUAssigner(0.7, 0.3, ignore_iof_thr=0.5), "ignore_iof_thr is 0.5"),
        (lambda: BoxSampler(0, 0.5), "num=0"),
        (lambda: BoxSampler(10, 1.5), "pos_fraction=1.5"),
    ],
)
def test_impossible_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# --- losses ------------------------------------------------------------------------------------

SCENES = {
    "text": [scene(WORD, SLANTED), scene(SLANTED)],
    "one without": [scene(WORD), scene()],
    "no text": [scene(), scene()],
    "only degenerate": [scene(DEGENERATE["flat"]), scene(DEGENERATE["point"])],
}
NAMES = ["loss_bbox", "loss_cls", "loss_mask", "loss_rpn_bbox", "loss_rpn_cls"]


@pytest.mark.parametrize("hard_examples", [True, False], ids=["hard", "random"])
@pytest.mark.parametrize("name", SCENES)
def test_losses_and_gradients_are_finite(name: str, hard_examples: bool) -> None:
    torch.manual_seed(0)
    objective = MaskRCNNObjective(training(hard_examples=hard_examples))
    model = network()
    losses = objective.losses(model, images(2), objective.collate(SCENES[name]))
    assert sorted(losses) == NAMES
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    without = [key for key, weight in model.named_parameters() if weight.grad is None]
    assert without == []  # training on several GPUs waits for every gradient
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    has_text = any(len(each.boxes) for each in SCENES[name])
    for key in ("loss_rpn_bbox", "loss_bbox", "loss_mask"):
        assert (losses[key] > 0) == has_text


def test_few_proposals_are_enough() -> None:
    nowhere = training(proposals=ProposalSettings(min_bbox_size=1e6))
    objective = MaskRCNNObjective(nowhere)
    losses = objective.losses(network(), images(2), objective.collate(SCENES["one without"]))
    # The true boxes themselves are left.
    assert all(torch.isfinite(loss) for loss in losses.values())
    losses = objective.losses(network(), images(2), objective.collate(SCENES["no text"]))
    assert losses["loss_cls"] == 0


def test_weights_of_the_losses_are_read() -> None:
    model = network()
    torch.manual_seed(0)
    plain = MaskRCNNObjective(training()).losses(
        model, images(1), MaskRCNNObjective(training()).collate([scene(WORD)])
    )
    weighted = MaskRCNNObjective(training(weights=(2.0, 3.0, 4.0, 5.0, 6.0)))
    torch.manual_seed(0)
    losses = weighted.losses(model, images(1), weighted.collate([scene(WORD)]))
    factors = {
        "loss_rpn_cls": 2, "loss_rpn_bbox": 3, "loss_cls": 4, "loss_bbox": 5, "loss_mask": 6
    }  # fmt: skip
    for name, factor in factors.items():
        assert losses[name].item() == pytest.approx(plain[name].item() * factor, rel=1e-4)


def test_the_hardest_boxes_are_chosen() -> None:
    model = network()
    objective = MaskRCNNObjective(training(box_sampler=BoxSampler(6, 0.5)))
    (truth,) = objective.collate([scene(WORD)])
    pyramid = model(images(1)).pyramid
    shift = torch.arange(8.0)[:, None]
    near = truth.boxes + shift
    far = torch.tensor([[60.0, 60, 90, 90]]) + 4 * shift
    candidates = torch.cat([near, far])
    chosen = objective.choose(model.roi_head, pyramid, 0, candidates, truth)
    assert chosen.is_text.tolist() == [True] * 3 + [False] * 3

    def hardness(boxes: Tensor, number: int) -> Tensor:
        logits, _ = model.roi_head.boxes(pyramid, torch.nn.functional.pad(boxes, (1, 0)))
        return -logits.log_softmax(dim=1)[:, number]

    for boxes, own, number in (
        (chosen.all[:3], torch.cat([truth.boxes, near]), 0),
        (chosen.all[3:], far, 1),
    ):
        expected = hardness(own, number).sort(descending=True).values[:3]
        torch.testing.assert_close(hardness(boxes, number), expected)


def test_true_boxes_drawn_right_cost_nothing() -> None:
    """Deltas of 0 are right for a candidate that is the true box; its mask is full."""
    (truth,) = MaskRCNNObjective(training()).collate([scene(WORD)])
    masks = mask_targets(truth.masks, torch.tensor([0]), truth.boxes)
    assert masks.shape == (1, MASK_SIZE, MASK_SIZE)
    assert masks.min() == 1


def test_mask_targets_are_the_part_inside_the_box() -> None:
    (truth,) = MaskRCNNObjective(training()).collate([scene(WORD, SLANTED)])
    left_half_outside = torch.tensor([[-70.0, 20, 90, 50], [50.0, 20, 130, 50], [56, 60, 110, 90]])
    masks = mask_targets(truth.masks, torch.tensor([0, 0, 1]), left_half_outside)
    # Boxes are clipped to the image: the word begins at a ninth of the first, and ends at half of
    # the second.
    assert masks[0].mean(dim=0)[[0, 2, 4, 27]].tolist() == [0, 0, 1, 1]
    assert masks[1].mean(dim=0)[[0, 13, 15, 27]].tolist() == [1, 1, 0, 0]
    assert 0.4 < masks[2].mean() < 0.8


def test_autocast_keeps_losses_in_float32() -> None:
    objective = MaskRCNNObjective(training())
    targets = objective.collate([scene(WORD)])
    torch.manual_seed(0)
    exact = objective.losses(network(), images(1), targets)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = objective.losses(network(), images(1), targets)
    for name, loss in rounded.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.3)


@pytest.mark.slow
def test_two_pictures_are_learnt_by_heart() -> None:
    """Training and both stages of inference agree on what boxes, classes and masks mean."""
    torch.manual_seed(0)
    # With few boxes looked at, those of the text weigh more, and a minute is enough.
    objective = MaskRCNNObjective(
        training(
            proposals=ProposalSettings(500, 300),
            anchor_sampler=BoxSampler(16, 0.5, add_gt_as_proposals=False),
            box_sampler=BoxSampler(48, 0.25),
        )
    )
    targets = objective.collate([scene(WORD), scene(SLANTED)])
    pictures = torch.zeros(2, 3, HEIGHT, WIDTH)
    for picture, truth in zip(pictures, targets, strict=True):
        picture[:, truth.masks[0] > 0] = 2
    model = MaskRCNN(replace(SMALL, channels=32, proposals=ProposalSettings(300, 100))).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(160):
        optimizer.zero_grad()
        torch.stack(list(objective.losses(model, pictures, targets).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
    for picture, truth in zip(pictures, targets, strict=True):
        with torch.no_grad():
            found = model.first_stage(picture[None])
            boxes, scores, masks = model.second_stage(found, (HEIGHT, WIDTH))
        assert scores[0] > 0.9
        assert (scores[1:] < 0.5).all()
        assert box_iou(boxes[:1], truth.boxes).item() > 0.75
        wanted = mask_targets(truth.masks, torch.tensor([0]), boxes[:1])[0] > 0
        drawn = masks[0] > 0.5
        assert (wanted & drawn).sum() / (wanted | drawn).sum() > 0.75


# --- settings from the config ------------------------------------------------------------------


def test_settings_are_those_of_the_config() -> None:
    settings = MaskRCNNTraining.from_model(CONFIG["model"])
    assert settings.anchor_assigner == MaxIoUAssigner(0.7, 0.3, 0.3, gpu_assign_thr=50)
    assert settings.anchor_sampler == BoxSampler(256, 0.5, add_gt_as_proposals=False)
    assert settings.proposals == ProposalSettings(nms_pre=2000, max_per_img=1000)
    assert settings.box_assigner == MaxIoUAssigner(0.5, 0.5, 0.5)
    assert settings.box_sampler == BoxSampler(512, 0.25)
    assert settings.hard_examples


MISTAKES: list[tuple[str, Any, str]] = [
    ("train_cfg", None, "needs 'rpn'"),
    ("train_cfg.rpn.allowed_border", 0, "only has allowed_border=-1"),
    ("train_cfg.rpn.sampler.type", "OHEMSampler", "OHEMSampler"),
    ("train_cfg.rcnn.sampler.type", "PseudoSampler", "Known: RandomSampler, OHEMSampler"),
    ("train_cfg.rcnn.sampler.nums", 3, "does not read nums"),
    ("train_cfg.rcnn.assigner.type", "HungarianAssigner", "is MaxIoUAssigner"),
    ("train_cfg.rcnn.mask_size", 56, "only has mask_size=28"),
    ("train_cfg.rcnn.pos_weigh", 1, "Did you mean 'pos_weight'?"),
    ("roi_head.mask_head.loss_mask.type", "DiceLoss", "DiceLoss"),
    ("rpn_head.loss_bbox.beta", 1.0, "nothing reads 'beta'"),
]


def test_number_of_mistakes() -> None:
    assert len(MISTAKES) == 10


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_are_told(key: str, value: Any, message: str) -> None:
    config = load_config(
        Path(__file__).parents[2] / "configs/textdet/maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015.py"
    )
    *parents, last = key.split(".")
    target: Any = config["model"]
    for step in parents:
        target = target[step]
    target[last] = value
    with pytest.raises(ConfigError) as caught:
        MaskRCNNTraining.from_model(config["model"])
    assert message in str(caught.value)
