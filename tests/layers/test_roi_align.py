"""RoIAlign against its definition, one sample at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ocr_models.layers.roi_align import roi_align

BINS = 5


def sample(features_CHW: Tensor, y: float, x: float) -> Tensor:
    """Bilinear, 0 more than a pixel outside, and as at the edge in between."""
    _, height, width = features_CHW.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(features_CHW))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = features_CHW[:, top, left] * (1 - u) + features_CHW[:, top, right] * u
    lower = features_CHW[:, bottom, left] * (1 - u) + features_CHW[:, bottom, right] * u
    return upper * (1 - v) + lower * v


def by_definition(features_BCHW: Tensor, boxes_N5: Tensor, scale: float) -> Tensor:
    pooled = torch.zeros(len(boxes_N5), features_BCHW.shape[1], BINS, BINS)
    for n, (image, *box) in enumerate(boxes_N5.tolist()):
        left, top, right, bottom = (side * scale - 0.5 for side in box)
        step_y, step_x = (bottom - top) / BINS, (right - left) / BINS
        rows, columns = math.ceil(step_y), math.ceil(step_x)
        places = [(a, b) for a in range(rows) for b in range(columns)]
        for i in range(BINS):
            for j in range(BINS):
                for a, b in places:
                    y = top + (i + (a + 0.5) / rows) * step_y
                    x = left + (j + (b + 0.5) / columns) * step_x
                    pooled[n, :, i, j] += sample(features_BCHW[int(image)], y, x) / len(places)
    return pooled


def random_boxes(count: int) -> Tensor:
    """Inside, over the edges, outside; from slivers to larger than the image of 240 x 160."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([300.0, 220.0]) - 30
    sizes = 2 ** (torch.rand(count, 2, generator=generator) * 9)
    images = torch.randint(0, 2, (count, 1), generator=generator)
    return torch.cat([images, corners, corners + sizes], dim=1)


def test_equals_the_definition() -> None:
    features = torch.randn(2, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    boxes = random_boxes(60)
    torch.testing.assert_close(
        roi_align(features, boxes, BINS, 1 / 8), by_definition(features, boxes, 1 / 8)
    )


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 8, 8, 8, 40], 0.0),  # no width
        ([0, 40, 8, 8, 40], 0.0),  # turned inside out
        ([0, 900, 900, 990, 990], 0.0),  # outside
        ([0, 16, 16, 48, 48], 1.0),
    ],
)
def test_special_boxes(box: list[float], expected: float) -> None:
    pooled = roi_align(torch.ones(1, 2, 20, 30), torch.tensor([box]).float(), BINS, 1 / 8)
    torch.testing.assert_close(pooled, torch.full((1, 2, BINS, BINS), expected))


def test_no_boxes() -> None:
    pooled = roi_align(torch.ones(1, 2, 20, 30, dtype=torch.bfloat16), torch.zeros(0, 5), BINS)
    assert pooled.shape == (0, 2, BINS, BINS)
    assert pooled.dtype == torch.float32


def test_memory_layout_does_not_matter() -> None:
    features = torch.randn(2, 8, 20, 30, generator=torch.Generator().manual_seed(1))
    boxes = random_boxes(10)
    last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(roi_align(last, boxes, BINS), roi_align(features, boxes, BINS))


def test_gradient_reaches_the_features() -> None:
    features = torch.randn(2, 2, 6, 7, dtype=torch.float32, requires_grad=True)
    boxes = torch.tensor([[0, 0.5, 1, 5, 4], [1, -2, 1, 3.5, 9], [1, 2, 2, 2, 5]])
    weights = torch.randn(3, 2, BINS, BINS)
    (roi_align(features, boxes, BINS) * weights).sum().backward()
    assert features.grad is not None
    # The result is linear in the features, so their gradient gives it back.
    value = (features.grad * features).sum()
    torch.testing.assert_close(value, (roi_align(features, boxes, BINS) * weights).sum())
