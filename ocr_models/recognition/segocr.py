"""SegOCR: a class for every pixel, and a character for every region.

MMOCR's own baseline for recognition by segmentation; there is no paper. Parameter names and numbers
are those of MMOCR 0.6.1. The residual backbone is that of arXiv:1811.00751, the neck a feature
pyramid (arXiv:1612.03144) whose levels are concatenated instead of added.

Shapes: B batch, C image channels, H x W image in pixels, D_i channels of stage i of the backbone,
finest first, D channels of the neck, h x w its finest level, K classes with the background at 0,
h' x w' map of classes, mostly H x W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.resnet31 import ResNet31, ResNet31Config


@dataclass(frozen=True)
class Enlargement:
    """How the map of classes is enlarged at the end.

    Args:
        scale_factor: of both sides.
        mode: ``"nearest"``, or ``"bilinear"`` with corners not aligned.
    """

    scale_factor: float = 2.0
    mode: Literal["nearest", "bilinear"] = "nearest"

    def __post_init__(self) -> None:
        if self.scale_factor <= 0:
            raise ValueError(f"scale_factor must be above 0, got {self.scale_factor}")


@dataclass(frozen=True)
class SegOCRConfig:
    """Everything that fixes the network.

    Args:
        neck_channels: D.
        num_classes: K, background included.
        enlargement: None leaves the map at the size of the neck's finest level.
    """

    backbone: ResNet31Config = field(
        default_factory=lambda: ResNet31Config(
            channels=(32, 64, 128, 256, 512, 512), stage3_pool=(2, 2), last_stage_pool=True
        )
    )
    neck_channels: int = 256
    num_classes: int = 38
    enlargement: Enlargement | None = field(default_factory=Enlargement)

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                f"num_classes counts the background and must be >= 2: {self.num_classes}"
            )
        if self.backbone.stage3_pool != (2, 2) or not self.backbone.last_stage_pool:
            raise ValueError(
                "the neck doubles every level, so every stage of the backbone must halve it: "
                "stage3_pool=(2, 2) and last_stage_pool=True"
            )


class SegOCROutput(NamedTuple):
    """Features of the neck (B, D, h, w) and raw logits (B, K, h', w')."""

    features: Tensor
    logits: Tensor


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch norm and ReLU, under MMCV's names."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class FPNOCR(nn.Module):
    """Stages (B, D_i, h / 2^i, w / 2^i) -> the finest level (B, D, h, w).

    Sides must halve evenly from level to level, so those of the image are multiples of 16.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        joins = range(len(in_channels) - 1)
        self.lateral_convs = nn.ModuleList(ConvNormReLU(c, out_channels, 1) for c in in_channels)
        self.smooth_convs_1x1 = nn.ModuleList(
            ConvNormReLU(2 * out_channels, out_channels, 1) for _ in joins
        )
        self.smooth_convs_3x3 = nn.ModuleList(
            ConvNormReLU(out_channels, out_channels, 3) for _ in joins
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, stages, strict=True)]
        x = laterals.pop()
        for i in range(len(laterals) - 1, -1, -1):
            doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            joined = self.smooth_convs_1x1[i](torch.cat([doubled, laterals[i]], dim=1))
            x = self.smooth_convs_3x3[i](joined)
        return x


class SegHead(nn.Module):
    """(B, D, h, w) -> raw logits (B, K, h', w')."""

    def __init__(self, config: SegOCRConfig) -> None:
        super().__init__()
        self.enlargement = config.enlargement
        self.seg_conv = ConvNormReLU(config.neck_channels, config.neck_channels, 3)
        self.pred_conv = nn.Conv2d(config.neck_channels, config.num_classes, 1)

    def forward(self, features_BDhw: Tensor) -> Tensor:
        logits = self.pred_conv(self.seg_conv(features_BDhw))
        if self.enlargement is None:
            return logits
        return F.interpolate(
            logits, scale_factor=self.enlargement.scale_factor, mode=self.enlargement.mode
        )


class SegOCR(nn.Module):
    """The whole network."""

    def __init__(self, config: SegOCRConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet31(config.backbone)
        self.neck = FPNOCR(config.backbone.channels[2:], config.neck_channels)
        self.head = SegHead(config)

    def forward(self, images_BCHW: Tensor) -> SegOCROutput:
        features = self.neck(self.backbone(images_BCHW))
        return SegOCROutput(features, self.head(features))

    def class_map(self, images_BCHW: Tensor) -> Tensor:
        """What inference needs, (B, 2, h', w'); see ``best_classes``."""
        return best_classes(self.forward(images_BCHW).logits)


def best_classes(logits_BKHW: Tensor) -> Tensor:
    """The most probable class of every pixel and its probability, as (B, 2, h', w') float32.

    A small part of the logits, which would take longer to hand on than to reduce here.
    """
    with torch.autocast(logits_BKHW.device.type, enabled=False):
        logits = logits_BKHW.float()
        best, classes = logits.max(dim=1)
        # exp(best) / sum(exp(logits)), of which the greatest exponent is 0.
        probability = 1 / (logits - best[:, None]).exp().sum(dim=1)
        return torch.stack([classes.float(), probability], dim=1)
