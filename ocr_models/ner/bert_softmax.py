"""BERT with a softmax over labels for every character: named entity recognition.

Paper: "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
arXiv:1810.04805; on top one linear layer, as the paper has it for named entities.
Parameter names and numbers are those of MMOCR 0.6.1. The pooler is there because published weights
have it; no label depends on it. All tokens are of type 0.

Shapes: B texts, T tokens, D hidden units, H heads, K labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.errors import WeightsError

NO_TOKEN = -1
"""Fills up the shorter texts of a batch; nothing attends to it."""


@dataclass(frozen=True)
class BertConfig:
    """The encoder; the defaults are those of BERT-base Chinese.

    Args:
        vocab_size: rows of the word embedding.
        hidden_size: D.
        num_layers: transformer layers.
        num_heads: H, a divisor of D.
        intermediate_size: units of the feed-forward layers.
        max_positions: most tokens of a text.
        num_token_types: rows of the token type embedding, of which the first is used.
        activation: ``"gelu_new"`` is the approximation by tanh, ``"gelu"`` the exact function.
        hidden_dropout: share of embeddings and layer outputs that training drops.
        attention_dropout: share of attention weights that training drops.
        norm_eps: of all layer normalisations.
        initializer_range: standard deviation of untrained weights.
    """

    vocab_size: int = 21128
    hidden_size: int = 768
    num_layers: int = 12
    num_heads: int = 12
    intermediate_size: int = 3072
    max_positions: int = 128
    num_token_types: int = 2
    activation: Literal["gelu_new", "gelu"] = "gelu_new"
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size",
                     "max_positions", "num_token_types"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_heads {self.num_heads}"
            )
        for name in ("hidden_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class BertSoftmaxConfig:
    """Everything that fixes the network.

    Args:
        encoder: BERT.
        num_labels: K.
        dropout: share of BERT's outputs that training drops before the last layer.
    """

    encoder: BertConfig
    num_labels: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.num_labels < 2:
            raise ValueError(f"num_labels must be at least 2, got {self.num_labels}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


class BertSoftmaxOutput(NamedTuple):
    """BERT's last layer (B, T, D), and raw logits (B, T, K)."""

    hidden: Tensor
    logits: Tensor


class Embeddings(nn.Module):
    """(B, T) -> (B, T, D): words, positions and types, summed and normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_positions, width)
        self.token_type_embeddings = nn.Embedding(config.num_token_types, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        summed_BTD = self.word_embeddings(tokens_BT) + self.position_embeddings(positions_T)
        summed_BTD = summed_BTD + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(summed_BTD))


class SelfAttention(nn.Module):
    """(B, T, D) -> (B, T, D): what the H heads see, side by side."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.dropout = config.attention_dropout
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        query, key, value = (
            self._heads(layer(hidden_BTD)) for layer in (self.query, self.key, self.value)
        )
        seen_BHTd = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask_B11T,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return seen_BHTd.transpose(1, 2).flatten(2)

    def _heads(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B, H, T, D / H)."""
        return x_BTD.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class Residual(nn.Module):
    """A linear layer whose output is added to what went before, then normalised."""

    def __init__(self, in_size: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(in_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, inner: Tensor, before_BTD: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(inner)) + before_BTD)


class Attention(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config.hidden_size, config)

    def forward(self, hidden_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        return self.output(self.self(hidden_BTD, mask_B11T), hidden_BTD)


class Intermediate(nn.Module):
    """(B, T, D) -> (B, T, intermediate size)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.approximate = "tanh" if config.activation == "gelu_new" else "none"

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        return F.gelu(self.dense(hidden_BTD), approximate=self.approximate)


class Layer(nn.Module):
    """(B, T, D) -> (B, T, D): attention, then two linear layers per token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config.intermediate_size, config)

    def forward(self, hidden_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        attended_BTD = self.attention(hidden_BTD, mask_B11T)
        return self.output(self.intermediate(attended_BTD), attended_BTD)


class Layers(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_layers))

    def forward(self, hidden_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        for layer in self.layer:
            hidden_BTD = layer(hidden_BTD, mask_B11T)
        return hidden_BTD


class Pooler(nn.Module):
    """Holds BERT's weights for whole texts; entity recognition does not use them."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)


class Bert(nn.Module):
    """(B, T) tokens and mask -> (B, T, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.pooler = Pooler(config).requires_grad_(False)

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return self.encoder(self.embeddings(tokens_BT), mask_BT.bool()[:, None, None, :])


class BertEncoder(nn.Module):
    """Bert under the name that checkpoints have it by."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = Bert(config)

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return self.bert(tokens_BT, mask_BT)


class FCDecoder(nn.Module):
    """(B, T, D) -> (B, T, K)."""

    def __init__(self, config: BertSoftmaxConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.encoder.hidden_size, config.num_labels)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        return self.classifier(self.dropout(hidden_BTD))


class BertSoftmax(nn.Module):
    """The whole network."""

    def __init__(self, config: BertSoftmaxConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config.encoder)
        self.decoder = FCDecoder(config)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=config.encoder.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> BertSoftmaxOutput:
        """Label every token.

        Args:
            tokens_BT: int64 numbers of tokens, T at most ``max_positions``.
            mask_BT: 1 for tokens, 0 for what fills up shorter texts.
        """
        hidden_BTD = self.encoder(tokens_BT, mask_BT)
        return BertSoftmaxOutput(hidden_BTD, self.decoder(hidden_BTD))

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """What inference needs, (B, T, K); ``NO_TOKEN`` fills up shorter texts."""
        return self.forward(tokens_BT.clamp(min=0), tokens_BT != NO_TOKEN).logits


FROM_HUGGING_FACE: Mapping[str, str | None] = {
    "bert.embeddings.": "encoder.bert.embeddings.",
    "bert.encoder.": "encoder.bert.encoder.",
    "bert.pooler.": "encoder.bert.pooler.",
    "embeddings.": "encoder.bert.embeddings.",
    "encoder.layer.": "encoder.bert.encoder.layer.",
    "pooler.": "encoder.bert.pooler.",
    # A buffer that counts 0, 1, 2, ...
    "bert.embeddings.position_ids": None,
    "embeddings.position_ids": None,
    # Layers on top for other tasks: masked words, next sentence, somebody else's labels.
    "cls.": None,
    "classifier.": None,
    "qa_outputs.": None,
}
"""Prefixes of Hugging Face's ``BertModel``, alone or inside a model with another head; the longest
match counts, ``None`` drops."""

FROM_TENSORFLOW: Mapping[str, str] = {
    "LayerNorm.gamma": "LayerNorm.weight",
    "LayerNorm.beta": "LayerNorm.bias",
}
"""Last parts of names in checkpoints that were converted long ago."""

_POSITIONS = "encoder.bert.embeddings.position_embeddings.weight"


def from_hugging_face(
    state_dict: Mapping[str, Tensor], config: BertConfig, source: str
) -> dict[str, Tensor]:
    """A pretrained BERT under this network's names; other state dicts stay as they are.

    Of a position embedding that is longer than the config's the first rows are taken.

    Args:
        state_dict: of Hugging Face's ``BertModel``, with or without a head, or of this network.
        config: what it is for.
        source: names it in messages.

    Raises:
        WeightsError: a name of an own layer of BERT that this network does not know.
    """
    if any(name.startswith("encoder.bert.") for name in state_dict):
        return dict(state_dict)
    longest_first = sorted(FROM_HUGGING_FACE, key=len, reverse=True)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        prefix = next((p for p in longest_first if name.startswith(p)), None)
        if prefix is None:
            raise WeightsError(
                f"{source}: {name!r} belongs neither to a BERT in Hugging Face's layout nor to "
                "one of MMOCR"
            )
        target = FROM_HUGGING_FACE[prefix]
        if target is None:
            continue
        new = target + name.removeprefix(prefix)
        for old_end, new_end in FROM_TENSORFLOW.items():
            new = re.sub(re.escape(old_end) + "$", new_end, new)
        renamed[new] = tensor
    if _POSITIONS in renamed:
        renamed[_POSITIONS] = renamed[_POSITIONS][: config.max_positions]
    return renamed
