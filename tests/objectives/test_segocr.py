"""SegOCR's maps and loss: equal to MMOCR's, and sensible where it is silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocr_models.codecs.segmentation import SegCodecConfig
from ocr_models.errors import ConfigError
from ocrserve.train.augment.moves import rectangle
from ocrserve.train.augment.sample import Sample
from ocrserve.train.objectives.segocr import (
    CharacterMaps,
    CharacterTargets,
    SegLoss,
    SegLossConfig,
    SegObjective,
    make_targets,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
CASES = {
    name: case
    for name, case in json.loads((GOLDEN / "cases.json").read_text()).items()
    if case["type"] == "SegLoss"
}
PLAIN = SegLossConfig(seg_downsample_ratio=1.0)


def test_sweep_is_complete() -> None:
    assert sorted(CASES) == ["seg_config", "seg_default", "seg_noweight"]


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = CASES[name]
    with np.load(GOLDEN / "seg.npz") as arrays:
        logits = torch.from_numpy(arrays["preds"]).requires_grad_()
        classes = torch.from_numpy(arrays["gt_kernels"][:, 1].astype(np.int64))
    loss = SegLoss(SegLossConfig(**case["args"]))(logits, classes)["loss_seg"]
    assert loss.item() == pytest.approx(case["losses"]["loss_seg"], rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    total = logits.grad.abs().sum().item()
    assert total == pytest.approx(case["grad_abs_sum"]["preds"], rel=1e-5)


# --- the loss ----------------------------------------------------------------------------------


def test_characters_weigh_as_much_as_the_background() -> None:
    """By the definition: the weighted mean of -log p over pixels that are not ignored."""
    logits = torch.randn(1, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[[0, 0, 0, 1, 255], [0, 0, 0, 2, 255]]])
    loss = SegLoss(PLAIN)(logits, classes)["loss_seg"]
    log_p = logits.log_softmax(dim=1)[0]
    background = -sum(log_p[0, y, x] for y in range(2) for x in range(3))
    characters = -(log_p[1, 0, 3] + log_p[2, 1, 3])
    expected = (background + characters * 6 / 2) / (6 + 2 * 6 / 2)
    torch.testing.assert_close(loss, torch.as_tensor(expected))
    without = SegLoss(SegLossConfig(1.0, seg_with_loss_weight=False))(logits, classes)["loss_seg"]
    torch.testing.assert_close(without, torch.as_tensor((background + characters) / 8))


def test_a_batch_without_characters_teaches_the_background() -> None:
    logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = SegLoss(PLAIN)(logits, torch.zeros(2, 4, 4, dtype=torch.long))["loss_seg"]
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3))
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_autocast_leaves_the_loss_in_float32() -> None:
    logits = torch.randn(1, 3, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = SegLoss(PLAIN)(logits, torch.ones(1, 4, 4, dtype=torch.long))["loss_seg"]
    assert loss.dtype == torch.float32


def test_maps_of_another_size_are_told() -> None:
    with pytest.raises(ConfigError, match=r"map is \(4, 8\), its targets are \(2, 4\); let loss"):
        SegLoss(SegLossConfig())(torch.zeros(1, 3, 4, 8), torch.zeros(1, 4, 8, dtype=torch.long))


# --- the maps ----------------------------------------------------------------------------------


def test_a_rectangle_keeps_its_centre_and_loses_three_quarters_of_its_sides() -> None:
    maps = make_targets([rectangle(8, 4, 40, 20)], [5], [], 24, 48, CharacterTargets())
    rows, columns = np.nonzero(maps.classes == 5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 14, 20, 28)
    rows, columns = np.nonzero(maps.attention == 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 16, 16, 32)
    assert maps.valid.all()


def test_a_quadrangle_moves_its_corners_along_its_sides() -> None:
    settings = CharacterTargets(attention_ratio=0.25, class_ratio=0.25, rectangles=False)
    maps = make_targets([rectangle(8, 4, 40, 20)], [5], [], 24, 48, settings)
    rows, columns = np.nonzero(maps.classes == 5)  # four pixels, a quarter of the shorter side
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 16, 12, 36)
    assert np.array_equal(maps.attention == 1, maps.classes == 5)


def test_a_character_without_area_is_a_dot() -> None:
    for rectangles in (True, False):
        settings = CharacterTargets(rectangles=rectangles)
        maps = make_targets([np.full((4, 2), 7.0)], [3], [], 16, 16, settings)
        assert np.argwhere(maps.classes == 3).tolist() == [[7, 7]]


def test_padding_is_ignored_and_characters_may_reach_into_it() -> None:
    settings = CharacterTargets(class_ratio=1.0, ignored_value=99)
    padding = rectangle(20, 0, 32, 16)
    maps = make_targets([rectangle(16, 4, 24, 10)], [2], [padding], 16, 32, settings)
    assert not maps.valid[:, 20:].any()
    assert maps.valid[:, :20].all()
    assert set(np.unique(maps.classes[:, 25:])) == {99}
    assert set(np.unique(maps.classes[:, :20])) == {0, 2}
    assert maps.classes[5, 22] == 2


def test_a_line_without_characters() -> None:
    maps = make_targets([], [], [], 8, 8, CharacterTargets())
    assert not maps.classes.any()
    assert not maps.attention.any()


def test_impossible_ratios() -> None:
    with pytest.raises(ConfigError, match="seg_shrink_ratio is 2"):
        CharacterTargets(class_ratio=2)
    with pytest.raises(ConfigError, match="attn_shrink_ratio is -1"):
        CharacterTargets(attention_ratio=-1)


# --- the objective -----------------------------------------------------------------------------


def maps_of(width: int, index: int) -> CharacterMaps:
    return make_targets([rectangle(1, 1, 7, 7)], [index], [], 8, width, CharacterTargets())


def test_narrower_maps_are_filled_up_with_what_does_not_count() -> None:
    objective = SegObjective(SegCodecConfig("abc"), SegLossConfig())
    batch = objective.collate([maps_of(16, 1), maps_of(12, 2)])
    assert (batch.shape, batch.dtype) == ((2, 8, 16), torch.int64)
    assert bool((batch[1, :, 12:] == 255).all())
    assert not bool((batch[:, :, :12] == 255).any())
    assert int(batch[0].max()) == 1


@pytest.mark.parametrize(("index", "fits"), [(4, True), (5, False)])
def test_another_dictionary_is_told(index: int, fits: bool) -> None:
    objective = SegObjective(SegCodecConfig("abc"), SegLossConfig())
    sample: Any = Sample("line", targets=maps_of(16, index))
    if fits:
        objective.check(sample)
    else:
        with pytest.raises(ConfigError, match="draws class 5, but the network has 5 classes"):
            objective.check(sample)
