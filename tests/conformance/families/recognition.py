"""What all recognisers share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def valid_ratios(widths_px: Sequence[int], tensor_width_px: int) -> list[float]:
    """Share of each line's tensor that is not padding."""
    return [min(1.0, width / tensor_width_px) for width in widths_px]


def amplify_decoder(module: nn.Module) -> None:
    """Five times the decoder's matrices, which makes texts of random weights less uniform."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("decoder.") and parameter.dim() >= 2:
                parameter.mul_(5)
