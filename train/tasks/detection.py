"""Training and evaluating detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ocr_models.detection.families import build_network
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from ..augment.sample import Sample
from ..data.datasets import Dataset
from ..evaluation.detection import DETECTION_METRICS, ImageSample, eval_hmean
from ..objectives.detection import DetectionObjective
from ..settings import EvaluationSettings
from .sharing import evaluation_runtime, in_order, share, to_tensor


class DetectionBatch(NamedTuple):
    """Images (B, 3, H, W), and what the objective made of their targets."""

    images: Tensor
    targets: Any


class DetectionTask:
    """Trains a detector.

    Args:
        spec: the detector.
        objective: its targets and losses.
    """

    metrics = tuple(DETECTION_METRICS)

    def __init__(self, spec: DetectorSpec, objective: DetectionObjective) -> None:
        self.spec = spec
        self.network = build_network(spec.network)
        self.objective = objective

    def check(self, sample: Sample) -> None:
        """See ``Task``; a picture without text is fine."""

    def collate(self, samples: Sequence[Sample]) -> DetectionBatch:
        """See ``Task``."""
        shapes = {sample.pixels().shape for sample in samples}
        if len(shapes) > 1:
            raise ConfigError(
                f"images of one batch differ in size: {sorted(shapes)}; "
                "end the geometric steps with a crop of one size, or use samples_per_gpu=1"
            )
        if any(sample.targets is None for sample in samples):
            raise ConfigError(
                f"the training pipeline of this model needs the step {self.objective.target_step}"
            )
        images = torch.stack([to_tensor(sample.pixels()) for sample in samples])
        return DetectionBatch(images, self.objective.collate([s.targets for s in samples]))

    def losses(self, network: nn.Module, batch: DetectionBatch) -> dict[str, Tensor]:
        """See ``Task``."""
        return self.objective.losses(network, batch.images, batch.targets)

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """See ``Task``."""
        detector = TextDetector(self.spec, state_dict, evaluation_runtime(device))
        own = []
        for number, sample in share(dataset, self.spec.preprocessing.exif):
            found = detector.predict([sample.stored()])[0].boundaries
            scored = ImageSample(
                [boundary.points for boundary in found],
                [boundary.score for boundary in found],
                sample.polygons,
                sample.ignored,
            )
            own.append((number, scored))
        return eval_hmean(
            in_order(own),
            metrics={name: DETECTION_METRICS[name] for name in settings.metric},
            min_score_thr=settings.min_score_thr,
            max_score_thr=settings.max_score_thr,
            step=settings.step,
        )
