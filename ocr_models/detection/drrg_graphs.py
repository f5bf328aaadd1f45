"""Local graphs of DRRG: each component with its neighbours and theirs.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493,
section 3.3. Numbers are those of MMOCR 0.6.1; the order of the nodes inside a graph, the pivot
excepted, is without meaning.

Shapes: N components, G graphs, M nodes of the largest graph, K nearest neighbours of a component,
E links that are to be judged, L length of the geometric embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_models.errors import ConfigError

_ATTRIBUTES = 6
# Rows of the distance table that are held at once, which bounds the memory of a crowded page.
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class GraphConfig:
    """How graphs are built.

    Args:
        k_at_hops: neighbours of the pivot, and neighbours of each of these, that join its graph.
        num_adjacent_linkages: nearest neighbours to which a node of a graph is adjacent.
        node_geo_feat_len: L, a multiple of 6.
    """

    k_at_hops: tuple[int, int] = (8, 4)
    num_adjacent_linkages: int = 3
    node_geo_feat_len: int = 120

    @property
    def neighbours(self) -> int:
        """How many neighbours of a component matter."""
        return max(*self.k_at_hops, self.num_adjacent_linkages)

    def __post_init__(self) -> None:
        if min(*self.k_at_hops, self.num_adjacent_linkages) < 1:
            raise ConfigError(
                f"k_at_hops is {self.k_at_hops} and num_adjacent_linkages is "
                f"{self.num_adjacent_linkages}; all must be at least 1"
            )
        if self.node_geo_feat_len < 1 or self.node_geo_feat_len % _ATTRIBUTES:
            raise ConfigError(
                f"node_geo_feat_len is {self.node_geo_feat_len}; it must be a multiple of "
                f"{_ATTRIBUTES}, the number of a component's attributes"
            )


class LocalGraphs(NamedTuple):
    """Graphs as the network takes them: whole numbers int64, the others float32."""

    boxes: Tensor
    """(N, 6) of the components: number of the image; x, y, height, width in pixels; angle in
    radians. The height stands where pooling has the width, along the angle, which is that of the
    upward direction."""
    geometry: Tensor
    """(N, L) geometric embedding of the components."""
    nodes: Tensor
    """(G, M) components of each graph, the pivot first; the pivot again where there are fewer."""
    adjacency: Tensor
    """(G, M, M) normalised adjacency, 0 where a graph has fewer than M nodes."""
    links: Tensor
    """(E,) nodes ``graph * M + place`` that may be linked with the pivot of their graph, nearest
    first, graph by graph."""

    def components(self) -> NDArray[np.int64]:
        """The two components of each link, pivot first, (E, 2)."""
        most_nodes = self.nodes.shape[1]
        pivots = self.nodes[self.links // most_nodes, 0]
        neighbours = self.nodes.flatten()[self.links]
        return torch.stack([pivots, neighbours], dim=1).cpu().numpy()


def nearest_others(centers_N2: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """The ``count`` nearest other points of each point, nearest first, (N, min(count, N - 1))."""
    total = len(centers_N2)
    count = min(count, total - 1)
    result = np.empty((total, count), np.intp)
    points = centers_N2.astype(np.float64)
    for start in range(0, total, _ROWS_AT_ONCE):
        rows = points[start : start + _ROWS_AT_ONCE]
        squared = ((rows[:, None] - points[None]) ** 2).sum(axis=2)
        own = np.arange(len(rows))
        squared[own, start + own] = np.inf  # a point is not its own neighbour, even among twins
        chosen = np.sort(np.argpartition(squared, count - 1, axis=1)[:, :count], axis=1)
        order = np.argsort(np.take_along_axis(squared, chosen, axis=1), axis=1, kind="stable")
        result[start : start + len(rows)] = np.take_along_axis(chosen, order, axis=1)
    return result


def graph_members(nearest_NK: NDArray[np.intp], k_at_hops: tuple[int, int]) -> NDArray[np.bool_]:
    """Which components belong to the graph of each: itself, its neighbours, and theirs, (N, N).

    Args:
        nearest_NK: other components, nearest first.
        k_at_hops: see ``GraphConfig``; where there are fewer components, all are neighbours.
    """
    count = len(nearest_NK)
    members = np.eye(count, dtype=bool)
    rows = np.arange(count)[:, None]
    first = nearest_NK[:, : k_at_hops[0]]
    members[rows, first] = True
    members[rows, nearest_NK[first, : k_at_hops[1]].reshape(count, -1)] = True
    return members


def local_graphs(
    attributes_N6: NDArray[np.floating],
    nearest_NK: NDArray[np.intp],
    config: GraphConfig,
    pivots_G: NDArray[np.intp] | None = None,
) -> LocalGraphs:
    """The graphs of one image.

    Args:
        attributes_N6: x, y, height, width, cos, sin of at least two components.
        nearest_NK: other components of each, nearest first, as many as ``config.neighbours``.
        config: sizes of the graphs.
        pivots_G: components that get a graph; None for all.
    """
    if pivots_G is None:
        pivots_G = np.arange(len(attributes_N6))
    members = graph_members(nearest_NK, config.k_at_hops)
    nodes, exists, places = _nodes(members[pivots_G], pivots_G)
    linkage = _linkage(nearest_NK[:, : config.num_adjacent_linkages])
    adjacent = linkage[nodes[:, :, None], nodes[:, None, :]]
    adjacent &= exists[:, :, None] & exists[:, None, :]
    linked = nearest_NK[pivots_G, : config.k_at_hops[0]]
    links = np.arange(len(pivots_G))[:, None] * nodes.shape[1]
    links = links + np.take_along_axis(places, linked, axis=1)
    return LocalGraphs(
        boxes=torch.from_numpy(_boxes(attributes_N6)),
        geometry=torch.from_numpy(geometric_embedding(attributes_N6, config.node_geo_feat_len)),
        nodes=torch.from_numpy(nodes),
        adjacency=torch.from_numpy(normalised_adjacency(adjacent, exists)),
        links=torch.from_numpy(links.reshape(-1)),
    )


def _nodes(
    members_GN: NDArray[np.bool_], pivots_G: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp]]:
    """Nodes of each graph (G, M), pivot first; which of them exist; places of components (G, N).

    Places are those of a component among the nodes of a graph, where it belongs to it.
    """
    rows = np.arange(len(pivots_G))
    others = members_GN.copy()
    others[rows, pivots_G] = False
    places: NDArray[np.intp] = np.cumsum(others, axis=1, dtype=np.intp)
    places[rows, pivots_G] = 0
    most_nodes = int(others.sum(axis=1).max(initial=0)) + 1
    nodes = np.repeat(pivots_G[:, None], most_nodes, axis=1)
    graph, component = np.nonzero(others)
    nodes[graph, places[graph, component]] = component
    exists = np.arange(most_nodes) <= others.sum(axis=1)[:, None]
    return nodes, exists, places


def _linkage(nearest: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(N, N) whether two components are the same, or one is among the nearest of the other."""
    linkage = np.eye(len(nearest), dtype=bool)
    linkage[np.arange(len(nearest))[:, None], nearest] = True
    return linkage | linkage.T


def normalised_adjacency(
    adjacent_GMM: NDArray[np.bool_], exists_GM: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """D^-1/2 A D^-1/2 with the degrees D of the adjacency A; nodes are adjacent to themselves."""
    degrees = adjacent_GMM.sum(axis=2)
    scale = np.where(exists_GM, 1 / np.sqrt(np.maximum(degrees, 1)), 0)
    normalised = adjacent_GMM * scale[:, :, None] * scale[:, None, :]
    return normalised.astype(np.float32)


def _boxes(attributes_N6: NDArray[np.floating]) -> NDArray[np.float32]:
    """See ``LocalGraphs.boxes``, for image 0."""
    x, y, height, width, cos, sin = attributes_N6.astype(np.float64).T
    angle = np.arccos(cos.clip(-1, 1)) * np.sign(sin)
    return np.stack([np.zeros_like(x), x, y, height, width, angle], axis=1).astype(np.float32)


def geometric_embedding(attributes_N6: NDArray[np.floating], length: int) -> NDArray[np.float32]:
    """Waves of the attributes at ``length / 6`` frequencies, (N, length).

    Equation 4 of the paper takes the sine and the cosine of each attribute; MMOCR takes the sine of
    all attributes of components with an even number and the cosine of those with an odd one.
    """
    repeats = length // _ATTRIBUTES
    waves = 1000.0 ** (2.0 * (np.arange(repeats) // 2) / repeats)
    phases = attributes_N6.astype(np.float64)[:, None] / waves[:, None]
    phases[1::2] += np.pi / 2  # cos(x) = sin(x + pi / 2)
    return np.sin(phases).reshape(len(attributes_N6), length).astype(np.float32)
