"""Non-maximum suppression of upright boxes, in whole matrices instead of box by box.

Shapes: N boxes as left, top, right, bottom in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def box_iou(boxes_N4: Tensor, others_M4: Tensor) -> Tensor:
    """Intersection over union of every pair, (N, M); 0 for pairs without area."""
    low = torch.maximum(boxes_N4[:, None, :2], others_M4[None, :, :2])
    high = torch.minimum(boxes_N4[:, None, 2:], others_M4[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=2)
    areas, other_areas = (
        (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (boxes_N4, others_M4)
    )
    union = areas[:, None] + other_areas[None, :] - overlap
    return overlap / union.clamp(min=1e-6)


def nms(boxes_N4: Tensor, scores_N: Tensor, iou_threshold: float) -> Tensor:
    """Greedy suppression: of the boxes by falling score, each that overlaps none kept before it.

    The greedy rule has one solution, and repeating "kept is what no kept, better box suppresses"
    from any start reaches it: after k rounds the k best boxes are settled, and in practice all are
    after a few, the longest chain of boxes that suppress one another.

    Returns:
        Indices of the kept boxes, best first; of equal scores the one that came first.
    """
    order = torch.argsort(scores_N, descending=True, stable=True)
    boxes = boxes_N4[order].float()
    # suppresses[i, j]: box i is better than j and overlaps it.
    suppresses = (box_iou(boxes, boxes) > iou_threshold).triu(diagonal=1).to(boxes.dtype)
    kept = torch.ones_like(order, dtype=torch.bool)
    while True:
        settled = kept.to(boxes.dtype) @ suppresses == 0
        if torch.equal(settled, kept):
            return order[kept]
        kept = settled


def grouped_nms(
    boxes_N4: Tensor, scores_N: Tensor, groups_N: Tensor, iou_threshold: float
) -> Tensor:
    """``nms`` within each group (a class, or a level of a pyramid); the kept of all, best first."""
    kept = [
        members[nms(boxes_N4[members], scores_N[members], iou_threshold)]
        for members in ((groups_N == group).nonzero()[:, 0] for group in groups_N.unique())
    ]
    if not kept:
        return groups_N.new_zeros(0)
    indices = torch.cat(kept)
    return indices[torch.argsort(scores_N[indices], descending=True, stable=True)]
