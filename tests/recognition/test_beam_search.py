"""Beam search over small chains of characters whose every text can be tried."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from ocr_models.recognition.beam_search import write_by_beam_search
from ocr_models.recognition.greedy import State, write_greedily

START, END, CLASSES, STEPS = 4, 3, 4, 5


def chains(lines: int, seed: int) -> Tensor:
    """Logits (B, STEPS, class before or start, class)."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(lines, STEPS, CLASSES + 1, CLASSES, generator=generator)


def greedy(tables: Tensor) -> Tensor:
    def step(i: int, classes_N: Tensor, state: State) -> tuple[Tensor, State]:
        (own,) = state
        return own[torch.arange(len(own)), i, classes_N], state

    return write_greedily(step, (tables,), START, END, STEPS)


def beam(tables: Tensor, width: int) -> tuple[Tensor, list[int]]:
    """Probabilities, and how many lines there were at each step.

    What a beginning remembers is its class before: it must follow its parent.
    """
    counts = []

    def step(i: int, classes_NQ: Tensor, seen: State, memory: State) -> tuple[Tensor, State]:
        (own,), (before_M, written_M) = seen, memory
        counts.append(len(own))
        # What was written so far, as a number in base CLASSES + 1.
        written_NQ = written_M.view_as(classes_NQ) * (CLASSES + 1) + classes_NQ
        if i > 0:
            assert (classes_NQ.flatten() < CLASSES).all()
        rows = torch.arange(len(own))[:, None]
        del before_M
        return own[rows, i, classes_NQ], (classes_NQ.flatten(), written_NQ.flatten())

    memory = (torch.full((len(tables),), START), torch.zeros(len(tables), dtype=torch.long))
    return write_by_beam_search(step, (tables,), memory, START, END, STEPS, width), counts


def likeliest(table: Tensor) -> tuple[tuple[int, ...], float]:
    """Of all texts: those that end by END, and those that fill all steps."""
    logs = table.log_softmax(-1)
    found = []
    for length in range(1, STEPS + 1):
        for body in itertools.product(range(END), repeat=length - 1):
            lasts = range(CLASSES) if length == STEPS else (END,)
            for text in ((*body, last) for last in lasts):
                score = sum(
                    float(logs[i, before, now])
                    for i, (before, now) in enumerate(zip((START, *text), text, strict=False))
                )
                found.append((score, text))
    score, text = max(found)
    return text, score


def text_of(probabilities_TK: Tensor) -> tuple[int, ...]:
    classes = probabilities_TK.argmax(-1).tolist()
    return tuple(classes[: classes.index(END) + 1]) if END in classes else tuple(classes)


def test_a_wide_beam_finds_the_likeliest_text() -> None:
    tables = chains(40, seed=0)
    written, _ = beam(tables, width=200)
    others = greedy(tables)
    better = 0
    for table, row, plain in zip(tables, written, others, strict=True):
        text, _ = likeliest(table)
        assert text_of(row) == text
        better += text_of(plain) != text
    assert better >= 5


def test_its_probabilities_are_those_along_the_text() -> None:
    tables = chains(40, seed=1)
    written, _ = beam(tables, width=6)
    for table, row in zip(tables, written, strict=True):
        text = text_of(row)
        given = table.softmax(-1)
        for i, (before, now) in enumerate(zip((START, *text), text, strict=False)):
            expected = given[i, before]
            assert float(row[i, now]) == pytest.approx(float(expected[now]), abs=1e-6)
            # Lower ones stay, likelier ones that led to worse texts are gone.
            lower = expected < expected[now]
            torch.testing.assert_close(row[i][lower], expected[lower])
            assert not row[i][expected > expected[now]].any()
        assert not row[len(text) :].any()


def test_a_beam_of_one_is_greedy() -> None:
    tables = chains(40, seed=2)
    torch.testing.assert_close(beam(tables, width=1)[0], greedy(tables))


@pytest.mark.parametrize("width", [2, 3, 9])
def test_a_line_does_not_depend_on_its_neighbours(width: int) -> None:
    tables = chains(40, seed=3)
    together, counts = beam(tables, width)
    assert counts[0] == 40
    assert counts[-1] < 40  # lines that ended leave
    for table, row in zip(tables, together, strict=True):
        torch.testing.assert_close(beam(table[None], width)[0][0], row)


def test_it_stops_with_the_longest_line() -> None:
    tables = chains(6, seed=4)
    tables[:, 1:, :, END] = 50  # all end at the second step
    tables[:, 0, :, END] = -50
    written, counts = beam(tables, width=3)
    assert len(counts) == 2
    assert {len(text_of(row)) for row in written} == {2}


def test_an_end_costs_nothing_more() -> None:
    """A short text must not win by its length, nor lose by what would follow its end."""
    tables = torch.full((1, STEPS, CLASSES + 1, CLASSES), -50.0)
    # "0 end" has probability .6 * .5, "1 1 1 1 end" has .4.
    tables[0, 0, START, 0], tables[0, 0, START, 1] = torch.tensor([0.6, 0.4]).log()
    tables[0, 1, 0, END], tables[0, 1, 0, 2] = torch.tensor([0.5, 0.5]).log()
    tables[0, 1:4, 1, 1] = tables[0, 4, 1, END] = 0
    tables[0, 2, 2, 0], tables[0, 2, 2, 2] = torch.tensor([0.5, 0.5]).log()
    written, _ = beam(tables, width=4)
    assert text_of(written[0]) == (1, 1, 1, 1, END)
