"""CRNN: convolutions, a bidirectional LSTM, and CTC.

Paper: An End-to-End Trainable Neural Network for Image-based Sequence Recognition,
arXiv:1507.05717. With a ``preprocessor``, which straightens crops first, it is close to the one of
arXiv:1603.03915.
Parameter names and numbers are those of MMOCR 0.6.1.

Shapes: B batch, C image channels, H = 32 px high and W px wide image, D feature channels, T steps
(about W / 4), K classes with the CTC blank at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.tps import TPSConfig, TPSPreprocessor


@dataclass(frozen=True)
class VeryDeepVggConfig:
    """The paper's seven convolutions."""

    in_channels: int = 3
    leaky_relu: bool = True

    @property
    def feature_channels(self) -> int:
        """D."""
        return 512


@dataclass(frozen=True)
class LightColumnsConfig:
    """A light residual backbone whose last two rows are folded into columns by one convolution.

    Args:
        pyramid: its strides must take 32 rows to 2.
        feature_channels: D.
    """

    pyramid: LightResNetConfig = field(
        default_factory=lambda: LightResNetConfig(
            in_channels=1,
            stem_channels=32,
            channels=(64, 96, 160, 160),
            blocks=(1, 1, 1, 1),
            strides=((2, 2), (2, 1), (2, 1), (1, 1)),
        )
    )
    feature_channels: int = 192

    def __post_init__(self) -> None:
        rows = 16
        for vertical, _ in self.pyramid.strides:
            rows //= vertical
        if rows != 2:
            raise ValueError(
                f"strides {self.pyramid.strides} take 32 rows to {rows}; they must leave 2"
            )


@dataclass(frozen=True)
class CRNNConfig:
    """Everything that fixes the network.

    Args:
        num_classes: K, blank included.
        hidden: units of the LSTM in each direction.
        layers: 2 as in the paper, or 1.
        recurrent: False replaces the LSTM by a 1x1 convolution.
        preprocessor: straightens every crop first; its ``rectified_size`` must be 32 px high.
    """

    backbone: VeryDeepVggConfig | LightColumnsConfig = field(default_factory=VeryDeepVggConfig)
    num_classes: int = 37
    hidden: int = 256
    layers: int = 2
    recurrent: bool = True
    preprocessor: TPSConfig | None = field(default=None, metadata={"added_later": True})

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(f"num_classes counts the blank and must be >= 2: {self.num_classes}")
        if self.layers not in (1, 2):
            raise ValueError(f"layers must be 1 or 2, got {self.layers}")
        if self.preprocessor is not None and self.preprocessor.rectified_size[0] != 32:
            raise ValueError(
                f"rectified_size is {self.preprocessor.rectified_size}; CRNN reads lines 32 px high"
            )


class CRNNOutput(NamedTuple):
    """Features (B, D, 1, T) and raw logits (B, T, K)."""

    features: Tensor
    logits: Tensor


class VeryDeepVgg(nn.Module):
    """(B, C, 32, W) -> (B, 512, 1, T)."""

    CHANNELS = (64, 128, 256, 256, 512, 512, 512)
    WITH_NORM = (2, 4, 6)

    def __init__(self, config: VeryDeepVggConfig) -> None:
        super().__init__()
        self.cnn = nn.Sequential()
        in_channels = config.in_channels
        for i, channels in enumerate(self.CHANNELS):
            kernel, padding = (2, 0) if i == 6 else (3, 1)
            conv = nn.Conv2d(in_channels, channels, kernel, 1, padding)
            self.cnn.add_module(f"conv{i}", conv)
            if i in self.WITH_NORM:
                self.cnn.add_module(f"batchnorm{i}", nn.BatchNorm2d(channels))
            relu = nn.LeakyReLU(0.2, inplace=True) if config.leaky_relu else nn.ReLU(inplace=True)
            self.cnn.add_module(f"relu{i}", relu)
            if i in (0, 1):
                self.cnn.add_module(f"pooling{i}", nn.MaxPool2d(2, 2))
            elif i in (3, 5):
                # Halves the height only, so that narrow letters keep their own columns.
                pool = nn.MaxPool2d((2, 2), (2, 1), (0, 1))
                self.cnn.add_module(f"pooling{(i + 1) // 2}", pool)
            in_channels = channels

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.cnn(images_BCHW)


class LightColumns(nn.Module):
    """(B, C, 32, W) -> (B, D, 1, W / 4)."""

    def __init__(self, config: LightColumnsConfig) -> None:
        super().__init__()
        self.pyramid = LightResNet(config.pyramid)
        self.fold = nn.Sequential(
            nn.Conv2d(config.pyramid.channels[-1], config.feature_channels, (2, 1), bias=False),
            nn.BatchNorm2d(config.feature_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.fold(self.pyramid(images_BCHW)[-1])


class BidirectionalLSTM(nn.Module):
    """(B, T, D) -> (B, T, out)."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(in_channels, hidden, bidirectional=True, batch_first=True)
        self.embedding = nn.Linear(2 * hidden, out_channels)

    def forward(self, columns_BTD: Tensor) -> Tensor:
        return self.embedding(self.rnn(columns_BTD)[0])


class CRNNDecoder(nn.Module):
    """(B, D, 1, T) -> logits (B, T, K)."""

    def __init__(self, config: CRNNConfig) -> None:
        super().__init__()
        channels, classes = config.backbone.feature_channels, config.num_classes
        self.recurrent = config.recurrent
        if not config.recurrent:
            self.decoder: nn.Module = nn.Conv2d(channels, classes, 1)
        elif config.layers == 1:
            self.decoder = nn.Sequential(BidirectionalLSTM(channels, config.hidden, classes))
        else:
            self.decoder = nn.Sequential(
                BidirectionalLSTM(channels, config.hidden, config.hidden),
                BidirectionalLSTM(config.hidden, config.hidden, classes),
            )

    def forward(self, features_BD1T: Tensor) -> Tensor:
        if self.recurrent:
            return self.decoder(features_BD1T.squeeze(2).transpose(1, 2))
        return self.decoder(features_BD1T).squeeze(2).transpose(1, 2)


class CRNN(nn.Module):
    """The whole network."""

    def __init__(self, config: CRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocessor: nn.Module = (
            nn.Identity() if config.preprocessor is None else TPSPreprocessor(config.preprocessor)
        )
        self.backbone: nn.Module = (
            VeryDeepVgg(config.backbone)
            if isinstance(config.backbone, VeryDeepVggConfig)
            else LightColumns(config.backbone)
        )
        self.decoder = CRNNDecoder(config)

    def forward(self, images_BCHW: Tensor) -> CRNNOutput:
        features = self.backbone(self.preprocessor(images_BCHW))
        return CRNNOutput(features, self.decoder(features))

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """What inference needs, (B, T, K)."""
        return self.forward(images_BCHW).logits
