"""MMDetection's feature pyramid, as FCENet and Mask R-CNN use it.

Paper: Feature Pyramid Networks for Object Detection, arXiv:1612.03144. Parameter names are those of
MMDetection's ``FPN``; there is no norm and no activation.

Shapes: B batch, C_i channels of backbone level i, finest first, L channels of the pyramid; every
level has half the resolution of the one before.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PyramidConv(nn.Module):
    """A convolution with bias, under the name that MMDetection's checkpoints have for it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class FPN(nn.Module):
    """Top-down pyramid with one output per backbone level, and perhaps coarser ones after them.

    Args:
        in_channels: C_i of the backbone levels.
        out_channels: L.
        num_outs: levels that come out. Those beyond the backbone's have no weights: each takes
            every second pixel of the one before.
    """

    def __init__(self, in_channels: tuple[int, ...], out_channels: int, num_outs: int) -> None:
        super().__init__()
        if num_outs < len(in_channels):
            raise ValueError(
                f"num_outs is {num_outs}; it must be at least {len(in_channels)}, the number of "
                "backbone levels"
            )
        self.num_outs = num_outs
        self.lateral_convs = nn.ModuleList(PyramidConv(c, out_channels, 1) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            PyramidConv(out_channels, out_channels, 3) for _ in in_channels
        )

    def forward(self, levels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """(B, C_i, h_i, w_i) per backbone level -> ``num_outs`` maps (B, L, h_i, w_i)."""
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            finer = laterals[i - 1]
            laterals[i - 1] = finer + F.interpolate(
                laterals[i], size=finer.shape[-2:], mode="nearest"
            )
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, laterals, strict=True)]
        while len(outputs) < self.num_outs:
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)
