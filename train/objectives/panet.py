"""Training objective of PANet: text and kernel maps, and embeddings that tell texts apart.

Paper: Efficient and Accurate Arbitrary-Shaped Text Detection with Pixel Aggregation Network,
arXiv:1908.05900, section 3.6. Numbers equal MMOCR 0.6.1's, which differ from the paper: the
discrimination loss sums over unordered pairs of texts but divides by the number of ordered ones.

Shapes: B images, D size of an embedding, H x W pixels of the network's input, h x w of its output,
N = h w, T texts of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .settings import loss_config
from .text_kernels import (
    KernelMaps,
    at_output_size,
    check_reduction,
    dice,
    hard_pixels,
    reduced,
)


@dataclass(frozen=True)
class PANLossConfig:
    """Weights of the four parts of the loss.

    Args:
        alpha: weight of the kernel map's part.
        beta: weight of both parts on embeddings.
        delta_aggregation: a pixel's embedding may be this far from its kernel's mean.
        delta_discrimination: means of two kernels should be this far apart.
        ohem_ratio: background pixels that count in the text map, per text pixel.
        reduction: ``"mean"`` or ``"sum"`` over the images of a batch.
        speedup_bbox_thr: embeddings are compared for at most this many texts of an image, drawn at
            random; -1 for all.
    """

    alpha: float = 0.5
    beta: float = 0.25
    delta_aggregation: float = 0.5
    delta_discrimination: float = 3
    ohem_ratio: float = 3
    reduction: str = "mean"
    speedup_bbox_thr: int = -1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        for name in ("alpha", "beta", "delta_aggregation", "delta_discrimination", "ohem_ratio"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")


class PANLoss(nn.Module):
    """Losses of PANet's maps; always in float32, also under autocast."""

    def __init__(self, config: PANLossConfig = PANLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, text: Tensor, kernel: Tensor, embedding: Tensor, targets: KernelMaps
    ) -> dict[str, Tensor]:
        """Compare predicted maps with targets.

        Args:
            text: (B, 1, h, w) logits.
            kernel: (B, 1, h, w) logits.
            embedding: (B, D, h, w).
            targets: (B, 2, H, W) and (B, H, W), on the same device.

        Returns:
            ``loss_text``, ``loss_kernel``, ``loss_aggregation`` and ``loss_discrimination``,
            scalars, to be summed.

        Raises:
            ValueError: the targets' size or number of kernels does not fit.
        """
        if targets.kernels.shape[1] != 2:
            raise ValueError(
                f"PANet learns text and one kernel, but the targets have {targets.kernels.shape[1]}"
                " maps; give PANetTargets two values in shrink_ratio"
            )
        shape = (text.shape[-2], text.shape[-1])
        kernels = at_output_size(targets.kernels, shape, "kernels").long()
        valid = at_output_size(targets.mask, shape, "mask") > 0
        with torch.autocast(text.device.type, enabled=False):
            return self._losses(
                text[:, 0].float(), kernel[:, 0].float(), embedding.float(), kernels, valid
            )

    def _losses(
        self, text: Tensor, kernel: Tensor, embedding: Tensor, kernels: Tensor, valid: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        is_text, is_kernel = (kernels > 0).unbind(1)
        counted = hard_pixels(text, is_text, valid, config.ohem_ratio)
        aggregation, discrimination = self._embedding_losses(embedding, *kernels.unbind(1))
        weighted = {
            "loss_text": (1.0, dice(text, is_text, counted)),
            "loss_kernel": (config.alpha, dice(kernel, is_kernel, is_text & valid)),
            "loss_aggregation": (config.beta, aggregation),
            "loss_discrimination": (config.beta, discrimination),
        }
        return {
            name: weight * reduced(loss, config.reduction)
            for name, (weight, loss) in weighted.items()
        }

    def _embedding_losses(
        self, embedding: Tensor, texts: Tensor, kernels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both losses of each image, (B,); 0 for an image without text.

        Args:
            embedding: (B, D, h, w).
            texts: (B, h, w) numbers of the texts.
            kernels: (B, h, w) numbers of the kernels.
        """
        batch = len(texts)
        most = int(torch.maximum(texts.max(), kernels.max())) + 1  # numbers of one image, and 0
        first = torch.arange(batch, device=texts.device)[:, None] * most
        text_of, kernel_of = ((maps.flatten(1) + first).flatten() for maps in (texts, kernels))
        vectors = embedding.flatten(2).transpose(1, 2).flatten(0, 1)  # (B N, D)
        text_size = torch.bincount(text_of, minlength=batch * most)
        kernel_size = torch.bincount(kernel_of, minlength=batch * most)
        learnt = ((text_size > 0) & (kernel_size > 0)).reshape(batch, most)
        learnt[:, 0] = False
        learnt = self._drawn(learnt, texts)
        means = vectors.new_zeros(batch * most, vectors.shape[1])
        means = means.index_add(0, kernel_of, vectors) / kernel_size.clamp(min=1)[:, None]
        aggregation = self._aggregation(vectors, means, text_of, text_size, learnt)
        return aggregation, self._discrimination(means.reshape(batch, most, -1), learnt)

    def _drawn(self, learnt: Tensor, texts: Tensor) -> Tensor:
        """At most ``speedup_bbox_thr`` of the texts of each image."""
        limit = self.config.speedup_bbox_thr
        if limit <= 0:
            return learnt
        chosen = torch.zeros_like(learnt)
        for own, last in zip(chosen, texts.flatten(1).amax(1).tolist(), strict=True):
            own[torch.randperm(last, device=own.device)[:limit] + 1] = True
        return learnt & chosen

    def _aggregation(
        self, vectors: Tensor, means: Tensor, text_of: Tensor, text_size: Tensor, learnt: Tensor
    ) -> Tensor:
        """Equation 2: how far pixels are from their own kernel's mean."""
        inside = learnt.flatten()[text_of].nonzero()[:, 0]
        own = text_of[inside]
        distance = torch.linalg.vector_norm(vectors[inside] - means[own], dim=1)
        excess = F.relu(distance - self.config.delta_aggregation).square().log1p()
        per_text = excess.new_zeros(len(text_size)).index_add(0, own, excess)
        per_text = (per_text / text_size.clamp(min=1)).reshape(learnt.shape)
        return per_text.sum(1) / learnt.sum(1).clamp(min=1)

    def _discrimination(self, means: Tensor, learnt: Tensor) -> Tensor:
        """Equation 3: how near the means of two kernels are to each other."""
        losses = []
        for own, chosen in zip(means, learnt, strict=True):
            vectors = own[chosen]
            count = len(vectors)
            # Not torch.pdist: its backward pass crashes the process for no vectors at all.
            left, right = torch.triu_indices(count, count, offset=1, device=own.device)
            distance = torch.linalg.vector_norm(vectors[left] - vectors[right], dim=1)
            shortfall = F.relu(self.config.delta_discrimination - distance)
            losses.append(shortfall.square().log1p().sum() / max(count * (count - 1), 1))
        return torch.stack(losses)


class PANObjective:
    """How PANet is trained.

    Args:
        loss: MMOCR's ``bbox_head.loss``.
    """

    target_step = "PANetTargets"

    def __init__(self, loss: PANLossConfig) -> None:
        self.loss = PANLoss(loss)

    @classmethod
    def from_model(cls, _: DetectorSpec, model: Mapping[str, Any]) -> PANObjective:
        """From the ``model`` dictionary of a config."""
        section = (model.get("bbox_head") or {}).get("loss") or {}
        return cls(loss_config(PANLossConfig, "PANLoss", section))

    def collate(self, targets: Sequence[KernelMaps]) -> KernelMaps:
        """Arrays of one image each to tensors of the batch."""
        batch: KernelMaps = default_collate(list(targets))
        return batch

    def losses(self, network: nn.Module, images: Tensor, targets: KernelMaps) -> dict[str, Tensor]:
        """See ``PANLoss``."""
        result: dict[str, Tensor] = self.loss(*network(images), targets)
        return result
