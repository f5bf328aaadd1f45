"""Anchor boxes of a feature pyramid, and boxes written as changes of other boxes.

Paper: Faster R-CNN, arXiv:1506.01497, section 3.1. Numbers are those of MMDetection 2's
``AnchorGenerator`` and ``DeltaXYWHBBoxCoder``.

Shapes: boxes are left, top, right, bottom in pixels of the network's input; A anchors per place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A side changes at most by the factor 1000 / 16, so that no exponential overflows.
_MAX_LOG_RATIO = math.log(1000 / 16)


def grid_anchors(
    size_hw: tuple[int, int], stride: int, scales: Sequence[float], ratios: Sequence[float]
) -> Tensor:
    """Anchors of one pyramid level, (h * w * A, 4) float32: row by row, A at each place.

    They are centred on the corners of the level's pixels, as in MMDetection. At each place the
    scales of the first ratio come first.

    Args:
        size_hw: height and width of the level.
        stride: pixels of the input per pixel of the level.
        scales: side of a square anchor over the stride.
        ratios: height over width.
    """
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    sides = stride * torch.tensor(scales, dtype=torch.float32)[None, :]
    half_widths, half_heights = (sides / root).flatten() / 2, (sides * root).flatten() / 2
    at_origin = torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)
    ys, xs = (torch.arange(length, dtype=torch.float32) * stride for length in size_hw)
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    places = torch.stack([x, y, x, y], dim=-1)  # (h, w, 4)
    return (places[:, :, None, :] + at_origin).reshape(-1, 4)


def decode_boxes(
    boxes: Tensor, deltas: Tensor, stds: Sequence[float], content_hw: tuple[int, int]
) -> Tensor:
    """The boxes that ``deltas`` make of ``boxes``, clipped to the image.

    Args:
        boxes: (..., 4).
        deltas: (..., 4), shift of the centre in widths and heights, and logarithms of the factors
            of width and height, each divided by its standard deviation.
        stds: those four standard deviations.
        content_hw: height and width of the image without padding.
    """
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    sizes = boxes[..., 2:] - boxes[..., :2]
    deltas = deltas.float() * deltas.new_tensor(stds, dtype=torch.float32)
    centres = centres + sizes * deltas[..., :2]
    sizes = sizes * deltas[..., 2:].clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
    height, width = content_hw
    limit = boxes.new_tensor([width, height, width, height])
    corners = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)
    return torch.minimum(corners.clamp(min=0), limit)


def encode_boxes(boxes: Tensor, targets: Tensor, stds: Sequence[float]) -> Tensor:
    """The deltas that ``decode_boxes`` turns into ``targets``, both (..., 4) with an area."""
    sizes, target_sizes = boxes[..., 2:] - boxes[..., :2], targets[..., 2:] - targets[..., :2]
    shifts = (targets[..., :2] + targets[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2 / sizes
    deltas = torch.cat([shifts, (target_sizes / sizes).log()], dim=-1)
    return deltas / deltas.new_tensor(stds)
