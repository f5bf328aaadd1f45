"""ResNet-18 and ResNet-50 with the parameter names and stride styles of MMDetection.

Paper: Deep Residual Learning for Image Recognition, arXiv:1512.03385.

The two styles differ in where a bottleneck halves the resolution: ``caffe`` strides in its first
1x1 convolution (as the paper), ``pytorch`` in its 3x3 convolution. A basic block has one place
only, so there the styles agree.

Stage by stage, the 3x3 convolutions of bottlenecks may be deformable (``deform_conv.py``).

Shapes: B batch, H x W image in pixels; level i of the output is (B, C_i, H / 2^(i+2), W / 2^(i+2)).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ocr_models.layers.deform_conv import ModulatedDeformConv2d

STAGE_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


@dataclass(frozen=True)
class ResNetConfig:
    """What fixes a ResNet.

    Args:
        depth: 18 or 50.
        style: ``"pytorch"`` or ``"caffe"``.
        deform_stages: which of the four stages have deformable convolutions; depth 50 only.
        deform_groups: parts of their channels with offsets of their own.
    """

    depth: int = 18
    style: str = "pytorch"
    deform_stages: tuple[bool, bool, bool, bool] = (False, False, False, False)
    deform_groups: int = 1

    def __post_init__(self) -> None:
        if self.depth not in STAGE_BLOCKS:
            raise ValueError(
                f"ResNet depth must be one of {sorted(STAGE_BLOCKS)}, got {self.depth}"
            )
        if self.style not in ("pytorch", "caffe"):
            raise ValueError(f"ResNet style must be 'pytorch' or 'caffe', got {self.style!r}")
        if any(self.deform_stages) and self.expansion == 1:
            raise ValueError(
                f"deformable convolutions need bottlenecks, so depth 50; got {self.depth}"
            )
        if self.deform_groups not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(
                f"deform_groups must be a power of two up to 64, got {self.deform_groups}"
            )

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
    """1x1, 3x3, 1x1 convolutions and a shortcut.

    Args:
        in_channels: of the input.
        channels: inside; the output has four times as many.
        stride: of the whole block.
        style: which convolution strides.
        deform_groups: of the 3x3 convolution, which is an ordinary one when 0.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, style: str, deform_groups: int = 0
    ) -> None:
        super().__init__()
        stride1, stride2 = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = (
            ModulatedDeformConv2d(channels, channels, 3, stride2, 1, deform_groups, bias=False)
            if deform_groups
            else nn.Conv2d(channels, channels, 3, stride2, 1, bias=False)
        )
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
            layers: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(_block(config, stage, in_channels, stride))
                in_channels = config.out_channels[stage]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images_B3HW))))
        c2 = self.get_submodule("layer1")(x)
        c3 = self.get_submodule("layer2")(c2)
        c4 = self.get_submodule("layer3")(c3)
        c5 = self.get_submodule("layer4")(c4)
        return c2, c3, c4, c5


def _block(config: ResNetConfig, stage: int, in_channels: int, stride: int) -> nn.Module:
    channels = 64 * 2**stage
    if config.expansion == 1:
        return BasicBlock(in_channels, channels, stride)
    deform_groups = config.deform_groups if config.deform_stages[stage] else 0
    return Bottleneck(in_channels, channels, stride, config.style, deform_groups)
