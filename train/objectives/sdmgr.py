"""Training objective of SDMG-R: cross-entropies of words and of pairs of words.

Paper: Spatial Dual-Modality Graph Reasoning for Key Information Extraction, arXiv:2103.14470,
equation 10. Numbers are those of MMOCR 0.6.1's ``SDMGRLoss``.

Shapes: N words of a page; its targets (N, 1 + N): the class of a word, then for each word whether
it belongs to the same group: 1, 0, or ``NO_PAIR`` for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.kie.sdmgr import SDMGROutput

NO_PAIR = -1


@dataclass(frozen=True)
class SDMGRLossConfig:
    """Settings of the loss, with MMOCR's names.

    Args:
        node_weight: factor of the words' part.
        edge_weight: factor of the pairs' part.
        ignore: class of words that teach nothing; -100 for none.
    """

    node_weight: float = 1.0
    edge_weight: float = 1.0
    ignore: int = -100


class SDMGRLoss(nn.Module):
    """The loss; always in float32, also under autocast."""

    def __init__(self, config: SDMGRLossConfig = SDMGRLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: SDMGROutput, targets: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compare logits with the truth.

        Args:
            output: logits of all pages.
            targets: (N, 1 + N) int64 of each page; see ``targets_of``.

        Returns:
            ``loss_node`` and ``loss_edge``, 0 where nothing counts (pages of one word have no
            pairs), and for the log ``acc_node`` and ``acc_edge``, the percentages that are right.
        """
        classes = torch.cat([page[:, 0] for page in targets])
        pairs = torch.cat([page[:, 1:].flatten() for page in targets])
        loss_node, acc_node = _cross_entropy(output.nodes, classes, self.config.ignore)
        loss_edge, acc_edge = _cross_entropy(output.edges, pairs, NO_PAIR)
        return {
            "loss_node": self.config.node_weight * loss_node,
            "loss_edge": self.config.edge_weight * loss_edge,
            "acc_node": acc_node,
            "acc_edge": acc_edge,
        }


def _cross_entropy(logits_PK: Tensor, targets_P: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Mean over the targets that count, and the percentage of them that is right."""
    counted = targets_P != ignore
    count = counted.sum().clamp(min=1)
    with torch.autocast(logits_PK.device.type, enabled=False):
        loss = F.cross_entropy(logits_PK.float(), targets_P, ignore_index=ignore, reduction="sum")
    right = (logits_PK.argmax(dim=1) == targets_P) & counted
    return loss / count, 100 * right.sum() / count


def targets_of(
    labels_N: NDArray[np.integer], groups_N: NDArray[np.integer], *, directed: bool = False
) -> NDArray[np.int64]:
    """(N, 1 + N), see the top of this file.

    Args:
        labels_N: class of every word.
        groups_N: words with equal numbers belong together (``edge`` of the annotation).
        directed: keep only pairs whose first word has an odd class: keys, in MMOCR's open set.
    """
    pairs = (groups_N[:, None] == groups_N).astype(np.int64)
    if directed:
        pairs &= labels_N[:, None]
    np.fill_diagonal(pairs, NO_PAIR)
    return np.concatenate([labels_N[:, None], pairs], axis=1)
