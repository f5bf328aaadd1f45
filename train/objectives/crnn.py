"""Training objective of CRNN: connectionist temporal classification.

Paper: "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
Neural Networks", Graves et al., ICML 2006.

Shapes: B lines of text, T time steps, K classes (class ``blank`` is the blank).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.codecs.ctc import CTCCodec, CTCCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from .lines import RecognitionBatch, check_text
from .settings import loss_config

Reduction = Literal["mean", "sum", "none"]


@dataclass(frozen=True)
class CTCLossConfig:
    """Settings of the loss, with MMOCR's names.

    Args:
        flatten: True: every line uses all T steps. False: a line uses only the steps that its
            ``valid_ratio`` says are not padding.
        blank: class of the blank.
        reduction: ``mean`` divides every line's loss by its text length, then averages over the
            batch; ``sum`` adds the lines; ``none`` gives one loss per line.
        zero_infinity: count a line whose text cannot fit into its steps as 0 instead of infinity.
    """

    flatten: bool = True
    blank: int = 0
    reduction: Reduction = "mean"
    zero_infinity: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in get_args(Reduction):
            raise ConfigError(
                f"reduction is {self.reduction!r}; allowed: {', '.join(get_args(Reduction))}"
            )
        if self.blank < 0:
            raise ConfigError(f"blank is {self.blank}; it must be a class index")


class CTCLoss(nn.Module):
    """CTC loss on raw logits; always in float32, also under autocast."""

    def __init__(self, config: CTCLossConfig = CTCLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        logits: Tensor,
        targets: Sequence[Sequence[int] | Tensor],
        valid_ratios: Sequence[float] | None = None,
    ) -> dict[str, Tensor]:
        """Compare logits with texts.

        Args:
            logits: (B, T, K), before any softmax.
            targets: B texts as class indices without blanks. A text longer than T is cut; an
                empty one teaches the blank.
            valid_ratios: part of each line's width that is not padding, 0..1; all 1 if not given.

        Returns:
            ``loss_ctc``, a scalar, or (B,) with ``reduction="none"``.

        Raises:
            ValueError: the batch sizes differ, or a class index lies outside the logits.
        """
        batch, steps, classes = logits.shape
        if len(targets) != batch:
            raise ValueError(f"{batch} lines of logits, but {len(targets)} texts")
        texts = [torch.as_tensor(text, dtype=torch.long).flatten()[:steps] for text in targets]
        flat = torch.cat([*texts, torch.empty(0, dtype=torch.long)])
        if flat.numel() and not 0 <= int(flat.min()) <= int(flat.max()) < classes:
            raise ValueError(
                f"class indices {int(flat.min())}..{int(flat.max())} in the texts, but the logits "
                f"have {classes} classes; were codec and network built from the same dictionary?"
            )
        input_lengths = torch.tensor(self._steps_used(steps, batch, valid_ratios))
        target_lengths = torch.tensor([len(text) for text in texts])
        with torch.autocast(logits.device.type, enabled=False):
            log_probabilities = F.log_softmax(logits.float(), dim=2).transpose(0, 1)  # (T, B, K)
            loss = F.ctc_loss(
                log_probabilities,
                flat.to(logits.device),
                input_lengths,
                target_lengths,
                blank=self.config.blank,
                reduction=self.config.reduction,
                zero_infinity=self.config.zero_infinity,
            )
        return {"loss_ctc": loss}

    def _steps_used(
        self, steps: int, batch: int, valid_ratios: Sequence[float] | None
    ) -> list[int]:
        if valid_ratios is None:
            return [steps] * batch
        if len(valid_ratios) != batch:
            raise ValueError(f"{batch} lines of logits, but {len(valid_ratios)} valid ratios")
        if self.config.flatten:
            return [steps] * batch
        return [min(steps, math.ceil(steps * ratio)) for ratio in valid_ratios]


class CRNNObjective:
    """Targets and loss of CRNN.

    Args:
        codec: its codec.
        loss: settings of its loss.
    """

    target_step = None

    def __init__(self, codec: CTCCodecConfig, loss: CTCLossConfig) -> None:
        self.codec = CTCCodec(codec)
        self.loss = CTCLoss(loss)

    @classmethod
    def from_model(cls, spec: RecognizerSpec, model: Mapping[str, Any]) -> CRNNObjective:
        """From the config's ``model`` dictionary."""
        assert isinstance(spec.codec, CTCCodecConfig)  # checked by the spec
        return cls(spec.codec, loss_config(CTCLossConfig, "CTCLoss", model.get("loss") or {}))

    def check(self, sample: Sample) -> None:
        """Without an unknown class every character must have its own."""
        check_text(self.codec, sample)

    def collate(self, targets: Sequence[Any]) -> None:
        """Texts suffice."""

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """``loss_ctc``."""
        encoded = self.codec.encode(batch.texts)
        texts = np.split(encoded.classes, np.cumsum(encoded.lengths)[:-1])
        result: dict[str, Tensor] = self.loss(
            network(batch.images).logits,
            [torch.from_numpy(text) for text in texts],
            batch.valid_ratios,
        )
        return result
