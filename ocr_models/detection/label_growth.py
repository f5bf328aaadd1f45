"""Text instances as labelled pixels: kernels that grow, and the outlines of what they became.

Shared by PANet and PSENet. A label map holds 0 for no text, else the 1-based number of an instance.

Shapes: H, W size of the maps; N pixels of a growing front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.geometry import instance_outline
from ocr_models.results import Boundary

Labels = NDArray[np.int32]
Joins = Callable[[NDArray[np.intp], Labels], NDArray[np.bool_]]


def connected_kernels(kernels_HW: NDArray[np.bool_]) -> Labels:
    """The 4-connected components of a mask, numbered in OpenCV's order."""
    _, labels = cv2.connectedComponents(kernels_HW.view(np.uint8), connectivity=4)
    return labels.astype(np.int32, copy=False)


def grow(seeds_HW: Labels, allowed_HW: NDArray[np.bool_], joins: Joins | None = None) -> Labels:
    """Spread labels over the 4-neighbourhood, breadth first; a pixel keeps the first that it gets.

    Equal to one queue that starts with all seeds in row-major order. Here a whole generation of the
    queue moves at once: its pixels stand in the order in which the queue would hold them, so
    wherever several reach the same pixel, the first in that order wins. In which order a pixel
    tries its neighbours makes no difference: rivals with different labels descend from different
    seeds, and stand in the order of these.

    Args:
        seeds_HW: labels to start from.
        allowed_HW: where labels may go.
        joins: whether pixels, given by row-major index, may take labels: both (N,). A pixel that is
            refused stays free for the next that reaches it.

    Returns:
        A new label map that contains the seeds.
    """
    height, width = seeds_HW.shape
    stride = width + 2
    # A frame of forbidden pixels, so that no step can leave the map or wrap around a row.
    labels = np.pad(seeds_HW, 1).ravel()
    free_frame = np.pad(allowed_HW & (seeds_HW == 0), 1)
    free = free_frame.ravel()
    steps = np.array([-stride, stride, -1, 1])
    front = _seeds_with_room(labels, free_frame)
    while front.size:
        reached = (front[:, None] + steps).ravel()
        passed_on = np.repeat(labels[front], len(steps))
        wanted = free[reached]
        reached, passed_on = reached[wanted], passed_on[wanted]
        if joins is not None:
            rows, columns = np.divmod(reached, stride)
            wanted = joins((rows - 1) * width + columns - 1, passed_on)
            reached, passed_on = reached[wanted], passed_on[wanted]
        _, first = np.unique(reached, return_index=True)
        first.sort()
        front = reached[first]
        labels[front] = passed_on[first]
        free[front] = False
    return labels.reshape(height + 2, stride)[1:-1, 1:-1].copy()


def _seeds_with_room(labels: Labels, free_frame: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Row-major indices of labelled pixels beside a free one: no other passes its label on."""
    beside_free = cv2.dilate(
        free_frame.view(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    )
    return np.flatnonzero((labels > 0) & (beside_free.ravel() > 0))


def label_boundaries(
    labels_HW: Labels,
    scores_HW: NDArray[np.float32],
    kind: Literal["quad", "poly"],
    min_area_px: float,
    min_score: float,
) -> list[Boundary]:
    """Outlines of the instances of a label map, clockwise, in the order of their numbers.

    Args:
        labels_HW: see above.
        scores_HW: text probability; an instance's score is its mean.
        kind: ``"quad"``, smallest rotated rectangles, or ``"poly"``, outer contours.
        min_area_px: least number of pixels of an instance.
        min_score: an instance's score must be above this.
    """
    labels, width = labels_HW.ravel(), labels_HW.shape[1]
    areas = np.bincount(labels)
    scores = np.bincount(labels, weights=scores_HW.ravel()) / np.maximum(areas, 1)
    kept = (areas >= min_area_px) & (areas > 0) & (scores > min_score)
    kept[0] = False
    inside = np.flatnonzero(kept[labels])
    pixels = inside[np.argsort(labels[inside], kind="stable")]
    numbers = np.flatnonzero(kept)
    boundaries = []
    for number, end in zip(numbers, np.cumsum(areas[numbers]), strict=True):
        rows, columns = np.divmod(pixels[end - areas[number] : end], width)
        outline = instance_outline(np.stack([columns, rows], axis=1), kind)
        if outline is None:
            continue
        if kind == "poly":  # OpenCV follows outer contours anticlockwise; keep where they start
            outline = np.roll(outline[::-1], 1, axis=0)
        boundaries.append(Boundary(outline.astype(np.float64), float(scores[number])))
    return boundaries
