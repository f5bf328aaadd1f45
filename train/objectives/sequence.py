"""Training objective of recognisers that write character by character: cross entropy.

The decoder reads the padded target and says after each of its classes which one follows; padding
does not count. Numbers equal those of MMOCR 0.6.1's ``CELoss``, ``SARLoss`` and ``TFLoss``.

Shapes: B lines of text, S classes per padded target, K classes of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.codecs.attention import AttentionCodec, AttentionCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from .lines import RecognitionBatch, check_text
from .settings import loss_config

Reduction = Literal["none", "mean", "sum"]


@dataclass(frozen=True)
class CELossConfig:
    """Cross entropy at every step, with MMOCR's names.

    Args:
        reduction: ``mean`` over the steps that count, ``sum``, or ``none``: one loss per step, 0
            where it does not count.
        ignore_first_char: outputs at step i are for class i + 1 of the target.
    """

    reduction: Reduction = "none"
    ignore_first_char: bool = False

    def __post_init__(self) -> None:
        _check_reduction(self.reduction)


@dataclass(frozen=True)
class SARLossConfig:
    """Cross entropy of outputs at step i with class i + 1 of the target."""

    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        _check_reduction(self.reduction)


@dataclass(frozen=True)
class TFLossConfig:
    """As ``SARLossConfig``; ``flatten`` gives the unreduced steps of all lines in a row."""

    reduction: Reduction = "none"
    flatten: bool = True

    def __post_init__(self) -> None:
        _check_reduction(self.reduction)


SequenceLossConfig = CELossConfig | SARLossConfig | TFLossConfig
LOSSES: Mapping[str, type[Any]] = {
    "CELoss": CELossConfig,
    "SARLoss": SARLossConfig,
    "TFLoss": TFLossConfig,
}
"""By MMOCR's names."""


def sequence_loss(
    config: SequenceLossConfig, outputs_BSK: Tensor, targets_BS: Tensor, ignore_index: int
) -> dict[str, Tensor]:
    """Compare outputs with padded targets; always in float32, also under autocast.

    Args:
        config: which of the losses.
        outputs_BSK: logits.
        targets_BS: classes, int64.
        ignore_index: class that does not count, the padding.

    Returns:
        ``loss_ce``: a scalar; without a reduction (B, S), (B, S - 1), or flat.
    """
    shifted = not isinstance(config, CELossConfig) or config.ignore_first_char
    if shifted:
        outputs_BSK, targets_BS = outputs_BSK[:, :-1], targets_BS[:, 1:]
    with torch.autocast(outputs_BSK.device.type, enabled=False):
        loss = F.cross_entropy(
            outputs_BSK.float().transpose(1, 2),
            targets_BS.to(outputs_BSK.device),
            ignore_index=ignore_index,
            reduction=config.reduction,
        )
    if isinstance(config, TFLossConfig) and config.flatten:
        loss = loss.flatten() if loss.dim() else loss
    return {"loss_ce": loss}


class SequenceObjective:
    """Targets and loss of one recogniser.

    Its network has ``teacher_forced``: images (B, C, H, W), padded targets (B, S) and valid ratios
    (B,) to the logits (B, S, K) of a decoder that is told the classes before each step.

    Args:
        codec: its codec.
        loss: settings of its loss.
    """

    target_step = None

    def __init__(self, codec: AttentionCodecConfig, loss: SequenceLossConfig) -> None:
        self.codec = AttentionCodec(codec)
        self.loss = loss

    @classmethod
    def from_model(cls, spec: RecognizerSpec, model: Mapping[str, Any]) -> SequenceObjective:
        """From the config's ``model`` dictionary."""
        assert isinstance(spec.codec, AttentionCodecConfig)  # checked by the spec
        section = model.get("loss") or {}
        name = str(section.get("type", "TFLoss"))
        if name not in LOSSES:
            raise ConfigError(f"model.loss.type is {name!r}; known: {', '.join(LOSSES)}")
        return cls(spec.codec, loss_config(LOSSES[name], name, section))

    def check(self, sample: Sample) -> None:
        """Without an unknown class every character must have its own."""
        check_text(self.codec, sample)

    def collate(self, targets: Sequence[Any]) -> None:
        """Texts suffice."""

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """``loss_ce``, the mean."""
        device = batch.images.device
        targets_BS = torch.from_numpy(self.codec.encode(batch.texts).padded).to(device)
        ratios_B = torch.tensor(batch.valid_ratios, device=device)
        teacher_forced: Callable[..., Tensor] = network.teacher_forced  # type: ignore[assignment]
        outputs_BSK = teacher_forced(batch.images, targets_BS, ratios_B)
        losses = sequence_loss(self.loss, outputs_BSK, targets_BS, self.codec.padding_index)
        return {name: loss.mean() for name, loss in losses.items()}


def _check_reduction(reduction: str) -> None:
    if reduction not in get_args(Reduction):
        raise ConfigError(f"reduction is {reduction!r}; allowed: {', '.join(get_args(Reduction))}")
