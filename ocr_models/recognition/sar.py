"""SAR: an LSTM that writes a line's characters while it looks around in the feature map.

Paper: Show, Attend and Read: A Simple and Strong Baseline for Irregular Text Recognition,
arXiv:1811.00751.
Parameter names and numbers are those of MMOCR 0.6.1, which has two decoders. The parallel one runs
its LSTM over whole targets when it learns. The sequential one is made of cells and hands on each
cell's output in place of its memory.

The decoder LSTM's first input is the encoder's summary of the line, its second the start token;
what it says from there on counts.

Shapes: B lines, H x W feature map, D its channels, E units of the summary (and of characters'
embeddings), S steps of the decoder, C units of its state, A of the attention, K classes.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.layers.resnet31 import ResNet31, ResNet31Config
from ocr_models.recognition.beam_search import write_by_beam_search
from ocr_models.recognition.greedy import State, write_greedily
from ocr_models.recognition.masking import valid_mask, valid_steps


@dataclass(frozen=True)
class SAREncoderConfig:
    """The recurrent network that sums a line up.

    Args:
        in_channels: D.
        hidden: units in each direction.
        bidirectional: whether it also reads from right to left.
        gru: gated recurrent units in place of LSTM.
        dropout: between its two layers.
        masked: sums up at the last column that is not padding; else at the last one.
    """

    in_channels: int = 512
    hidden: int = 512
    bidirectional: bool = False
    gru: bool = False
    dropout: float = 0.0
    masked: bool = True

    @property
    def out_channels(self) -> int:
        """E."""
        return self.hidden * (1 + self.bidirectional)


@dataclass(frozen=True)
class SARDecoderConfig:
    """What writes the characters.

    Args:
        sequential: cells in place of a two-layer recurrent network.
        bidirectional: whether it also reads its inputs from right to left. Those not yet written
            are start tokens, as in MMOCR. Only for the parallel decoder.
        gru: gated recurrent units in place of LSTM.
        dropout: between its two layers; only for the parallel decoder.
        attention: A.
        prediction_dropout: of the logits, when it learns.
        masked: looks only at columns that are not padding.
        joined: characters are told from state, glimpse and summary together; else from the glimpse.
        beam_width: 1 takes the likeliest character at each step; more keeps that many beginnings
            of the line. Only for the parallel decoder.
    """

    sequential: bool = False
    bidirectional: bool = False
    gru: bool = False
    dropout: float = 0.0
    attention: int = 64
    prediction_dropout: float = 0.0
    masked: bool = True
    joined: bool = False
    beam_width: int = 1

    def __post_init__(self) -> None:
        if self.beam_width < 1:
            raise ValueError(f"beam_width must be at least 1, got {self.beam_width}")
        if self.sequential and (self.bidirectional or self.dropout or self.beam_width > 1):
            raise ValueError(
                "the sequential decoder has neither a second direction nor dropout between its "
                "layers nor beam search"
            )


@dataclass(frozen=True)
class SARConfig:
    """Everything that fixes the network.

    Args:
        num_classes: K + 1: the padding is never predicted.
        start_index: class of the start token.
        end_index: class of the end token.
        padding_index: class of the padding, the last one.
        max_seq_len: characters of a line at most, the end token among them.
    """

    backbone: ResNet31Config = field(default_factory=ResNet31Config)
    encoder: SAREncoderConfig = field(default_factory=SAREncoderConfig)
    decoder: SARDecoderConfig = field(default_factory=SARDecoderConfig)
    num_classes: int = 93
    start_index: int = 91
    end_index: int = 91
    padding_index: int = 92
    max_seq_len: int = 40

    def __post_init__(self) -> None:
        if self.encoder.in_channels != self.backbone.feature_channels:
            raise ValueError(
                f"the encoder takes {self.encoder.in_channels} channels, but the backbone gives "
                f"{self.backbone.feature_channels}"
            )
        if self.padding_index != self.num_classes - 1:
            raise ValueError(
                f"padding_index must be the last of {self.num_classes} classes, "
                f"got {self.padding_index}"
            )
        if self.max_seq_len < 1:
            raise ValueError(f"max_seq_len must be at least 1, got {self.max_seq_len}")

    @property
    def feature_channels(self) -> int:
        """D."""
        return self.encoder.in_channels

    @property
    def embedding_channels(self) -> int:
        """E."""
        return self.encoder.out_channels

    @property
    def state_channels(self) -> int:
        """C."""
        return self.embedding_channels * (1 + self.decoder.bidirectional)


class SAROutput(NamedTuple):
    """Features (B, D, H, W), summaries (B, E), probabilities (B, max_seq_len, K)."""

    features: Tensor
    summary: Tensor
    probabilities: Tensor


class SAREncoder(nn.Module):
    """(B, D, H, W) -> what the recurrent network knows after each column, (B, W, E)."""

    def __init__(self, config: SAREncoderConfig) -> None:
        super().__init__()
        self.config = config
        recurrent = nn.GRU if config.gru else nn.LSTM
        self.rnn_encoder = recurrent(
            config.in_channels,
            config.hidden,
            num_layers=2,
            batch_first=True,
            dropout=config.dropout,
            bidirectional=config.bidirectional,
        )
        self.linear = nn.Linear(config.out_channels, config.out_channels)

    def forward(self, features_BDHW: Tensor) -> Tensor:
        columns_BDW = features_BDHW.amax(2)
        return self.rnn_encoder(columns_BDW.transpose(1, 2))[0]

    def summary(self, read_BWE: Tensor, valid_ratios_B: Tensor) -> Tensor:
        """(B, E), of each line up to its last column that is not padding."""
        lines, width, _ = read_BWE.shape
        if not self.config.masked:
            return self.linear(read_BWE[:, -1])
        last_B = (valid_steps(width, valid_ratios_B) - 1).clamp(min=0)
        return self.linear(read_BWE[torch.arange(lines, device=last_B.device), last_B])


class SARDecoder(nn.Module, abc.ABC):
    """What both decoders share: attention, prediction, and the loop over characters.

    Subclasses hold the layers under MMOCR's names: ``conv1x1_1`` makes queries of states,
    ``conv3x3_1`` keys of features, ``conv1x1_2`` energies of both together.
    """

    conv1x1_1: nn.Linear | nn.Conv2d
    conv1x1_2: nn.Linear | nn.Conv2d

    def __init__(self, config: SARConfig) -> None:
        super().__init__()
        self.config = config
        decoder, embedding = config.decoder, config.embedding_channels
        self.conv3x3_1 = nn.Conv2d(config.feature_channels, decoder.attention, 3, 1, 1)
        self.embedding = nn.Embedding(
            config.num_classes, embedding, padding_idx=config.padding_index
        )
        self.pred_dropout = nn.Dropout(decoder.prediction_dropout)
        known = config.feature_channels
        if decoder.joined:
            known += config.state_channels + embedding
        self.prediction = nn.Linear(known, config.num_classes - 1)

    @abc.abstractmethod
    def start(self, summary_BE: Tensor) -> State:
        """The recurrent state after the summary, lines first."""

    @abc.abstractmethod
    def advance(self, step: int, inputs_NE: Tensor, state: State) -> tuple[Tensor, State]:
        """One step on: what the recurrent network says, (N, C), and its new state."""

    @abc.abstractmethod
    def read(self, inputs_BSE: Tensor) -> Tensor:
        """What the recurrent network says at each of its inputs, (B, S, C)."""

    def keys(self, features_BDHW: Tensor) -> Tensor:
        """(B, H, W, A)."""
        return self.conv3x3_1(features_BDHW).permute(0, 2, 3, 1)

    def logits(
        self,
        states_BSC: Tensor,
        keys_BHWA: Tensor,
        features_BHWD: Tensor,
        summary_BE: Tensor,
        text_BW: Tensor,
    ) -> Tensor:
        """(B, S, K).

        Args:
            states_BSC: what the recurrent network says.
            keys_BHWA: from ``keys``.
            features_BHWD: where glimpses are taken from.
            summary_BE: from the encoder.
            text_BW: bool, the columns to look at.
        """
        queries_BSA = _pointwise(self.conv1x1_1, states_BSC)
        keys_BPA, features_BPD = keys_BHWA.flatten(1, 2), features_BHWD.flatten(1, 2)
        mixed_BSPA = (keys_BPA[:, None] + queries_BSA[:, :, None]).tanh_()
        energies_BSP = _pointwise(self.conv1x1_2, mixed_BSPA).squeeze(-1)
        height = keys_BHWA.shape[1]
        text_BP = text_BW[:, None].expand(-1, height, -1).flatten(1)
        energies_BSP = energies_BSP.masked_fill(~text_BP[:, None], -torch.inf)
        glimpses_BSD = energies_BSP.softmax(-1) @ features_BPD
        if not self.config.decoder.joined:
            return self.prediction(glimpses_BSD)
        summaries_BSE = summary_BE[:, None].expand(-1, states_BSC.shape[1], -1)
        return self.prediction(torch.cat([states_BSC, glimpses_BSD, summaries_BSE], -1))

    def text_columns(self, width: int, valid_ratios_B: Tensor) -> Tensor:
        """The columns to look at, bool (B, W)."""
        if not self.config.decoder.masked:
            valid_ratios_B = torch.ones_like(valid_ratios_B)
        return valid_mask(width, valid_ratios_B)

    def teacher_forced(
        self, features_BDHW: Tensor, summary_BE: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K) after each class of the padded targets."""
        inputs_BSE = torch.cat([summary_BE[:, None], self.embedding(targets_BT)], 1)
        logits_BTK = self.logits(
            self.read(inputs_BSE)[:, 1:],
            self.keys(features_BDHW),
            features_BDHW.permute(0, 2, 3, 1),
            summary_BE,
            self.text_columns(features_BDHW.shape[-1], valid_ratios_B),
        )
        return self.pred_dropout(logits_BTK)

    def forward(
        self, keys_BHWA: Tensor, features_BHWD: Tensor, summary_BE: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Probabilities (B, max_seq_len, K) of what it writes by itself; 0 behind ends."""
        config = self.config
        text_BW = self.text_columns(keys_BHWA.shape[2], valid_ratios_B)
        seen = (keys_BHWA, features_BHWD, summary_BE, text_BW)
        state = (*seen, *self.start(summary_BE))
        ends = (config.start_index, config.end_index, config.max_seq_len)
        if config.decoder.beam_width == 1:
            return write_greedily(self._step, state, *ends)
        return write_by_beam_search(
            self._step_of_beams, seen, state[len(seen) :], *ends, config.decoder.beam_width
        )

    def _step(self, step: int, classes_N: Tensor, state: State) -> tuple[Tensor, State]:
        seen, memory = state[:4], state[4:]
        states_NC, memory = self.advance(step, self.embedding(classes_N), memory)
        return self.logits(states_NC[:, None], *seen)[:, 0], (*seen, *memory)

    def _step_of_beams(
        self, step: int, classes_NQ: Tensor, seen: State, memory: State
    ) -> tuple[Tensor, State]:
        """Q beginnings of each line, which look at the same image; memory is (N * Q, ...)."""
        states_MC, memory = self.advance(step, self.embedding(classes_NQ.flatten()), memory)
        return self.logits(states_MC.unflatten(0, classes_NQ.shape), *seen), memory


class ParallelSARDecoder(SARDecoder):
    """A recurrent network of two layers, which reads whole targets at once when it learns."""

    def __init__(self, config: SARConfig) -> None:
        super().__init__(config)
        decoder, embedding = config.decoder, config.embedding_channels
        self.conv1x1_1 = nn.Linear(config.state_channels, decoder.attention)
        self.conv1x1_2 = nn.Linear(decoder.attention, 1)
        recurrent = nn.GRU if decoder.gru else nn.LSTM
        self.rnn_decoder = recurrent(
            embedding,
            embedding,
            num_layers=2,
            batch_first=True,
            dropout=decoder.dropout,
            bidirectional=decoder.bidirectional,
        )

    def read(self, inputs_BSE: Tensor) -> Tensor:
        return self.rnn_decoder(inputs_BSE)[0]

    def start(self, summary_BE: Tensor) -> State:
        if self.config.decoder.bidirectional:
            # What is written later reaches back to every step, so all inputs are the state.
            tokens_BS = summary_BE.new_full(
                (len(summary_BE), self.config.max_seq_len),
                self.config.start_index,
                dtype=torch.long,
            )
            return (torch.cat([summary_BE[:, None], self.embedding(tokens_BS)], 1),)
        return self._run(summary_BE, ())[1]

    def advance(self, step: int, inputs_NE: Tensor, state: State) -> tuple[Tensor, State]:
        if self.config.decoder.bidirectional:
            inputs_NSE = state[0].clone()
            inputs_NSE[:, step + 1] = inputs_NE
            return self.read(inputs_NSE)[:, step + 1], (inputs_NSE,)
        return self._run(inputs_NE, state)

    def _run(self, inputs_NE: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of the recurrent network, whose own state has the layers first."""
        layers_first = tuple(part.transpose(0, 1).contiguous() for part in state)
        if self.config.decoder.gru:
            output_N1C, hidden = self.rnn_decoder(inputs_NE[:, None], *layers_first)
            layers_first = (hidden,)
        else:
            output_N1C, layers_first = self.rnn_decoder(inputs_NE[:, None], layers_first or None)
        return output_N1C[:, 0], tuple(part.transpose(0, 1) for part in layers_first)


class SequentialSARDecoder(SARDecoder):
    """Two recurrent cells, one on top of the other."""

    def __init__(self, config: SARConfig) -> None:
        super().__init__(config)
        decoder, embedding = config.decoder, config.embedding_channels
        self.conv1x1_1 = nn.Conv2d(config.state_channels, decoder.attention, 1)
        self.conv1x1_2 = nn.Conv2d(decoder.attention, 1, 1)
        cell = nn.GRUCell if decoder.gru else nn.LSTMCell
        self.rnn_decoder_layer1 = cell(embedding, embedding)
        self.rnn_decoder_layer2 = cell(embedding, embedding)

    def read(self, inputs_BSE: Tensor) -> Tensor:
        summary_BE, *others = inputs_BSE.unbind(1)
        state = self.start(summary_BE)
        said = [torch.zeros_like(summary_BE)]  # nobody asks what it says after the summary
        for step, inputs_BE in enumerate(others):
            said_BC, state = self.advance(step, inputs_BE, state)
            said.append(said_BC)
        return torch.stack(said, 1)

    def start(self, summary_BE: Tensor) -> State:
        if self.config.decoder.gru:
            lower_BC = self.rnn_decoder_layer1(summary_BE)
            return (lower_BC, self.rnn_decoder_layer2(lower_BC))
        lower_BC, lower_memory_BC = self.rnn_decoder_layer1(summary_BE)
        return (lower_BC, lower_memory_BC, *self.rnn_decoder_layer2(lower_BC))

    def advance(self, step: int, inputs_NE: Tensor, state: State) -> tuple[Tensor, State]:
        if self.config.decoder.gru:
            lower_NC = self.rnn_decoder_layer1(inputs_NE, state[0])
            upper_NC = self.rnn_decoder_layer2(lower_NC, state[1])
            return upper_NC, (lower_NC, upper_NC)
        lower_NC, _ = self.rnn_decoder_layer1(inputs_NE, state[:2])
        upper_NC, _ = self.rnn_decoder_layer2(lower_NC, state[2:])
        # MMOCR hands the outputs on in place of the cells' memory, and its weights expect that.
        return upper_NC, (lower_NC, lower_NC, upper_NC, upper_NC)


class SAR(nn.Module):
    """The whole network."""

    def __init__(self, config: SARConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet31(config.backbone)
        self.encoder = SAREncoder(config.encoder)
        self.decoder: SARDecoder = (
            SequentialSARDecoder(config)
            if config.decoder.sequential
            else ParallelSARDecoder(config)
        )

    def forward(self, images_BCHW: Tensor, valid_ratios_B: Tensor) -> SAROutput:
        features_BDHW = self.backbone(images_BCHW)[-1]
        summary_BE = self.encoder.summary(self.encoder(features_BDHW), valid_ratios_B)
        probabilities_BTK = self.decoder(
            self.decoder.keys(features_BDHW),
            features_BDHW.permute(0, 2, 3, 1),
            summary_BE,
            valid_ratios_B,
        )
        return SAROutput(features_BDHW, summary_BE, probabilities_BTK)

    def encode(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What does not depend on what was read before.

        Returns:
            keys (B, H, W, A), features (B, H, W, D), and what the encoder knows after each column
            (B, W, E).
        """
        features_BDHW = self.backbone(images_BCHW)[-1]
        return (
            self.decoder.keys(features_BDHW),
            features_BDHW.permute(0, 2, 3, 1),
            self.encoder(features_BDHW),
        )

    def decode(self, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
        """Probabilities (B, max_seq_len, K) from what ``encode`` gave, 0 behind ends.

        In float32 also under autocast: what rounds away at one step would change all later ones,
        and in another way for each size of batch.
        """
        keys_BHWA, features_BHWD, read_BWE = (part.float().contiguous() for part in encoded)
        with torch.autocast(read_BWE.device.type, enabled=False):
            summary_BE = self.encoder.summary(read_BWE, valid_ratios_B)
            return self.decoder(keys_BHWA, features_BHWD, summary_BE, valid_ratios_B)

    def teacher_forced(
        self, images_BCHW: Tensor, targets_BT: Tensor, valid_ratios_B: Tensor
    ) -> Tensor:
        """Logits (B, T, K) after each class of the padded targets."""
        features_BDHW = self.backbone(images_BCHW)[-1]
        summary_BE = self.encoder.summary(self.encoder(features_BDHW), valid_ratios_B)
        return self.decoder.teacher_forced(features_BDHW, summary_BE, targets_BT, valid_ratios_B)


def _pointwise(layer: nn.Linear | nn.Conv2d, x: Tensor) -> Tensor:
    """A linear layer, or a 1 x 1 convolution, over the last axis."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)
