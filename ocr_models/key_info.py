"""Key information from boxes and texts to labels and fields: one path for server, command line and
evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ocr_models.clock import StageClock
from ocr_models.errors import InputError
from ocr_models.kie.links import class_fields, find_links, linked_fields
from ocr_models.kie.preprocessing import (
    character_indices,
    check_quads,
    corner_boxes,
    encode_texts,
    relations_of,
    resize_relations,
)
from ocr_models.kie.sdmgr import SDMGR, PageGraph
from ocr_models.preprocessing import detection_input
from ocr_models.results import KeyInfoResult
from ocr_models.runtime import GraphRuntime, RuntimeOptions, make_runtime
from ocr_models.spec import KieSpec
from ocr_models.weights import load_into


class KiePage(NamedTuple):
    """One page; a plain tuple ``(image, boxes, texts)`` will do.

    Args:
        image: uint8 (H, W, 3) BGR; None for models without a visual branch.
        boxes: four corners each, flat or (4, 2), x and y in pixels of the page, in any order.
        texts: one per box.
        size: width and height of the page in pixels, where there is no image. When nobody knows
            it, the boxes' own right and lower ends count.
    """

    image: np.ndarray | None
    boxes: Sequence[ArrayLike]
    texts: Sequence[str]
    size: tuple[int, int] | None = None


class PageInput(NamedTuple):
    """One page, ready for the network.

    Args:
        quads: (N, 4, 2), checked corners in pixels of the page.
        graph: relations (N, N, 5), texts (N, T), boxes (N, 4).
        tensor: float32 (3, H, W), padded; None without a visual branch.
    """

    quads: NDArray[np.float64]
    graph: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]
    tensor: NDArray[np.float32] | None


def prepare_page(page: KiePage, spec: KieSpec) -> PageInput:
    """What the network gets.

    Raises:
        InputError: as ``KeyInfoExtractor.predict`` does.
    """
    if spec.network.visual and page.image is None:
        raise InputError(
            422,
            "missing_image",
            "this model looks at the picture of each word, so it needs the image; send it, or "
            "use a model without a visual branch",
        )
    size = page.size
    if page.image is not None:
        size = (page.image.shape[1], page.image.shape[0])
    quads = check_quads(page.boxes, page.texts, size)
    boxes = corner_boxes(quads)
    relations = relations_of(boxes, spec.preprocessing.norm_px)
    texts = encode_texts(page.texts, character_indices(spec.characters))
    if not len(quads):
        return PageInput(quads, (relations, texts, boxes), None)
    if size is None:
        width, height = (max(1, int(end)) for end in np.ceil(quads.max(axis=(0, 1))))
        size = (width, height)
    if not spec.network.visual:
        new_width, new_height = spec.preprocessing.resized(*size)
        scale_x, scale_y = new_width / size[0], new_height / size[1]
        relations = resize_relations(relations, scale_x, scale_y)
        return PageInput(quads, (relations, texts, boxes), None)
    assert page.image is not None
    prepared = detection_input(page.image, spec.preprocessing.page)
    scale_x, scale_y = prepared.scale_factor[:2].tolist()
    relations = resize_relations(relations, scale_x, scale_y)
    new_height, new_width = prepared.resized_shape
    edges = np.array([new_width, new_height] * 2, np.float32)
    boxes = (boxes * prepared.scale_factor).clip(0, edges)
    return PageInput(quads, (relations, texts, boxes), prepared.tensor)


class KeyInfoExtractor:
    """Finds out what the words of a page mean.

    Pages are run one by one, so a result cannot depend on what else was in the batch.

    Args:
        spec: what the extractor is.
        state_dict: its weights.
        options: how to run it.
        source: names the weights in error messages.

    Raises:
        WeightsError: the weights do not fit the network.
        ConfigError: the runtime asked for is not to be had.
    """

    def __init__(
        self,
        spec: KieSpec,
        state_dict: Mapping[str, Tensor],
        options: RuntimeOptions = RuntimeOptions(),
        source: str = "state dict",
    ) -> None:
        network = SDMGR(spec.network)
        load_into(network, state_dict, source=source)
        self.spec = spec
        self._network = network
        eyes = None
        if spec.network.visual:
            eyes = make_runtime(network, network.visual_map, options, (1, 3, 64, 64))
        self._runtime = GraphRuntime(network, self._probabilities, eyes, options)

    @property
    def runtime_name(self) -> str:
        """Library, device and precision that run the network."""
        return self._runtime.name

    def predict(
        self,
        pages: Sequence[KiePage | tuple[np.ndarray | None, Sequence[ArrayLike], Sequence[str]]],
        *,
        clock: StageClock | None = None,
    ) -> list[KeyInfoResult]:
        """Labels the words of each page.

        Args:
            pages: see ``KiePage``.
            clock: where to add up the seconds of the stages.

        Returns:
            One result per page, in order; the words of a page in the given order.

        Raises:
            InputError: a box or text cannot be used, or the image that the model needs is missing.
        """
        clock = clock or StageClock()
        return [self._predict(KiePage(*page), clock) for page in pages]

    def _predict(self, page: KiePage, clock: StageClock) -> KeyInfoResult:
        with clock.stage("preprocess"):
            prepared = prepare_page(page, self.spec)
        count = len(prepared.quads)
        if not count:
            links = () if self.spec.links is not None else None
            return KeyInfoResult(prepared.quads, (), (), (), (), (), links)
        with clock.stage("network"):
            image = None if prepared.tensor is None else prepared.tensor[None]
            nodes_NK, edges_NN = self._runtime(image, prepared.graph)
        with clock.stage("postprocess"):
            return self._result(prepared.quads, tuple(page.texts), nodes_NK, edges_NN)

    def _probabilities(self, maps: Tensor | None, graph: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """(N, K) of classes and (N, N) of links."""
        output = self._network.logits(maps, [PageGraph(*graph)])
        count = len(output.nodes)
        return output.nodes.softmax(dim=1), output.edges.softmax(dim=1)[:, 1].view(count, count)

    def _result(
        self,
        quads: NDArray[np.float64],
        texts: tuple[str, ...],
        nodes_NK: NDArray[np.float32],
        edges_NN: NDArray[np.float32],
    ) -> KeyInfoResult:
        classes = nodes_NK.argmax(axis=1)
        labels = tuple(self.spec.class_names[i] for i in classes)
        scores = tuple(nodes_NK.max(axis=1).tolist())
        if self.spec.links is None:
            links, fields = None, class_fields(quads, texts, labels, scores)
        else:
            links = find_links(classes, edges_NN, self.spec.links)
            fields = linked_fields(texts, links)
        return KeyInfoResult(quads, texts, tuple(classes.tolist()), labels, scores, fields, links)

    def warm_up(self) -> None:
        """Runs once, so that the first request does not pay for lazy set-up."""
        width, height = self.spec.preprocessing.page.image_scale
        page = np.zeros((min(width, height), max(width, height), 3), np.uint8)
        box = [8, 8, 40, 8, 40, 24, 8, 24]
        self.predict(
            [KiePage(page, [box], [self.spec.characters[0] if self.spec.characters else ""])]
        )
