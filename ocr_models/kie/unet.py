"""UNet: features of a page at its full resolution.

Paper: U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597.
Parameter names and numbers are those of MMOCR 0.6.1, which differs from the paper: convolutions are
padded and normalised, and maps are enlarged bilinearly before a 1x1 convolution.

Shapes: B images, H x W pixels, C = base channels; level i has C * 2^i channels and 1 / 2^i of the
size.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

LEVELS = 5
STRIDE = 2 ** (LEVELS - 1)
"""Pixels of the image per pixel of the coarsest level; sides must be multiples."""


class _ConvModule(nn.Module):
    """Convolution, BatchNorm, ReLU; the size stays."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return torch.relu_(self.bn(self.conv(maps_BCHW)))


class _ConvBlock(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _ConvModule(in_channels, out_channels, 3), _ConvModule(out_channels, out_channels, 3)
        )

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return self.convs(maps_BCHW)


class _Enlarge(nn.Module):
    """Twice the size, half the channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.interp_upsample = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            _ConvModule(in_channels, in_channels // 2, 1),
        )

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return self.interp_upsample(maps_BCHW)


class _UpBlock(nn.Module):
    """Joins a level with the enlarged coarser one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = _ConvBlock(2 * channels, channels)
        self.upsample = _Enlarge(2 * channels)

    def forward(self, fine_BCHW: Tensor, coarse: Tensor) -> Tensor:
        return self.conv_block(torch.cat([fine_BCHW, self.upsample(coarse)], dim=1))


class UNet(nn.Module):
    """(B, 3, H, W) -> (B, C, H, W), sides being multiples of ``STRIDE``."""

    def __init__(self, base_channels: int) -> None:
        super().__init__()
        channels = [base_channels * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList([nn.Sequential(_ConvBlock(3, base_channels))])
        for finer, coarser in pairwise(channels):
            self.encoder.append(nn.Sequential(nn.MaxPool2d(2), _ConvBlock(finer, coarser)))
        self.decoder = nn.ModuleList([_UpBlock(each) for each in channels[:-1]])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images_BCHW: Tensor) -> Tensor:
        levels = [images_BCHW]
        for stage in self.encoder:
            levels.append(stage(levels[-1]))
        maps = levels.pop()
        for block in reversed(self.decoder):
            maps = block(levels.pop(), maps)
        return maps
