"""NRTR: a transformer from image columns to characters.

Paper: NRTR: A No-Recurrence Sequence-to-Sequence Model For Scene Text Recognition,
arXiv:1806.00926.
Parameter names and numbers are those of MMOCR 0.6.1. Unlike the paper's, its layers normalise
before attention instead of after, its feed-forward layers are narrow (256 instead of 2048) with a
GELU, and a ResNet may stand for the modality transform. Of a map of several rows, the encoder and
the decoder's attention to it keep the first ``ceil(S * valid ratio)`` tokens of the flattened map,
row by row, instead of the left columns.

Shapes: B batch, C image channels, H x W image in pixels, D channels, h x w cells of the backbone's
map, S = h * w of them in row-major order, T classes, L = max_seq_len, K classes (the decoder never
writes the last one, padding).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.attention import AttentionConfig, FeedForward, MultiHeadAttention
from ocr_models.layers.positions import PositionalEncoding
from ocr_models.layers.resnet31 import ResNet31, ResNet31Config
from ocr_models.layers.step_decoding import (
    KeptStepDecoder,
    Linear,
    StepWeights,
    product_type,
)
from ocr_models.recognition.greedy import State, write_greedily
from ocr_models.recognition.masking import valid_mask


@dataclass(frozen=True)
class ModalityTransformConfig:
    """The paper's two convolutions, for images of 32 pixels height.

    Args:
        in_channels: C.
    """

    in_channels: int = 3

    @property
    def feature_channels(self) -> int:
        """D."""
        return 512


@dataclass(frozen=True)
class NRTREncoderConfig:
    """Self-attention over the image.

    Args:
        layers: how many.
        attention: of each layer.
        inner_channels: of the feed-forward layers.
    """

    layers: int = 6
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    inner_channels: int = 256

    def __post_init__(self) -> None:
        _check_layers(self.layers, self.inner_channels)


@dataclass(frozen=True)
class NRTRDecoderConfig:
    """Attention to what was written and to the image.

    Args:
        layers: how many.
        attention: of both kinds, in each layer.
        inner_channels: of the feed-forward layers.
        positions: the most classes that a target may have.
        num_classes: K.
        start_index: class that a text begins with.
        end_index: class that ends it.
        max_seq_len: L, the most classes that are written.
    """

    layers: int = 6
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    inner_channels: int = 256
    positions: int = 200
    num_classes: int = 93
    start_index: int = 91
    end_index: int = 91
    max_seq_len: int = 40

    def __post_init__(self) -> None:
        _check_layers(self.layers, self.inner_channels)
        if not 0 < self.max_seq_len < self.positions:
            raise ValueError(
                f"max_seq_len is {self.max_seq_len}; it must be at least 1 and below the "
                f"{self.positions} positions of the decoder"
            )
        for name in ("start_index", "end_index"):
            if not 0 <= getattr(self, name) < self.padding_index:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it must be one of the {self.num_classes} "
                    "classes and not the last, which is padding"
                )

    @property
    def padding_index(self) -> int:
        """The last class, which is never written."""
        return self.num_classes - 1


class WritesByNRTRDecoder:
    """What a codec must agree about with a config that holds an ``NRTRDecoderConfig``."""

    decoder: NRTRDecoderConfig

    @property
    def num_classes(self) -> int:
        """K."""
        return self.decoder.num_classes

    @property
    def start_index(self) -> int:
        """Class that a text begins with."""
        return self.decoder.start_index

    @property
    def end_index(self) -> int:
        """Class that ends a text."""
        return self.decoder.end_index

    @property
    def padding_index(self) -> int:
        """Class behind the end."""
        return self.decoder.padding_index

    @property
    def max_seq_len(self) -> int:
        """L."""
        return self.decoder.max_seq_len


@dataclass(frozen=True)
class NRTRConfig(WritesByNRTRDecoder):
    """Everything that fixes the network."""

    backbone: ResNet31Config | ModalityTransformConfig = field(
        default_factory=lambda: ResNet31Config(
            channels=(32, 64, 128, 256, 512, 512), last_stage_pool=True
        )
    )
    encoder: NRTREncoderConfig = field(default_factory=NRTREncoderConfig)
    decoder: NRTRDecoderConfig = field(default_factory=NRTRDecoderConfig)

    def __post_init__(self) -> None:
        check_channels(
            self.backbone.feature_channels,
            self.encoder.attention.channels,
            self.decoder.attention.channels,
        )


class NRTROutput(NamedTuple):
    """Map (B, D, h, w), encoded tokens (B, S, D), and probabilities (B, L, K - 1)."""

    features: Tensor
    encoded: Tensor
    probabilities: Tensor


class ModalityTransform(nn.Module):
    """(B, C, 32, W) -> (B, 512, 1, W / 4): a column of the map becomes one token."""

    def __init__(self, config: ModalityTransformConfig) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(config.in_channels, 32, 3, 2, 1)
        self.bn_1 = nn.BatchNorm2d(32)
        self.conv_2 = nn.Conv2d(32, 64, 3, 2, 1)
        self.bn_2 = nn.BatchNorm2d(64)
        self.linear = nn.Linear(8 * 64, config.feature_channels)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.bn_1(F.relu(self.conv_1(images_BCHW)))
        x_BChw = self.bn_2(F.relu(self.conv_2(x)))
        columns_BwD = self.linear(x_BChw.permute(0, 3, 2, 1).flatten(2))
        return columns_BwD.transpose(1, 2)[:, :, None]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward layer, each around a shortcut."""

    def __init__(self, config: NRTREncoderConfig) -> None:
        super().__init__()
        channels, dropout = config.attention.channels, config.attention.dropout
        self.attn = MultiHeadAttention(config.attention)
        self.norm1 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels, config.inner_channels, dropout)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, x_BSD: Tensor, visible_B1S: Tensor) -> Tensor:
        normed = self.norm1(x_BSD)
        x_BSD = x_BSD + self.attn(normed, normed, visible_B1S)
        return x_BSD + self.mlp(self.norm2(x_BSD))


class NRTREncoder(nn.Module):
    """(B, D, h, w) -> (B, S, D)."""

    def __init__(self, config: NRTREncoderConfig) -> None:
        super().__init__()
        self.layer_stack = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.attention.channels)

    def forward(self, features_BDhw: Tensor, valid_ratios_B: Tensor) -> Tensor:
        x_BSD = features_BDhw.flatten(2).transpose(1, 2)
        visible_B1S = valid_mask(x_BSD.shape[1], valid_ratios_B)[:, None]
        for layer in self.layer_stack:
            x_BSD = layer(x_BSD, visible_B1S)
        return self.layer_norm(x_BSD)


class DecoderLayer(nn.Module):
    """Attention to the classes so far, to the image, and a feed-forward layer."""

    def __init__(self, config: NRTRDecoderConfig) -> None:
        super().__init__()
        channels, dropout = config.attention.channels, config.attention.dropout
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.self_attn = MultiHeadAttention(config.attention)
        self.enc_attn = MultiHeadAttention(config.attention)
        self.mlp = FeedForward(channels, config.inner_channels, dropout)

    def forward(
        self, x_BTD: Tensor, visible_BTT: Tensor, encoded_BSD: Tensor, visible_B1S: Tensor
    ) -> Tensor:
        normed = self.norm1(x_BTD)
        x_BTD = x_BTD + self.self_attn(normed, normed, visible_BTT)
        x_BTD = x_BTD + self.enc_attn(self.norm2(x_BTD), encoded_BSD, visible_B1S)
        return x_BTD + self.mlp(self.norm3(x_BTD))

    def step_weights(self) -> StepWeights:
        """The same layer for one class at a time."""
        own, image = self.self_attn, self.enc_attn
        into_own = [own.linear_q.weight, own.linear_k.weight, own.linear_v.weight]
        return StepWeights(
            norms=(self.norm1, self.norm2, self.norm3),
            self_in=Linear(torch.cat(into_own)),
            self_out=Linear.of(own.fc),
            cross_q=Linear.of(image.linear_q),
            cross_k=Linear.of(image.linear_k),
            cross_v=Linear.of(image.linear_v),
            cross_out=Linear.of(image.fc),
            inner=Linear.of(self.mlp.w_1),
            outer=Linear.of(self.mlp.w_2),
            activation=F.gelu,
            heads=own.heads,
        )


class NRTRDecoder(nn.Module):
    """From encoded tokens to classes; also SATRN's."""

    def __init__(self, config: NRTRDecoderConfig) -> None:
        super().__init__()
        channels = config.attention.channels
        self.config = config
        self.trg_word_emb = nn.Embedding(
            config.num_classes, channels, padding_idx=config.padding_index
        )
        self.position_enc = PositionalEncoding(config.positions, channels)
        self.dropout = nn.Dropout(config.attention.dropout)
        self.layer_stack = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(channels, eps=1e-6)
        self.classifier = nn.Linear(channels, config.num_classes - 1)
        self._step_decoder = KeptStepDecoder()

    def forward(self, targets_BT: Tensor, encoded_BSD: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """Logits (B, T, K - 1) of the classes that follow each of the given ones."""
        x_BTD = self.dropout(self.position_enc(self.trg_word_emb(targets_BT)))
        not_padding_B1T = (targets_BT != self.config.padding_index)[:, None]
        steps = targets_BT.shape[1]
        earlier_TT = torch.ones(steps, steps, dtype=torch.bool, device=targets_BT.device).tril()
        visible_BTT = not_padding_B1T & earlier_TT
        visible_B1S = valid_mask(encoded_BSD.shape[1], valid_ratios_B)[:, None]
        for layer in self._layers():
            x_BTD = layer(x_BTD, visible_BTT, encoded_BSD, visible_B1S)
        return self.classifier(self.layer_norm(x_BTD))

    @torch.no_grad()
    def write(self, encoded_BSD: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, L, K - 1) of the classes as they are written, zeros behind the end."""
        config = self.config
        dtype = product_type(self.classifier.weight)
        with torch.autocast(encoded_BSD.device.type, enabled=False):
            layers = self._step_decoder.of(self._layers(), dtype)
            classifier = Linear.of(self.classifier).to(dtype)
            positions_LD = self.position_enc.position_table[0]

            def step(i: int, classes_B: Tensor, state: State) -> tuple[Tensor, State]:
                x_BD = layers(self.trg_word_emb(classes_B) + positions_LD[i], i, state)
                return classifier(self.layer_norm(x_BD).to(dtype)), state

            visible_BS = valid_mask(encoded_BSD.shape[1], valid_ratios_B)
            start = layers.start(encoded_BSD, visible_BS, config.max_seq_len)
            return write_greedily(
                step, start, config.start_index, config.end_index, config.max_seq_len
            )

    def _layers(self) -> list[DecoderLayer]:
        return list(self.layer_stack)  # type: ignore[arg-type]


class NRTR(nn.Module):
    """The whole network."""

    def __init__(self, config: NRTRConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: nn.Module = (
            ResNet31(config.backbone)
            if isinstance(config.backbone, ResNet31Config)
            else ModalityTransform(config.backbone)
        )
        self.encoder = NRTREncoder(config.encoder)
        self.decoder = NRTRDecoder(config.decoder)

    def forward(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> NRTROutput:
        features = self._features(images_BCHW)
        encoded = self.encoder(features, valid_ratios_B)
        return NRTROutput(features, encoded, self.decoder.write(encoded, valid_ratios_B))

    def encode(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """What a text is written from, (B, S, D)."""
        return self.encoder(self._features(images_BCHW), valid_ratios_B)

    def decode(self, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, L, K - 1) from what ``encode`` gave, zeros behind the end."""
        (encoded_BSD,) = encoded
        return self.decoder.write(encoded_BSD, valid_ratios_B)

    def teacher_forced(
        self, images_BCHW: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K - 1) of the classes that follow each of the given ones."""
        return self.decoder(targets_BT, self.encode(images_BCHW, valid_ratios_B), valid_ratios_B)

    def _features(self, images_BCHW: Tensor) -> Tensor:
        features = self.backbone(images_BCHW)
        return features[-1] if isinstance(features, tuple) else features


def check_channels(backbone: int, encoder: int, decoder: int) -> None:
    """Raises ``ValueError`` unless the three parts of a network have the same D."""
    if not backbone == encoder == decoder:
        raise ValueError(
            f"backbone, encoder and decoder have {backbone}, {encoder} and {decoder} channels; "
            "they must have the same number"
        )


def _check_layers(layers: int, inner_channels: int) -> None:
    if layers < 1 or inner_channels < 1:
        raise ValueError(
            f"layers and inner_channels must be at least 1, got {layers} and {inner_channels}"
        )
