"""From DRRG's links between components to text boundaries.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493,
section 3.5. Numbers equal MMOCR 0.6.1's ``DRRGPostprocessor``; boundaries come in the order of
their first component.

Shapes: N components, E links, K components of one text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..results import Boundary

# Components further apart than this many pixels are never linked.
_LONGEST_LINK_PX = 50.0

Line = list[list[int]]


@dataclass(frozen=True)
class DRRGPostprocessing:
    """How boundaries are read off the links.

    Args:
        link_thr: least probability of a link.
    """

    link_thr: float = 0.85


def drrg_boundaries(
    links_E2: NDArray[np.integer],
    probabilities_E: NDArray[np.floating],
    components_N9: NDArray[np.floating],
    config: DRRGPostprocessing,
) -> list[Boundary]:
    """Text boundaries of one image, in pixels of the map.

    Args:
        links_E2: pairs of components; a pair may occur more than once.
        probabilities_E: that both belong to the same text.
        components_N9: four corners x, y from the top left, clockwise for upright text, and a score.
        config: the threshold.
    """
    boundaries = []
    for members in _clusters(_linked(links_E2, probabilities_E, components_N9, config.link_thr)):
        boxes = components_N9[members, :8].reshape(-1, 4, 2).astype(np.int32)
        outline = np.array(_outline(boxes[_chain(boxes)]), np.float64)
        boundaries.append(Boundary(outline, float(components_N9[members, 8].mean())))
    return boundaries


def _linked(
    links: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    components: NDArray[np.floating],
    link_thr: float,
) -> list[tuple[int, int]]:
    """The pairs of components that belong together."""
    if not len(links):
        return []
    centers = components[:, :8].reshape(-1, 4, 2).mean(axis=1)
    pairs = np.sort(links.astype(np.int64), axis=1)
    lengths = np.linalg.norm(centers[pairs[:, 0]] - centers[pairs[:, 1]], axis=1)
    probabilities = np.where(lengths > _LONGEST_LINK_PX, 0.0, probabilities)
    unique, number = np.unique(pairs, axis=0, return_inverse=True)
    number = number.reshape(-1)
    order = np.argsort(number, kind="stable")  # occurrences of a pair side by side, in their order
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    count = np.diff(first, append=len(order))
    mean = probabilities[order[first]]
    for occurrence in range(1, int(count.max())):
        again = count > occurrence
        mean[again] = (mean[again] + probabilities[order[first[again] + occurrence]]) / 2
    return [(int(a), int(b)) for a, b in unique[mean >= link_thr]]


def _clusters(pairs: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Connected components with at least two members, each in rising order."""
    neighbours: dict[int, list[int]] = {}
    for a, b in pairs:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    seen: set[int] = set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        seen.add(start)
        members = [start]
        for member in members:  # grows on the way
            fresh = [other for other in neighbours[member] if other not in seen]
            seen.update(fresh)
            members += fresh
        yield sorted(set(members))


def _chain(boxes: NDArray[np.int32]) -> list[int]:
    """The order of the components along the text, (K,).

    A chain that starts with the first one grows at the end that is nearer to what is left, the
    front if both are as near.
    """
    centers = boxes.mean(axis=1).astype(np.int32)
    squared = ((centers[:, None].astype(np.int64) - centers[None]) ** 2).sum(axis=2)
    # Components with equal centres count as the first of them, as in MMOCR.
    same = (squared == 0).argmax(axis=1)
    chain = [0]
    left = list(range(len(boxes) - 1, 0, -1))  # of equally near ones the last is taken
    while left:
        ends = squared[np.ix_([chain[0], chain[-1]], left)]
        to_front, to_back = ends.argmin(axis=1)
        if ends[0, to_front] <= ends[1, to_back]:
            chain.insert(0, left.pop(to_front))
        else:
            chain.append(left.pop(to_back))
    return [int(same[i]) for i in chain]


def _outline(boxes: NDArray[np.int32]) -> Line:
    """From the top side's first point along the top and back along the bottom."""
    top = boxes[:, :2].mean(axis=1).astype(np.int32).tolist()
    bottom = boxes[:, 2:].mean(axis=1).astype(np.int32).tolist()
    middle = np.array(top + bottom[::-1], np.int32)
    head, tail = _outer_side(middle, boxes[0]), _outer_side(middle, boxes[-1])
    top = [*head[:1], *top, *tail[:1]]
    bottom = [*head[1:], *bottom, *tail[1:]]
    return top + bottom[::-1]


def _outer_side(outline: NDArray[np.int32], box: NDArray[np.int32]) -> Line:
    """Top and bottom corner of the box's side that sticks out of the outline; nothing if none does.

    The middles of the last boxes lie on the outline, so half of each would be cut off.
    """
    for above, below in ((0, 3), (1, 2)):  # left, right
        x, y = ((box[above] + box[below]) / 2).astype(int).tolist()
        if cv2.pointPolygonTest(outline, (x, y), False) <= 0:
            return [box[above].tolist(), box[below].tolist()]
    return []
