"""Scaled dot-product attention over several heads, and the layer that follows it.

Paper: Attention Is All You Need, arXiv:1706.03762, sections 3.2 and 3.3. Parameter names are those
of MMOCR 0.6.1's ``MultiHeadAttention`` and ``PositionwiseFeedForward``.

Shapes: B batch, T tokens that ask, S tokens that are looked at, D channels, N heads, E channels of
a head's keys, V of its values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class AttentionConfig:
    """Sizes of an attention.

    Args:
        channels: D.
        heads: N.
        key_channels: E.
        value_channels: V.
        dropout: of the attention weights and of the result.
    """

    channels: int = 512
    heads: int = 8
    key_channels: int = 64
    value_channels: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.channels, self.heads, self.key_channels, self.value_channels) < 1:
            raise ValueError(
                "channels, heads, key_channels and value_channels must be at least 1: "
                f"{self.channels}, {self.heads}, {self.key_channels}, {self.value_channels}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


class MultiHeadAttention(nn.Module):
    """Looks at S tokens for each of T tokens; none of its maps has a bias."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.weight_dropout = config.dropout
        channels, keys, values = config.channels, config.key_channels, config.value_channels
        self.linear_q = nn.Linear(channels, config.heads * keys, bias=False)
        self.linear_k = nn.Linear(channels, config.heads * keys, bias=False)
        self.linear_v = nn.Linear(channels, config.heads * values, bias=False)
        self.fc = nn.Linear(config.heads * values, channels, bias=False)
        self.proj_drop = nn.Dropout(config.dropout)

    def forward(self, x_BTD: Tensor, seen_BSD: Tensor, visible: Tensor) -> Tensor:
        """(B, T, D).

        Args:
            x_BTD: the tokens that ask.
            seen_BSD: the tokens that are looked at.
            visible: bool, (B, 1, S) or (B, T, S): which of them may be; each row needs one.
        """
        q_BNTE = split_heads(self.linear_q(x_BTD), self.heads)
        k_BNSE = split_heads(self.linear_k(seen_BSD), self.heads)
        v_BNSV = split_heads(self.linear_v(seen_BSD), self.heads)
        out_BNTV = F.scaled_dot_product_attention(
            q_BNTE,
            k_BNSE,
            v_BNSV,
            attn_mask=visible[:, None],
            dropout_p=self.weight_dropout if self.training else 0.0,
        )
        return self.proj_drop(self.fc(out_BNTV.transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them: (B, T, D) -> (B, T, D).

    Args:
        channels: D.
        inner: channels in between.
        dropout: of the result.
    """

    def __init__(self, channels: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.w_1 = nn.Linear(channels, inner)
        self.w_2 = nn.Linear(inner, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.dropout(self.w_2(F.gelu(self.w_1(x_BTD))))


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """(B, T, N * E) -> (B, N, T, E)."""
    return x_BTD.unflatten(2, (heads, -1)).transpose(1, 2)
