"""RobustScanner: a decoder that knows what was written, one that knows the place, and a gate.

Paper: RobustScanner: Dynamically Enhancing Positional Clues for Robust Text Recognition,
arXiv:2007.07542.
Parameter names and numbers are those of MMOCR 0.6.1. Its attention products are not divided by the
root of their length.

Both decoders ask the map for a glimpse at every step: the hybrid one by what an LSTM makes of the
characters written so far, the position one by the number of the step alone.

Shapes: B lines, N of them still being written, H x W feature map of P places, D its channels, M
channels of the reduced map, T steps, V channels of glimpses, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ocr_models.layers.resnet31 import ResNet31, ResNet31Config
from ocr_models.recognition.greedy import State, write_greedily
from ocr_models.recognition.masking import valid_mask


@dataclass(frozen=True)
class RobustScannerConfig:
    """Everything that fixes the network.

    Args:
        model_channels: M.
        hybrid_layers: layers of the LSTM over characters.
        hybrid_dropout: between them.
        position_layers: layers of the LSTM over the map's rows.
        values_reduced: glimpses are taken from the reduced map; else from the backbone's.
        masked: looks only at columns that are not padding.
        num_classes: K + 1: the padding is never predicted.
        start_index: class of the start token.
        end_index: class of the end token.
        padding_index: class of the padding, the last one.
        max_seq_len: characters of a line at most, the end token among them.
    """

    backbone: ResNet31Config = field(default_factory=ResNet31Config)
    model_channels: int = 128
    hybrid_layers: int = 2
    hybrid_dropout: float = 0.0
    position_layers: int = 2
    values_reduced: bool = False
    masked: bool = True
    num_classes: int = 93
    start_index: int = 91
    end_index: int = 91
    padding_index: int = 92
    max_seq_len: int = 40

    def __post_init__(self) -> None:
        if min(self.hybrid_layers, self.position_layers, self.max_seq_len) < 1:
            raise ValueError(
                "hybrid_layers, position_layers and max_seq_len must be at least 1, got "
                f"{self.hybrid_layers}, {self.position_layers}, {self.max_seq_len}"
            )
        if self.padding_index != self.num_classes - 1:
            raise ValueError(
                f"padding_index must be the last of {self.num_classes} classes, "
                f"got {self.padding_index}"
            )

    @property
    def feature_channels(self) -> int:
        """D."""
        return self.backbone.feature_channels

    @property
    def glimpse_channels(self) -> int:
        """V."""
        return self.model_channels if self.values_reduced else self.feature_channels


class RobustScannerOutput(NamedTuple):
    """Features (B, D, H, W), reduced map (B, M, H, W), probabilities (B, max_seq_len, K)."""

    features: Tensor
    reduced: Tensor
    probabilities: Tensor


class ChannelReductionEncoder(nn.Module):
    """(B, D, H, W) -> (B, M, H, W)."""

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        self.layer = nn.Conv2d(config.feature_channels, config.model_channels, 1)

    def forward(self, features_BDHW: Tensor) -> Tensor:
        return self.layer(features_BDHW)


class PositionAwareLayer(nn.Module):
    """Tells places of a row apart: an LSTM along each row, then two convolutions.

    (B, M, H, W) -> (B, M, H, W).
    """

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        channels = config.model_channels
        self.rnn = nn.LSTM(channels, channels, config.position_layers, batch_first=True)
        self.mixer = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )

    def forward(self, reduced_BMHW: Tensor) -> Tensor:
        _, channels, height, width = reduced_BMHW.shape
        rows_RWM = reduced_BMHW.permute(0, 2, 3, 1).reshape(-1, width, channels)
        read_RWM = self.rnn(rows_RWM)[0]
        read_BHWM = read_RWM.reshape(-1, height, width, channels)
        return self.mixer(read_BHWM.permute(0, 3, 1, 2))


class HybridDecoder(nn.Module):
    """Queries that know the characters written so far."""

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        channels = config.model_channels
        self.embedding = nn.Embedding(
            config.num_classes, channels, padding_idx=config.padding_index
        )
        self.sequence_layer = nn.LSTM(
            channels, channels, config.hybrid_layers, batch_first=True,
            dropout=config.hybrid_dropout,
        )  # fmt: skip

    def forward(self, classes_BT: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Queries (B, T, M), and the LSTM's state (B, layers, M) twice."""
        layers_first = tuple(part.transpose(0, 1).contiguous() for part in state) or None
        queries_BTM, layers_first = self.sequence_layer(self.embedding(classes_BT), layers_first)
        return queries_BTM, tuple(part.transpose(0, 1) for part in layers_first)


class PositionDecoder(nn.Module):
    """Queries that know the number of the step, and keys that know the place."""

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.max_seq_len + 1, config.model_channels)
        self.position_aware_module = PositionAwareLayer(config)

    def forward(self, steps_T: Tensor) -> Tensor:
        """Queries (T, M)."""
        return self.embedding(steps_T)


class DynamicFusion(nn.Module):
    """A gate that weighs both glimpses against each other: (..., V) twice -> (..., V)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(2 * channels, 2 * channels)
        self.glu_layer = nn.GLU(dim=-1)

    def forward(self, hybrid: Tensor, position: Tensor) -> Tensor:
        return self.glu_layer(self.linear_layer(torch.cat([hybrid, position], -1)))


class RobustScannerDecoder(nn.Module):
    """Both decoders, the gate, and the loop over characters."""

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        self.config = config
        self.hybrid_decoder = HybridDecoder(config)
        self.position_decoder = PositionDecoder(config)
        self.fusion_module = DynamicFusion(config.glimpse_channels)
        self.prediction = nn.Linear(config.glimpse_channels, config.num_classes - 1)

    def position_keys(self, reduced_BMHW: Tensor) -> Tensor:
        """(B, M, H, W)."""
        return self.position_decoder.position_aware_module(reduced_BMHW)

    def logits(
        self,
        queries_BTM: Tensor,
        steps_T: Tensor,
        keys_BPM: Tensor,
        position_keys_BPM: Tensor,
        values_BPV: Tensor,
        text_BP: Tensor,
    ) -> Tensor:
        """(B, T, K).

        Args:
            queries_BTM: of the hybrid decoder.
            steps_T: their numbers, from 0.
            keys_BPM: of the hybrid decoder: the reduced map.
            position_keys_BPM: from ``position_keys``.
            values_BPV: where glimpses are taken from.
            text_BP: bool, the places to look at.
        """
        lines = len(queries_BTM)
        position_queries_BTM = self.position_decoder(steps_T).expand(lines, -1, -1)
        hybrid_BTV = _glimpses(queries_BTM, keys_BPM, values_BPV, text_BP)
        position_BTV = _glimpses(position_queries_BTM, position_keys_BPM, values_BPV, text_BP)
        return self.prediction(self.fusion_module(hybrid_BTV, position_BTV))

    def teacher_forced(self, maps: State, targets_BT: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """Logits (B, T, K) after each class of the padded targets.

        Args:
            maps: reduced map (B, H, W, M), position keys (B, H, W, M), values (B, H, W, V).
        """
        steps_T = torch.arange(targets_BT.shape[1], device=targets_BT.device)
        queries_BTM, _ = self.hybrid_decoder(targets_BT)
        return self.logits(queries_BTM, steps_T, *self._places(maps, valid_ratios_B))

    def forward(self, maps: State, valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, max_seq_len, K) of the characters that it writes by itself, 0 behind
        ends; ``maps`` as in ``teacher_forced``.
        """
        config = self.config
        keys_BPM, *others = self._places(maps, valid_ratios_B)
        memory_BLM = keys_BPM.new_zeros(len(keys_BPM), config.hybrid_layers, config.model_channels)
        return write_greedily(
            self._step,
            (keys_BPM, *others, memory_BLM, memory_BLM),
            config.start_index,
            config.end_index,
            config.max_seq_len,
        )

    def _step(self, step: int, classes_N: Tensor, state: State) -> tuple[Tensor, State]:
        places, memory = state[:4], state[4:]
        queries_N1M, memory = self.hybrid_decoder(classes_N[:, None], memory)
        steps_1 = torch.tensor([step], device=classes_N.device)
        return self.logits(queries_N1M, steps_1, *places)[:, 0], (*places, *memory)

    def _places(self, maps: State, valid_ratios_B: Tensor) -> State:
        """The maps as sequences of places, and which places to look at."""
        _, height, width, _ = maps[0].shape
        if not self.config.masked:
            valid_ratios_B = torch.ones_like(valid_ratios_B)
        text_BW = valid_mask(width, valid_ratios_B)
        text_BP = text_BW[:, None].expand(-1, height, -1).flatten(1)
        return (*(part.flatten(1, 2) for part in maps), text_BP)


def _glimpses(queries_BTM: Tensor, keys_BPM: Tensor, values_BPV: Tensor, text_BP: Tensor) -> Tensor:
    """Attention by plain products, (B, T, V)."""
    energies_BTP = queries_BTM @ keys_BPM.transpose(1, 2)
    energies_BTP = energies_BTP.masked_fill(~text_BP[:, None], -torch.inf)
    return energies_BTP.softmax(-1) @ values_BPV


class RobustScanner(nn.Module):
    """The whole network."""

    def __init__(self, config: RobustScannerConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet31(config.backbone)
        self.encoder = ChannelReductionEncoder(config)
        self.decoder = RobustScannerDecoder(config)

    def forward(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> RobustScannerOutput:
        features_BDHW = self.backbone(images_BCHW)[-1]
        reduced_BMHW = self.encoder(features_BDHW)
        maps = self._maps(features_BDHW, reduced_BMHW)
        return RobustScannerOutput(features_BDHW, reduced_BMHW, self.decoder(maps, valid_ratios_B))

    def encode(self, images_BCHW: Tensor) -> tuple[Tensor, ...]:
        """What does not depend on what was read before.

        Returns:
            reduced map (B, H, W, M), position keys (B, H, W, M), and what glimpses are taken from
            (B, H, W, V).
        """
        features_BDHW = self.backbone(images_BCHW)[-1]
        return self._maps(features_BDHW, self.encoder(features_BDHW))

    def decode(self, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, max_seq_len, K) from what ``encode`` gave, 0 behind ends.

        In float32 also under autocast: what rounds away at one step would change all later ones,
        and in another way for each size of batch.
        """
        maps = tuple(part.float().contiguous() for part in encoded)
        with torch.autocast(maps[0].device.type, enabled=False):
            return self.decoder(maps, valid_ratios_B)

    def teacher_forced(
        self, images_BCHW: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K) after each class of the padded targets.

        Raises:
            ValueError: the targets are longer than max_seq_len.
        """
        if targets_BT.shape[1] > self.config.max_seq_len:
            raise ValueError(
                f"targets of {targets_BT.shape[1]} classes; the network has positions for "
                f"{self.config.max_seq_len}"
            )
        maps = self.encode(images_BCHW)
        return self.decoder.teacher_forced(maps, targets_BT, valid_ratios_B)

    def _maps(self, features_BDHW: Tensor, reduced_BMHW: Tensor) -> tuple[Tensor, ...]:
        values = reduced_BMHW if self.config.values_reduced else features_BDHW
        maps = (reduced_BMHW, self.decoder.position_keys(reduced_BMHW), values)
        return tuple(part.permute(0, 2, 3, 1) for part in maps)
