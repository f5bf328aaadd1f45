"""Training objective of entity recognition: a label for every token.

Focal loss: "Focal Loss for Dense Object Detection", arXiv:1708.02002, equation 4. Names and numbers
are those of MMOCR 0.6.1: class 0 (X) does not count, and neither do tokens that fill up a text.

Shapes: B texts, T tokens, K labels, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.errors import ConfigError

from .settings import loss_config


@dataclass(frozen=True)
class MaskedCrossEntropyLossConfig:
    """Settings of ``MaskedCrossEntropyLoss``.

    Args:
        ignore_index: label that does not count.
    """

    ignore_index: int = 0


@dataclass(frozen=True)
class FocalLossConfig:
    """Settings of ``FocalLoss``.

    Args:
        gamma: how much less a sample counts the surer the network is of it.
        weight: of each class; all 1 if not given.
        ignore_index: class that does not count.
    """

    gamma: float = 2.0
    weight: tuple[float, ...] | None = None
    ignore_index: int = -100


@dataclass(frozen=True)
class MaskedFocalLossConfig:
    """Settings of ``MaskedFocalLoss``.

    Args:
        ignore_index: label that does not count.
    """

    ignore_index: int = 0


class FocalLoss(nn.Module):
    """Mean of -(1 - p)^gamma log p; always in float32, also under autocast."""

    def __init__(self, config: FocalLossConfig = FocalLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits_NK: Tensor, targets_N: Tensor) -> Tensor:
        """A scalar; weights count in the mean as in cross-entropy."""
        with torch.autocast(logits_NK.device.type, enabled=False):
            log_p_NK = F.log_softmax(logits_NK.float(), dim=1)
            focused_NK = (1 - log_p_NK.exp()) ** self.config.gamma * log_p_NK
            weight = self.config.weight
            return F.nll_loss(
                focused_NK,
                targets_N,
                None if weight is None else focused_NK.new_tensor(weight),
                ignore_index=self.config.ignore_index,
            )


class MaskedCrossEntropyLoss(nn.Module):
    """Cross-entropy of the tokens that are there; always in float32, also under autocast."""

    def __init__(
        self, config: MaskedCrossEntropyLossConfig = MaskedCrossEntropyLossConfig()
    ) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, logits_BTK: Tensor, labels_BT: Tensor, mask_BT: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compare logits with labels.

        Args:
            logits_BTK: before any softmax.
            labels_BT: int64 classes.
            mask_BT: 1 for tokens that count; all do when not given.

        Returns:
            ``loss_cls``, a scalar: the mean over the tokens that count.
        """
        logits_NK, labels_N = _counted(logits_BTK, labels_BT, mask_BT)
        with torch.autocast(logits_BTK.device.type, enabled=False):
            loss = F.cross_entropy(
                logits_NK.float(), labels_N, ignore_index=self.config.ignore_index
            )
        return {"loss_cls": loss}


class MaskedFocalLoss(nn.Module):
    """Focal loss of the tokens that are there."""

    def __init__(self, config: MaskedFocalLossConfig = MaskedFocalLossConfig()) -> None:
        super().__init__()
        self.criterion = FocalLoss(FocalLossConfig(ignore_index=config.ignore_index))

    def forward(
        self, logits_BTK: Tensor, labels_BT: Tensor, mask_BT: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As ``MaskedCrossEntropyLoss``."""
        return {"loss_cls": self.criterion(*_counted(logits_BTK, labels_BT, mask_BT))}


def ner_loss(section: Mapping[str, Any]) -> MaskedCrossEntropyLoss | MaskedFocalLoss:
    """The loss of a config's ``model.loss``.

    Raises:
        ConfigError: another type, or a key that it does not have.
    """
    settings = {key: value for key, value in section.items() if key != "num_labels"}
    name = settings.get("type", "MaskedCrossEntropyLoss")
    if name == "MaskedCrossEntropyLoss":
        return MaskedCrossEntropyLoss(loss_config(MaskedCrossEntropyLossConfig, name, settings))
    if name == "MaskedFocalLoss":
        return MaskedFocalLoss(loss_config(MaskedFocalLossConfig, name, settings))
    raise ConfigError(
        f"the loss of this model is {name!r}; known: MaskedCrossEntropyLoss, MaskedFocalLoss"
    )


def _counted(
    logits_BTK: Tensor, labels_BT: Tensor, mask_BT: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(N, K) and (N,)."""
    if mask_BT is None:
        return logits_BTK.flatten(0, 1), labels_BT.flatten()
    return logits_BTK[mask_BT == 1], labels_BT[mask_BT == 1]
