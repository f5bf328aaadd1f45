"""RoIAlign: pooling of features under upright boxes.

Paper: Mask R-CNN, arXiv:1703.06870, section 3. Numbers are those of mmcv 1.7's ``RoIAlign`` with
``aligned=True`` and an adaptive number of samples: pixels have their centre at whole numbers plus a
half, a bin takes about one sample per pixel of its own size and axis, and samples more than a pixel
outside count as 0.

Bilinear samples on a grid separate into rows and columns: a bin's mean is a weighted sum over a
small rectangle of pixels, whose weights are products of one vector per axis. All bins of all boxes
together are one sparse matrix, applied by ``embedding_bag``.

Shapes: B images, C channels, N boxes, P bins per axis.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def roi_align(
    features_BCHW: Tensor, boxes_N5: Tensor, bins: int, spatial_scale: float = 1.0
) -> Tensor:
    """Mean features of each bin of each box.

    Args:
        features_BCHW: gradients flow to it; any float type, computed in float32.
        boxes_N5: number of the image, and left, top, right, bottom in pixels.
        bins: P.
        spatial_scale: pixels of the features per pixel of the boxes.

    Returns:
        (N, C, P, P) float32; 0 for boxes without width or height.
    """
    _, channels, height, width = features_BCHW.shape
    if not len(boxes_N5):
        return features_BCHW.new_zeros(0, channels, bins, bins, dtype=torch.float32)
    left, top, right, bottom = (boxes_N5[:, 1:] * spatial_scale - 0.5).unbind(1)
    xs = _runs(left, right - left, bins, width)
    ys = _runs(top, bottom - top, bins, height)
    # The rectangles of the bins (N, P, P), row by row in one list.
    columns = xs.length[:, None, :].expand(-1, bins, -1).reshape(-1)
    sizes = ys.length[:, :, None].expand(-1, -1, bins).reshape(-1) * columns
    starts = sizes.cumsum(0) - sizes
    bag = torch.repeat_interleave(sizes)
    place = torch.arange(len(bag), device=bag.device) - starts[bag]
    down = place // columns[bag]
    along = place - down * columns[bag]
    # (N, P, P) -> (N, P) of either axis
    box, bin_y, bin_x = bag // (bins * bins), bag // bins, bag % bins
    bin_x = box * bins + bin_x
    first_row = boxes_N5[:, 0].long()[box] * height
    pixels = (first_row + ys.first.reshape(-1)[bin_y] + down) * width
    pixels += xs.first.reshape(-1)[bin_x] + along
    weights = ys.weights[ys.start[bin_y] + down] * xs.weights[xs.start[bin_x] + along]
    # (B, C, H, W) -> (B * H * W, C), one row per pixel
    rows = features_BCHW.float().permute(0, 2, 3, 1).reshape(-1, channels)
    pooled = F.embedding_bag(pixels, rows, starts, per_sample_weights=weights, mode="sum")
    return pooled.reshape(-1, bins, bins, channels).permute(0, 3, 1, 2)


class _Runs(NamedTuple):
    """Which pixels of one axis a bin covers, and how much of each.

    Args:
        first: (N, P), first pixel.
        length: (N, P), number of pixels; 0 for boxes without extent.
        start: (N * P,), where a bin's weights begin.
        weights: of all runs, one after another. Those of a bin sum to 1 unless samples lie outside.
    """

    first: Tensor
    length: Tensor
    start: Tensor
    weights: Tensor


def _runs(start_N: Tensor, length_N: Tensor, bins: int, size: int) -> _Runs:
    """Weights of one axis, ``size`` pixels long; pixel i has its centre at i."""
    samples_N = (length_N / bins).ceil().long().clamp(min=0)
    counts = samples_N.repeat_interleave(bins)  # per bin, (N * P)
    bag = torch.repeat_interleave(counts)
    number = torch.arange(len(bag), device=bag.device) - (counts.cumsum(0) - counts)[bag]
    step_N = length_N / bins
    box = bag // bins
    places = start_N[box] + (bag % bins) * step_N[box]
    places = places + (number + 0.5) * step_N[box] / samples_N[box]
    share = ((places >= -1) & (places <= size)) / samples_N[box]
    places = places.clamp(0, size - 1)
    low = places.long()
    high = (low + 1).clamp(max=size - 1)
    # Samples of a bin ascend, so its run goes from the first one's lower to the last one's upper.
    first = torch.zeros_like(counts)
    last = first - 1
    first[bag[number == 0]] = low[number == 0]
    is_last = number == counts[bag] - 1
    last[bag[is_last]] = high[is_last]
    length = last - first + 1
    start = length.cumsum(0) - length
    weights = places.new_zeros(int(length.sum()))
    in_run = start[bag] - first[bag]
    to_high = places - low
    weights.index_add_(0, in_run + low, (1 - to_high) * share)
    weights.index_add_(0, in_run + high, to_high * share)
    return _Runs(first.reshape(-1, bins), length.reshape(-1, bins), start, weights)
