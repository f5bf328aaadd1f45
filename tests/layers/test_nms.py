"""Non-maximum suppression in matrices against the plain greedy loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ocr_models.layers.nms import box_iou, grouped_nms, nms


def greedy(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    overlap = box_iou(boxes, boxes).tolist()
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap[i][j] <= threshold for j in kept):
            kept.append(i)
    return kept


def random_boxes(count: int, spread: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, generator=generator) * spread
    sizes = torch.rand(count, 2, generator=generator) * 40
    # Many equal scores.
    scores = torch.randint(0, 30, (count,), generator=generator) / 30
    return torch.cat([corners, corners + sizes], dim=1), scores


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
@pytest.mark.parametrize(("count", "spread"), [(0, 1), (1, 1), (2, 0), (120, 60), (200, 400)])
def test_equals_the_greedy_loop(count: int, spread: float, threshold: float) -> None:
    boxes, scores = random_boxes(count, spread)
    assert nms(boxes, scores, threshold).tolist() == greedy(boxes, scores, threshold)


def test_intersection_over_union() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 30, 30], [3, 3, 3, 9]])
    expected = torch.tensor([[1, 25 / 175, 0, 0]])
    torch.testing.assert_close(box_iou(boxes[:1], boxes), expected)


def test_a_long_chain_is_settled() -> None:
    """Each box suppresses the next, so every other one stays."""
    starts = torch.arange(50.0)[:, None] * 4
    boxes = torch.cat([starts, torch.zeros(50, 1), starts + 10, torch.full((50, 1), 10.0)], dim=1)
    scores = torch.linspace(1, 0, 50)
    assert nms(boxes, scores, 0.4).tolist() == list(range(0, 50, 2))


def test_boxes_without_area_suppress_nothing() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 9], [5, 5, 5, 9], [0, 0, 9, 9]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 1, 2]


def test_groups_do_not_see_each_other() -> None:
    boxes, scores = random_boxes(150, 80)
    groups = torch.arange(150) % 4
    kept = grouped_nms(boxes, scores, groups, 0.4).tolist()
    alone = [
        members[i]
        for members in (list(range(group, 150, 4)) for group in range(4))
        for i in greedy(boxes[members], scores[members], 0.4)
    ]
    assert sorted(kept) == sorted(alone)
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)
    assert len(kept) > len(greedy(boxes, scores, 0.4))


def test_no_boxes_in_no_groups() -> None:
    nothing = grouped_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5)
    assert nothing.tolist() == []
