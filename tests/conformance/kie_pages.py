"""Pages of key information extraction: inputs from annotations, pipelines, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ocr_models.key_info import KeyInfoExtractor, KiePage, prepare_page
from ocr_models.kie.preprocessing import (
    character_indices,
    corner_boxes,
    encode_texts,
    relations_of,
    resize_relations,
)
from ocr_models.kie.sdmgr import PageGraph
from ocr_models.mmocr_pipelines import kie_preprocessing
from ocr_models.preprocessing import detection_input
from ocrserve.train.objectives.sdmgr import targets_of

from . import preprocess
from .check import EXACT, Check
from .kit import Arrays, compare_flat

ALLOWED_RELATION = 1e-5
ALLOWED_BOX_PX = 1e-3
ALLOWED_SCORE = 1e-4

Entry = Mapping[str, Any]


def _quads(annotations: Sequence[Entry]) -> list[list[float]]:
    return [annotation["box"] for annotation in annotations]


def compare_inputs(dictionary: Sequence[str], case: Entry, check: Check) -> None:
    """A case of ``e2e/kie_inputs.json``: what annotations become, labels too."""
    annotations, expected = case["annotations"], case["output"]
    boxes = corner_boxes(_quads(annotations))
    check.array("bboxes", boxes, expected["bboxes"], EXACT)
    relations = relations_of(boxes, case["norm"])
    check.array("relations", relations, expected["relations"], ALLOWED_RELATION)
    texts = [annotation["text"] for annotation in annotations]
    encoded = encode_texts(texts, character_indices(tuple(dictionary)))
    check.equal("texts", encoded, expected["texts"])
    check.equal("ori_texts", texts, expected["ori_texts"])
    labels = targets_of(
        np.array([annotation.get("label", 0) for annotation in annotations]),
        np.array([annotation.get("edge", 0) for annotation in annotations]),
        directed=case["directed"],
    )
    check.equal("labels", labels, expected["labels"])


def compare_pipeline(
    check: Check,
    entry: Entry,
    case: Entry,
    image: NDArray[np.uint8],
    arrays: Arrays,
    prefix: str,
) -> None:
    """A case of ``preprocess/``."""
    visual = any(step["type"] == "Normalize" for step in entry["pipeline"])
    config = kie_preprocessing(entry["pipeline"], 10.0, visual=visual)
    height, width = case["size"]
    boxes = corner_boxes(_quads(case["annotations"]))
    relations = relations_of(boxes, config.norm_px)
    texts = [annotation["text"] for annotation in case["annotations"]]
    encoded = encode_texts(texts, character_indices(tuple(entry["dict"])))
    new_width, new_height = config.resized(width, height)
    check.equal("img_shape", (new_height, new_width), case["meta"]["img_shape"][:2])
    if visual:
        prepared = detection_input(image, config.page)
        preprocess.compare_tensor(check, prepared.tensor, arrays, f"{prefix}_img")
        boxes = boxes * prepared.scale_factor
    else:
        check.equal("no image", list(arrays[f"{prefix}_img_shape"]), [0, 0, 0])
    relations = resize_relations(relations, new_width / width, new_height / height)
    expected = arrays[f"{prefix}_relations"]
    scale = float(np.abs(expected).max())
    check.array("relations", relations, expected, ALLOWED_RELATION, scale)
    check.equal("texts", encoded, arrays[f"{prefix}_texts"])
    check.array("boxes", boxes, arrays[f"{prefix}_gt_bboxes"], ALLOWED_BOX_PX)


def compare_page(
    check: Check,
    extractor: KeyInfoExtractor,
    network: nn.Module,
    image: NDArray[np.uint8],
    entry: Entry,
    arrays: Arrays,
) -> None:
    """A case of ``e2e/index.json``: inputs, probabilities, and the result."""
    texts = [annotation["text"] for annotation in entry["annotations"]]
    page = KiePage(image, _quads(entry["annotations"]), texts)
    prepared = prepare_page(page, extractor.spec)
    relations, encoded, boxes = prepared.graph
    check.array("relations", relations, arrays["relations"], ALLOWED_RELATION, scale=10)
    check.equal("texts", encoded, arrays["texts"])
    check.array("boxes", boxes, arrays["gt_bboxes"], ALLOWED_BOX_PX)
    assert prepared.tensor is not None
    with torch.inference_mode():
        output = network(
            torch.from_numpy(prepared.tensor[None]),
            [PageGraph(*map(torch.from_numpy, prepared.graph))],
        )
    compare_flat(check, arrays, "nodes", output.nodes.softmax(dim=1).numpy())
    compare_flat(check, arrays, "edges", output.edges.softmax(dim=1).numpy())
    result = extractor.predict([page])[0]
    check.equal("labels", result.classes, entry["labels"])
    check.array("label scores", result.label_scores, entry["label_scores"], ALLOWED_SCORE)
