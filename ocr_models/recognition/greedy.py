"""Writing character by character: every step takes the likeliest class of the step before.

A step gets the state of the lines that are still being written and nothing else, so a batch costs
as many steps as its longest line has characters, and lines that ended leave it.

Shapes: B lines, N of them still being written, T steps, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""Tensors with the lines first: what a decoder remembers, and what it looks at."""
Step = Callable[[int, Tensor, State], tuple[Tensor, State]]
"""Number of the step, classes (N,) of the step before, state; to logits (N, K) and new state. What
is in the old state may be changed in place."""

COMPACT_BELOW = 0.8
"""Share of a batch that is still being written, below which the others are taken out of it. Taking
them out copies the state of those that stay."""


def write_greedily(
    step: Step, state: State, start_index: int, end_index: int, num_steps: int
) -> Tensor:
    """Probabilities (B, T, K), float32; 0 behind the step in which a line says its end.

    Args:
        step: writes one character of every line.
        state: where it starts; at least one tensor.
        start_index: class that stands before the first character.
        end_index: class that ends a line.
        num_steps: T, where lines end that did not say so.
    """

    def probabilities(i: int, classes_N: Tensor, state: State) -> tuple[Tensor, State]:
        logits_NK, state = step(i, classes_N, state)
        return logits_NK.float().softmax(-1), state

    return write_outputs(probabilities, state, start_index, (end_index,), num_steps)[0]


def write_outputs(
    step: Step, state: State, start_index: int, end_indices: tuple[int, ...], num_steps: int
) -> tuple[Tensor, Tensor]:
    """What ``step`` gives, its likeliest class being the next: (B, T, K), and the classes (B, T).

    Behind the step in which a line says one of ``end_indices`` outputs are 0 and classes -1; the
    other arguments are those of ``write_greedily``.
    """
    device = state[0].device
    lines_N = torch.arange(len(state[0]), device=device)
    classes_N = torch.full_like(lines_N, start_index)
    going_N = torch.ones_like(lines_N, dtype=torch.bool)
    ends = torch.tensor(end_indices, device=device)
    written_BT = torch.full((len(lines_N), num_steps), -1, device=device)
    outputs_BTK: Tensor | None = None
    for i in range(num_steps):
        now_NK, state = step(i, classes_N, state)
        if outputs_BTK is None:
            outputs_BTK = now_NK.new_zeros(len(now_NK), num_steps, now_NK.shape[1])
        classes_N = now_NK.argmax(-1)
        outputs_BTK[lines_N[going_N], i] = now_NK[going_N]
        written_BT[lines_N[going_N], i] = classes_N[going_N]
        going_N = going_N & torch.isin(classes_N, ends, invert=True)
        count = int(going_N.sum())
        if count == 0:
            break
        if count < COMPACT_BELOW * len(going_N):
            state = tuple(part[going_N] for part in state)
            lines_N, classes_N = lines_N[going_N], classes_N[going_N]
            going_N = going_N[going_N]
    assert outputs_BTK is not None, "num_steps is at least 1"
    return outputs_BTK, written_BT
