"""Training and evaluating entity recognisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ocr_models.codecs.ner import Span
from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError
from ocr_models.ner.bert_softmax import BertSoftmax
from ocr_models.spec import NerSpec

from ..augment.sample import Sample
from ..data.datasets import Dataset
from ..evaluation.entities import ALL, eval_ner_f1
from ..objectives.bert_softmax import ner_loss
from ..settings import EvaluationSettings
from .sharing import evaluation_runtime, in_groups, in_order, share


class NerBatch(NamedTuple):
    """Tokens, labels and mask, (B, T) each; the mask is 1 for tokens, 0 for what fills up."""

    tokens: Tensor
    labels: Tensor
    mask: Tensor


class NerTask:
    """Trains ``ocr_models.ner.bert_softmax``.

    Args:
        spec: the entity recogniser.
        loss: MMOCR's ``loss``.
    """

    metrics = ("f1-score",)

    def __init__(self, spec: NerSpec, loss: Mapping[str, Any]) -> None:
        self.spec = spec
        self.network = BertSoftmax(spec.network)
        self.loss = ner_loss(loss)

    def check(self, sample: Sample) -> None:
        """See ``Task``; texts without entities are fine."""

    def collate(self, samples: Sequence[Sample]) -> NerBatch:
        """See ``Task``; shorter texts are filled up with padding."""
        if any(sample.targets is None for sample in samples):
            raise ConfigError("the training pipeline of this model needs the step NerTransform")
        tokens = [sample.targets.tokens for sample in samples]
        labels = [sample.targets.labels for sample in samples]
        masks = [torch.ones_like(own) for own in tokens]
        return NerBatch(*(pad_sequence(each, batch_first=True) for each in (tokens, labels, masks)))

    def losses(self, network: nn.Module, batch: NerBatch) -> dict[str, Tensor]:
        """See ``Task``."""
        logits = network(batch.tokens, batch.mask).logits
        result: dict[str, Tensor] = self.loss(logits, batch.labels, batch.mask)
        return result

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """See ``Task``; texts longer than the model reads at once are read in windows."""
        options = EntityOptions(long_text="windows")
        recognizer = EntityRecognizer(self.spec, state_dict, evaluation_runtime(device), options)
        own: list[tuple[int, tuple[list[Span], tuple[Span, ...], str]]] = []
        for group in in_groups(share(dataset, None), 256):
            results = recognizer.predict([sample.text for _, sample in group])
            for (number, sample), result in zip(group, results, strict=True):
                found = [Span(each.label, each.start, each.end) for each in result.entities]
                own.append((number, (found, sample.fields["entities"], sample.text)))
        scores = eval_ner_f1(*zip(*in_order(own), strict=True))
        whole = scores.pop(ALL)
        by_category = {f"{label}:f1-score": each.f1 for label, each in sorted(scores.items())}
        return {
            "f1-score": whole.f1,
            "precision": whole.precision,
            "recall": whole.recall,
            **by_category,
        }
