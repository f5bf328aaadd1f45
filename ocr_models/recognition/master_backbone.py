"""MASTER's backbone: residual blocks that look at the whole map.

Papers: MASTER: Multi-Aspect Non-local Network for Scene Text Recognition, arXiv:1910.02562,
section 3.1; its blocks end in the global context of GCNet, arXiv:1904.11492. Parameter names and
numbers are those of MMOCR 0.6.1, whose context has a single aspect (head) instead of several.

Shapes: B batch, C image channels, H x W image in pixels, D channels of a block, R channels inside
the context's bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class MASTERBackboneConfig:
    """What fixes the backbone.

    Args:
        in_channels: C.
        stem_channels: of the convolutions before the first stage.
        blocks: residual blocks of each stage.
        channels: of each stage.
        pools: vertical and horizontal stride of the pool before each stage.
        context_ratio: R over D.
    """

    in_channels: int = 3
    stem_channels: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (1, 2, 5, 3)
    channels: tuple[int, ...] = (256, 256, 512, 512)
    pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 1), (1, 1))
    context_ratio: float = 0.0625

    def __post_init__(self) -> None:
        if not len(self.blocks) == len(self.channels) == len(self.pools) > 0:
            raise ValueError(
                f"blocks, channels and pools must have an entry per stage: {self.blocks}, "
                f"{self.channels}, {self.pools}"
            )
        if not self.stem_channels:
            raise ValueError("stem_channels is empty; there must be a convolution")
        if min(self.in_channels, *self.stem_channels, *self.blocks, *self.channels) < 1:
            raise ValueError(
                f"channels and blocks must be at least 1: {self.in_channels}, "
                f"{self.stem_channels}, {self.blocks}, {self.channels}"
            )
        if any(stride not in (1, 2) for pool in self.pools for stride in pool):
            raise ValueError(f"strides of a pool are 1 or 2, got {self.pools}")
        if int(min(self.channels) * self.context_ratio) < 1:
            raise ValueError(
                f"context_ratio {self.context_ratio} leaves no channel of {min(self.channels)}"
            )

    @property
    def feature_channels(self) -> int:
        """Channels of the last stage."""
        return self.channels[-1]

    def cells(self, height_px: int, width_px: int) -> int:
        """Cells of the map that an image of that size becomes."""
        for vertical, horizontal in self.pools:
            height_px, width_px = height_px // vertical, width_px // horizontal
        return height_px * width_px


class ConvNorm(nn.Module):
    """Convolution without bias and batch normalisation; the size of the map stays."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class ConvNormReLU(ConvNorm):
    """The same with a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class GlobalContext(nn.Module):
    """Adds to every cell what a weighted mean over all cells says (arXiv:1904.11492, figure 4d)."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        inner = int(channels * ratio)
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.LayerNorm([inner, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
        )

    def forward(self, x_BDhw: Tensor) -> Tensor:
        weights_BS1 = self.conv_mask(x_BDhw).flatten(2).softmax(2).transpose(1, 2)
        mean_BD11 = torch.bmm(x_BDhw.flatten(2), weights_BS1)[..., None]
        return x_BDhw + self.channel_add_conv(mean_BD11)


class ContextBlock(nn.Module):
    """Two 3x3 convolutions, the global context, and a shortcut."""

    def __init__(self, in_channels: int, channels: int, context_ratio: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = ConvNorm(in_channels, channels, 1) if in_channels != channels else None
        self.gca_module = GlobalContext(channels, context_ratio)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.gca_module(self.bn2(self.conv2(out)))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class MASTERBackbone(nn.Module):
    """(B, C, H, W) -> (B, D, H / 8, W / 4); each stage is pool, blocks, convolution."""

    def __init__(self, config: MASTERBackboneConfig) -> None:
        super().__init__()
        stem = []
        in_channels = config.in_channels
        for channels in config.stem_channels:
            stem.append(ConvNormReLU(in_channels, channels, 3))
            in_channels = channels
        self.stem_layers = nn.Sequential(*stem)
        self.pools = config.pools
        for stage, (count, channels) in enumerate(
            zip(config.blocks, config.channels, strict=True), start=1
        ):
            blocks = [
                ContextBlock(in_channels if i == 0 else channels, channels, config.context_ratio)
                for i in range(count)
            ]
            self.add_module(f"conv_block_after_stage_{stage}", ConvNormReLU(channels, channels, 3))
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            in_channels = channels

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.stem_layers(images_BCHW)
        for stage, pool in enumerate(self.pools, start=1):
            if pool != (1, 1):
                x = F.max_pool2d(x, pool, pool)
            x = self.get_submodule(f"layer{stage}")(x)
            x = self.get_submodule(f"conv_block_after_stage_{stage}")(x)
        return x
