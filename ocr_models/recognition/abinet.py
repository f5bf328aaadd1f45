"""ABINet: a vision model reads the word at once, a language model corrects it, again and again.

Paper: Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling for Scene Text
Recognition, arXiv:2103.06495. Parameter names and numbers are those of MMOCR 0.6.1. Without its
language model and fusion this is ABINet-Vision.

All characters are read at once and the number of corrections is fixed, so the whole network is one
sequence of steps that is the same for every image.

Shapes: B batch, C image channels, H x W image (32 x 128 px), D channels of features, h x w feature
map (8 x 32), S = h w, T characters (the end token included), K classes without the padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.errors import ConfigError


@dataclass(frozen=True)
class ResNetABIConfig:
    """The residual backbone.

    Args:
        in_channels: C.
        stem_channels: of the first convolution.
        base_channels: of the first stage; every further stage has twice as many.
        blocks: residual blocks of the stages.
        strides: of the stages.
    """

    in_channels: int = 3
    stem_channels: int = 32
    base_channels: int = 32
    blocks: tuple[int, ...] = (3, 4, 6, 6, 3)
    strides: tuple[int, ...] = (2, 1, 2, 1, 1)

    def __post_init__(self) -> None:
        if not self.blocks or len(self.blocks) != len(self.strides):
            raise ValueError(
                f"{len(self.blocks)} stages of blocks, but {len(self.strides)} strides; every "
                "stage needs both"
            )

    @property
    def feature_channels(self) -> int:
        """D."""
        return self.base_channels * 2 ** (len(self.blocks) - 1)


@dataclass(frozen=True)
class TransformerConfig:
    """A stack of attention layers.

    Args:
        layers: how many.
        heads: parts that attend on their own.
        channels: D.
        hidden: units between a layer's two linear maps.
        dropout: of attention weights and of what a layer adds.
    """

    layers: int
    heads: int = 8
    channels: int = 512
    hidden: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise ValueError(f"{self.channels} channels cannot be split into {self.heads} heads")


@dataclass(frozen=True)
class ABIVisionConfig:
    """The vision model.

    Args:
        transformer: layers between backbone and attention.
        positions: greatest S of the position codes.
        attention_channels: of the small U-Net that makes the attention's keys.
        attention_size: (h, w).
        upsampling: of the U-Net.
    """

    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(layers=3))
    positions: int = 256
    attention_channels: int = 64
    attention_size: tuple[int, int] = (8, 32)
    upsampling: Literal["nearest", "bilinear"] = "nearest"

    def __post_init__(self) -> None:
        height, width = self.attention_size
        if height * width > self.positions:
            raise ValueError(
                f"a feature map of {height} x {width} has more than {self.positions} positions"
            )
        if height % 8 or width % 16:
            raise ValueError(
                f"the attention's U-Net halves {height} x {width} three times after the first "
                "halving of the width; heights must be multiples of 8, widths of 16"
            )


@dataclass(frozen=True)
class ABILanguageConfig:
    """The language model.

    Args:
        transformer: its layers.
        detach_tokens: whether its loss stays out of the model that read the characters.
    """

    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(layers=4))
    detach_tokens: bool = True


@dataclass(frozen=True)
class ABINetConfig:
    """Everything that fixes the network.

    Args:
        language: None leaves language model and fusion away (ABINet-Vision).
        num_classes: K + 1: the codec's classes; the last one, the padding, is never predicted.
        end_index: class of the end token.
        max_seq_len: T.
        iterations: how often language model and fusion run; without them it has no effect.
    """

    backbone: ResNetABIConfig = field(default_factory=ResNetABIConfig)
    vision: ABIVisionConfig = field(default_factory=ABIVisionConfig)
    language: ABILanguageConfig | None = field(default_factory=ABILanguageConfig)
    num_classes: int = 38
    end_index: int = 36
    max_seq_len: int = 26
    iterations: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.end_index < self.output_classes:
            raise ValueError(
                f"end_index is {self.end_index}, but there are {self.output_classes} classes "
                "beside the padding"
            )
        if self.max_seq_len < 2 or self.iterations < 1:
            raise ValueError(
                f"max_seq_len must be at least 2 and iterations at least 1: {self.max_seq_len}, "
                f"{self.iterations}"
            )
        channels = self.backbone.feature_channels
        parts = {"vision": self.vision.transformer.channels}
        if self.language is not None:
            parts["language"] = self.language.transformer.channels
        for part, given in parts.items():
            if given != channels:
                raise ValueError(
                    f"the {part} model has {given} channels, but the backbone gives {channels}"
                )

    @property
    def output_classes(self) -> int:
        """K."""
        return self.num_classes - 1


class VisionOutput(NamedTuple):
    """Feature of each character (B, T, D), logits (B, T, K), attention weights (B, T, h, w)."""

    features: Tensor
    logits: Tensor
    attention: Tensor


class ABINetOutput(NamedTuple):
    """What every part gave.

    Args:
        features: the backbone's map (B, D, h, w).
        vision: of the vision model.
        language_logits: of each iteration, (B, T, K).
        fused_logits: of each iteration, (B, T, K).
    """

    features: Tensor
    vision: VisionOutput
    language_logits: tuple[Tensor, ...]
    fused_logits: tuple[Tensor, ...]

    @property
    def logits(self) -> Tensor:
        """The last word: of the last fusion, or of the vision model where it is alone."""
        return self.fused_logits[-1] if self.fused_logits else self.vision.logits


class NarrowBlock(nn.Module):
    """A 1x1 and a 3x3 convolution and a shortcut; the second convolution strides."""

    def __init__(self, in_channels: int, channels: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
            if project
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNetABI(nn.Module):
    """(B, C, H, W) -> (B, D, h, w)."""

    def __init__(self, config: ResNetABIConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(config.in_channels, config.stem_channels, 3, 1, 1)
        self.bn1 = nn.BatchNorm2d(config.stem_channels)
        self.relu = nn.ReLU(inplace=True)
        in_channels = config.stem_channels
        self.stages = []
        for stage, (count, stride) in enumerate(zip(config.blocks, config.strides, strict=True)):
            channels = config.base_channels * 2**stage
            blocks = []
            for block in range(count):
                own_stride = stride if block == 0 else 1
                project = own_stride != 1 or in_channels != channels
                blocks.append(NarrowBlock(in_channels, channels, own_stride, project))
                in_channels = channels
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(images_BCHW)))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x


class PositionCodes(nn.Module):
    """Sines and cosines of the position, added to a sequence (arXiv:1706.03762, section 3.5)."""

    position_table: Tensor

    def __init__(self, positions: int, channels: int) -> None:
        super().__init__()
        index_T1 = torch.arange(positions, dtype=torch.float64)[:, None]
        pair_D = torch.arange(channels, dtype=torch.float64) // 2
        angle_TD = index_T1 / 10000 ** (2 * pair_D / channels)
        codes_TD = torch.where(torch.arange(channels) % 2 == 0, angle_TD.sin(), angle_TD.cos())
        self.register_buffer("position_table", codes_TD[None].float())

    def forward(self, sequence_BTD: Tensor) -> Tensor:
        return sequence_BTD + self.position_table[:, : sequence_BTD.shape[1]]


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention with the parameters of PyTorch's module of that name."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        channels = config.channels
        self.heads = config.heads
        self.dropout = config.dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query_BTD: Tensor, context_BSD: Tensor, seen: Tensor | None) -> Tensor:
        """What the queries find in the context, (B, T, D).

        Args:
            query_BTD: asks.
            context_BSD: is asked.
            seen: bool, broadcast to (B, heads, T, S): which entries a query may see; None: all.
        """
        channels = query_BTD.shape[2]
        query_weight, context_weight = self.in_proj_weight.split((channels, 2 * channels))
        query_bias, context_bias = self.in_proj_bias.split((channels, 2 * channels))
        query = F.linear(query_BTD, query_weight, query_bias)
        key, value = F.linear(context_BSD, context_weight, context_bias).chunk(2, dim=2)
        found_BhTd = F.scaled_dot_product_attention(
            self._by_head(query),
            self._by_head(key),
            self._by_head(value),
            attn_mask=seen,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(found_BhTd.transpose(1, 2).flatten(2))

    def _by_head(self, sequence_BTD: Tensor) -> Tensor:
        return sequence_BTD.unflatten(2, (self.heads, -1)).transpose(1, 2)


class AttentionLayer(nn.Module):
    """Attention and two linear maps, each added to its input and then normalised."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        channels, hidden, dropout = config.channels, config.hidden, config.dropout
        self.attentions = nn.ModuleList([nn.ModuleDict({"attn": MultiheadAttention(config)})])
        inner = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(True), nn.Dropout(dropout))
        feed_forward = nn.Sequential(inner, nn.Linear(hidden, channels), nn.Dropout(dropout))
        self.ffns = nn.ModuleList([nn.ModuleDict({"layers": feed_forward})])
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, query_BTD: Tensor, context_BSD: Tensor, seen: Tensor | None = None) -> Tensor:
        found = self.get_submodule("attentions.0.attn")(query_BTD, context_BSD, seen)
        attended = self.norms[0](query_BTD + self.dropout(found))
        return self.norms[1](attended + self.get_submodule("ffns.0.layers")(attended))


class TransformerEncoder(nn.Module):
    """Relates the places of a feature map to each other: (B, D, h, w) -> (B, D, h, w)."""

    def __init__(self, config: ABIVisionConfig) -> None:
        super().__init__()
        layers = config.transformer
        self.pos_encoder = PositionCodes(config.positions, layers.channels)
        self.transformer = nn.ModuleList(AttentionLayer(layers) for _ in range(layers.layers))

    def forward(self, features_BDhw: Tensor) -> Tensor:
        sequence_BSD = self.pos_encoder(features_BDhw.flatten(2).transpose(1, 2))
        for layer in self.transformer:
            sequence_BSD = layer(sequence_BSD, sequence_BSD)
        return sequence_BSD.transpose(1, 2).unflatten(2, features_BDhw.shape[2:])


class ConvBnRelu(nn.Module):
    """3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ABIVisionDecoder(nn.Module):
    """Looks for every character by its position in the text (equation 2 of the paper).

    The keys come from a small U-Net over the features, the queries are codes of the positions.
    """

    def __init__(self, config: ABINetConfig) -> None:
        super().__init__()
        vision, channels = config.vision, config.vision.transformer.channels
        inner, mode = vision.attention_channels, vision.upsampling
        self.size = vision.attention_size
        self.k_encoder = nn.ModuleList(
            [ConvBnRelu(channels, inner, (1, 2)), *(ConvBnRelu(inner, inner, 2) for _ in range(3))]
        )
        doubled = [
            nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), ConvBnRelu(inner, inner))
            for _ in range(3)
        ]
        last = nn.Sequential(nn.Upsample(self.size, mode=mode), ConvBnRelu(inner, channels))
        self.k_decoder = nn.ModuleList([*doubled, last])
        self.pos_encoder = PositionCodes(config.max_seq_len, channels)
        self.project = nn.Linear(channels, channels)
        self.cls = nn.Linear(channels, config.output_classes)

    def forward(self, features_BDhw: Tensor) -> VisionOutput:
        _, channels, height, width = features_BDhw.shape
        if (height, width) != self.size:
            raise ConfigError(
                f"ABINet's attention is made for feature maps of {self.size[0]} x {self.size[1]}, "
                f"but the images give {height} x {width}; resize them to the size that the model "
                "was made for (32 x 128 px as published), without keeping their shape"
            )
        keys_BDS = self._keys(features_BDhw).flatten(2)
        queries_1TD = self.project(self.pos_encoder.position_table)
        scores_BTS = queries_1TD @ keys_BDS / math.sqrt(channels)
        attention_BTS = scores_BTS.softmax(dim=2)
        found_BTD = attention_BTS @ features_BDhw.flatten(2).transpose(1, 2)
        return VisionOutput(found_BTD, self.cls(found_BTD), attention_BTS.unflatten(2, self.size))

    def _keys(self, features_BDhw: Tensor) -> Tensor:
        levels = []
        keys = features_BDhw
        for encoder in self.k_encoder:
            keys = encoder(keys)
            levels.append(keys)
        *doubled, last = self.k_decoder
        for decoder, level in zip(doubled, levels[-2::-1], strict=True):
            keys = decoder(keys) + level
        return last(keys)


class ABIVisionModel(nn.Module):
    """(B, D, h, w) -> the characters that it sees."""

    def __init__(self, config: ABINetConfig) -> None:
        super().__init__()
        self.encoder = TransformerEncoder(config.vision)
        self.decoder = ABIVisionDecoder(config)

    def forward(self, features_BDhw: Tensor) -> VisionOutput:
        return self.decoder(self.encoder(features_BDhw))


class ABILanguageDecoder(nn.Module):
    """Guesses every character from all others: the paper's bidirectional cloze network."""

    def __init__(self, config: ABINetConfig, language: ABILanguageConfig) -> None:
        super().__init__()
        layers = language.transformer
        self.end_index = config.end_index
        self.detach_tokens = language.detach_tokens
        self.proj = nn.Linear(config.output_classes, layers.channels, bias=False)
        self.token_encoder = PositionCodes(config.max_seq_len, layers.channels)
        self.pos_encoder = PositionCodes(config.max_seq_len, layers.channels)
        self.decoder_layers = nn.ModuleList(AttentionLayer(layers) for _ in range(layers.layers))
        self.cls = nn.Linear(layers.channels, config.output_classes)

    def forward(self, logits_BTK: Tensor) -> tuple[Tensor, Tensor]:
        """From characters as read to features (B, T, D) and logits (B, T, K) of corrected ones."""
        tokens_BTK = logits_BTK.softmax(dim=2)
        if self.detach_tokens:
            tokens_BTK = tokens_BTK.detach()
        context_BTD = self.token_encoder(self.proj(tokens_BTK))
        seen_B1TT = self._seen(logits_BTK)
        guess_BTD = self.pos_encoder.position_table.expand(logits_BTK.shape[0], -1, -1)
        for layer in self.decoder_layers:
            guess_BTD = layer(guess_BTD, context_BTD, seen_B1TT)
        return guess_BTD, self.cls(guess_BTD)

    def _seen(self, logits_BTK: Tensor) -> Tensor:
        """Which characters each one is guessed from: all up to the first end, but not itself.

        The first two always count, so that there is one to be seen from everywhere.
        """
        steps = torch.arange(logits_BTK.shape[1], device=logits_BTK.device)
        ends_BT = (logits_BTK.argmax(dim=2) == self.end_index).long()
        within_BT = (ends_BT.cumsum(dim=1) - ends_BT == 0) | (steps < 2)
        others_TT = steps[:, None] != steps
        return (within_BT[:, None] & others_TT)[:, None]


class ABIFuser(nn.Module):
    """Decides channel by channel how far to believe vision and how far language (equation 5)."""

    def __init__(self, config: ABINetConfig, language: ABILanguageConfig) -> None:
        super().__init__()
        channels = language.transformer.channels
        self.w_att = nn.Linear(2 * channels, channels)
        self.cls = nn.Linear(channels, config.output_classes)

    def forward(self, vision_BTD: Tensor, language_BTD: Tensor) -> Tensor:
        """Logits (B, T, K)."""
        gate = self.w_att(torch.cat([vision_BTD, language_BTD], dim=2)).sigmoid()
        return self.cls(gate * language_BTD + (1 - gate) * vision_BTD)


class ABINet(nn.Module):
    """The whole network."""

    def __init__(self, config: ABINetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNetABI(config.backbone)
        self.encoder = ABIVisionModel(config)
        self.decoder = self.fuser = None
        if config.language is not None:
            self.decoder = ABILanguageDecoder(config, config.language)
            self.fuser = ABIFuser(config, config.language)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images_BCHW: Tensor) -> ABINetOutput:
        features = self.backbone(images_BCHW)
        vision = self.encoder(features)
        language_logits: list[Tensor] = []
        fused_logits: list[Tensor] = []
        if self.decoder is not None and self.fuser is not None:
            logits = vision.logits
            for _ in range(self.config.iterations):
                language, guessed = self.decoder(logits)
                logits = self.fuser(vision.features, language)
                language_logits.append(guessed)
                fused_logits.append(logits)
        return ABINetOutput(features, vision, tuple(language_logits), tuple(fused_logits))

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """What inference needs: the last logits (B, T, K)."""
        return self.forward(images_BCHW).logits
