"""Sinusoids that tell a transformer where a token stands.

Paper: Attention Is All You Need, arXiv:1706.03762, section 3.5. Parameter names and numbers are
those of MMOCR 0.6.1, which keeps the tables in its checkpoints.

Shapes: B batch, T tokens, D channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def sinusoid_table(positions: int, channels: int) -> Tensor:
    """(positions, D): sines in the even channels, cosines in the odd ones.

    Products are rounded to float32 before their sines are taken, as in MMOCR.
    """
    exponents_D = 2 * (np.arange(channels) // 2) / channels
    frequencies_D = torch.from_numpy((1.0 / np.power(10000, exponents_D)).astype(np.float32))
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * frequencies_D
    table = angles.cos()
    table[:, 0::2] = angles[:, 0::2].sin()
    return table


class PositionalEncoding(nn.Module):
    """Adds the code of its position to each token.

    Args:
        positions: the most tokens there may be.
        channels: D.
        dropout: of the sum.
    """

    position_table: Tensor

    def __init__(self, positions: int, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("position_table", sinusoid_table(positions, channels)[None])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.dropout(x_BTD + self.position_table[:, : x_BTD.shape[1]])
