"""A moving average of the weights, which small networks are evaluated and shipped with."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """Exponential moving average of a network's parameters and floating-point buffers.

    After update n the old average keeps the share min(1 - momentum, (1 + n) / (10 + n)), so that
    the random start is forgotten within the first updates.

    Args:
        network: the network to follow.
        momentum: share of the current weights per update, 0..1.
    """

    def __init__(self, network: nn.Module, momentum: float) -> None:
        self.momentum = momentum
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the current weights."""
        self.updates += 1
        keep = min(1 - self.momentum, (1 + self.updates) / (10 + self.updates))
        current = network.state_dict()
        floating_averages, floating_values = [], []
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                floating_averages.append(average)
                floating_values.append(current[name])
            else:
                average.copy_(current[name])
        torch._foreach_lerp_(floating_averages, floating_values, 1 - keep)
