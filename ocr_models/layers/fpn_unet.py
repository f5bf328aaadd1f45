"""The U-shaped feature pyramid of TextSnake and DRRG.

Papers: TextSnake: A Flexible Representation for Detecting Text of Arbitrary Shapes,
arXiv:1807.01544, figure 5; Deep Relational Reasoning Graph Network for Arbitrary Shape Text
Detection, arXiv:2003.07493, figure 4. Parameter names and widths are those of MMOCR 0.6.1.

Shapes: B batch, H x W padded image in pixels (multiples of 32), C_i backbone channels of level i,
whose resolution is 1 / 2^(i+2), D output channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# No inner level is wider than this.
_MAX_CHANNELS = 256


class UpBlock(nn.Module):
    """1x1 and 3x3 convolutions, then a doubling of the resolution: (h, w) -> (2 h, 2 w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_channels, in_channels, 1)
        self.conv3x3 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.deconv = _doubling(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.deconv(F.relu(self.conv3x3(F.relu(self.conv1x1(x)))))


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)


class FPNUNet(nn.Module):
    """Four backbone levels to one map at full resolution.

    Args:
        in_channels: C_i of the levels with strides 4, 8, 16 and 32.
        out_channels: D.
    """

    def __init__(self, in_channels: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        c2, c3, c4, c5 = in_channels
        # Channels that the block of each level gives, finest first.
        u1, u2, u3, u4 = (min(out_channels * 2**i, _MAX_CHANNELS) for i in range(4))
        self.up4 = _doubling(c5, u4)
        self.up_block3 = UpBlock(c4 + u4, u3)
        self.up_block2 = UpBlock(c3 + u3, u2)
        self.up_block1 = UpBlock(c2 + u2, u1)
        self.up_block0 = UpBlock(u1, out_channels)

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """(B, C_i, H / 2^(i+2), W / 2^(i+2)) for i = 0..3 -> (B, D, H, W)."""
        c2, c3, c4, c5 = levels
        x = F.relu(self.up4(c5))
        x = F.relu(self.up_block3(torch.cat([x, c4], dim=1)))
        x = F.relu(self.up_block2(torch.cat([x, c3], dim=1)))
        x = F.relu(self.up_block1(torch.cat([x, c2], dim=1)))
        return self.up_block0(x)
