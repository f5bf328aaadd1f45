"""MASTER: a residual backbone with global context, and a transformer decoder.

Paper: MASTER: Multi-Aspect Non-local Network for Scene Text Recognition, arXiv:1910.02562.
Parameter names and numbers are those of MMOCR 0.6.1. Unlike in the paper, the backbone's context
has a single aspect. The decoder may write the padding's class in the middle of a text. Such a step
then has no earlier steps to look at; all its scores become -1e9, so that it looks at every step
equally, at later ones, too. See ``MASTERDecoder.write``.

Shapes: B batch, C image channels, H x W image in pixels, D channels, S cells of the backbone's map
in row-major order, T classes, L = max_seq_len, K classes, padding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.attention import split_heads
from ocr_models.layers.positions import PositionalEncoding
from ocr_models.layers.step_decoding import (
    KeptStepDecoder,
    Linear,
    StepWeights,
    product_type,
)
from ocr_models.recognition.greedy import State, write_outputs
from ocr_models.recognition.master_backbone import MASTERBackbone, MASTERBackboneConfig

# What MMOCR adds to scores that must not count; in float32 it swallows the score.
_HIDDEN = -1e9


@dataclass(frozen=True)
class MASTERConfig:
    """Everything that fixes the network.

    Args:
        backbone: see there.
        layers: of the decoder.
        heads: of its attentions.
        inner_channels: of its feed-forward layers.
        max_cells: the most S, which fixes the size of a line.
        attention_dropout: of attention weights, and of what attention gives.
        feed_forward_dropout: of both maps of the feed-forward layers.
        cell_dropout: of cells with their position codes.
        num_classes: K.
        start_index: class that a text begins with.
        end_index: class that ends it.
        padding_index: class behind the end.
        max_seq_len: L, the most classes that are written.
    """

    backbone: MASTERBackboneConfig = field(default_factory=MASTERBackboneConfig)
    layers: int = 3
    heads: int = 8
    inner_channels: int = 2048
    max_cells: int = 240
    attention_dropout: float = 0.0
    feed_forward_dropout: float = 0.0
    cell_dropout: float = 0.2
    num_classes: int = 93
    start_index: int = 91
    end_index: int = 91
    padding_index: int = 92
    max_seq_len: int = 30

    def __post_init__(self) -> None:
        numbers = (self.layers, self.heads, self.inner_channels, self.max_cells, self.max_seq_len)
        if min(numbers) < 1:
            raise ValueError(
                "layers, heads, inner_channels, max_cells and max_seq_len must be at least 1, got "
                f"{', '.join(map(str, numbers))}"
            )
        if self.channels % self.heads:
            raise ValueError(f"{self.channels} channels cannot be split among {self.heads} heads")
        for name in ("attention_dropout", "feed_forward_dropout", "cell_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("start_index", "end_index", "padding_index"):
            if not 0 <= getattr(self, name) < self.num_classes:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; there are {self.num_classes} classes"
                )

    @property
    def channels(self) -> int:
        """D."""
        return self.backbone.feature_channels


class MASTEROutput(NamedTuple):
    """Map (B, D, h, w), its cells with their position codes (B, S, D), and logits (B, L, K)."""

    features: Tensor
    encoded: Tensor
    logits: Tensor


class PackedAttention(nn.Module):
    """Attention whose maps to queries, keys and values are one matrix, in this order."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        channels = config.channels
        self.heads = config.heads
        self.weight_dropout = config.attention_dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def parts(self) -> tuple[Linear, Linear, Linear]:
        """The three maps."""
        q, k, v = map(Linear, self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3))
        return q, k, v

    def forward(self, x_BTD: Tensor, seen_BSD: Tensor, hidden_B1TS: Tensor | None) -> Tensor:
        q, k, v = self.parts()
        out_BNTE = F.scaled_dot_product_attention(
            split_heads(q(x_BTD), self.heads),
            split_heads(k(seen_BSD), self.heads),
            split_heads(v(seen_BSD), self.heads),
            attn_mask=hidden_B1TS,
            dropout_p=self.weight_dropout if self.training else 0.0,
        )
        return self.out_proj(out_BNTE.transpose(1, 2).flatten(2))


class Attention(nn.Module):
    """Attention and dropout."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        self.attn = PackedAttention(config)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, x_BTD: Tensor, seen_BSD: Tensor, hidden_B1TS: Tensor | None) -> Tensor:
        return self.dropout(self.attn(x_BTD, seen_BSD, hidden_B1TS))


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between them."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        channels, dropout = config.channels, config.feed_forward_dropout
        self.layers = nn.Sequential(
            nn.Sequential(
                nn.Linear(channels, config.inner_channels),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
            ),
            nn.Linear(config.inner_channels, channels),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.dropout(self.layers(x_BTD))

    def maps(self) -> tuple[nn.Linear, nn.Linear]:
        """The two."""
        return cast(nn.Linear, self.layers.get_submodule("0.0")), cast(nn.Linear, self.layers[1])


class DecoderLayer(nn.Module):
    """Attention to the classes so far, to the image, and a feed-forward layer."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(Attention(config) for _ in range(2))
        self.ffns = nn.ModuleList([FeedForward(config)])
        self.norms = nn.ModuleList(nn.LayerNorm(config.channels) for _ in range(3))

    def forward(self, x_BTD: Tensor, hidden_B1TT: Tensor, encoded_BSD: Tensor) -> Tensor:
        normed = self.norms[0](x_BTD)
        x_BTD = x_BTD + self.attentions[0](normed, normed, hidden_B1TT)
        x_BTD = x_BTD + self.attentions[1](self.norms[1](x_BTD), encoded_BSD, None)
        return x_BTD + self.ffns[0](self.norms[2](x_BTD))

    def step_weights(self) -> StepWeights:
        """The same layer for one class at a time."""
        own, image = (cast(Attention, attention).attn for attention in self.attentions)
        cross_q, cross_k, cross_v = image.parts()
        inner, outer = cast(FeedForward, self.ffns[0]).maps()
        first, second, third = (cast(nn.LayerNorm, norm) for norm in self.norms)
        return StepWeights(
            norms=(first, second, third),
            self_in=Linear(own.in_proj_weight, own.in_proj_bias),
            self_out=Linear.of(own.out_proj),
            cross_q=cross_q,
            cross_k=cross_k,
            cross_v=cross_v,
            cross_out=Linear.of(image.out_proj),
            inner=Linear.of(inner),
            outer=Linear.of(outer),
            activation=F.relu,
            heads=own.heads,
        )


class Embeddings(nn.Module):
    """Classes (B, T) to vectors (B, T, D), times the root of D."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.lut = nn.Embedding(classes, channels)
        self.scale = math.sqrt(channels)

    def forward(self, classes: Tensor) -> Tensor:
        return self.lut(classes) * self.scale


class MASTERDecoder(nn.Module):
    """From a map to classes."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.decoder_layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.cls = nn.Linear(channels, config.num_classes)
        self.embedding = Embeddings(config.num_classes, channels)
        self.positional_encoding = PositionalEncoding(config.max_seq_len + 1, channels)
        self.feat_positional_encoding = PositionalEncoding(
            config.max_cells, channels, config.cell_dropout
        )
        self.norm = nn.LayerNorm(channels)
        self._step_decoder = KeptStepDecoder()

    def encode(self, features_BDhw: Tensor) -> Tensor:
        """Cells with their position codes, (B, S, D)."""
        return self.feat_positional_encoding(features_BDhw.flatten(2).transpose(1, 2))

    def forward(self, classes_BT: Tensor, encoded_BSD: Tensor) -> Tensor:
        """Logits (B, T, K) of the classes that follow each of the given ones."""
        x_BTD = self.positional_encoding(self.embedding(classes_BT))
        steps = classes_BT.shape[1]
        earlier_TT = torch.ones(steps, steps, dtype=torch.bool, device=classes_BT.device).tril()
        visible_BTT = earlier_TT & (classes_BT != self.config.padding_index)[:, :, None]
        hidden_B1TT = torch.zeros_like(visible_BTT, dtype=x_BTD.dtype)
        hidden_B1TT = hidden_B1TT.masked_fill_(~visible_BTT, _HIDDEN)[:, None]
        for layer in self._layers():
            x_BTD = layer(x_BTD, hidden_B1TT, encoded_BSD)
        return self.cls(self.norm(x_BTD))

    @torch.no_grad()
    def write(self, encoded_BSD: Tensor) -> Tensor:
        """Logits (B, L, K) of the classes as they are written, zeros behind the end.

        A step that reads the padding's class looks at later steps, so its logits, and those of all
        steps that look at it, depend on what follows. Lines in which padding was written before the
        end are therefore written again, all steps anew at every step, to the last. Networks that
        were trained have none: padding never was what to write.
        """
        config = self.config
        dtype = product_type(self.cls.weight)
        with torch.autocast(encoded_BSD.device.type, enabled=False):
            layers = self._step_decoder.of(self._layers(), dtype)
            cls = Linear.of(self.cls).to(dtype)
            positions_LD = self.positional_encoding.position_table[0]

            def step(i: int, classes_B: Tensor, state: State) -> tuple[Tensor, State]:
                x_BD = layers(self.embedding(classes_B) + positions_LD[i], i, state)
                return cls(self.norm(x_BD).to(dtype)).float(), state

            visible_BS = torch.ones_like(encoded_BSD[..., 0], dtype=torch.bool)
            logits_BLK, written_BL = write_outputs(
                step,
                layers.start(encoded_BSD, visible_BS, config.max_seq_len),
                config.start_index,
                (config.end_index, config.padding_index),
                config.max_seq_len,
            )
        # What the last step writes is read by no step.
        padded = (written_BL[:, :-1] == config.padding_index).any(1).nonzero()[:, 0]
        if len(padded):
            common = int((written_BL[padded] >= 0).sum(1).min())
            start_B1 = torch.full_like(written_BL[padded, :1], config.start_index)
            read = torch.cat([start_B1, written_BL[padded, :common]], dim=1)
            logits_BLK[padded] = self._write_again(read, encoded_BSD[padded])
        return logits_BLK

    def _write_again(self, read_BT: Tensor, encoded_BSD: Tensor) -> Tensor:
        """Logits (B, L, K) of texts that begin so, every step running all steps anew."""
        logits_BTK = self.forward(read_BT, encoded_BSD)
        while read_BT.shape[1] < self.config.max_seq_len:
            read_BT = torch.cat([read_BT, logits_BTK[:, -1].argmax(1, keepdim=True)], dim=1)
            logits_BTK = self.forward(read_BT, encoded_BSD)
        return logits_BTK.float()

    def _layers(self) -> list[DecoderLayer]:
        return list(self.decoder_layers)  # type: ignore[arg-type]


class MASTER(nn.Module):
    """The whole network; its lines are all of one size, so padding is part of the image."""

    def __init__(self, config: MASTERConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = MASTERBackbone(config.backbone)
        self.decoder = MASTERDecoder(config)

    def forward(self, images_BCHW: Tensor) -> MASTEROutput:
        features = self.backbone(images_BCHW)
        encoded = self.decoder.encode(features)
        return MASTEROutput(features, encoded, self.decoder.write(encoded))

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """What a text is written from, (B, S, D)."""
        return self.decoder.encode(self.backbone(images_BCHW))

    def decode(self, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
        """Logits (B, L, K) from what ``encode`` gave; see ``MASTERDecoder.write``."""
        (encoded_BSD,) = encoded
        return self.decoder.write(encoded_BSD)

    def teacher_forced(
        self, images_BCHW: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K) of the classes that follow each of the given ones."""
        return self.decoder(targets_BT, self.encode(images_BCHW))
