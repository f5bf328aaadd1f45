"""ABINet's loss: equal to MMOCR's numbers, and blind to what follows the end of a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocr_models.errors import ConfigError
from ocr_models.recognition.abinet import ABINetConfig
from ocrserve.train.augment.sample import Sample, SampleError
from ocrserve.train.objectives.abinet import ABILoss, ABILossConfig, ABINetObjective
from ocrserve.train.objectives.lines import RecognitionBatch
from ocrserve.train.objectives.recognition import RECOGNITION_OBJECTIVES
from tests.tiny_abinet import SMALL, SMALL_VISION, filled, spec

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
CASES = {
    name: case
    for name, case in json.loads((GOLDEN / "cases.json").read_text()).items()
    if case["type"] == "ABILoss"
}


def test_sweep_is_complete() -> None:
    assert sorted(CASES) == ["abi_all", "abi_visual", "abi_weights"]


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = CASES[name]
    with np.load(GOLDEN / "recog.npz") as arrays:
        names = ["logits", *(f"abi_logits{i}" for i in range(4))]
        logits = [torch.from_numpy(arrays[name]).requires_grad_() for name in names]
        targets = [torch.from_numpy(arrays[f"abi_target{i}"]) for i in range(3)]
    iterations = (logits[1:3], logits[3:]) if case["modules"] == "edf" else ([], [])
    losses = ABILoss(ABILossConfig(**case["args"]))(logits[0], *iterations, targets)
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(case["losses"])
    torch.stack(list(losses.values())).sum().backward()
    for i, value in enumerate(logits):
        expected = case["grad_abs_sum"][f"l{i}"]
        if expected is None:
            assert value.grad is None
        else:
            assert value.grad is not None
            assert value.grad.abs().sum().item() == pytest.approx(expected, rel=1e-5)


def test_what_follows_the_end_does_not_count() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    targets = [torch.tensor([0, 3]), torch.tensor([1, 2, 0, 3])]
    loss = ABILoss()(logits, [], [], targets)["loss_visual"]
    changed = logits.clone()
    changed[0, 2:] = 7
    changed[1, 4] = -7
    assert torch.equal(ABILoss()(changed, [], [], targets)["loss_visual"], loss)
    rows = torch.cat([logits[0, :2], logits[1, :4]]).log_softmax(1)
    by_hand = -rows[range(6), [0, 3, 1, 2, 0, 3]].mean()
    assert loss.item() == pytest.approx(by_hand.item())


def test_every_iteration_counts_the_same() -> None:
    logits = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    targets = [torch.tensor([0, 3]), torch.tensor([1, 2, 0, 3])]
    together = ABILoss()(logits[0], list(logits), list(logits), targets)
    alone = [ABILoss()(own, [], [], targets)["loss_visual"].item() for own in logits]
    assert together["loss_lang"].item() == pytest.approx(np.mean(alone))
    assert together["loss_fusion"].item() == pytest.approx(np.mean(alone))


@pytest.mark.parametrize(
    ("config", "names"),
    [(SMALL, ["loss_visual", "loss_lang", "loss_fusion"]), (SMALL_VISION, ["loss_visual"])],
)
def test_objective(config: ABINetConfig, names: list[str]) -> None:
    network = filled(config).train()
    objective = RECOGNITION_OBJECTIVES[type(config)](spec(config), {"loss": {"type": "ABILoss"}})
    batch = RecognitionBatch(torch.randn(2, 3, 32, 128), ["Ab1", "z" * 40], [1.0, 1.0])
    losses = objective.losses(network, batch)
    assert list(losses) == names
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    objective.check(Sample(source="a.png", text="ab"))
    with pytest.raises(SampleError, match=r"a\.png.*'-' of 'a-b'"):
        objective.check(Sample(source="a.png", text="a-b"))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"type": "CELoss"}, "the loss of this model is ABILoss, got 'CELoss'"),
        ({"num_classes": 38}, "num_classes is 38, but model.label_convertor gives 37"),
        ({"enc_weight": -1.0}, "enc_weight is -1.0; it must not be negative"),
        ({"enc_wight": 1.0}, "does not read enc_wight"),
    ],
)
def test_mistakes(loss: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ABINetObjective.from_model(spec(), {"loss": loss})


def test_classes_of_logits_are_checked() -> None:
    with pytest.raises(ValueError, match="num_classes is 5, but there are 4 logits"):
        ABILoss(ABILossConfig(num_classes=5))(torch.zeros(1, 2, 4), [], [], [torch.tensor([0])])
