"""DBNet and DBNet++: text detection by a differentiable threshold.

Papers: Real-time Scene Text Detection with Differentiable Binarization, arXiv:1911.08947;
Real-Time Scene Text Detection with Differentiable Binarization and Adaptive Scale Fusion,
arXiv:2202.10304. Parameter names and numbers are those of MMOCR 0.6.1. What differs from the papers
there: the neck adds its levels by nearest-neighbour upsampling and joins them finest first, no
convolution of the neck is followed by BatchNorm, and adaptive scale fusion attends to channels
before it attends to places.

Shapes: B batch, H x W padded image in pixels (multiples of 32), C_i backbone channels of level i,
L lateral channels of the neck. Level i has resolution 1 / 2^(i+2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.doubled_conv import conv3x3_of_doubled
from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.resnet import ResNet, ResNetConfig


@dataclass(frozen=True)
class DBNetConfig:
    """Everything that fixes the network.

    Args:
        backbone: with four levels of stride 4, 8, 16 and 32.
        neck_channels: channels of the joined pyramid, a multiple of 4; each level gives a quarter.
        head_bias: whether the branches' 3x3 convolutions have a bias.
        steepness: k of the approximate step function (equation 2).
    """

    backbone: ResNetConfig | LightResNetConfig = field(default_factory=ResNetConfig)
    neck_channels: int = 256
    head_bias: bool = False
    steepness: float = 50.0

    def __post_init__(self) -> None:
        if self.neck_channels % 4:
            raise ValueError(f"neck_channels must be a multiple of 4, got {self.neck_channels}")
        if len(self.backbone.out_channels) != 4:
            raise ValueError(
                "DBNet needs a backbone with four levels (strides 4, 8, 16, 32), "
                f"got {len(self.backbone.out_channels)}"
            )


@dataclass(frozen=True)
class DBNetPPConfig(DBNetConfig):
    """DBNet++: DBNet whose neck weighs its levels (adaptive scale fusion)."""


class DBMaps(NamedTuple):
    """Outputs of the network, each (B, 1, H, W) in 0..1."""

    probability: Tensor
    threshold: Tensor
    binary: Tensor


class NeckConv(nn.Module):
    """A convolution without norm, under the name that MMOCR's checkpoints have for it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        activation: nn.Module | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.activation is None else self.activation(x)


class FPNC(nn.Module):
    """Feature pyramid whose levels are joined at stride 4."""

    def __init__(self, in_channels: tuple[int, ...], lateral_channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(NeckConv(c, lateral_channels, 1) for c in in_channels)
        self.smooth_convs = nn.ModuleList(
            NeckConv(lateral_channels, lateral_channels // 4, 3) for _ in in_channels
        )

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """(B, C_i, H / 2^(i+2), W / 2^(i+2)) per level -> (B, L, H/4, W/4)."""
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            laterals[i - 1] = laterals[i - 1] + _nearest(laterals[i], laterals[i - 1])
        smooth = [conv(x) for conv, x in zip(self.smooth_convs, laterals, strict=True)]
        # (B, L/4, H/4, W/4) per level -> (B, L, H/4, W/4)
        return torch.cat([smooth[0], *(_nearest(x, smooth[0]) for x in smooth[1:])], dim=1)

    def split(self, levels: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """What ``forward`` joins, before the coarser levels are doubled for the last time.

        All is linear here, so sums are taken in a cheaper order: the finest level's 1x1 and 3x3
        convolutions become one, and its share of the coarser levels is computed at their size.
        Each level must be exactly twice as high and wide as the next.

        Returns:
            (B, L/4, H/4, W/4), the finest level, and (B, 3 L/4, H/8, W/8), the others.
        """
        laterals = [conv(x) for conv, x in zip(self.lateral_convs[1:], levels[1:], strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            laterals[i - 1] = laterals[i - 1] + _nearest(laterals[i], laterals[i - 1])
        smooth = [conv(x) for conv, x in zip(self.smooth_convs[1:], laterals, strict=True)]
        coarser = torch.cat([smooth[0], *(_nearest(x, smooth[0]) for x in smooth[1:])], dim=1)
        lateral, finest = _weight(self.lateral_convs[0]), _weight(self.smooth_convs[0])
        both = torch.einsum("olij,lc->ocij", finest, lateral[:, :, 0, 0])
        own = F.conv2d(levels[0], both, padding=1)
        return own + conv3x3_of_doubled(laterals[0], finest), coarser


def _weight(conv: nn.Module) -> Tensor:
    assert isinstance(conv, NeckConv)
    return conv.conv.weight


class ScaleChannelSpatialAttention(nn.Module):
    """How much each level counts at each place, from the joined levels.

    Channels are weighed by their means, then places by the means over channels; each adds its
    weight to what it weighs.
    """

    def __init__(self, channels: int, num_levels: int) -> None:
        super().__init__()
        self.channel_wise = nn.Sequential(
            NeckConv(channels, channels // 4, 1, nn.ReLU()),
            NeckConv(channels // 4, channels, 1, nn.Sigmoid()),
        )
        self.spatial_wise = nn.Sequential(
            NeckConv(1, 1, 3, nn.ReLU()), NeckConv(1, 1, 1, nn.Sigmoid())
        )
        self.attention_wise = NeckConv(channels, num_levels, 1, nn.Sigmoid())

    def forward(self, joined: Tensor) -> Tensor:
        """(B, L, H/4, W/4) -> (B, number of levels, H/4, W/4) in 0..1."""
        x = joined + self.channel_wise(joined.mean(dim=(2, 3), keepdim=True))
        x = x + self.spatial_wise(x.mean(dim=1, keepdim=True))
        return self.attention_wise(x)


class ASFFPNC(FPNC):
    """FPNC with adaptive scale fusion (section 3.2 of the DBNet++ paper)."""

    def __init__(self, in_channels: tuple[int, ...], lateral_channels: int) -> None:
        super().__init__(in_channels, lateral_channels)
        self.asf_conv = NeckConv(lateral_channels, lateral_channels, 3, bias=True)
        self.asf_attn = ScaleChannelSpatialAttention(lateral_channels, len(in_channels))

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """As ``FPNC.forward``."""
        joined = super().forward(levels)
        attention = self.asf_attn(self.asf_conv(joined))  # (B, levels, H/4, W/4)
        per_level = joined.unflatten(1, (attention.shape[1], -1))
        return (per_level * attention[:, :, None]).flatten(1, 2)


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


def _branch(in_channels: int, channels: int, bias: bool) -> nn.Sequential:
    """(B, L, H/4, W/4) -> (B, 1, H, W) in 0..1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=bias),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(channels, channels, 2, 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(channels, 1, 2, 2),
        nn.Sigmoid(),
    )


class DBHead(nn.Module):
    """Two branches of one shape: probability (``binarize``) and threshold."""

    def __init__(self, in_channels: int, bias: bool, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness
        self.binarize = _branch(in_channels, in_channels // 4, bias)
        self.threshold = _branch(in_channels, in_channels // 4, bias)

    def forward(self, features: Tensor) -> DBMaps:
        probability = self.binarize(features)
        threshold = self.threshold(features)
        binary = torch.sigmoid(self.steepness * (probability - threshold))  # equation 2
        return DBMaps(probability, threshold, binary)

    def probability(self, features: Tensor) -> Tensor:
        """What ``binarize`` gives in evaluation mode, (B, L, H/4, W/4) -> (B, 1, H, W)."""
        return self._upsampled(self.binarize[:3](features))

    def probability_of_split(self, finest: Tensor, coarser: Tensor) -> Tensor:
        """``probability`` of what ``FPNC.split`` gives."""
        conv, norm = self.binarize[0], self.binarize[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = _scale_and_shift(norm)
        weight = conv.weight * scale[:, None, None, None]
        shift = shift if conv.bias is None else shift + conv.bias * scale
        quarter = conv.in_channels // 4  # of each of the four levels
        of_finest, of_coarser = weight[:, :quarter], weight[:, quarter:]
        x = F.conv2d(finest, of_finest, shift, padding=1)
        return self._upsampled(F.relu(x + conv3x3_of_doubled(coarser, of_coarser)))

    def _upsampled(self, x: Tensor) -> Tensor:
        """The rest of ``binarize`` without its transposed convolutions.

        Their kernels are as large as their strides, so no two of their outputs overlap: one is a
        1x1 convolution to four phases (row, column) per pixel. Both are done at stride 4, and only
        the result is laid out at full size. CPU libraries run this in bfloat16, but transposed
        convolutions in float32 and slowly.
        """
        up1, norm, up2 = self.binarize[3], self.binarize[4], self.binarize[6]
        assert isinstance(up1, nn.ConvTranspose2d)
        assert isinstance(up2, nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert up1.bias is not None
        assert up2.bias is not None
        # up1 with its BatchNorm folded in: (B, C, h, w) -> (B, 4 C, h, w), phases first.
        scale, shift = _scale_and_shift(norm)
        weight = up1.weight * scale[None, :, None, None]
        bias = up1.bias * scale + shift
        channels = weight.shape[1]
        phases = weight.permute(2, 3, 1, 0).reshape(4 * channels, -1, 1, 1)
        x = F.relu(F.conv2d(x, phases, bias.repeat(4)))
        # up2 on each phase alone, block-diagonal: (B, 4 C, h, w) -> (B, 16, h, w).
        weight = up2.weight[:, 0].permute(1, 2, 0).reshape(4, channels)
        diagonal = torch.eye(4, dtype=weight.dtype, device=weight.device)
        blocks = diagonal[:, None, :, None] * weight[None, :, None, :]
        x = F.conv2d(x, blocks.reshape(16, 4 * channels, 1, 1), up2.bias.repeat(16))
        batch, _, height, width = x.shape
        x = torch.sigmoid(x).reshape(batch, 2, 2, 2, 2, height, width)
        # (B, row1, column1, row2, column2, h, w) -> (B, h, row1, row2, w, column1, column2)
        x = x.permute(0, 5, 1, 3, 6, 2, 4)
        return x.reshape(batch, 1, 4 * height, 4 * width)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A BatchNorm in evaluation mode as x * scale + shift, (C,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


class DBNet(nn.Module):
    """The whole network."""

    def __init__(self, config: DBNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module = (
            ResNet(config.backbone)
            if isinstance(config.backbone, ResNetConfig)
            else LightResNet(config.backbone)
        )
        neck = ASFFPNC if isinstance(config, DBNetPPConfig) else FPNC
        self.neck = neck(config.backbone.out_channels, config.neck_channels)
        self.bbox_head = DBHead(config.neck_channels, config.head_bias, config.steepness)

    def forward(self, images_B3HW: Tensor) -> DBMaps:
        return self.bbox_head(self.neck(self.backbone(images_B3HW)))

    def probability(self, images_B3HW: Tensor) -> Tensor:
        """The one map that inference needs, (B, 1, H, W); in evaluation mode only."""
        levels = self.backbone(images_B3HW)
        if not isinstance(self.neck, ASFFPNC) and _halve_exactly(levels):
            return self.bbox_head.probability_of_split(*self.neck.split(levels))
        return self.bbox_head.probability(self.neck(levels))


def _halve_exactly(levels: tuple[Tensor, ...]) -> bool:
    """Whether each level is twice as high and wide as the next, as for multiples of 32 pixels."""
    return all(
        (2 * coarse.shape[-2], 2 * coarse.shape[-1]) == tuple(fine.shape[-2:])
        for fine, coarse in pairwise(levels)
    )
