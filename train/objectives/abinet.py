"""Training objective of ABINet: cross entropy of vision, language and fusion.

Paper: Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling for Scene Text
Recognition, arXiv:2103.06495, equation 6. Numbers equal those of MMOCR 0.6.1's ``ABILoss``: a
character counts the same in every line, and so does every iteration.

Shapes: B lines of text, T characters, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.codecs.abi import ABICodec, ABICodecConfig
from ocr_models.errors import ConfigError
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from .lines import RecognitionBatch, check_text
from .settings import loss_config


@dataclass(frozen=True)
class ABILossConfig:
    """Weights of the parts, with MMOCR's names.

    Args:
        enc_weight: of the vision model.
        dec_weight: of the language model.
        fusion_weight: of the fusion.
        num_classes: K, only to be checked; None leaves it open.
    """

    enc_weight: float = 1.0
    dec_weight: float = 1.0
    fusion_weight: float = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        for name in ("enc_weight", "dec_weight", "fusion_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")


class ABILoss(nn.Module):
    """Cross entropy over the characters of all lines; always in float32, also under autocast."""

    def __init__(self, config: ABILossConfig = ABILossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        vision: Tensor,
        language: Sequence[Tensor],
        fused: Sequence[Tensor],
        targets: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Compare logits with texts.

        Args:
            vision: (B, T, K) logits.
            language: the same for each iteration; none without a language model.
            fused: likewise.
            targets: classes of each text, (N,) int64 with N <= T, the end token included.

        Returns:
            ``loss_visual``, and where there are iterations ``loss_lang`` and ``loss_fusion``,
            scalars.

        Raises:
            ValueError: the logits have another number of classes than the config.
        """
        classes = self.config.num_classes
        if classes is not None and vision.shape[2] != classes:
            raise ValueError(f"num_classes is {classes}, but there are {vision.shape[2]} logits")
        weighted = {
            "loss_visual": (self.config.enc_weight, [vision]),
            "loss_lang": (self.config.dec_weight, list(language)),
            "loss_fusion": (self.config.fusion_weight, list(fused)),
        }
        return {
            name: weight * _cross_entropy(iterations, targets)
            for name, (weight, iterations) in weighted.items()
            if iterations
        }


def _cross_entropy(iterations: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Mean over the characters of all lines in all iterations."""
    device = iterations[0].device
    classes_N = torch.cat(list(targets)).to(device)
    rows = [logits[line, : len(own)] for logits in iterations for line, own in enumerate(targets)]
    with torch.autocast(device.type, enabled=False):
        return F.cross_entropy(torch.cat(rows).float(), classes_N.repeat(len(iterations)))


class ABINetObjective:
    """Targets and loss of ABINet and ABINet-Vision.

    Args:
        codec: its codec.
        loss: settings of its loss.
    """

    target_step = None

    def __init__(self, codec: ABICodecConfig, loss: ABILossConfig) -> None:
        self.codec = ABICodec(codec)
        self.loss = ABILoss(loss)

    @classmethod
    def from_model(cls, spec: RecognizerSpec, model: Mapping[str, Any]) -> ABINetObjective:
        """From the config's ``model`` dictionary."""
        assert isinstance(spec.codec, ABICodecConfig)  # checked by the spec
        loss = loss_config(ABILossConfig, "ABILoss", model.get("loss") or {})
        classes = spec.network.num_classes - 1
        if loss.num_classes not in (None, classes):
            raise ConfigError(
                f"model.loss.num_classes is {loss.num_classes}, but model.label_convertor gives "
                f"{classes} classes without the padding; leave it out"
            )
        return cls(spec.codec, loss)

    def check(self, sample: Sample) -> None:
        """Without an unknown class every character must have its own."""
        check_text(self.codec, sample)

    def collate(self, targets: Sequence[Any]) -> None:
        """Texts suffice."""

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """``loss_visual``, and with a language model ``loss_lang`` and ``loss_fusion``."""
        output = network(batch.images)
        targets = [torch.from_numpy(own) for own in self.codec.encode(batch.texts).classes]
        result: dict[str, Tensor] = self.loss(
            output.vision.logits, output.language_logits, output.fused_logits, targets
        )
        return result
