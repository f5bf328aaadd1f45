"""FCENet: text outlines as Fourier series.

Paper: Fourier Contour Embedding for Arbitrary-Shaped Text Detection, arXiv:2104.10442. Parameter
names and numbers are those of MMOCR 0.6.1.

Shapes: B batch, H x W padded image in pixels (multiples of 32); level i of the head has stride
8, 16 or 32, so it is h_i x w_i = H / 2^(i+3) x W / 2^(i+3); K Fourier degree, 2 K + 1 coefficients
per coordinate, for the frequencies -K..K in this order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from ocr_models.layers.fpn import FPN
from ocr_models.layers.resnet import ResNet, ResNetConfig

STRIDES = (8, 16, 32)
"""Pixels of the input per pixel of the head's levels."""


@dataclass(frozen=True)
class FCENetConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32; the finest is not used.
        neck_channels: channels of the pyramid.
        fourier_degree: K.
    """

    backbone: ResNetConfig = field(default_factory=lambda: ResNetConfig(50))
    neck_channels: int = 256
    fourier_degree: int = 5

    def __post_init__(self) -> None:
        if self.fourier_degree < 1:
            raise ValueError(f"fourier_degree must be at least 1, got {self.fourier_degree}")

    @property
    def coefficients(self) -> int:
        """2 K + 1, complex coefficients of an outline."""
        return 2 * self.fourier_degree + 1


class FCELevel(NamedTuple):
    """Outputs of one level of the pyramid.

    ``classes`` (B, 4, h, w) are the logits of background, text, background, centre of text; the
    first two and the last two compete. ``coefficients`` (B, 4 K + 2, h, w) are the real parts (x)
    and then the imaginary parts (y) of the outline's Fourier series, in pixels of this level; the
    constant term is relative to the pixel.
    """

    classes: Tensor
    coefficients: Tensor


class FCEMaps(NamedTuple):
    """Outputs of the network."""

    stride8: FCELevel
    stride16: FCELevel
    stride32: FCELevel


class FCEHead(nn.Module):
    """Two 3x3 convolutions, the same for every level."""

    def __init__(self, in_channels: int, coefficients: int) -> None:
        super().__init__()
        self.out_conv_cls = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.out_conv_reg = nn.Conv2d(in_channels, 2 * coefficients, 3, padding=1)
        for conv in (self.out_conv_cls, self.out_conv_reg):
            nn.init.normal_(conv.weight, std=0.01)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, features: Tensor) -> FCELevel:
        return FCELevel(self.out_conv_cls(features), self.out_conv_reg(features))


class FCENet(nn.Module):
    """The whole network."""

    def __init__(self, config: FCENetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone)
        self.neck = FPN(config.backbone.out_channels[1:], config.neck_channels, len(STRIDES))
        self.bbox_head = FCEHead(config.neck_channels, config.coefficients)

    def forward(self, images_B3HW: Tensor) -> FCEMaps:
        levels = self.neck(self.backbone(images_B3HW)[1:])
        return FCEMaps(*(self.bbox_head(level) for level in levels))

    def maps(self, images_B3HW: Tensor) -> tuple[Tensor, ...]:
        """Classes and coefficients of each level in turn, six tensors."""
        return tuple(tensor for level in self.forward(images_B3HW) for tensor in level)
