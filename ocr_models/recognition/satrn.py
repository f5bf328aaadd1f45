"""SATRN: self-attention over the cells of a shallow map, and NRTR's decoder.

Paper: On Recognizing Texts of Arbitrary Shapes with 2D Self-Attention, arXiv:1910.04396.
Parameter names and numbers are those of MMOCR 0.6.1. Unlike in the paper, the encoder's layers
receive twice the backbone's map and once the position codes, since MMOCR adds the encoded map onto
the map itself; the whole feed-forward layer is one sequence of three convolutions. The encoder
looks at the ``ceil(w * valid ratio)`` left columns; the decoder, being NRTR's, at the first
``ceil(S * valid ratio)`` cells of the flattened map.

Shapes: B batch, C image channels, H x W image in pixels, D channels, h = H / 4, w = W / 4,
S = h * w cells in row-major order, F channels inside the feed-forward layers, T classes,
L = max_seq_len, K classes, padding included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.attention import AttentionConfig, MultiHeadAttention
from ocr_models.layers.positions import sinusoid_table
from ocr_models.recognition.masking import valid_mask
from ocr_models.recognition.nrtr import (
    NRTRDecoder,
    NRTRDecoderConfig,
    WritesByNRTRDecoder,
    check_channels,
)


@dataclass(frozen=True)
class ShallowCNNConfig:
    """Two convolutions.

    Args:
        in_channels: C.
        feature_channels: D, even.
    """

    in_channels: int = 3
    feature_channels: int = 512

    def __post_init__(self) -> None:
        if self.feature_channels < 2 or self.feature_channels % 2:
            raise ValueError(f"feature_channels must be even, got {self.feature_channels}")


@dataclass(frozen=True)
class SATRNEncoderConfig:
    """Self-attention over the cells.

    Args:
        layers: how many.
        attention: of each layer.
        inner_channels: F.
        positions: the most rows, and the most columns, that the map may have.
    """

    layers: int = 12
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    inner_channels: int = 2048
    positions: int = 100

    def __post_init__(self) -> None:
        if min(self.layers, self.inner_channels, self.positions) < 1:
            raise ValueError(
                "layers, inner_channels and positions must be at least 1, got "
                f"{self.layers}, {self.inner_channels}, {self.positions}"
            )


@dataclass(frozen=True)
class SATRNConfig(WritesByNRTRDecoder):
    """Everything that fixes the network."""

    backbone: ShallowCNNConfig = field(default_factory=ShallowCNNConfig)
    encoder: SATRNEncoderConfig = field(default_factory=SATRNEncoderConfig)
    decoder: NRTRDecoderConfig = field(
        default_factory=lambda: NRTRDecoderConfig(inner_channels=2048, max_seq_len=25)
    )

    def __post_init__(self) -> None:
        check_channels(
            self.backbone.feature_channels,
            self.encoder.attention.channels,
            self.decoder.attention.channels,
        )


class SATRNOutput(NamedTuple):
    """Map (B, D, h, w), encoded cells (B, S, D), and probabilities (B, L, K - 1)."""

    features: Tensor
    encoded: Tensor
    probabilities: Tensor


class ConvNormReLU(nn.Module):
    """Convolution, batch normalisation, ReLU; the size of the map stays."""

    def __init__(self, in_channels: int, channels: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ShallowCNN(nn.Module):
    """(B, C, H, W) -> (B, D, H / 4, W / 4)."""

    def __init__(self, config: ShallowCNNConfig) -> None:
        super().__init__()
        channels = config.feature_channels
        self.conv1 = ConvNormReLU(config.in_channels, channels // 2, 3)
        self.conv2 = ConvNormReLU(channels // 2, channels, 3)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.pool(self.conv2(self.pool(self.conv1(images_BCHW))))


class Adaptive2DPositionalEncoding(nn.Module):
    """Adds codes of row and column, each scaled by what is in the map (section 3.2).

    Args:
        channels: D.
        positions: the most rows, and the most columns.
        dropout: of the sum.
    """

    h_position_encoder: Tensor
    w_position_encoder: Tensor

    def __init__(self, channels: int, positions: int, dropout: float) -> None:
        super().__init__()
        table_DP = sinusoid_table(positions, channels).T.contiguous()
        self.register_buffer("h_position_encoder", table_DP[None, :, :, None].clone())
        self.register_buffer("w_position_encoder", table_DP[None, :, None, :].clone())
        self.h_scale = _scale(channels)
        self.w_scale = _scale(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        height, width = x_BDhw.shape[2:]
        mean_BD11 = x_BDhw.mean((2, 3), keepdim=True)
        rows = self.h_scale(mean_BD11) * self.h_position_encoder[:, :, :height]
        columns = self.w_scale(mean_BD11) * self.w_position_encoder[..., :width]
        return self.dropout(x_BDhw + rows + columns)


def _scale(channels: int) -> nn.Sequential:
    """(B, D, 1, 1) -> (B, D, 1, 1), in 0..1."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 1),
        nn.Sigmoid(),
    )


class LocalityAwareFeedForward(nn.Module):
    """Two maps of each cell with a look at its eight neighbours between them (section 3.3).

    Args:
        channels: D.
        inner: F.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv1 = ConvNormReLU(channels, inner, 1)
        self.depthwise_conv = ConvNormReLU(inner, inner, 3, groups=inner)
        self.conv2 = ConvNormReLU(inner, channels, 1)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        return self.conv2(self.depthwise_conv(self.conv1(x_BDhw)))


class SATRNEncoderLayer(nn.Module):
    """Self-attention and feed-forward layer, each around a shortcut."""

    def __init__(self, config: SATRNEncoderConfig) -> None:
        super().__init__()
        channels = config.attention.channels
        self.norm1 = nn.LayerNorm(channels)
        self.attn = MultiHeadAttention(config.attention)
        self.norm2 = nn.LayerNorm(channels)
        self.feed_forward = LocalityAwareFeedForward(channels, config.inner_channels)

    def forward(self, x_BSD: Tensor, visible_B1S: Tensor, map_hw: tuple[int, int]) -> Tensor:
        normed = self.norm1(x_BSD)
        x_BSD = x_BSD + self.attn(normed, normed, visible_B1S)
        normed_BDhw = self.norm2(x_BSD).transpose(1, 2).unflatten(2, map_hw)
        return x_BSD + self.feed_forward(normed_BDhw).flatten(2).transpose(1, 2)


class SATRNEncoder(nn.Module):
    """(B, D, h, w) -> (B, S, D)."""

    def __init__(self, config: SATRNEncoderConfig) -> None:
        super().__init__()
        channels = config.attention.channels
        self.position_enc = Adaptive2DPositionalEncoding(
            channels, config.positions, config.attention.dropout
        )
        self.layer_stack = nn.ModuleList(SATRNEncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, features_BDhw: Tensor, valid_ratios_B: Tensor) -> Tensor:
        height, width = features_BDhw.shape[2:]
        columns_Bw = valid_mask(width, valid_ratios_B)
        visible_B1S = columns_Bw[:, None].expand(-1, height, -1).flatten(1)[:, None]
        # MMOCR's checkpoints were trained with the map counted twice.
        x_BDhw = features_BDhw + self.position_enc(features_BDhw)
        x_BSD = x_BDhw.flatten(2).transpose(1, 2)
        for layer in self.layer_stack:
            x_BSD = layer(x_BSD, visible_B1S, (height, width))
        return self.layer_norm(x_BSD)


class SATRN(nn.Module):
    """The whole network."""

    def __init__(self, config: SATRNConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ShallowCNN(config.backbone)
        self.encoder = SATRNEncoder(config.encoder)
        self.decoder = NRTRDecoder(config.decoder)

    def forward(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> SATRNOutput:
        features = self.backbone(images_BCHW)
        encoded = self.encoder(features, valid_ratios_B)
        return SATRNOutput(features, encoded, self.decoder.write(encoded, valid_ratios_B))

    def encode(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """What a text is written from, (B, S, D)."""
        return self.encoder(self.backbone(images_BCHW), valid_ratios_B)

    def decode(self, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, L, K - 1) from what ``encode`` gave, zeros behind the end."""
        (encoded_BSD,) = encoded
        return self.decoder.write(encoded_BSD, valid_ratios_B)

    def teacher_forced(
        self, images_BCHW: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K - 1) of the classes that follow each of the given ones."""
        return self.decoder(targets_BT, self.encode(images_BCHW, valid_ratios_B), valid_ratios_B)
