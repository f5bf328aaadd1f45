"""Which boxes of a detector learn from which true box, and which of them are looked at.

Papers: Faster R-CNN, arXiv:1506.01497, section 3.1.2; online hard example mining, arXiv:1604.03540.
Numbers are those of MMDetection 2's ``MaxIoUAssigner``, ``RandomSampler`` and ``OHEMSampler``.

Shapes: N candidate boxes and G true ones, as left, top, right, bottom in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ocr_models.errors import ConfigError
from ocr_models.layers.nms import box_iou

BACKGROUND, UNUSED = -1, -2
"""What a candidate has instead of the number of a true box."""


@dataclass(frozen=True)
class MaxIoUAssigner:
    """By intersection over union (IoU) with the nearest true box.

    Args:
        pos_iou_thr: from this IoU on a candidate learns the true box.
        neg_iou_thr: below this IoU it is background; in between it learns nothing.
        min_pos_iou: a true box may take the candidates nearest to it from this IoU on.
        match_low_quality: whether it does, although they are below ``pos_iou_thr``.
        ignore_iof_thr: only -1: ignored text is background, as for MMOCR's models.
        gpu_assign_thr: MMDetection's switch between devices; without effect here.
    """

    pos_iou_thr: float
    neg_iou_thr: float
    min_pos_iou: float = 0.0
    match_low_quality: bool = True
    ignore_iof_thr: float = -1
    gpu_assign_thr: int = -1

    def __post_init__(self) -> None:
        if not 0 < self.neg_iou_thr <= self.pos_iou_thr <= 1:
            raise ConfigError(
                f"neg_iou_thr is {self.neg_iou_thr} and pos_iou_thr is {self.pos_iou_thr}; "
                "needed: 0 < neg_iou_thr <= pos_iou_thr <= 1"
            )
        if self.ignore_iof_thr >= 0:
            raise ConfigError(f"ignore_iof_thr is {self.ignore_iof_thr}; only -1 is supported")

    def __call__(self, boxes_N4: Tensor, true_G4: Tensor) -> Tensor:
        """(N,): number of the true box, ``BACKGROUND`` or ``UNUSED``."""
        if not len(true_G4) or not len(boxes_N4):
            return boxes_N4.new_full((len(boxes_N4),), BACKGROUND, dtype=torch.long)
        iou_GN = box_iou(true_G4, boxes_N4)
        best, number = iou_GN.max(dim=0)
        matches = torch.full_like(number, UNUSED)
        matches[best < self.neg_iou_thr] = BACKGROUND
        is_positive = best >= self.pos_iou_thr
        matches[is_positive] = number[is_positive]
        if self.match_low_quality:
            nearest = iou_GN.max(dim=1).values
            taken_GN = (iou_GN == nearest[:, None]) & (nearest >= self.min_pos_iou)[:, None]
            # Of several true boxes that take a candidate the last one has it.
            order = torch.arange(1, len(true_G4) + 1, device=number.device)
            last = (taken_GN * order[:, None]).max(dim=0).values
            matches[last > 0] = last[last > 0] - 1
        return matches


@dataclass(frozen=True)
class BoxSampler:
    """How many candidates of an image are looked at.

    Args:
        num: at most so many.
        pos_fraction: at most this part of them has a true box.
        neg_pos_ub: at most so many background boxes per box with a true one; -1 for no bound.
        add_gt_as_proposals: whether the true boxes are candidates as well.
    """

    num: int
    pos_fraction: float
    neg_pos_ub: float = -1
    add_gt_as_proposals: bool = True

    def __post_init__(self) -> None:
        if self.num < 1 or not 0 <= self.pos_fraction <= 1:
            raise ConfigError(
                f"a sampler with num={self.num} and pos_fraction={self.pos_fraction}; "
                "num must be at least 1 and pos_fraction in 0..1"
            )

    def __call__(self, matches_N: Tensor, choose: Choose) -> Sampled:
        """The chosen candidates.

        Args:
            matches_N: from an assigner.
            choose: (candidates, number) to that many of them.
        """
        positive = (matches_N >= 0).nonzero()[:, 0]
        background = (matches_N == BACKGROUND).nonzero()[:, 0]
        wanted = int(self.num * self.pos_fraction)
        if len(positive) > wanted:
            positive = choose(positive, wanted)
        wanted = self.num - len(positive)
        if self.neg_pos_ub >= 0:
            wanted = min(wanted, int(self.neg_pos_ub * max(1, len(positive))))
        if len(background) > wanted:
            background = choose(background, wanted)
        return Sampled(positive, background)


Choose = Callable[[Tensor, int], Tensor]


class Sampled(NamedTuple):
    """Indices of chosen candidates: those with a true box, and those of the background."""

    positive: Tensor
    background: Tensor


def at_random(candidates: Tensor, number: int) -> Tensor:
    """``number`` of the candidates, each set of them equally likely."""
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:number]]
