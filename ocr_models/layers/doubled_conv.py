"""A 3x3 convolution of a map that was doubled in size, computed before the doubling.

Nearest-neighbour doubling repeats every pixel 2 x 2 times, so the three rows that an output pixel
sees are only two different ones: which two depends on whether its own row is even or odd. The taps
of equal rows and columns are added up beforehand, which leaves a 2x2 kernel for each of the four
phases (even or odd row, even or odd column): 4 products instead of 9 per output and input channel.

Shapes: B batch, I input channels, O output channels, H x W pixels of the small map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def conv3x3_of_doubled(x_BIHW: Tensor, weight_OI33: Tensor) -> Tensor:
    """``conv2d(interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)``.

    Equal up to the rounding of sums. Returns (B, O, 2 H, 2 W).
    """
    out_channels, in_channels = weight_OI33.shape[:2]
    height, width = x_BIHW.shape[-2:]
    # (O, I, row phase, 2, column phase, 2) -> phases first, then O: each phase's outputs together.
    phases = _phases(_phases(weight_OI33, 2), 4)
    kernels = phases.permute(2, 4, 0, 1, 3, 5).reshape(4 * out_channels, in_channels, 2, 2)
    # With a border of one pixel, output i sees the rows i - 1 and i: those of even rows 2 i and of
    # odd rows 2 i - 1.
    y = F.conv2d(x_BIHW, kernels, padding=1)
    parts = [
        part[:, :, row : row + height, column : column + width]
        for part, (row, column) in zip(
            y.split(out_channels, dim=1), ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True
        )
    ]
    return F.pixel_shuffle(torch.stack(parts, dim=2).flatten(1, 2), 2)


def _phases(weight: Tensor, dim: int) -> Tensor:
    """Folds the 3 taps along ``dim`` into (even, odd) x 2 taps."""
    before, centre, after = weight.unbind(dim)
    even = torch.stack((before, centre + after), dim)
    odd = torch.stack((before + centre, after), dim)
    return torch.stack((even, odd), dim)
