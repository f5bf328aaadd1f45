"""Training and evaluating recognisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError
from ocr_models.recognition.families import build_network
from ocr_models.recognizer import TextRecognizer
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from ..data.datasets import Dataset
from ..evaluation.recognition import RECOGNITION_METRICS, eval_ocr_metric
from ..objectives.lines import RecognitionBatch, pad_lines
from ..objectives.recognition import RecognitionObjective
from ..settings import EvaluationSettings
from .sharing import evaluation_runtime, in_groups, in_order, share, to_tensor


class RecognitionTask:
    """Trains a recogniser.

    Args:
        spec: the recogniser.
        objective: its targets and losses.
    """

    metrics = ("acc", *RECOGNITION_METRICS, "one_minus_ned")

    def __init__(self, spec: RecognizerSpec, objective: RecognitionObjective) -> None:
        self.spec = spec
        self.network = build_network(spec.network)
        self.objective = objective

    def check(self, sample: Sample) -> None:
        """See ``Task``."""
        self.objective.check(sample)

    def collate(self, samples: Sequence[Sample]) -> RecognitionBatch:
        """See ``Task``; narrower lines are padded on the right."""
        step = self.objective.target_step
        if step is not None and any(sample.targets is None for sample in samples):
            raise ConfigError(f"the training pipeline of this model needs the step {step}")
        images, ratios = pad_lines([to_tensor(sample.pixels()) for sample in samples], samples)
        targets = self.objective.collate([s.targets for s in samples]) if step else None
        return RecognitionBatch(images, [sample.text for sample in samples], ratios, targets)

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """See ``Task``."""
        return self.objective.losses(network, batch)

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """See ``Task``."""
        recognizer = TextRecognizer(self.spec, state_dict, evaluation_runtime(device))
        own: list[tuple[int, tuple[str, str]]] = []
        for group in in_groups(share(dataset, self.spec.preprocessing.exif), 256):
            readings = recognizer.predict([sample.stored() for _, sample in group])
            own += [
                (number, (reading.text, sample.text))
                for (number, sample), reading in zip(group, readings, strict=True)
            ]
        pairs = in_order(own)
        return eval_ocr_metric(
            [read for read, _ in pairs], [truth for _, truth in pairs], metric=settings.metric
        )
