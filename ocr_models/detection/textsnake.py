"""TextSnake: text as a chain of overlapping disks along its centre line.

Paper: TextSnake: A Flexible Representation for Detecting Text of Arbitrary Shapes,
arXiv:1807.01544. Parameter names and numbers are those of MMOCR 0.6.1. What differs from the paper
there: a ResNet-50 instead of VGG-16, and one logit per region instead of two.

Shapes: B batch, H x W padded image in pixels (multiples of 32).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from ocr_models.layers.fpn_unet import FPNUNet
from ocr_models.layers.resnet import ResNet, ResNetConfig


@dataclass(frozen=True)
class TextSnakeConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32.
        neck_channels: channels of the map that the head reads.
    """

    backbone: ResNetConfig = field(default_factory=lambda: ResNetConfig(50, style="caffe"))
    neck_channels: int = 32


class TextSnakeMaps(NamedTuple):
    """Outputs of the network, each (B, H, W).

    Sine and cosine are those of the text's direction (x to the right, y down) up to a common
    positive factor; the radius is in pixels of the input.
    """

    text_logits: Tensor
    center_logits: Tensor
    sin: Tensor
    cos: Tensor
    radius: Tensor


class TextSnakeHead(nn.Module):
    """One 1x1 convolution: (B, D, H, W) -> (B, 5, H, W), in the order of ``TextSnakeMaps``."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(in_channels, len(TextSnakeMaps._fields), 1)
        nn.init.normal_(self.out_conv.weight, std=0.01)
        assert self.out_conv.bias is not None
        nn.init.zeros_(self.out_conv.bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.out_conv(features)


class TextSnake(nn.Module):
    """The whole network."""

    def __init__(self, config: TextSnakeConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone)
        self.neck = FPNUNet(config.backbone.out_channels, config.neck_channels)
        self.bbox_head = TextSnakeHead(config.neck_channels)

    def forward(self, images_B3HW: Tensor) -> TextSnakeMaps:
        return TextSnakeMaps(*self.maps(images_B3HW).unbind(1))

    def maps(self, images_B3HW: Tensor) -> Tensor:
        """The five maps in one tensor, (B, 5, H, W)."""
        return self.bbox_head(self.neck(self.backbone(images_B3HW)))
