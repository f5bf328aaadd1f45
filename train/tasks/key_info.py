"""Training and evaluating extractors of key information.

Pages are prepared by the predictor's own ``prepare_page``, so a training pipeline has little to
say: it loads the picture and may change its colours, and its sizes must be those of the test
pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError, InputError
from ocr_models.key_info import KeyInfoExtractor, KiePage, PageInput, prepare_page
from ocr_models.kie.preprocessing import read_characters
from ocr_models.kie.sdmgr import SDMGR, PageGraph
from ocr_models.kie.unet import STRIDE
from ocr_models.mmocr_pipelines import kie_preprocessing
from ocr_models.spec import KieSpec

from ..augment.sample import Sample, SampleError
from ..data.datasets import Dataset
from ..data.pages import PageTruth
from ..evaluation.key_info import OpensetPage, macro_f1, openset_f1, true_links
from ..objectives.sdmgr import SDMGRLoss, SDMGRLossConfig, targets_of
from ..settings import EvaluationSettings
from .sharing import evaluation_runtime, in_order, share


class KieBatch(NamedTuple):
    """Images (B, 3, H, W), or None without a visual branch; a graph and targets per page."""

    images: Tensor | None
    pages: list[PageGraph]
    targets: list[Tensor]


class KieTask:
    """Trains ``ocr_models.kie.sdmgr``.

    Args:
        spec: the extractor.
        loss: MMOCR's ``bbox_head.loss``.
    """

    def __init__(self, spec: KieSpec, loss: SDMGRLossConfig) -> None:
        self.spec = spec
        self.network = SDMGR(spec.network)
        self.loss = SDMGRLoss(loss)
        self.metrics: tuple[str, ...] = ("macro_f1",) if spec.links is None else ("openset_f1",)
        if not spec.network.visual:
            # They get no gradients, which training in several processes would wait for.
            self.network.backbone.requires_grad_(False)
            self.network.bbox_head.fusion.requires_grad_(False)

    def check(self, sample: Sample) -> None:
        """See ``Task``; here the page is prepared, too."""
        truth = _truth(sample, self.spec)
        try:
            prepared = prepare_page(_page(sample, truth), self.spec)
        except InputError as error:
            raise SampleError(f"{sample.source}: {error}") from error
        sample.targets = prepared, targets_of(truth.labels, truth.groups, directed=truth.directed)

    def collate(self, samples: Sequence[Sample]) -> KieBatch:
        """See ``Task``; smaller pictures are padded on the right and at the bottom with zeros."""
        pairs: list[tuple[PageInput, np.ndarray]] = [sample.targets for sample in samples]
        pages = [PageGraph(*map(torch.from_numpy, prepared.graph)) for prepared, _ in pairs]
        targets = [torch.from_numpy(target) for _, target in pairs]
        if not self.spec.network.visual:
            return KieBatch(None, pages, targets)
        pictures = [prepared.tensor for prepared, _ in pairs if prepared.tensor is not None]
        height = max((picture.shape[1] for picture in pictures), default=STRIDE)
        width = max((picture.shape[2] for picture in pictures), default=STRIDE)
        images = torch.zeros(len(pairs), 3, height, width)
        for image, (prepared, _) in zip(images, pairs, strict=True):
            if prepared.tensor is not None:  # pages without words have none
                own_height, own_width = prepared.tensor.shape[1:]
                image[:, :own_height, :own_width] = torch.from_numpy(prepared.tensor)
        return KieBatch(images, pages, targets)

    def losses(self, network: nn.Module, batch: KieBatch) -> dict[str, Tensor]:
        """See ``Task``; the accuracies (percent) are logged beside."""
        result: dict[str, Tensor] = self.loss(network(batch.images, batch.pages), batch.targets)
        return result

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """See ``Task``; ``metric_options=dict(macro_f1=dict(ignores=[...]))`` is MMOCR's."""
        ignores = _ignored_classes(settings.metric_options)
        extractor = KeyInfoExtractor(self.spec, state_dict, evaluation_runtime(device))
        own: list[tuple[int, OpensetPage]] = []
        exif = self.spec.preprocessing.page.exif if self.spec.network.visual else None
        for number, sample in share(dataset, exif):
            truth = _truth(sample, self.spec)
            result = extractor.predict([_page(sample, truth)])[0]
            pairs = []
            if self.spec.links is not None:
                pairs = true_links(truth.labels, truth.groups, self.spec.links)
            classes = np.array(result.classes, np.int64)
            own.append((number, OpensetPage(classes, result.links or (), truth.labels, pairs)))
        pages: list[OpensetPage] = in_order(own)
        if self.spec.links is not None:
            return openset_f1(pages, self.spec.links)
        predicted = np.concatenate([page.classes for page in pages])
        truth_N = np.concatenate([page.true_classes for page in pages])
        return {"macro_f1": macro_f1(predicted, truth_N, self.spec.network.num_classes, ignores)}


def check_training_data(config: Mapping[str, Any], spec: KieSpec) -> None:
    """Whether the pages to learn from become graphs as the model will see them.

    Raises:
        ConfigError: a data set names another dictionary or norm than ``data.test``, or its
            pipeline makes other sizes.
    """
    for dataset in _datasets((config.get("data") or {}).get("train")):
        if "dict_file" in dataset and read_characters(dataset["dict_file"]) != spec.characters:
            raise ConfigError(
                f"data.train has the dictionary {dataset['dict_file']}, whose characters are not "
                "those of data.test; a model has one dictionary"
            )
        norm = float(dataset.get("norm", 10.0))
        if norm != spec.preprocessing.norm_px:
            raise ConfigError(
                f"data.train has norm={norm}, but data.test {spec.preprocessing.norm_px}"
            )
        steps = [
            step for step in dataset.get("pipeline") or () if step.get("type") != "ColorJitter"
        ]
        if not steps:
            continue
        own = kie_preprocessing(steps, norm, visual=spec.network.visual)
        if own != spec.preprocessing:
            raise ConfigError(
                "the training pipeline resizes or normalises pages in another way than the test "
                f"pipeline: {own.page} and {spec.preprocessing.page}; make them equal"
            )


def _datasets(entry: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(entry, list | tuple):
        for part in entry:
            yield from _datasets(part)
    elif isinstance(entry, Mapping):
        if "ann_file" in entry:
            yield entry
        yield from _datasets(entry.get("datasets"))
        yield from _datasets(entry.get("dataset"))


def _truth(sample: Sample, spec: KieSpec) -> PageTruth:
    truth = sample.fields.get("page")
    if not isinstance(truth, PageTruth):
        raise ConfigError(
            f"{sample.source} holds no boxes with texts and labels; this model learns from "
            "KIEDataset or OpensetKIEDataset"
        )
    wrong = (truth.labels < 0) | (truth.labels >= spec.network.num_classes)
    if wrong.any():
        raise SampleError(
            f"{sample.source}: label {truth.labels[wrong][0]}, but the model has classes 0 to "
            f"{spec.network.num_classes - 1}"
        )
    return truth


def _page(sample: Sample, truth: PageTruth) -> KiePage:
    return KiePage(sample.image, list(truth.boxes), truth.texts, truth.size)


def _ignored_classes(options: Mapping[str, Any]) -> list[int]:
    unknown = sorted(set(options) - {"macro_f1"})
    section = options.get("macro_f1") or {}
    if unknown or not isinstance(section, Mapping) or set(section) - {"ignores"}:
        raise ConfigError(
            f"evaluation.metric_options is {dict(options)}; allowed is "
            "dict(macro_f1=dict(ignores=[0, 25]))"
        )
    ignores = section.get("ignores") or []
    if not isinstance(ignores, list | tuple) or any(type(number) is not int for number in ignores):
        raise ConfigError(f"macro_f1.ignores must be a list of class numbers, got {ignores!r}")
    return list(ignores)
