"""Pooling of features under rotated boxes.

RoIAlign for rotated boxes (He et al., "Mask R-CNN", arXiv:1703.06870, section 3; Ma et al.,
"Arbitrary-Oriented Scene Text Detection via Rotation Proposals", arXiv:1703.01086). Numbers are
those of mmcv 1.7's ``RoIAlignRotated``: the centre of a pixel is at a whole number plus a half, a
bin takes about one sample per pixel of its size, and samples more than a pixel outside count as
0.

Shapes: B images, C channels, N boxes, h x w bins of a box, S samples of a bin.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rotated_roi_align(
    features_BCHW: Tensor,
    boxes_N6: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
) -> Tensor:
    """Mean features of each bin of each box, by bilinear samples.

    The sum over the samples of a bin is a sparse matrix product, so neither memory nor time grows
    with channels times samples.

    Args:
        features_BCHW: gradients flow to it; any float type, computed in float32.
        boxes_N6: number of the image; x and y of the centre, width and height in pixels; angle in
            radians. At a positive angle the axis of the width points up on the screen.
        output_size: bins along the box's height and width.
        spatial_scale: pixels of the features per pixel of the boxes.

    Returns:
        (N, C, h, w) float32.
    """
    bins = output_size[0] * output_size[1]
    channels = features_BCHW.shape[1]
    # (B, C, H, W) -> (B * H * W, C), one row per pixel
    rows = features_BCHW.float().permute(0, 2, 3, 1).reshape(-1, channels)
    sizes = boxes_N6[:, 3:5] * spatial_scale
    grids = torch.stack((sizes[:, 1] / output_size[0], sizes[:, 0] / output_size[1]), dim=1).ceil()
    pooled = rows.new_zeros(len(boxes_N6), bins, channels)
    # Boxes whose bins have equally many samples go together.
    for grid in grids.unique(dim=0).tolist():
        if min(grid) < 1:  # a box without width or height has no samples
            continue
        chosen = (grids == grids.new_tensor(grid)).all(dim=1).nonzero()[:, 0]
        samples = int(grid[0]), int(grid[1])
        xs, ys = _sample_points(boxes_N6[chosen], output_size, samples, spatial_scale)
        taps, weights = _bilinear_taps(xs, ys, boxes_N6[chosen, 0], features_BCHW)
        means = F.embedding_bag(
            taps.flatten(0, 1), rows, per_sample_weights=weights.flatten(0, 1), mode="sum"
        )
        pooled[chosen] = means.unflatten(0, (len(chosen), bins))
    return pooled.transpose(1, 2).unflatten(2, output_size)


def _sample_points(
    boxes_N6: Tensor, output_size: tuple[int, int], grid: tuple[int, int], spatial_scale: float
) -> tuple[Tensor, Tensor]:
    """x and y of the samples in pixels of the features, (N, h * w, S) each."""
    x, y, width, height = (boxes_N6[:, 1:5] * spatial_scale).unbind(1)
    x, y, angle = x - 0.5, y - 0.5, boxes_N6[:, 5]
    down = _fractions(output_size[0], grid[0], boxes_N6)  # (h, S_h)
    along = _fractions(output_size[1], grid[1], boxes_N6)  # (w, S_w)
    # (N, h, w, S_h, S_w) -> (N, h * w, S)
    shape = (len(boxes_N6), output_size[0] * output_size[1], grid[0] * grid[1])
    v = height[:, None, None, None, None] * down[:, None, :, None]
    u = width[:, None, None, None, None] * along[None, :, None, :]
    cos, sin = (f(angle)[:, None, None, None, None] for f in (torch.cos, torch.sin))
    xs = (u * cos + v * sin).reshape(shape) + x[:, None, None]
    ys = (v * cos - u * sin).reshape(shape) + y[:, None, None]
    return xs, ys


def _fractions(bins: int, samples: int, like: Tensor) -> Tensor:
    """Places of the samples along a side of length 1 about its middle, (bins, samples)."""
    count = bins * samples
    places = (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count - 0.5
    return places.reshape(bins, samples)


def _bilinear_taps(
    xs: Tensor, ys: Tensor, images_N: Tensor, features_BCHW: Tensor
) -> tuple[Tensor, Tensor]:
    """The four pixels around each sample and their weights, each (N, bins, 4 S).

    Weights of a bin sum to 1 unless samples lie outside.
    """
    height, width = features_BCHW.shape[-2:]
    inside = (xs >= -1) & (xs <= width) & (ys >= -1) & (ys <= height)
    xs, ys = xs.clamp(0, width - 1), ys.clamp(0, height - 1)
    left, top = xs.long(), ys.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    to_left, to_top = xs - left, ys - top
    first_row = images_N.long()[:, None, None] * height
    upper, lower = (first_row + top) * width, (first_row + bottom) * width
    taps = torch.cat([upper + left, upper + right, lower + left, lower + right], dim=-1)
    share = inside / xs.shape[-1]
    weights = torch.cat(
        [
            (1 - to_top) * (1 - to_left) * share,
            (1 - to_top) * to_left * share,
            to_top * (1 - to_left) * share,
            to_top * to_left * share,
        ],
        dim=-1,
    )
    return taps, weights
