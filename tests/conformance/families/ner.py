"""BERT with a softmax: entity recognition."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ocr_models.ner.bert_softmax import BertSoftmax
from ocr_models.spec import Spec
from ocrserve.train.objectives.bert_softmax import (
    FocalLoss,
    FocalLossConfig,
    MaskedCrossEntropyLoss,
    MaskedCrossEntropyLossConfig,
    MaskedFocalLoss,
    MaskedFocalLossConfig,
)

from ..check import Check
from ..kit import Arrays, compare_forward
from .family import Entry, Family

VOCABULARY_LINES = 21_128
HIDDEN_STEP = 8  # the kit stores every eighth token


@contextmanager
def _stand_ins(model: Entry) -> Iterator[Entry]:
    """The model with a vocabulary of the right length; no output depends on its words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("".join(f"token{i}\n" for i in range(VOCABULARY_LINES)), encoding="utf-8")
        yield {**model, "label_convertor": {**model["label_convertor"], "vocab_file": str(path)}}


def _forward(network: nn.Module, described: Spec, _: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, BertSoftmax)
    tokens, mask = (torch.from_numpy(arrays[name]) for name in ("input_ids", "attention_mask"))
    output = network(tokens, mask)
    compare_forward(check, arrays, "hidden", output.hidden[:, ::HIDDEN_STEP].numpy())
    compare_forward(check, arrays, "logits", output.logits.numpy())


def _train_forward(*_: object) -> dict[str, Tensor]:
    raise NotImplementedError("the kit has no such case")


def _cross_entropy(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    config = MaskedCrossEntropyLossConfig(entry["args"].get("ignore_index", 0))
    return _masked(MaskedCrossEntropyLoss(config), arrays, entry)


def _masked_focal(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    config = MaskedFocalLossConfig(entry["args"].get("ignore_index", 0))
    return _masked(MaskedFocalLoss(config), arrays, entry)


def _masked(
    loss: nn.Module, arrays: Arrays, entry: Entry
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    logits = torch.from_numpy(arrays["ner_logits"]).requires_grad_()
    labels, mask = (torch.from_numpy(arrays[name]) for name in ("ner_labels", "ner_mask"))
    return {"logits": logits}, loss(logits, labels, mask if entry["masked"] else None)


def _focal(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    logits = torch.from_numpy(arrays["focal_logits"]).requires_grad_()
    weight = entry["args"].get("weight")
    settings = {**entry["args"], "weight": None if weight is None else tuple(weight)}
    loss = FocalLoss(FocalLossConfig(**settings))
    return {"logits": logits}, {"loss": loss(logits, torch.from_numpy(arrays["focal_target"]))}


NER_FAMILY = Family(
    model_type="NerClassifier",
    part_types={"encoder": ("BertEncoder",), "decoder": ("FCDecoder",)},
    pipeline=[{"type": "ToTensorNER"}],
    forward=_forward,
    train_forward=_train_forward,
    losses={
        "MaskedCrossEntropyLoss": _cross_entropy,
        "MaskedFocalLoss": _masked_focal,
        "FocalLoss": _focal,
    },
    stand_ins=_stand_ins,
)
