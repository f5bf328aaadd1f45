"""Modulated deformable convolution (version 2).

Paper: Deformable ConvNets v2: More Deformable, Better Results, arXiv:1811.11168. Parameter names
are those of mmcv's ``ModulatedDeformConv2dPack``.

An ordinary convolution of the same input, ``conv_offset``, says for every output pixel where each
tap of the kernel reads and how much it counts. Reading is bilinear sampling, zero outside the
image, so the whole is one ``grid_sample`` and one matrix product: operations that every device and
runtime has.

Shapes: B batch, C input and O output channels, H x W input and h x w output pixels, G deformation
groups, T taps (kernel rows x columns, row by row).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ModulatedDeformConv2d(nn.Module):
    """A square convolution that learns where to look.

    Args:
        in_channels: a multiple of ``deform_groups``.
        out_channels: of the result.
        kernel_size: rows and columns of the kernel.
        stride: of the kernel's centre, in pixels.
        padding: rows and columns of zeros that the undeformed kernel may reach over each edge.
        deform_groups: parts of the channels with offsets of their own.
        bias: whether a bias is added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        deform_groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if in_channels % deform_groups:
            raise ValueError(
                f"in_channels must be a multiple of deform_groups, got {in_channels} and "
                f"{deform_groups}"
            )
        plain = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.deform_groups = deform_groups
        self.weight = plain.weight
        self.bias = plain.bias
        self.conv_offset = nn.Conv2d(
            in_channels, 3 * deform_groups * kernel_size**2, kernel_size, stride, padding
        )
        # A new layer deforms nothing: no offset, and each tap counts half (section 3.2).
        nn.init.zeros_(self.conv_offset.weight)
        assert self.conv_offset.bias is not None
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, h, w)."""
        # Channels of `learnt`: per group and tap (down, right) offsets in pixels, then strengths.
        learnt = self.conv_offset(x).float()
        height, width = learnt.shape[-2:]
        groups, taps = self.deform_groups, self.kernel_size**2
        offsets, strengths = learnt.split((2 * groups * taps, groups * taps), dim=1)
        offsets = offsets.reshape(-1, groups, taps, 2, height, width)
        strengths = strengths.sigmoid().reshape(-1, groups, 1, taps, height, width)
        samples = self._samples(x, offsets, strengths)
        weight = self.weight.flatten(1)  # (O, C T)
        out = (weight @ samples.to(weight.dtype)).reshape(-1, weight.shape[0], height, width)
        return out if self.bias is None else out + self.bias[:, None, None]

    def _samples(self, x: Tensor, offsets: Tensor, strengths: Tensor) -> Tensor:
        """What the taps read, times their strength.

        Args:
            x: (B, C, H, W).
            offsets: (B, G, T, 2, h, w), down and right, in pixels.
            strengths: (B, G, 1, T, h, w), 0..1.

        Returns:
            (B, C T, h w), in float32: coordinates need it whatever type the network has.
        """
        groups, taps, _, height, width = offsets.shape[1:]
        ys = self._rest_positions(height, x.device)[:, None, :, None]  # (K, 1, h, 1)
        xs = self._rest_positions(width, x.device)[None, :, None, :]  # (1, K, 1, w)
        y = offsets[:, :, :, 0] + ys.expand(-1, self.kernel_size, -1, 1).flatten(0, 1)
        x_ = offsets[:, :, :, 1] + xs.expand(self.kernel_size, -1, 1, -1).flatten(0, 1)
        # From pixels to -1..1 between the outer edges of the image.
        grid = torch.stack(
            [(2 * x_ + 1) / x.shape[3] - 1, (2 * y + 1) / x.shape[2] - 1], dim=-1
        )  # (B, G, T, h, w, 2)
        per_group = x.float().reshape(-1, x.shape[1] // groups, x.shape[2], x.shape[3])
        read = F.grid_sample(
            per_group, grid.reshape(-1, taps * height, width, 2), align_corners=False
        )  # (B G, C/G, T h, w)
        read = read.reshape(-1, groups, x.shape[1] // groups, taps, height, width) * strengths
        return read.reshape(-1, x.shape[1] * taps, height * width)

    def _rest_positions(self, count: int, device: torch.device) -> Tensor:
        """(K, count): the row (or column) that each tap reads without offset, in pixels."""
        outputs = torch.arange(count, dtype=torch.float32, device=device) * self.stride
        taps = torch.arange(self.kernel_size, dtype=torch.float32, device=device) - self.padding
        return taps[:, None] + outputs
