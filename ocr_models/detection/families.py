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
from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.preprocessing import DetectionInput
from ocr_models.results import Boundary

NetworkConfig = DBNetConfig
Postprocessing = DBPostprocessing

Outputs = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Family:
    """How one kind of detector works.

    Args:
        network: makes the network from its config.
        inference: the network's method that prediction needs: float32 images (1, 3, H, W) to a
            tensor or a tuple of tensors, each with the batch first.
        boundaries: from what that method gave for one image, without the batch axis, to boundaries
            in pixels of the map.
        map_scale: size of the map that boundaries are in, over the size of the network's input.
        traceable: whether ``inference`` does the same steps for every image, so that runtimes other
            than PyTorch can learn it from an example.
    """

    network: Callable[[Any], nn.Module]
    inference: str
    boundaries: Callable[[Outputs, Any, DetectionInput], list[Boundary]]
    map_scale: float = 1.0
    traceable: bool = True


def _db(outputs: Outputs, config: DBPostprocessing, _: DetectionInput) -> list[Boundary]:
    return db_boundaries(outputs[0][0], config)


FAMILIES: Mapping[type, Family] = {
    DBNetConfig: Family(DBNet, "probability", _db),
}
"""By the network's config."""


def build_network(config: NetworkConfig) -> nn.Module:
    """The network that a config describes, with weights as constructed."""
    return FAMILIES[type(config)].network(config)
