"""CTC loss: equal to MMOCR's numbers, and well-behaved with empty and overlong texts."""

from __future__ import annotations

import json
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import torch

from ocr_models.errors import ConfigError
from ocrserve.train.objectives.crnn import CTCLoss, CTCLossConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
CASES = {
    name: case
    for name, case in json.loads((GOLDEN / "cases.json").read_text()).items()
    if case["type"] == "CTCLoss"
}


def test_sweep_is_complete() -> None:
    assert sorted(CASES) == [
        "ctc_default",
        "ctc_none",
        "ctc_padded_valid_ratio",
        "ctc_sum",
        "ctc_too_long",
        "ctc_too_long_inf",
    ]


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = CASES[name]
    prefix = "ctc_long" if "ctc_long" in case["input"] else "ctc_target"
    with np.load(GOLDEN / "recog.npz") as arrays:
        logits = torch.from_numpy(arrays["logits"]).requires_grad_()
        texts = [torch.from_numpy(arrays[f"{prefix}{i}"]) for i in range(3)]
    loss = CTCLoss(CTCLossConfig(**case["args"]))(logits, texts, case.get("valid_ratio"))
    np.testing.assert_allclose(
        loss["loss_ctc"].detach().numpy(), case["losses"]["loss_ctc"], rtol=1e-5
    )
    loss["loss_ctc"].sum().backward()
    assert logits.grad is not None
    total = logits.grad.abs().sum().item()
    assert total == pytest.approx(case["grad_abs_sum"]["logits"], rel=1e-5)


def test_loss_is_the_sum_over_all_paths() -> None:
    """Brute force on 3 classes and 4 steps."""
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    text = [1, 2]
    log_probabilities = logits[0].log_softmax(dim=1)
    total = 0.0
    for path in product(range(3), repeat=4):
        collapsed = [label for label, _ in groupby(path) if label]
        if collapsed == text:
            total += float(log_probabilities[range(4), path].sum().exp())
    got = CTCLoss(CTCLossConfig(reduction="sum"))(logits, [text])["loss_ctc"]
    assert got.item() == pytest.approx(-np.log(total), rel=1e-5)


@pytest.mark.parametrize("texts", [[[], [], []], [[], [1, 2], [3]], [[1], [], [2, 3, 4]]])
def test_empty_texts_leave_their_neighbours_alone(texts: list[list[int]]) -> None:
    logits = torch.randn(3, 10, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss = CTCLoss(CTCLossConfig(reduction="none"))
    together = loss(logits, texts)["loss_ctc"]
    for i, text in enumerate(texts):
        assert together[i].item() == pytest.approx(
            loss(logits[i : i + 1], [text])["loss_ctc"].item()
        )
    together.mean().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_text_that_cannot_fit() -> None:
    """Five equal letters need nine steps."""
    logits = torch.zeros(1, 5, 3, requires_grad=True)
    text = [[1, 1, 1, 1, 1]]
    assert torch.isinf(CTCLoss()(logits, text)["loss_ctc"])
    loss = CTCLoss(CTCLossConfig(zero_infinity=True))(logits, text)["loss_ctc"]
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_lists_and_tensors_are_the_same() -> None:
    logits = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(2))
    lists = [[1, 2, 3], [5]]
    tensors = [torch.tensor(text, dtype=torch.int32) for text in lists]
    assert torch.equal(CTCLoss()(logits, lists)["loss_ctc"], CTCLoss()(logits, tensors)["loss_ctc"])


def test_autocast_computes_in_float32() -> None:
    logits = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(3)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = CTCLoss()(logits, [[1, 2], [3]])["loss_ctc"]
    assert rounded.dtype == torch.float32
    assert rounded.item() == CTCLoss()(logits.float(), [[1, 2], [3]])["loss_ctc"].item()


@pytest.mark.parametrize(
    ("texts", "ratios", "message"),
    [
        ([[1]], None, "2 lines of logits, but 1 texts"),
        ([[1], [6]], None, "have 6 classes"),
        ([[1], [-1]], None, "class indices -1..1"),
        ([[1], [2]], [1.0], "2 lines of logits, but 1 valid ratios"),
    ],
)
def test_wrong_inputs_are_named(
    texts: list[list[int]], ratios: list[float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CTCLoss()(torch.zeros(2, 8, 6), texts, ratios)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="allowed: mean, sum, none"):
        CTCLossConfig(reduction="average")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="blank is -1"):
        CTCLossConfig(blank=-1)
