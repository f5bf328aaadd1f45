"""The loop that writes character by character."""

from __future__ import annotations

import torch
from torch import Tensor

from ocr_models.recognition.greedy import State, write_greedily

START, END, CLASSES = 5, 4, 5


def write(texts: list[list[int]], num_steps: int) -> tuple[Tensor, list[int]]:
    """Lines that say these classes; checks on the way that each keeps its own state."""
    padded = torch.zeros(len(texts), num_steps, dtype=torch.long)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    counts = []

    def step(i: int, classes_N: Tensor, state: State) -> tuple[Tensor, State]:
        own_NT, before_N = state
        counts.append(len(classes_N))
        torch.testing.assert_close(classes_N, before_N)
        now_N = own_NT[:, i]
        return torch.nn.functional.one_hot(now_N, CLASSES) * 20.0, (own_NT, now_N)

    start = torch.full((len(texts),), START)
    return write_greedily(step, (padded, start), START, END, num_steps), counts


def test_lines_end_one_by_one() -> None:
    texts = [[0, 1, 2, END], [END], [3, END], [1, 1, 1, 1, 1, END], [2, 2, END], [0, END]]
    written, counts = write(texts, num_steps=20)
    assert written.shape == (6, 20, CLASSES)
    for row, text in zip(written, texts, strict=True):
        assert row[: len(text)].argmax(-1).tolist() == text
        torch.testing.assert_close(row[: len(text)].sum(-1), torch.ones(len(text)))
        assert not row[len(text) :].any()
    assert len(counts) == 6  # the longest line
    assert counts == [6, 6, 3, 3, 1, 1] or counts[-1] == 1


def test_a_line_without_end_fills_all_steps() -> None:
    written, counts = write([[0, 1, 2, 3], [1, END]], num_steps=4)
    assert written[0].argmax(-1).tolist() == [0, 1, 2, 3]
    assert len(counts) == 4


def test_one_line() -> None:
    written, counts = write([[END]], num_steps=9)
    assert len(counts) == 1
    assert not written[0, 1:].any()
