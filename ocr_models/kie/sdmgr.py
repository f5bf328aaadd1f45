"""SDMG-R: the words of a page as a graph, each a node with its text, its picture, or both.

Paper: Spatial Dual-Modality Graph Reasoning for Key Information Extraction, arXiv:2103.14470.
Parameter names and numbers are those of MMOCR 0.6.1; a page's pairs are worked on in parts, and a
text's LSTM runs only as far as the text is long.

Shapes: N words of a page, T characters of its longest text, R = 5 relations (``preprocessing``),
D node and E edge features, K classes, V features of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from ocr_models.layers.roi_align import roi_align

from .unet import UNet

BINS = 7
PADDING = -1
"""Index that fills up short texts."""

_FUSION_CHUNKS = 20
_FUSION_RANK = 15
# Pairs of words worked on at once: 16 MB for 256 features.
_MAX_PAIRS = 16_384
_NOT_ITSELF = 1e9


@dataclass(frozen=True)
class SDMGRConfig:
    """Everything that fixes the network.

    Args:
        visual: whether nodes see the picture. The parameters are there either way, since
            checkpoints have them.
        visual_dim: V, base channels of the UNet.
        num_chars: indices of characters, 0 being none of them.
        num_classes: K.
        fusion_dim: inner size of the fusion of text and picture.
        node_input: size of a character's embedding.
        node_embed: D.
        edge_input: R.
        edge_embed: E; equal to D.
        num_gnn: graph layers.
    """

    visual: bool = True
    visual_dim: int = 16
    num_chars: int = 92
    num_classes: int = 26
    fusion_dim: int = 1024
    node_input: int = 32
    node_embed: int = 256
    edge_input: int = 5
    edge_embed: int = 256
    num_gnn: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "visual" and value < 1:
                raise ValueError(f"{name} is {value}; allowed are 1 and more")
        if self.edge_embed != self.node_embed:
            raise ValueError(
                f"edge_embed is {self.edge_embed} and node_embed {self.node_embed}; they must be "
                "equal, since the features of a pair of nodes are its edge in the next layer"
            )
        if min(_chunk_sizes(self.fusion_dim)) < 1:
            raise ValueError(
                f"fusion_dim is {self.fusion_dim}; it must split into {_FUSION_CHUNKS} parts, each "
                "but the last of equal size, e.g. 1024"
            )


class PageGraph(NamedTuple):
    """One page: relations (N, N, R) float32, texts (N, T) int64 filled up with ``PADDING``, and
    boxes (N, 4) float32, left, top, right, bottom in pixels of the network's image."""

    relations: Tensor
    texts: Tensor
    boxes: Tensor


class SDMGROutput(NamedTuple):
    """Logits of the pages one after another: nodes (sum of N, K), and edges (sum of N * N, 2),
    row i * N + j of a page being about the pair from word i to word j, linked at index 1."""

    nodes: Tensor
    edges: Tensor


class BlockFusion(nn.Module):
    """Text and picture, multiplied in a block-diagonal space of low rank (paper, section 3.2).

    (N, V) and (N, D) -> (N, D).
    """

    def __init__(self, config: SDMGRConfig) -> None:
        super().__init__()
        sizes = _chunk_sizes(config.fusion_dim)
        self.chunk_sizes = sizes
        self.linear0 = nn.Linear(config.visual_dim, config.fusion_dim)
        self.linear1 = nn.Linear(config.node_embed, config.fusion_dim)
        self.merge_linears0 = nn.ModuleList(nn.Linear(n, n * _FUSION_RANK) for n in sizes)
        self.merge_linears1 = nn.ModuleList(nn.Linear(n, n * _FUSION_RANK) for n in sizes)
        self.linear_out = nn.Linear(config.fusion_dim, config.node_embed)

    def forward(self, picture_NV: Tensor, text_ND: Tensor) -> Tensor:
        chunks = zip(
            self.linear0(picture_NV).split(self.chunk_sizes, dim=1),
            self.linear1(text_ND).split(self.chunk_sizes, dim=1),
            self.merge_linears0,
            self.merge_linears1,
            strict=True,
        )
        merged = []
        for picture, text, merge0, merge1 in chunks:
            product = merge0(picture) * merge1(text)
            pooled = product.unflatten(1, (_FUSION_RANK, -1)).sum(dim=1)
            # The signed square root; relu keeps its slope finite where the other half is 0.
            rooted = pooled.relu().sqrt() - (-pooled).relu().sqrt()
            merged.append(F.normalize(rooted))
        return self.linear_out(torch.cat(merged, dim=1))


class GraphLayer(nn.Module):
    """Every word receives from all others, weighted by attention (paper, equations 6 to 9).

    The features of a pair go on to the next layer as its edge, for which MMOCR needs D = E.
    """

    def __init__(self, node_dim: int, edge_dim: int) -> None:
        super().__init__()
        self.in_fc = nn.Linear(2 * node_dim + edge_dim, node_dim)
        self.coef_fc = nn.Linear(node_dim, 1)
        self.out_fc = nn.Linear(node_dim, node_dim)

    def forward(self, nodes_ND: Tensor, edges: list[Tensor]) -> Tensor:
        """One step of one page.

        Args:
            nodes_ND: before the step.
            edges: (n, N, E) each, the edges from some words to all, all words in turn; replaced by
                the edges after the step.

        Returns:
            The nodes after the step.
        """
        dim = nodes_ND.shape[1]
        # What a pair's first and second word add to its features is computed once per word.
        of_first, of_second, of_edge = self.in_fc.weight.split(
            [dim, dim, self.in_fc.in_features - 2 * dim], dim=1
        )
        first_ND = nodes_ND @ of_first.T
        second_ND = F.linear(nodes_ND, of_second, self.in_fc.bias)
        numbers = torch.arange(len(nodes_ND), device=nodes_ND.device)
        received, start = [], 0
        for number, edges_nNE in enumerate(edges):
            rows = slice(start, start + len(edges_nNE))
            pairs_nND = F.linear(edges_nNE, of_edge) + (first_ND[rows, None] + second_ND)
            pairs_nND = pairs_nND.relu_()
            score_nN = self.coef_fc(pairs_nND).squeeze(2)
            # Large but finite: a word that is alone on its page attends to itself.
            score_nN = score_nN - _NOT_ITSELF * (numbers[rows, None] == numbers)
            received.append(torch.bmm(score_nN.softmax(dim=1)[:, None], pairs_nND).squeeze(1))
            edges[number] = pairs_nND
            start = rows.stop
        return nodes_ND + self.out_fc(torch.cat(received)).relu()


class SDMGRHead(nn.Module):
    """From texts, relations and pooled pictures to logits."""

    def __init__(self, config: SDMGRConfig) -> None:
        super().__init__()
        self.fusion = BlockFusion(config)
        self.node_embed = nn.Embedding(config.num_chars, config.node_input, padding_idx=0)
        self.rnn = nn.LSTM(config.node_input, config.node_embed, batch_first=True)
        self.edge_embed = nn.Linear(config.edge_input, config.edge_embed)
        nn.init.normal_(self.edge_embed.weight, std=0.01)
        nn.init.zeros_(self.edge_embed.bias)
        self.gnn_layers = nn.ModuleList(
            GraphLayer(config.node_embed, config.edge_embed) for _ in range(config.num_gnn)
        )
        self.node_cls = nn.Linear(config.node_embed, config.num_classes)
        self.edge_cls = nn.Linear(config.edge_embed, 2)

    def forward(self, pages: Sequence[PageGraph], pictures_NV: Tensor | None) -> SDMGROutput:
        """Logits of all pages.

        Args:
            pages: one graph each; pages without words add nothing.
            pictures_NV: pooled features of all pages' words, one after another; None without
                pictures.
        """
        counts = [len(page.texts) for page in pages]
        nodes = torch.cat([self._read(page.texts) for page in pages])
        if pictures_NV is not None and len(nodes):
            nodes = self.fusion(pictures_NV, nodes)
        reasoned = [
            self._reason(page_nodes, page.relations)
            for page_nodes, page in zip(nodes.split(counts), pages, strict=True)
            if len(page_nodes)
        ]
        edges = [part for _, page_edges in reasoned for part in page_edges]
        nodes = torch.cat([nodes[:0], *(page_nodes for page_nodes, _ in reasoned)])
        return SDMGROutput(self.node_cls(nodes), torch.cat([nodes.new_zeros(0, 2), *edges]))

    def _read(self, texts_NT: Tensor) -> Tensor:
        """(N, T) -> (N, D): the LSTM's state after each text's last character, 0 for no text."""
        lengths = (texts_NT > 0).sum(dim=1)
        written = lengths.nonzero().squeeze(1)
        nodes_ND = self.node_embed.weight.new_zeros(len(texts_NT), self.rnn.hidden_size)
        if not len(written):
            return nodes_ND
        packed = pack_padded_sequence(
            self.node_embed(texts_NT[written].clamp(min=0)),
            lengths[written].cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        _, (state, _) = self.rnn(packed)
        return nodes_ND.to(state.dtype).index_copy(0, written, state[-1])

    def _reason(self, nodes_ND: Tensor, relations_NNR: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Nodes after all layers, and the logits of the pairs in parts."""
        rows = max(1, _MAX_PAIRS // len(nodes_ND))
        edges = [F.normalize(self.edge_embed(part), dim=2) for part in relations_NNR.split(rows)]
        for layer in self.gnn_layers:
            nodes_ND = layer(nodes_ND, edges)
        return nodes_ND, [self.edge_cls(part).flatten(0, 1) for part in edges]


class SDMGR(nn.Module):
    """The whole network."""

    def __init__(self, config: SDMGRConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = UNet(config.visual_dim)
        self.bbox_head = SDMGRHead(config)

    def forward(self, images_BCHW: Tensor | None, pages: Sequence[PageGraph]) -> SDMGROutput:
        """Logits of B pages; a network without pictures needs no images."""
        maps = self.visual_map(images_BCHW) if images_BCHW is not None else None
        return self.logits(maps, pages)

    def visual_map(self, images_BCHW: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, V, H, W), sides being multiples of ``unet.STRIDE``."""
        return self.backbone(images_BCHW)

    def logits(self, maps_BVHW: Tensor | None, pages: Sequence[PageGraph]) -> SDMGROutput:
        """What follows the maps: one per page, or None without pictures."""
        if not self.config.visual:
            return self.bbox_head(pages, None)
        if maps_BVHW is None:
            raise ValueError("this network has a visual branch and needs an image of each page")
        rois = [F.pad(page.boxes, (1, 0), value=float(number)) for number, page in enumerate(pages)]
        pooled_NVPP = roi_align(maps_BVHW, torch.cat(rois), BINS)
        return self.bbox_head(pages, pooled_NVPP.amax(dim=(2, 3)))


def _chunk_sizes(total: int) -> list[int]:
    """Sizes of the fusion's parts: equal ones, and what is left for the last."""
    size = math.ceil(total / _FUSION_CHUNKS)
    return [size] * (_FUSION_CHUNKS - 1) + [total - size * (_FUSION_CHUNKS - 1)]
