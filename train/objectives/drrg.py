"""Training objective of DRRG: losses of the maps and of the links.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493,
section 3.6; numbers are those of MMOCR 0.6.1. Targets are in ``drrg_targets``.

Shapes: B images, H x W pixels of the network's input, N components, G graphs, E links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from ocr_models.detection.drrg import DRRGConfig
from ocr_models.detection.drrg_graphs import (
    GraphConfig,
    LocalGraphs,
    graph_members,
    local_graphs,
    nearest_others,
)
from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .drrg_targets import DRRGImageTargets, DRRGTargetMaps
from .settings import loss_config
from .textsnake import balanced_cross_entropy

_BACKGROUND_CENTER_WEIGHT = 0.5


class LabelledGraphs(NamedTuple):
    """Graphs of a batch and the truth about their links."""

    graphs: LocalGraphs
    same_text: Tensor
    """(E,) int64, 1 where both components of a link belong to one text."""


class DRRGBatchTargets(NamedTuple):
    """Targets of a batch: maps (B, H, W) and graphs."""

    maps: DRRGTargetMaps
    labelled: LabelledGraphs


def labelled_graphs(
    components: Sequence[NDArray[np.float32]], config: GraphConfig, local_graph_thr: float
) -> LabelledGraphs:
    """The graphs of a batch.

    Args:
        components: of each image at least two, (N, 7): x, y, height, width, cos, sin, region.
        config: sizes of the graphs.
        local_graph_thr: see ``chosen_pivots``.
    """
    parts, labels, first = [], [], 0
    for image, own in enumerate(components):
        nearest = nearest_others(own[:, :2], config.neighbours)
        regions = own[:, 6].astype(np.int64)
        pivots = chosen_pivots(nearest, regions, config.k_at_hops, local_graph_thr)
        graphs = local_graphs(own[:, :6], nearest, config, pivots)
        pairs = graphs.components()
        same = (regions[pairs[:, 0]] == regions[pairs[:, 1]]) & (regions[pairs[:, 0]] > 0)
        labels.append(torch.from_numpy(same.astype(np.int64)))
        graphs.boxes[:, 0] = image
        parts.append(graphs._replace(nodes=graphs.nodes + first))
        first += len(own)
    return LabelledGraphs(_joined(parts), torch.cat(labels))


def chosen_pivots(
    nearest_NK: NDArray[np.intp],
    regions_N: NDArray[np.int64],
    k_at_hops: tuple[int, int],
    local_graph_thr: float,
) -> NDArray[np.intp]:
    """Components that get a graph in training: those whose graph is not like an earlier one.

    Args:
        nearest_NK: other components, nearest first.
        regions_N: of the components; 0 for random ones, which all get a graph.
        k_at_hops: see ``GraphConfig``.
        local_graph_thr: a graph is left out if its pivot is a neighbour of a chosen pivot on the
            same text and their graphs, without pivots, have more than this part of their union in
            common.
    """
    count = len(nearest_NK)
    others = graph_members(nearest_NK, k_at_hops)
    np.fill_diagonal(others, False)
    common = others.astype(np.float32) @ others.T.astype(np.float32)
    sizes = others.sum(axis=1)
    alike = common > local_graph_thr * (sizes[:, None] + sizes - common + 1e-8)
    is_neighbour = np.zeros((count, count), bool)  # [pivot, other]
    is_neighbour[np.arange(count)[:, None], nearest_NK[:, : k_at_hops[0]]] = True
    same_text = (regions_N[:, None] == regions_N) & (regions_N > 0)
    covers = alike & is_neighbour & same_text
    chosen = np.zeros(count, bool)
    for component in range(count):
        chosen[component] = not (covers[:, component] & chosen).any()
    return np.flatnonzero(chosen)


def _joined(parts: Sequence[LocalGraphs]) -> LocalGraphs:
    """Graphs of several images in one, with room for the nodes of the largest."""
    most_nodes = max(part.nodes.shape[1] for part in parts)
    nodes, adjacency, links, first = [], [], [], 0
    for part in parts:
        count, own = part.nodes.shape
        pivots = part.nodes[:, :1].expand(count, most_nodes - own)
        nodes.append(torch.cat([part.nodes, pivots], dim=1))
        room = most_nodes - own
        adjacency.append(F.pad(part.adjacency, (0, room, 0, room)))
        links.append((part.links // own + first) * most_nodes + part.links % own)
        first += count
    return LocalGraphs(
        torch.cat([part.boxes for part in parts]),
        torch.cat([part.geometry for part in parts]),
        torch.cat(nodes),
        torch.cat(adjacency),
        torch.cat(links),
    )


@dataclass(frozen=True)
class DRRGLossConfig:
    """Settings of the loss.

    Args:
        ohem_ratio: at most this many background pixels count per text pixel, the hardest ones.
    """

    ohem_ratio: float = 3.0

    def __post_init__(self) -> None:
        if self.ohem_ratio < 0:
            raise ConfigError(f"ohem_ratio is {self.ohem_ratio}; it must not be negative")


class DRRGLoss(nn.Module):
    """Losses of the six maps and of the links; always in float32, also under autocast."""

    def __init__(self, config: DRRGLossConfig = DRRGLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, maps: Tensor, links: Tensor, targets: DRRGTargetMaps, same_text: Tensor
    ) -> dict[str, Tensor]:
        """Compare predictions with targets.

        Args:
            maps: (B, 6, H, W), see ``ocr_models.detection.drrg.DRRGOutputs``.
            links: (E, 2) logits.
            targets: (B, H, W) each, on the same device.
            same_text: (E,) 0 or 1.

        Returns:
            ``loss_text``, ``loss_center``, ``loss_height``, ``loss_sin``, ``loss_cos`` and
            ``loss_gcn``, scalars, to be summed.

        Raises:
            ValueError: maps and targets differ in shape.
        """
        if maps.shape[:1] + maps.shape[2:] != targets.text.shape:
            raise ValueError(
                f"the maps have shape {tuple(maps.shape)}, the targets "
                f"{tuple(targets.text.shape)}; draw the targets at the size of the network's output"
            )
        with torch.autocast(maps.device.type, enabled=False):
            text, center, sin, cos, top, bottom = maps.float().unbind(1)
            mask = targets.mask.float()
            is_text = targets.text.float()
            losses = {
                "loss_text": balanced_cross_entropy(text, is_text, mask, self.config.ohem_ratio),
                "loss_center": _center(center, targets.center.float(), is_text, mask),
            }
            losses |= _geometry(sin, cos, top, bottom, targets)
            losses["loss_gcn"] = F.cross_entropy(links.float(), same_text)
        return losses


def _center(logits: Tensor, is_center: Tensor, is_text: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy inside text and, with half the weight, outside."""
    loss = F.binary_cross_entropy_with_logits(logits, is_center, reduction="none")
    inside = _mean(loss, is_text * mask)
    return inside + _BACKGROUND_CENTER_WEIGHT * _mean(loss, (1 - is_text) * mask)


def _geometry(
    sin: Tensor, cos: Tensor, top: Tensor, bottom: Tensor, targets: DRRGTargetMaps
) -> dict[str, Tensor]:
    """Errors of heights and direction in the centre regions; heights relative to the true ones."""
    scale = torch.rsqrt(sin**2 + cos**2 + 1e-8)  # to a unit direction
    where = targets.center.float() * targets.mask.float()
    height = _ratio_error(top, targets.top_height) + _ratio_error(bottom, targets.bottom_height)
    weight = torch.log(targets.top_height + targets.bottom_height + 1)
    sin_error = F.smooth_l1_loss(sin * scale, targets.sin.float(), reduction="none")
    cos_error = F.smooth_l1_loss(cos * scale, targets.cos.float(), reduction="none")
    return {
        "loss_height": _mean(weight * height, where),
        "loss_sin": _mean(sin_error, where),
        "loss_cos": _mean(cos_error, where),
    }


def _ratio_error(predicted: Tensor, true: Tensor) -> Tensor:
    ratio = predicted / (true + 1e-2)
    return F.smooth_l1_loss(ratio, torch.ones_like(ratio), reduction="none")


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the pixels where ``where`` is 1; 0 without any."""
    return (values * where).sum() / where.sum().clamp(min=1)


class DRRGObjective:
    """How DRRG is trained.

    Args:
        graphs: sizes of the local graphs.
        local_graph_thr: MMOCR's, see ``chosen_pivots``.
        loss: MMOCR's ``bbox_head.loss``.
    """

    target_step = "DRRGTargets"

    def __init__(self, graphs: GraphConfig, local_graph_thr: float, loss: DRRGLossConfig) -> None:
        self.graphs = graphs
        self.local_graph_thr = local_graph_thr
        self.loss = DRRGLoss(loss)

    @classmethod
    def from_model(cls, spec: DetectorSpec, model: Mapping[str, Any]) -> DRRGObjective:
        """From the detector and the ``model`` dictionary of a config."""
        assert isinstance(spec.network, DRRGConfig)
        head = model.get("bbox_head") or {}
        return cls(
            spec.network.graphs,
            float(head.get("local_graph_thr", 0.7)),
            loss_config(DRRGLossConfig, "DRRGLoss", head.get("loss") or {}),
        )

    def collate(self, targets: Sequence[DRRGImageTargets]) -> DRRGBatchTargets:
        """(H, W) arrays to (B, H, W) tensors, and components to graphs."""
        maps: DRRGTargetMaps = default_collate([own.maps for own in targets])
        components = [own.components for own in targets]
        return DRRGBatchTargets(
            maps, labelled_graphs(components, self.graphs, self.local_graph_thr)
        )

    def losses(
        self, network: nn.Module, images: Tensor, targets: DRRGBatchTargets
    ) -> dict[str, Tensor]:
        """See ``DRRGLoss``."""
        outputs = network(images, targets.labelled.graphs)
        result: dict[str, Tensor] = self.loss(
            outputs.maps, outputs.links, targets.maps, targets.labelled.same_text
        )
        return result
