"""What differs between training a detector and a recogniser: batches, losses, evaluation.

``TASKS`` is the explicit table from a kind of model description to its task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.codecs.ctc import CTCCodec
from ocr_models.detection.families import build_network
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError, OcrError
from ocr_models.recognition.crnn import CRNN
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, RecognizerSpec, Spec

from . import distributed
from .augment.sample import Sample, SampleError
from .data.datasets import Dataset
from .evaluation.detection import DETECTION_METRICS, ImageSample, eval_hmean
from .evaluation.recognition import RECOGNITION_METRICS, eval_ocr_metric
from .objectives.crnn import CTCLoss, CTCLossConfig
from .objectives.detection import DETECTION_OBJECTIVES, DetectionObjective
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
        """Scalars to be summed, by name; ``network`` has the type and device of training."""
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


class RecognitionBatch(NamedTuple):
    """Lines (B, C, H, W), padded on the right, with what they say."""

    images: Tensor
    texts: list[str]
    valid_ratios: list[float]


class CRNNTask:
    """Trains ``ocr_models.recognition.crnn``.

    Args:
        spec: the recogniser.
        loss: MMOCR's ``loss``.
    """

    metrics = ("acc", *RECOGNITION_METRICS, "one_minus_ned")

    def __init__(self, spec: RecognizerSpec, loss: CTCLossConfig) -> None:
        self.spec = spec
        self.network = CRNN(spec.network)
        self.loss = CTCLoss(loss)
        self.codec = CTCCodec(spec.codec)

    def check(self, sample: Sample) -> None:
        """See ``Task``; without an unknown class every character must have its own."""
        try:
            self.codec.encode([sample.text])
        except ConfigError as error:
            raise SampleError(f"{sample.source}: {error}") from error

    def collate(self, samples: Sequence[Sample]) -> RecognitionBatch:
        """See ``Task``; narrower lines are padded on the right with the colour black."""
        lines = [_tensor(sample.pixels()) for sample in samples]
        width = max(line.shape[2] for line in lines)
        channels, height = lines[0].shape[:2]
        images = torch.empty(len(lines), channels, height, width)
        ratios = []
        for image, line, sample in zip(images, lines, samples, strict=True):
            own = line.shape[2]
            image[:, :, :own] = line
            image[:, :, own:] = torch.tensor(sample.pad_value)[:, None, None]
            ratios.append(sample.valid_ratio * own / width)
        return RecognitionBatch(images, [sample.text for sample in samples], ratios)

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """See ``Task``."""
        logits = network(batch.images).logits
        encoded = self.codec.encode(batch.texts)
        targets = np.split(encoded.classes, np.cumsum(encoded.lengths)[:-1])
        result: dict[str, Tensor] = self.loss(
            logits, [torch.from_numpy(target) for target in targets], batch.valid_ratios
        )
        return result

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
    return CRNNTask(spec, loss_config(CTCLossConfig, "CTCLoss", model.get("loss") or {}))


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
