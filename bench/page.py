"""A page full of words, and what a detector that has learnt its targets perfectly says about it.

Every map comes from the project's own target making; edges are softened and noise is added, so that
post-processing meets what a network gives rather than a drawing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_models.detection.dbnet import DBNetConfig, DBNetPPConfig
from ocr_models.detection.drrg import DRRG, DRRGConfig
from ocr_models.detection.drrg_components import GeometryMaps, propose_components
from ocr_models.detection.drrg_graphs import LocalGraphs, local_graphs, nearest_others
from ocr_models.detection.families import FAMILIES, Outputs
from ocr_models.detection.fcenet import FCENetConfig
from ocr_models.detection.mask_rcnn import MaskRCNN, MaskRCNNConfig, select_text
from ocr_models.detection.panet import PANetConfig
from ocr_models.detection.psenet import PSENetConfig
from ocr_models.detection.textsnake import TextSnakeConfig
from ocr_models.preprocessing import DetectionInput
from ocr_models.results import Boundary
from ocr_models.runtime import SecondStage
from ocr_models.spec import DetectorSpec
from ocrserve.train.objectives import (
    dbnet,
    drrg_targets,
    fcenet,
    mask_rcnn,
    text_kernels,
    textsnake,
)

PAGE_HW = (720, 1280)
PADDED_HW = (736, 1280)
"""The page as most networks get it, with both sides multiples of 32."""

ROWS, COLUMNS = 20, 10
WORD_PX = (104.0, 22.0)
CURVED_EVERY = 5
KERNEL_RATIOS = (1.0, 0.5)
PSE_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
MAP_STEP = 4
PROPOSALS = 1000
MASK_SIDE = 28
LEAST_IOU = 0.5

Polygons = list[NDArray[np.float64]]
Size = tuple[int, int]


class PageCase(NamedTuple):
    """One detector on the page."""

    network: nn.Module
    image_hw: Size
    """Height and width of the network's input without padding."""
    second_stage: SecondStage | None
    """What of the network runs in PyTorch whatever the runtime is, as ``TwoStageRuntime`` wants
    it."""
    postprocess: Callable[[], list[Boundary]]
    """From the maps of a perfect network to boundaries, in pixels of the network's input."""

    def run_eagerly(self, images_1CHW: Tensor) -> None:
        """The whole network, in PyTorch."""
        if self.second_stage is None:
            self.network(images_1CHW)
            return
        family = FAMILIES[type(self.network.config)]  # type: ignore[arg-type]
        found = getattr(self.network, family.inference)(images_1CHW)
        found = (found,) if isinstance(found, Tensor) else found
        self.second_stage(found, self.image_hw)


def page_words() -> Polygons:
    """200 words in 20 rows and 10 columns: slightly turned quads, every fifth a curved polygon."""
    rng = np.random.default_rng(0)
    height, width = PAGE_HW
    words = []
    for number in range(ROWS * COLUMNS):
        row, column = divmod(number, COLUMNS)
        center = np.array([(column + 0.5) * width / COLUMNS, (row + 0.5) * height / ROWS])
        word_width, word_height = np.array(WORD_PX) * rng.uniform(0.85, 1.0, 2)
        along = np.linspace(-0.5, 0.5, 7 if number % CURVED_EVERY == 0 else 2)
        bend = 4.0 * (4 * along**2 - 0.5) if len(along) > 2 else 0.0
        top = np.stack([along * word_width, bend - word_height / 2 + 0 * along], axis=1)
        bottom = np.stack([along * word_width, bend + word_height / 2 + 0 * along], axis=1)
        angle = np.deg2rad(rng.uniform(-3, 3))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        words.append(np.concatenate([top, bottom[::-1]]) @ turn + center)
    return words


def page_image(words: Sequence[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """(720, 1280, 3) BGR: dark words on light paper."""
    image = np.full((*PAGE_HW, 3), 235, np.uint8)
    cv2.fillPoly(image, [word.astype(np.int32) for word in words], (70, 70, 70))
    return image


def matched_words(boundaries: Sequence[Boundary], words: Sequence[NDArray[np.float64]]) -> int:
    """How many words a boundary overlaps with an IoU of at least one half."""
    from ocrserve.train.evaluation.polygons import overlaps

    if not boundaries:
        return 0
    iou = overlaps([word.ravel() for word in words], [b.points.ravel() for b in boundaries]).iou
    return int((iou.max(axis=1) >= LEAST_IOU).sum())


def page_case(
    spec: DetectorSpec, network: nn.Module, words: Polygons, image_hw: Size, input_hw: Size
) -> PageCase:
    """A detector on the page of these words.

    Args:
        spec: what the detector is.
        network: in evaluation mode.
        words: polygons in pixels of the network's input.
        image_hw: height and width of the page in the network's input.
        input_hw: of the network's input, with padding.
    """
    config = spec.network
    if isinstance(config, DRRGConfig):
        return _drrg_case(spec, network, words, image_hw, input_hw)
    if isinstance(config, MaskRCNNConfig):
        return _mask_rcnn_case(spec, network, words, image_hw)
    family = FAMILIES[type(config)]
    outputs = _OUTPUTS[type(config)](words, input_hw)
    prepared, scale = _prepared(image_hw), family.map_scale or 1.0

    def postprocess() -> list[Boundary]:
        found = family.boundaries(outputs, spec.postprocessing, prepared)
        return [Boundary(boundary.points / scale, boundary.score) for boundary in found]

    return PageCase(network, image_hw, None, postprocess)


def _prepared(image_hw: Size) -> DetectionInput:
    """As if the image had not been resized."""
    return DetectionInput(
        tensor=np.empty((3, 0, 0), np.float32),
        scale_factor=np.ones(4, np.float32),
        resized_shape=image_hw,
        padded_shape=image_hw,
        original_shape=image_hw,
    )


def _logits(region: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Soft-edged, noisy logits of a 0/1 map: about 6 inside, -6 outside."""
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 0.7)
    noise = np.random.default_rng(seed).normal(0, 0.4, region.shape)
    return (12 * soft - 6 + noise).astype(np.float32)


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _db(words: Polygons, size: Size) -> Outputs:
    targets = dbnet.make_targets(words, [], *size)
    return (_probability(_logits(targets.shrink > 0, 0))[None],)


def _kernels(words: Polygons, size: Size, ratios: tuple[float, ...]) -> NDArray[np.int16]:
    config = text_kernels.KernelTargets(ratios)
    maps = text_kernels.make_targets(words, [], *size, config)
    return np.ascontiguousarray(maps.kernels[:, ::MAP_STEP, ::MAP_STEP])


def _pan(words: Polygons, size: Size) -> Outputs:
    kernels = _kernels(words, size, KERNEL_RATIOS)
    rng = np.random.default_rng(1)
    embeddings = rng.normal(0, 3, (len(words) + 1, 4))
    embedding = embeddings[kernels[0]].transpose(2, 0, 1) + rng.normal(0, 0.1, kernels[0].shape)
    logits = [_logits(kernel > 0, seed) for seed, kernel in enumerate(kernels)]
    return (np.stack([*logits, *embedding]).astype(np.float32),)


def _pse(words: Polygons, size: Size) -> Outputs:
    kernels = _kernels(words, size, PSE_RATIOS)
    return (np.stack([_logits(kernel > 0, seed) for seed, kernel in enumerate(kernels)]),)


def _textsnake(words: Polygons, size: Size) -> Outputs:
    maps = textsnake.make_targets(words, [], *size)
    logits = [_logits(maps.text, 0), _logits(maps.center, 1)]
    return (np.stack([*logits, maps.sin, maps.cos, maps.radius]).astype(np.float32),)


def _fce(words: Polygons, size: Size) -> Outputs:
    outputs: list[NDArray[np.float32]] = []
    for level in fcenet.make_targets(words, [], *size):
        text, center = _logits(level[0], 0), _logits(level[1], 1)
        zero = np.zeros_like(text)
        outputs += [np.stack([zero, text, zero, center]), level[3:]]
    return tuple(outputs)


_OUTPUTS: dict[type, Callable[[Polygons, Size], Outputs]] = {
    DBNetConfig: _db,
    DBNetPPConfig: _db,
    PANetConfig: _pan,
    PSENetConfig: _pse,
    TextSnakeConfig: _textsnake,
    FCENetConfig: _fce,
}


def _drrg_case(
    spec: DetectorSpec, network: nn.Module, words: Polygons, image_hw: Size, input_hw: Size
) -> PageCase:
    """Components, graphs and grouping are post-processing; the graph network is network."""
    assert isinstance(network, DRRG)
    family = FAMILIES[DRRGConfig]
    rng = np.random.default_rng(0)
    maps = drrg_targets.make_targets(words, [], *input_hw, rng).maps
    text, center = _probability(_logits(maps.text, 0)), _probability(_logits(maps.center, 1))
    geometry = GeometryMaps(maps.sin, maps.cos, maps.top_height, maps.bottom_height)
    numbers = np.zeros(input_hw, np.int32)
    for number, word in enumerate(words, start=1):
        cv2.fillPoly(numbers, [word.astype(np.int32)], (number,))

    def components_and_graphs() -> tuple[NDArray[np.float64], NDArray[np.float64], LocalGraphs]:
        found = propose_components(text, center, geometry, network.config.proposals)
        nearest = nearest_others(found.attributes[:, :2], network.config.graphs.neighbours)
        graphs = local_graphs(found.attributes, nearest, network.config.graphs)
        return found.boxes, found.attributes, graphs

    _, _, graphs = components_and_graphs()

    def second_stage(found: tuple[Tensor, ...], _: Size) -> tuple[Tensor, ...]:
        return (network.link_probabilities(found[0], graphs),)

    def postprocess() -> list[Boundary]:
        boxes, attributes, own = components_and_graphs()
        x, y = attributes[:, :2].astype(np.int32).T
        links = own.components()
        word = numbers[y, x][links]
        same = np.where((word[:, 0] == word[:, 1]) & (word[:, 0] > 0), 0.99, 0.01)
        return family.boundaries((links, same, boxes), spec.postprocessing, _prepared(image_hw))

    return PageCase(network, image_hw, second_stage, postprocess)


def _mask_rcnn_case(
    spec: DetectorSpec, network: nn.Module, words: Polygons, image_hw: Size
) -> PageCase:
    """Suppression of a thousand boxes, and masks to outlines; as many texts as there are words."""
    config, family = spec.network, FAMILIES[MaskRCNNConfig]
    assert isinstance(config, MaskRCNNConfig)
    detections = dataclasses.replace(config.detections, max_per_img=len(words))
    config = dataclasses.replace(config, detections=detections)
    truth = mask_rcnn.make_instances(words, *image_hw)
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(words), size=PROPOSALS)
    chosen[: len(words)] = np.arange(len(words))
    shifts = rng.normal(0, 2, (PROPOSALS, 4))
    shifts[: len(words)] = 0
    proposals = torch.from_numpy((truth.boxes[chosen] + shifts).astype(np.float32))
    logits = torch.zeros(PROPOSALS, config.num_classes + 1)
    logits[:, 0] = 6 - torch.from_numpy(np.abs(shifts).sum(axis=1)).float() / 4
    deltas = torch.zeros(PROPOSALS, 4 * config.num_classes)
    masks = np.stack(
        [
            cv2.resize(
                mask[int(top) : int(bottom) + 1, int(left) : int(right) + 1].astype(np.float32),
                (MASK_SIDE, MASK_SIDE),
                interpolation=cv2.INTER_AREA,
            )
            for (left, top, right, bottom), mask in zip(truth.boxes, truth.masks, strict=True)
        ]
    )
    prepared = _prepared(image_hw)

    def postprocess() -> list[Boundary]:
        boxes, scores = select_text(proposals, logits, deltas, image_hw, config)
        center = (boxes[:, :2] + boxes[:, 2:]).numpy() / 2
        true_center = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
        number = np.abs(center[:, None] - true_center).sum(axis=2).argmin(axis=1)
        outputs = (boxes.numpy(), scores.numpy(), masks[number])
        return family.boundaries(outputs, spec.postprocessing, prepared)

    assert isinstance(network, MaskRCNN)
    return PageCase(network, image_hw, network.second_stage, postprocess)
