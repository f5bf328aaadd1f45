"""DRRG: text detection by linking small components in local graphs.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493.
Parameter names and numbers are those of MMOCR 0.6.1. What differs from the paper there: a ResNet-50
instead of a VGG-16, and the maps hold text and centre region with one channel each.

The network has two stages. The first gives maps and features of an image; the second makes
components from the maps (``drrg_components``), graphs from the components (``drrg_graphs``), and
judges with a graph network which neighbouring components belong to the same text.

Shapes: B batch, H x W padded image in pixels (multiples of 32), D channels of the neck, h x w bins
of a component, N components, G graphs, M nodes of the largest graph, E links, F features of a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.fpn_unet import FPNUNet
from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.resnet import ResNet, ResNetConfig
from ocr_models.layers.rotated_roi_align import rotated_roi_align

from .drrg_components import ComponentProposals, GeometryMaps, propose_components
from .drrg_graphs import GraphConfig, LocalGraphs, local_graphs, nearest_others

_MAPS = 6
# Nodes that the graph network looks at together, which bounds its memory: about 150 MB.
_NODES_AT_ONCE = 16_384


@dataclass(frozen=True)
class DRRGConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32.
        neck_channels: D.
        pooling_output_size: h, w.
        graphs: sizes of the local graphs.
        proposals: how components are read off the maps when an image is read.
    """

    backbone: ResNetConfig | LightResNetConfig = field(default_factory=ResNetConfig)
    neck_channels: int = 32
    pooling_output_size: tuple[int, int] = (4, 3)
    graphs: GraphConfig = field(default_factory=GraphConfig)
    proposals: ComponentProposals = field(default_factory=ComponentProposals)

    def __post_init__(self) -> None:
        if len(self.backbone.out_channels) != 4:
            raise ValueError(
                "DRRG needs a backbone with four levels (strides 4, 8, 16, 32), "
                f"got {len(self.backbone.out_channels)}"
            )

    @property
    def node_features(self) -> int:
        """F: pooled features and maps of a component, and its geometric embedding."""
        bins = self.pooling_output_size[0] * self.pooling_output_size[1]
        return bins * (self.neck_channels + _MAPS) + self.graphs.node_geo_feat_len


class DRRGOutputs(NamedTuple):
    """What training sees."""

    maps: Tensor
    """(B, 6, H, W): logits of text and of centre region, sin, cos, heights above and below in
    pixels."""
    links: Tensor
    """(E, 2): logits of "other text" and "same text" for each link of the graphs."""


class GraphConv(nn.Module):
    """A node's features and the mean of its neighbours', through one matrix (equation 7)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, nodes_GMF: Tensor, adjacency_GMM: Tensor) -> Tensor:
        neighbours = torch.bmm(adjacency_GMM.to(nodes_GMF.dtype), nodes_GMF)
        both = torch.cat([nodes_GMF, neighbours], dim=2)
        return F.relu(torch.matmul(both, self.weight) + self.bias)


class GCN(nn.Module):
    """Judges the links of local graphs."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm1d(features, affine=False)
        self.conv1 = GraphConv(features, 512)
        self.conv2 = GraphConv(512, 256)
        self.conv3 = GraphConv(256, 128)
        self.conv4 = GraphConv(128, 64)
        self.classifier = nn.Sequential(nn.Linear(64, 32), nn.PReLU(32), nn.Linear(32, 2))

    def forward(self, nodes_GMF: Tensor, adjacency_GMM: Tensor, links_E: Tensor) -> Tensor:
        """Logits (E, 2) of "other text" and "same text" for links ``graph * M + node``."""
        x = self.bn0(nodes_GMF.flatten(0, 1)).unflatten(0, nodes_GMF.shape[:2])
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x, adjacency_GMM)
        logits: Tensor = self.classifier(x.flatten(0, 1)[links_E])
        return logits


class DRRGHead(nn.Module):
    """Maps of the image, and the graph network."""

    def __init__(self, config: DRRGConfig) -> None:
        super().__init__()
        self.pooling_output_size = config.pooling_output_size
        self.out_conv = nn.Conv2d(config.neck_channels, _MAPS, 1)
        self.gcn = GCN(config.node_features)
        nn.init.normal_(self.out_conv.weight, std=0.01)
        assert self.out_conv.bias is not None
        nn.init.zeros_(self.out_conv.bias)

    def features(self, neck_BDHW: Tensor) -> Tensor:
        """The neck's channels and then the maps, (B, D + 6, H, W), to pool components from."""
        return torch.cat([neck_BDHW, self.out_conv(neck_BDHW)], dim=1)

    def component_features(self, features_BCHW: Tensor, graphs: LocalGraphs) -> Tensor:
        """(N, F)."""
        pooled = rotated_roi_align(features_BCHW, graphs.boxes, self.pooling_output_size)
        return torch.cat([pooled.flatten(1), graphs.geometry], dim=1)

    def link_logits(self, components_NF: Tensor, graphs: LocalGraphs) -> Tensor:
        """(E, 2), from features relative to those of each graph's pivot."""
        nodes = components_NF[graphs.nodes]
        logits: Tensor = self.gcn(nodes - nodes[:, :1], graphs.adjacency, graphs.links)
        return logits


class DRRG(nn.Module):
    """The whole network."""

    def __init__(self, config: DRRGConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module = (
            ResNet(config.backbone)
            if isinstance(config.backbone, ResNetConfig)
            else LightResNet(config.backbone)
        )
        self.neck = FPNUNet(config.backbone.out_channels, config.neck_channels)
        self.bbox_head = DRRGHead(config)

    def forward(self, images_B3HW: Tensor, graphs: LocalGraphs) -> DRRGOutputs:
        """Maps of a batch, and links of graphs whose components name their image."""
        features = self.features(images_B3HW)
        components = self.bbox_head.component_features(features, graphs)
        return DRRGOutputs(features[:, -_MAPS:], self.bbox_head.link_logits(components, graphs))

    def features(self, images_B3HW: Tensor) -> Tensor:
        """First stage: (B, D + 6, H, W), the last six as in ``DRRGOutputs``."""
        features: Tensor = self.bbox_head.features(self.neck(self.backbone(images_B3HW)))
        return features

    def link_components(
        self, found: tuple[Tensor, ...], content_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Second stage: components of one image and how surely neighbours belong together.

        Args:
            found: what ``features`` gave, (1, D + 6, H, W).
            content_hw: not needed; MMOCR looks for text in the padding as well.

        Returns:
            Links (E, 2) as pairs of components, their probabilities (E,), and components (N, 9):
            four corners x, y from the top left, in pixels, and the probability of text.
        """
        (features,) = found
        text, center, *geometry = features[0, -_MAPS:].float().cpu()
        components = propose_components(
            text.sigmoid().numpy(),
            center.sigmoid().numpy(),
            GeometryMaps(*(plane.numpy() for plane in geometry)),
            self.config.proposals,
        )
        boxes = torch.from_numpy(components.boxes)
        if len(boxes) < 2:  # nothing to link, and alone a component is no text
            return torch.empty(0, 2, dtype=torch.int64), torch.empty(0), boxes[:0]
        attributes, config = components.attributes, self.config.graphs
        graphs = local_graphs(
            attributes, nearest_others(attributes[:, :2], config.neighbours), config
        )
        return (
            torch.from_numpy(graphs.components()),
            self.link_probabilities(features, graphs),
            boxes,
        )

    def link_probabilities(self, features: Tensor, graphs: LocalGraphs) -> Tensor:
        """(E,) of "same text", in evaluation mode; some graphs at a time."""
        graphs = LocalGraphs(*(tensor.to(features.device) for tensor in graphs))
        components = self.bbox_head.component_features(features, graphs)
        count, most_nodes = graphs.nodes.shape
        step = max(1, _NODES_AT_ONCE // most_nodes)
        logits = []
        for start in range(0, count, step):
            part = slice(start, start + step)
            own = graphs.links // most_nodes
            own_links = graphs.links[(own >= start) & (own < start + step)] - start * most_nodes
            some = graphs._replace(
                nodes=graphs.nodes[part],
                adjacency=graphs.adjacency[part],
                links=own_links,
            )
            logits.append(self.bbox_head.link_logits(components, some))
        return torch.cat(logits).float().softmax(dim=1)[:, 1]
