"""Losses of entity recognition; MMOCR's numbers are in tests/test_conformance.py."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ocr_models.errors import ConfigError
from ocrserve.train.objectives.bert_softmax import (
    FocalLoss,
    FocalLossConfig,
    MaskedCrossEntropyLoss,
    MaskedFocalLoss,
    ner_loss,
)


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 4)
    labels = torch.tensor([[3, 1, 2, 3, 0], [3, 3, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    return logits, labels, mask


@pytest.mark.parametrize("loss", [MaskedCrossEntropyLoss(), MaskedFocalLoss()])
def test_filling_does_not_count(loss: torch.nn.Module) -> None:
    logits, labels, mask = case()
    expected = loss(logits, labels, mask)["loss_cls"]
    logits[mask == 0] += 7
    labels[mask == 0] = 1
    assert loss(logits, labels, mask)["loss_cls"] == expected
    assert loss(logits, labels)["loss_cls"] != expected


def test_no_focus_is_cross_entropy() -> None:
    logits, labels, _ = case()
    flat = logits.flatten(0, 1), labels.flatten()
    torch.testing.assert_close(FocalLoss(FocalLossConfig(gamma=0.0))(*flat), F.cross_entropy(*flat))


def test_texts_without_entities_have_a_finite_loss() -> None:
    logits, _, mask = case()
    logits.requires_grad_()
    for loss in (MaskedCrossEntropyLoss(), MaskedFocalLoss()):
        value = loss(logits, torch.full((2, 5), 3), mask)["loss_cls"]
        value.backward()
        assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_from_configs() -> None:
    assert isinstance(ner_loss({}), MaskedCrossEntropyLoss)
    made = ner_loss({"type": "MaskedFocalLoss", "ignore_index": 3, "num_labels": 9})
    assert isinstance(made, MaskedFocalLoss)
    assert made.criterion.config.ignore_index == 3
    with pytest.raises(ConfigError, match="known: MaskedCrossEntropyLoss, MaskedFocalLoss"):
        ner_loss({"type": "DiceLoss"})
    with pytest.raises(ConfigError, match="does not read gamma"):
        ner_loss({"type": "MaskedFocalLoss", "gamma": 1})
