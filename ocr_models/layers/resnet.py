"""ResNet-18 and ResNet-50 with the parameter names and stride styles of MMDetection.

Paper: Deep Residual Learning for Image Recognition, arXiv:1512.03385.

The two styles differ in where a bottleneck halves the resolution: ``caffe`` strides in its first
1x1 convolution (as the paper), ``pytorch`` in its 3x3 convolution. A basic block has one place
only, so there the styles agree.

Shapes: B batch, H x W image in pixels; level i of the output is (B, C_i, H / 2^(i+2), W / 2^(i+2)).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

STAGE_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


@dataclass(frozen=True)
class ResNetConfig:
    """ResNet of ``depth`` 18 or 50; ``style`` is ``"pytorch"`` or ``"caffe"``."""

    depth: int = 18
    style: str = "pytorch"

    def __post_init__(self) -> None:
        if self.depth not in STAGE_BLOCKS:
            raise ValueError(
                f"ResNet depth must be one of {sorted(STAGE_BLOCKS)}, got {self.depth}"
            )
        if self.style not in ("pytorch", "caffe"):
            raise ValueError(f"ResNet style must be 'pytorch' or 'caffe', got {self.style!r}")

    @property
    def expansion(self) -> int:
        """Output channels of a block over its inner channels."""
        return 4 if self.depth >= 50 else 1

    @property
    def out_channels(self) -> tuple[int, int, int, int]:
        """Channels of the four output levels, finest first."""
        first, *rest = (width * self.expansion for width in (64, 128, 256, 512))
        return (first, rest[0], rest[1], rest[2])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, style: str) -> None:
        super().__init__()
        stride1, stride2 = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, channels * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class ResNet(nn.Module):
    """ResNet without its classifier."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        in_channels = 64
        for stage, blocks in enumerate(STAGE_BLOCKS[config.depth]):
            channels = 64 * 2**stage
            layers: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(_block(config, in_channels, channels, stride))
                in_channels = channels * config.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_B3HW))))
        c2 = self.get_submodule("layer1")(x)
        c3 = self.get_submodule("layer2")(c2)
        c4 = self.get_submodule("layer3")(c3)
        c5 = self.get_submodule("layer4")(c4)
        return c2, c3, c4, c5


def _block(config: ResNetConfig, in_channels: int, channels: int, stride: int) -> nn.Module:
    if config.expansion == 1:
        return BasicBlock(in_channels, channels, stride)
    return Bottleneck(in_channels, channels, stride, config.style)
