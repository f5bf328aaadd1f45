"""Which steps of a line are text and which are padding.

Shapes: B lines, T steps (columns, or tokens of a flattened map).
"""

from __future__ import annotations

import torch
from torch import Tensor

# A valid ratio is a quotient of whole pixels in float32. Its product with a number of steps lies on
# a whole number or at least this far from it, so that rounding errors never add a step.
_TOLERANCE = 1e-3


def valid_steps(steps: int, valid_ratios_B: Tensor) -> Tensor:
    """ceil(steps * ratio), at most ``steps``: int64 (B,)."""
    return torch.ceil(valid_ratios_B * steps - _TOLERANCE).long().clamp(max=steps)


def valid_mask(steps: int, valid_ratios_B: Tensor) -> Tensor:
    """Which of T steps belong to text: bool (B, T)."""
    positions_T = torch.arange(steps, device=valid_ratios_B.device)
    return positions_T < valid_steps(steps, valid_ratios_B)[:, None]
