"""PANet: text detection by growing kernels over pixels with similar embeddings.

Paper: Efficient and Accurate Arbitrary-Shaped Text Detection with Pixel Aggregation Network,
arXiv:1908.05900. Parameter names and numbers are those of MMOCR 0.6.1. What differs from the paper
there: a pyramid module adds its levels before each separable convolution at the finer one's
resolution (nearest neighbour), and the fusion resizes bilinearly.

Shapes: B batch, H x W padded image in pixels (multiples of 32), C channels of the pyramid, D size
of an embedding. Level i has resolution 1 / 2^(i+2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.resnet import ResNet, ResNetConfig

Levels = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class PANetConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32.
        pyramid_channels: channels of every pyramid level.
        pyramid_repeats: how many pyramid modules follow each other.
        embedding_size: numbers per pixel by which it is told which kernel it belongs to.
    """

    backbone: ResNetConfig | LightResNetConfig = field(default_factory=ResNetConfig)
    pyramid_channels: int = 128
    pyramid_repeats: int = 2
    embedding_size: int = 4

    def __post_init__(self) -> None:
        if len(self.backbone.out_channels) != 4:
            raise ValueError(
                "PANet needs a backbone with four levels (strides 4, 8, 16, 32), "
                f"got {len(self.backbone.out_channels)}"
            )
        for name in ("pyramid_channels", "pyramid_repeats", "embedding_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class PANMaps(NamedTuple):
    """Outputs of the network at a quarter of the image's resolution."""

    text: Tensor
    """(B, 1, H/4, W/4) logits of text."""
    kernel: Tensor
    """(B, 1, H/4, W/4) logits of text kernels."""
    embedding: Tensor
    """(B, D, H/4, W/4); near in space for pixels of one text."""


class SeparableConv(nn.Module):
    """3x3 depthwise and 1x1 pointwise convolution, BatchNorm, ReLU."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels)
        self.pointwise_conv = nn.Conv2d(channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.pointwise_conv(self.depthwise_conv(x))))


class FPEM(nn.Module):
    """Feature pyramid enhancement (section 3.3): coarse to fine, and back by strided steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up_add1 = SeparableConv(channels, 1)
        self.up_add2 = SeparableConv(channels, 1)
        self.up_add3 = SeparableConv(channels, 1)
        self.down_add1 = SeparableConv(channels, 2)
        self.down_add2 = SeparableConv(channels, 2)
        self.down_add3 = SeparableConv(channels, 2)

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor, c5: Tensor) -> Levels:
        c4 = self.up_add1(_enlarged(c5, c4) + c4)
        c3 = self.up_add2(_enlarged(c4, c3) + c3)
        c2 = self.up_add3(_enlarged(c3, c2) + c2)
        # Each sum has the finer level's size; the stride of the convolution brings it down.
        c3 = self.down_add1(_enlarged(c3, c2) + c2)
        c4 = self.down_add2(_enlarged(c4, c3) + c3)
        c5 = self.down_add3(_enlarged(c5, c4) + c4)
        return c2, c3, c4, c5


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


class FPEMFFM(nn.Module):
    """Pyramid modules in a row; their levels are summed and fused at stride 4 (section 3.4)."""

    def __init__(self, in_channels: tuple[int, ...], channels: int, repeats: int) -> None:
        super().__init__()
        self.reduce_conv_c2 = _reduction(in_channels[0], channels)
        self.reduce_conv_c3 = _reduction(in_channels[1], channels)
        self.reduce_conv_c4 = _reduction(in_channels[2], channels)
        self.reduce_conv_c5 = _reduction(in_channels[3], channels)
        self.fpems = nn.ModuleList(FPEM(channels) for _ in range(repeats))

    def forward(self, levels: Levels) -> Tensor:
        """Backbone levels to (B, 4 C, H/4, W/4)."""
        c2, c3, c4, c5 = levels
        current = (
            self.reduce_conv_c2(c2),
            self.reduce_conv_c3(c3),
            self.reduce_conv_c4(c4),
            self.reduce_conv_c5(c5),
        )
        outputs = []
        for module in self.fpems:
            current = module(*current)
            outputs.append(current)
        finest, *coarser = (torch.stack(level).sum(dim=0) for level in zip(*outputs, strict=True))
        size = finest.shape[-2:]
        return torch.cat(
            [finest, *(F.interpolate(x, size, mode="bilinear") for x in coarser)], dim=1
        )


def _reduction(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


class PANHead(nn.Module):
    """One 1x1 convolution to all maps: text, kernel, embedding."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.out_conv(features)


class PANet(nn.Module):
    """The whole network."""

    def __init__(self, config: PANetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module = (
            ResNet(config.backbone)
            if isinstance(config.backbone, ResNetConfig)
            else LightResNet(config.backbone)
        )
        self.neck = FPEMFFM(
            config.backbone.out_channels, config.pyramid_channels, config.pyramid_repeats
        )
        self.bbox_head = PANHead(4 * config.pyramid_channels, 2 + config.embedding_size)

    def forward(self, images_B3HW: Tensor) -> PANMaps:
        maps = self.maps(images_B3HW)
        return PANMaps(maps[:, :1], maps[:, 1:2], maps[:, 2:])

    def maps(self, images_B3HW: Tensor) -> Tensor:
        """All maps in one tensor, (B, 2 + D, H/4, W/4): text and kernel logits, embedding."""
        return self.bbox_head(self.neck(self.backbone(images_B3HW)))
