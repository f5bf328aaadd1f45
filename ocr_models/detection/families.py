"""The detectors that are served: one row per family.

To add one: its config and post-processing to the two unions, and a row to ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from ocr_models.detection.db_postprocess import DBPostprocessing, db_boundaries
from ocr_models.detection.dbnet import DBNet, DBNetConfig, DBNetPPConfig
from ocr_models.detection.drrg import DRRG, DRRGConfig
from ocr_models.detection.drrg_postprocess import DRRGPostprocessing, drrg_boundaries
from ocr_models.detection.fcenet import FCENet, FCENetConfig
from ocr_models.detection.fcenet_postprocess import FCEPostprocessing, fcenet_boundaries
from ocr_models.detection.mask_rcnn import MaskRCNN, MaskRCNNConfig
from ocr_models.detection.mask_rcnn_postprocess import MaskRCNNPostprocessing, mask_rcnn_boundaries
from ocr_models.detection.panet import PANet, PANetConfig
from ocr_models.detection.panet_postprocess import PANPostprocessing, pan_boundaries
from ocr_models.detection.psenet import PSENet, PSENetConfig
from ocr_models.detection.psenet_postprocess import PSEPostprocessing, pse_boundaries
from ocr_models.detection.textsnake import TextSnake, TextSnakeConfig
from ocr_models.detection.textsnake_postprocess import (
    TextSnakePostprocessing,
    textsnake_boundaries,
)
from ocr_models.preprocessing import DetectionInput
from ocr_models.results import Boundary

NetworkConfig = (
    DBNetConfig
    | DBNetPPConfig
    | DRRGConfig
    | FCENetConfig
    | PANetConfig
    | PSENetConfig
    | MaskRCNNConfig
    | TextSnakeConfig
)
Postprocessing = (
    DBPostprocessing
    | DRRGPostprocessing
    | FCEPostprocessing
    | PANPostprocessing
    | PSEPostprocessing
    | MaskRCNNPostprocessing
    | TextSnakePostprocessing
)

Outputs = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Family:
    """How one kind of detector works.

    Args:
        network: makes the network from its config.
        inference: the network's method that prediction needs: float32 images (1, 3, H, W) to a
            tensor or a tuple of tensors, each with the batch first.
        boundaries: from what the network gave for one image, without the batch axis, to boundaries
            in pixels of the map.
        map_scale: size of the map that boundaries are in, over the size of the network's input;
            None when they are in pixels of the image as it was before preprocessing.
        traceable: whether ``inference`` does the same steps for every image, so that runtimes other
            than PyTorch can learn it from an example.
        second_stage: for detectors whose later steps depend on what the earlier ones found: the
            network's method that goes on, in PyTorch, from the tensors that ``inference`` gave; see
            ``ocr_models.runtime.SecondStage``.
    """

    network: Callable[[Any], nn.Module]
    inference: str
    boundaries: Callable[[Outputs, Any, DetectionInput], list[Boundary]]
    map_scale: float | None = 1.0
    traceable: bool = True
    second_stage: str | None = None


def _db(outputs: Outputs, config: DBPostprocessing, _: DetectionInput) -> list[Boundary]:
    return db_boundaries(outputs[0][0], config)


def _pan(outputs: Outputs, config: PANPostprocessing, _: DetectionInput) -> list[Boundary]:
    return pan_boundaries(outputs[0], config)


def _pse(outputs: Outputs, config: PSEPostprocessing, _: DetectionInput) -> list[Boundary]:
    return pse_boundaries(outputs[0], config)


def _drrg(outputs: Outputs, config: DRRGPostprocessing, _: DetectionInput) -> list[Boundary]:
    links, probabilities, components = outputs
    return drrg_boundaries(links.astype(np.int64), probabilities, components, config)


def _mask_rcnn(
    outputs: Outputs, config: MaskRCNNPostprocessing, prepared: DetectionInput
) -> list[Boundary]:
    boxes, scores, masks = outputs
    boxes = (boxes / prepared.scale_factor).astype(np.float32)
    return mask_rcnn_boundaries(boxes, scores, masks, prepared.original_shape, config)


def _fce(outputs: Outputs, config: FCEPostprocessing, _: DetectionInput) -> list[Boundary]:
    return fcenet_boundaries(list(zip(outputs[::2], outputs[1::2], strict=True)), config)


def _textsnake(
    outputs: Outputs, config: TextSnakePostprocessing, _: DetectionInput
) -> list[Boundary]:
    return textsnake_boundaries(outputs[0], config)


FAMILIES: Mapping[type, Family] = {
    DBNetConfig: Family(DBNet, "probability", _db),
    DBNetPPConfig: Family(DBNet, "probability", _db),
    PANetConfig: Family(PANet, "maps", _pan, map_scale=0.25),
    PSENetConfig: Family(PSENet, "maps", _pse, map_scale=0.25),
    DRRGConfig: Family(DRRG, "features", _drrg, second_stage="link_components"),
    FCENetConfig: Family(FCENet, "maps", _fce),
    TextSnakeConfig: Family(TextSnake, "maps", _textsnake),
    MaskRCNNConfig: Family(
        MaskRCNN, "first_stage", _mask_rcnn, map_scale=None, second_stage="second_stage"
    ),
}
"""By the network's config."""


def build_network(config: NetworkConfig) -> nn.Module:
    """The network that a config describes, with weights as constructed."""
    return FAMILIES[type(config)].network(config)
