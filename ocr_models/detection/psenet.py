"""PSENet: text detection by kernels of growing size.

Paper: Shape Robust Text Detection with Progressive Scale Expansion Network, arXiv:1903.12473.
Parameter names and numbers are those of MMOCR 0.6.1. What differs from the paper there: the maps
have a quarter of the image's resolution ("PSENet-4s"), and each sum of the top-down path is
smoothed before it is passed on.

Shapes: B batch, H x W padded image in pixels (multiples of 32), C channels of the pyramid, K number
of kernels. Level i has resolution 1 / 2^(i+2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.resnet import ResNet, ResNetConfig


@dataclass(frozen=True)
class PSENetConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32.
        neck_channels: channels of every pyramid level and of the fused map.
        fusion_type: pyramid levels are joined by ``"concat"`` or summed, ``"add"``.
        num_kernels: maps of the head, the whole text first, the smallest kernel last.
    """

    backbone: ResNetConfig | LightResNetConfig = field(
        default_factory=lambda: ResNetConfig(depth=50)
    )
    neck_channels: int = 256
    fusion_type: Literal["concat", "add"] = "concat"
    num_kernels: int = 7

    def __post_init__(self) -> None:
        if len(self.backbone.out_channels) != 4:
            raise ValueError(
                "PSENet needs a backbone with four levels (strides 4, 8, 16, 32), "
                f"got {len(self.backbone.out_channels)}"
            )
        if self.fusion_type not in ("concat", "add"):
            raise ValueError(f"fusion_type must be 'concat' or 'add', got {self.fusion_type!r}")
        if self.neck_channels < 1:
            raise ValueError(f"neck_channels must be at least 1, got {self.neck_channels}")
        if self.num_kernels < 2:
            raise ValueError(
                f"num_kernels must be at least 2 (text and kernel), got {self.num_kernels}"
            )


class PSEMaps(NamedTuple):
    """Outputs of the network, logits at a quarter of the image's resolution."""

    text: Tensor
    """(B, 1, H/4, W/4), the whole text."""
    kernels: Tensor
    """(B, K - 1, H/4, W/4), from the largest to the smallest."""


class ConvNormRelu(nn.Module):
    """A convolution without bias, BatchNorm, ReLU, under MMOCR's names."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class FPNF(nn.Module):
    """Feature pyramid whose levels are fused at stride 4 (section 3.2)."""

    def __init__(self, in_channels: tuple[int, ...], channels: int, fusion_type: str) -> None:
        super().__init__()
        self.fusion_type = fusion_type
        self.lateral_convs = nn.ModuleList(ConvNormRelu(c, channels, 1) for c in in_channels)
        self.fpn_convs = nn.ModuleList(ConvNormRelu(channels, channels, 3) for _ in in_channels[1:])
        fused = channels * len(in_channels) if fusion_type == "concat" else channels
        self.output_convs = ConvNormRelu(fused, channels, 3)

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Backbone levels to (B, C, H/4, W/4)."""
        pyramid = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(pyramid) - 1, 0, -1):
            summed = pyramid[i - 1] + _enlarged(pyramid[i], pyramid[i - 1])
            pyramid[i - 1] = self.fpn_convs[i - 1](summed)
        finest = [pyramid[0], *(_enlarged(x, pyramid[0]) for x in pyramid[1:])]
        if self.fusion_type == "concat":
            return self.output_convs(torch.cat(finest, dim=1))
        return self.output_convs(torch.stack(finest).sum(dim=0))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


class PSEHead(nn.Module):
    """One 1x1 convolution to all maps."""

    def __init__(self, in_channels: int, num_kernels: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(in_channels, num_kernels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.out_conv(features)


class PSENet(nn.Module):
    """The whole network."""

    def __init__(self, config: PSENetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module = (
            ResNet(config.backbone)
            if isinstance(config.backbone, ResNetConfig)
            else LightResNet(config.backbone)
        )
        self.neck = FPNF(config.backbone.out_channels, config.neck_channels, config.fusion_type)
        self.bbox_head = PSEHead(config.neck_channels, config.num_kernels)

    def forward(self, images_B3HW: Tensor) -> PSEMaps:
        maps = self.maps(images_B3HW)
        return PSEMaps(maps[:, :1], maps[:, 1:])

    def maps(self, images_B3HW: Tensor) -> Tensor:
        """All logits in one tensor, (B, K, H/4, W/4), the whole text first."""
        return self.bbox_head(self.neck(self.backbone(images_B3HW)))
