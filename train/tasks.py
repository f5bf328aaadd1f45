"""What differs between kinds of models in training: batches, losses, evaluation.

``TASKS`` is the explicit table from a kind of model description to its task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ocr_models.codecs.ner import Span
from ocr_models.detection.families import build_network as build_detector
from ocr_models.detector import TextDetector
from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError, OcrError
from ocr_models.ner.bert_softmax import BertSoftmax
from ocr_models.recognition.families import build_network as build_recognizer
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, RecognizerSpec, Spec

from . import distributed
from .augment.sample import Sample, SampleError
from .data.datasets import Dataset
from .evaluation.detection import DETECTION_METRICS, ImageSample, eval_hmean
from .evaluation.entities import ALL, eval_ner_f1
from .evaluation.recognition import RECOGNITION_METRICS, eval_ocr_metric
from .kie_task import KieTask, check_training_data
from .objectives.bert_softmax import ner_loss
from .objectives.detection import DETECTION_OBJECTIVES, DetectionObjective
from .objectives.lines import RecognitionBatch, pad_lines
from .objectives.recognition import RECOGNITION_OBJECTIVES, RecognitionObjective
from .objectives.sdmgr import SDMGRLossConfig
from .objectives.settings import loss_config
from .settings import EvaluationSettings


class Task(Protocol):
    """One kind of model in training."""

    @property
    def spec(self) -> Spec:
        """What is trained."""
        ...

    @property
    def network(self) -> nn.Module:
        """Its network, on the CPU until the trainer moves it."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names that ``evaluation.metric`` and ``--eval`` accept, the usual one first."""
        ...

    def check(self, sample: Sample) -> None:
        """Look at an example after its pipeline.

        Raises:
            SampleError: it cannot be learnt from.
        """
        ...

    def collate(self, samples: Sequence[Sample]) -> Any:
        """A batch: a named tuple of tensors (and texts)."""
        ...

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; ``network`` has the type and device of training. Those that have
        ``loss`` in their names are summed, others are only logged."""
        ...

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """Results of the predictor that serves, with these weights."""
        ...


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
        self.network = build_detector(spec.network)
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
        images = torch.stack([_tensor(sample.pixels()) for sample in samples])
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
        assert isinstance(self.spec, DetectorSpec)
        detector = TextDetector(self.spec, state_dict, _evaluation_runtime(device))
        own = []
        for number, sample in _share(dataset, self.spec.preprocessing.exif):
            found = detector.predict([sample.stored()])[0].boundaries
            scored = ImageSample(
                [boundary.points for boundary in found],
                [boundary.score for boundary in found],
                sample.polygons,
                sample.ignored,
            )
            own.append((number, scored))
        return eval_hmean(
            _in_order(own),
            metrics={name: DETECTION_METRICS[name] for name in settings.metric},
            min_score_thr=settings.min_score_thr,
            max_score_thr=settings.max_score_thr,
            step=settings.step,
        )


class RecognitionTask:
    """Trains a recogniser.

    Args:
        spec: the recogniser.
        objective: its targets and losses.
    """

    metrics = ("acc", *RECOGNITION_METRICS, "one_minus_ned")

    def __init__(self, spec: RecognizerSpec, objective: RecognitionObjective) -> None:
        self.spec = spec
        self.network = build_recognizer(spec.network)
        self.objective = objective

    def check(self, sample: Sample) -> None:
        """See ``Task``."""
        self.objective.check(sample)

    def collate(self, samples: Sequence[Sample]) -> RecognitionBatch:
        """See ``Task``; narrower lines are padded on the right."""
        step = self.objective.target_step
        if step is not None and any(sample.targets is None for sample in samples):
            raise ConfigError(f"the training pipeline of this model needs the step {step}")
        images, ratios = pad_lines([_tensor(sample.pixels()) for sample in samples], samples)
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
        assert isinstance(self.spec, RecognizerSpec)
        recognizer = TextRecognizer(self.spec, state_dict, _evaluation_runtime(device))
        own: list[tuple[int, tuple[str, str]]] = []
        for group in _groups(_share(dataset, self.spec.preprocessing.exif), 256):
            readings = recognizer.predict([sample.stored() for _, sample in group])
            own += [
                (number, (reading.text, sample.text))
                for (number, sample), reading in zip(group, readings, strict=True)
            ]
        pairs = _in_order(own)
        return eval_ocr_metric(
            [read for read, _ in pairs], [truth for _, truth in pairs], metric=settings.metric
        )


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
        assert isinstance(self.spec, NerSpec)
        options = EntityOptions(long_text="windows")
        recognizer = EntityRecognizer(self.spec, state_dict, _evaluation_runtime(device), options)
        own: list[tuple[int, tuple[list[Span], tuple[Span, ...], str]]] = []
        numbers = range(distributed.rank(), len(dataset), distributed.world_size())
        for group in _groups(((i, dataset.sample(0, i)) for i in numbers), 256):
            results = recognizer.predict([sample.text for _, sample in group])
            for (number, sample), result in zip(group, results, strict=True):
                found = [Span(each.label, each.start, each.end) for each in result.entities]
                own.append((number, (found, sample.fields["entities"], sample.text)))
        scores = eval_ner_f1(*zip(*_in_order(own), strict=True))
        whole = scores.pop(ALL)
        by_category = {f"{label}:f1-score": each.f1 for label, each in sorted(scores.items())}
        return {
            "f1-score": whole.f1,
            "precision": whole.precision,
            "recall": whole.recall,
            **by_category,
        }


def build_task(config: Mapping[str, Any], spec: Spec | None = None) -> Task:
    """The task that the config's ``model`` needs.

    Args:
        config: a resolved config.
        spec: the model, where it does not come from the config.
    """
    model = config.get("model") or {}
    if spec is None:
        from ocr_models.from_mmocr import model_from_mmocr

        spec = model_from_mmocr(dict(config))
    if isinstance(spec, DetectorSpec):
        return DetectionTask(spec, DETECTION_OBJECTIVES[type(spec.network)](spec, model))
    if isinstance(spec, KieSpec):
        check_training_data(config, spec)
        head = model.get("bbox_head") or {}
        return KieTask(spec, loss_config(SDMGRLossConfig, "SDMGRLoss", head.get("loss") or {}))
    if isinstance(spec, NerSpec):
        return NerTask(spec, model.get("loss") or {})
    return RecognitionTask(spec, RECOGNITION_OBJECTIVES[type(spec.network)](spec, model))


def _tensor(image: np.ndarray) -> Tensor:
    """H x W (x C) -> (C, H, W) float32."""
    if image.dtype != np.float32:
        raise ConfigError("the training pipeline lacks a step Normalize")
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


def _evaluation_runtime(device: torch.device) -> RuntimeOptions:
    return RuntimeOptions(kind="torch", device=str(device), precision="float32")


def _share(dataset: Dataset, apply_exif: bool) -> Iterator[tuple[int, Sample]]:
    """This process's part of the examples, decoded as the predictor wants them.

    Raises:
        SampleError: an image is missing or broken.
    """
    for number in range(distributed.rank(), len(dataset), distributed.world_size()):
        sample = dataset.sample(0, number)
        if sample.image is None:
            if sample.load is None:
                raise SampleError(f"{sample.source}: the annotation names no image")
            try:
                sample.image = sample.load(apply_exif)
            except (OcrError, OSError) as error:
                raise SampleError(f"{sample.source}: {error}") from error
        yield number, sample


def _groups(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _in_order(own: list[tuple[int, Any]]) -> list[Any]:
    """All processes' results in the order of the data set."""
    gathered = [pair for part in distributed.gather_objects(own) for pair in part]
    return [result for _, result in sorted(gathered, key=lambda pair: pair[0])]
