"""Training objective of PSENet: text and kernels of growing size.

Paper: Shape Robust Text Detection with Progressive Scale Expansion Network, arXiv:1903.12473,
sections 3.4 and 3.5. Numbers equal MMOCR 0.6.1's, whose kernels shrink by fixed ratios.

Shapes: B images, K kernels, H x W pixels of the network's input, h x w of its output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .settings import loss_config
from .text_kernels import KernelMaps, at_output_size, check_reduction, dice, hard_pixels, reduced


@dataclass(frozen=True)
class PSELossConfig:
    """Weights of the two parts of the loss.

    Args:
        alpha: weight of the text map; the kernels have 1 - alpha.
        ohem_ratio: background pixels that count in the text map, per text pixel.
        reduction: ``"mean"`` or ``"sum"`` over the images of a batch.
        kernel_sample_type: where kernels count: ``"adaptive"``, in what the network takes for
            text, or ``"hard"``, in what is text.
    """

    alpha: float = 0.7
    ohem_ratio: float = 3
    reduction: str = "mean"
    kernel_sample_type: str = "adaptive"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}; it must be in 0..1")
        if self.ohem_ratio < 0:
            raise ConfigError(f"ohem_ratio is {self.ohem_ratio}; it must not be negative")
        if self.kernel_sample_type not in ("adaptive", "hard"):
            raise ConfigError(
                f"kernel_sample_type is {self.kernel_sample_type!r}; "
                "allowed are 'adaptive' and 'hard'"
            )


class PSELoss(nn.Module):
    """Losses of PSENet's maps; always in float32, also under autocast."""

    def __init__(self, config: PSELossConfig = PSELossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(self, text: Tensor, kernels: Tensor, targets: KernelMaps) -> dict[str, Tensor]:
        """Compare predicted maps with targets.

        Args:
            text: (B, 1, h, w) logits.
            kernels: (B, K - 1, h, w) logits.
            targets: (B, K, H, W) and (B, H, W), on the same device.

        Returns:
            ``loss_text`` and ``loss_kernel``, scalars, to be summed.

        Raises:
            ValueError: the targets' size or number of kernels does not fit.
        """
        if targets.kernels.shape[1] != 1 + kernels.shape[1]:
            raise ValueError(
                f"the network has {1 + kernels.shape[1]} maps, but the targets have "
                f"{targets.kernels.shape[1]}; give PSENetTargets as many values in shrink_ratio "
                "as the head has out_channels"
            )
        shape = (text.shape[-2], text.shape[-1])
        truth = at_output_size(targets.kernels, shape, "kernels") > 0
        valid = at_output_size(targets.mask, shape, "mask") > 0
        with torch.autocast(text.device.type, enabled=False):
            return self._losses(text[:, 0].float(), kernels.float(), truth, valid)

    def _losses(
        self, text: Tensor, kernels: Tensor, truth: Tensor, valid: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        is_text = truth[:, 0]
        counted = hard_pixels(text, is_text, valid, config.ohem_ratio)
        inside = is_text if config.kernel_sample_type == "hard" else text.detach() > 0
        of_kernels = dice(kernels, truth[:, 1:], (inside & valid)[:, None]).mean(1)
        return {
            "loss_text": config.alpha * reduced(dice(text, is_text, counted), config.reduction),
            "loss_kernel": (1 - config.alpha) * reduced(of_kernels, config.reduction),
        }


class PSEObjective:
    """How PSENet is trained.

    Args:
        loss: MMOCR's ``bbox_head.loss``.
    """

    target_step = "PSENetTargets"

    def __init__(self, loss: PSELossConfig) -> None:
        self.loss = PSELoss(loss)

    @classmethod
    def from_model(cls, _: DetectorSpec, model: Mapping[str, Any]) -> PSEObjective:
        """From the ``model`` dictionary of a config."""
        section = (model.get("bbox_head") or {}).get("loss") or {}
        return cls(loss_config(PSELossConfig, "PSELoss", section))

    def collate(self, targets: Sequence[KernelMaps]) -> KernelMaps:
        """Arrays of one image each to tensors of the batch."""
        batch: KernelMaps = default_collate(list(targets))
        return batch

    def losses(self, network: nn.Module, images: Tensor, targets: KernelMaps) -> dict[str, Tensor]:
        """See ``PSELoss``."""
        result: dict[str, Tensor] = self.loss(*network(images), targets)
        return result
