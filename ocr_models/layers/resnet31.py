"""The residual backbone of attention recognisers (MMOCR's ``ResNet31OCR``).

Paper: Show, Attend and Read: A Simple and Strong Baseline for Irregular Text Recognition,
arXiv:1811.00751, which builds it from the blocks of arXiv:1512.03385.

Each stage is pool, residual blocks, convolution. Pools come first, so that a stage's blocks already
work at its resolution.

Shapes: B batch, C image channels, H x W image in pixels. Stages one and two halve height and width;
stage three pools by ``stage3_pool``, stage four by 2 where ``last_stage_pool`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ocr_models.layers.resnet import BasicBlock


@dataclass(frozen=True)
class ResNet31Config:
    """What fixes the backbone.

    Args:
        in_channels: C.
        blocks: residual blocks of the four stages.
        channels: of the two stem convolutions, then of the four stages.
        stage3_pool: vertical and horizontal stride of the third stage's pool (MMOCR counts the stem
            as a stage and calls this ``stage4_pool_cfg``).
        last_stage_pool: whether the fourth stage begins with a 2 x 2 pool.
    """

    in_channels: int = 3
    blocks: tuple[int, int, int, int] = (1, 2, 5, 3)
    channels: tuple[int, int, int, int, int, int] = (64, 128, 256, 256, 512, 512)
    stage3_pool: tuple[int, int] = (2, 1)
    last_stage_pool: bool = False

    def __post_init__(self) -> None:
        if min(self.blocks) < 1 or min(self.channels) < 1 or self.in_channels < 1:
            raise ValueError(
                f"blocks, channels and in_channels must be at least 1: {self.blocks}, "
                f"{self.channels}, {self.in_channels}"
            )
        if not set(self.stage3_pool) <= {1, 2}:
            raise ValueError(f"strides of a pool are 1 or 2, got {self.stage3_pool}")

    @property
    def feature_channels(self) -> int:
        """Channels of the last stage."""
        return self.channels[-1]


class ResNet31(nn.Module):
    """(B, C, H, W) -> the outputs of the four stages, finest first."""

    def __init__(self, config: ResNet31Config) -> None:
        super().__init__()
        stem1, stem2, *stages = config.channels
        self.conv1_1 = nn.Conv2d(config.in_channels, stem1, 3, 1, 1)
        self.bn1_1 = nn.BatchNorm2d(stem1)
        self.conv1_2 = nn.Conv2d(stem1, stem2, 3, 1, 1)
        self.bn1_2 = nn.BatchNorm2d(stem2)
        self.relu = nn.ReLU(inplace=True)
        pools = [(2, 2), (2, 2), config.stage3_pool, (2, 2)]
        if not config.last_stage_pool:
            pools[3] = (1, 1)
        in_channels = stem2
        for stage, (count, channels, pool) in enumerate(
            zip(config.blocks, stages, pools, strict=True), start=2
        ):
            blocks = [
                BasicBlock(in_channels if i == 0 else channels, channels, 1) for i in range(count)
            ]
            self.add_module(f"pool{stage}", nn.Identity() if pool == (1, 1) else _pool(pool))
            self.add_module(f"block{stage}", nn.Sequential(*blocks))
            self.add_module(f"conv{stage}", nn.Conv2d(channels, channels, 3, 1, 1))
            self.add_module(f"bn{stage}", nn.BatchNorm2d(channels))
            in_channels = channels

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.relu(self.bn1_1(self.conv1_1(images_BCHW)))
        x = self.relu(self.bn1_2(self.conv1_2(x)))
        stages = []
        for stage in range(2, 6):
            for part in ("pool", "block", "conv", "bn"):
                x = self.get_submodule(f"{part}{stage}")(x)
            x = self.relu(x)
            stages.append(x)
        return stages[0], stages[1], stages[2], stages[3]


def _pool(strides: tuple[int, int]) -> nn.MaxPool2d:
    """A pool whose windows do not overlap; an odd last row or column is covered, too."""
    return nn.MaxPool2d(strides, strides, 0, ceil_mode=True)
