"""Writing character by character with several beginnings of each line in mind.

A text's score is its probability: the product over its characters and its end. A beginning that
said its end stands still: it is neither made longer nor does it lose score, so short and long texts
compare as the network means it. Scores only fall, so a line is done as soon as its best beginning
has ended; whatever the others may become, they stay below.

MMOCR's beam search adds up probabilities, behind ends as well, which rewards neither the likeliest
text nor the right length; and it takes one line at a time.

Shapes: B lines, N of them still being written, Q beginnings per line (the beam's width), T steps,
K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ocr_models.recognition.greedy import COMPACT_BELOW, State

BeamStep = Callable[[int, Tensor, State, State], tuple[Tensor, State]]
"""Number of the step, classes (N, Q) of the step before, what lines look at (N, ...), what their
beginnings remember (N * Q, ...); to logits (N, Q, K) and what they remember now."""


class _Choice(NamedTuple):
    """What one step chose, best first.

    Args:
        lines: (N,), which were still being written.
        parents: (N, Q), the beginnings that were made longer.
        classes: (N, Q), by which class.
        probabilities: (N, Q, K), by parent; 0 for parents that had ended.
    """

    lines: Tensor
    parents: Tensor
    classes: Tensor
    probabilities: Tensor


def write_by_beam_search(
    step: BeamStep,
    seen: State,
    memory: State,
    start_index: int,
    end_index: int,
    num_steps: int,
    beam_width: int,
) -> Tensor:
    """Probabilities (B, T, K) along the likeliest texts, float32; 0 behind their ends.

    The class that a text takes always has the largest number of its step: likelier ones, which led
    to worse texts, are set to 0. With a beam of 1 the result is ``write_greedily``'s.

    Args:
        step: makes all beginnings longer by one character.
        seen: what lines look at, (B, ...).
        memory: what a line remembers when it starts, (B, ...).
        start_index: class that stands before the first character.
        end_index: class that ends a line.
        num_steps: T, where lines end that did not say so.
        beam_width: Q.
    """
    lines_N = torch.arange(len(seen[0]), device=seen[0].device)
    lines, device = len(lines_N), lines_N.device
    memory = tuple(part.repeat_interleave(beam_width, 0) for part in memory)
    classes_NQ = torch.full((lines, beam_width), start_index, device=device)
    # All beginnings are the same at first; one of them is enough.
    scores_NQ = torch.full((lines, beam_width), -torch.inf, device=device)
    scores_NQ[:, 0] = 0
    ended_NQ = torch.zeros_like(classes_NQ, dtype=torch.bool)
    going_N = torch.ones_like(lines_N, dtype=torch.bool)
    choices: list[_Choice] = []
    for i in range(num_steps):
        logits_NQK, memory = step(i, classes_NQ, seen, memory)
        logs_NQK = logits_NQK.float().log_softmax(-1)
        scores_NQ, parents_NQ, classes_NQ = _best(scores_NQ, logs_NQK, ended_NQ, end_index)
        probabilities_NQK = logs_NQK.exp().masked_fill(ended_NQ[..., None], 0)
        chosen = _Choice(lines_N, parents_NQ, classes_NQ, probabilities_NQK)
        choices.append(_Choice(*(part[going_N] for part in chosen)))
        ended_NQ = ended_NQ.gather(1, parents_NQ) | (classes_NQ == end_index)
        memory = _of_parents(memory, parents_NQ)
        going_N = going_N & ~ended_NQ[:, 0]
        count = int(going_N.sum())
        if count == 0:
            break
        if count < COMPACT_BELOW * len(going_N):
            seen = tuple(part[going_N] for part in seen)
            memory = tuple(part[going_N.repeat_interleave(beam_width)] for part in memory)
            lines_N, classes_NQ = lines_N[going_N], classes_NQ[going_N]
            scores_NQ, ended_NQ = scores_NQ[going_N], ended_NQ[going_N]
            going_N = going_N[going_N]
    return _along_best(choices, lines, num_steps)


def _best(
    scores_NQ: Tensor, logs_NQK: Tensor, ended_NQ: Tensor, end_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, parents and classes of the best Q ways to go on, best first; each (N, Q)."""
    classes = logs_NQK.shape[-1]
    candidates_NQK = scores_NQ[..., None] + logs_NQK
    candidates_NQK = candidates_NQK.masked_fill(ended_NQ[..., None], -torch.inf)
    candidates_NQK[..., end_index] = torch.where(
        ended_NQ, scores_NQ, candidates_NQK[..., end_index]
    )
    best_NQ, places_NQ = candidates_NQK.flatten(1).topk(scores_NQ.shape[1])
    return best_NQ, places_NQ // classes, places_NQ % classes


def _of_parents(memory: State, parents_NQ: Tensor) -> State:
    lines, width = parents_NQ.shape
    if width == 1:
        return memory
    first_N = torch.arange(lines, device=parents_NQ.device) * width
    places_M = (first_N[:, None] + parents_NQ).flatten()
    return tuple(part[places_M] for part in memory)


def _along_best(choices: list[_Choice], lines: int, num_steps: int) -> Tensor:
    """Follows each line's best text back from its end."""
    first = choices[0].probabilities
    result_BTK = first.new_zeros(lines, num_steps, first.shape[-1])
    beams_B = torch.zeros(lines, dtype=torch.long, device=first.device)
    indices_K = torch.arange(first.shape[-1], device=first.device)
    for i, chosen in reversed(list(enumerate(choices))):
        rows_N = torch.arange(len(chosen.lines), device=first.device)
        beams_N = beams_B[chosen.lines]
        parents_N = chosen.parents[rows_N, beams_N]
        taken_N1 = chosen.classes[rows_N, beams_N][:, None]
        given_NK = chosen.probabilities[rows_N, parents_N]
        lower_NK = given_NK < given_NK.gather(1, taken_N1)
        result_BTK[chosen.lines, i] = given_NK * (lower_NK | (indices_K == taken_N1))
        beams_B[chosen.lines] = parents_N
    return result_BTK
