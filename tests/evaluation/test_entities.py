"""Precision, recall and F1 of entities; MMOCR's numbers are in tests/test_conformance.py."""

from __future__ import annotations

import pytest

from ocr_models.codecs.ner import Span
from ocrserve.train.evaluation.entities import EntityScores, eval_ner_f1

TRUTH = [[Span("per", 0, 3), Span("loc", 6, 9)], [Span("per", 2, 2)], []]
TEXTS = ["ann lives", "abc", "nothing"]
RIGHT = EntityScores(1.0, 1.0, 1.0)


def test_all_right() -> None:
    truth = [TRUTH[0], [], []]
    assert eval_ner_f1(truth, truth, TEXTS) == {"per": RIGHT, "loc": RIGHT, "all": RIGHT}


def test_counts() -> None:
    found = [[Span("per", 0, 3), Span("loc", 6, 8)], [Span("per", 2, 2)], [Span("org", 0, 2)]]
    # Single characters never count as found; categories without truth count in "all" only.
    assert eval_ner_f1(found, TRUTH, TEXTS) == {
        "per": EntityScores(1.0, 0.5, 0.6667),
        "loc": EntityScores(0.0, 0.0, 0.0),
        "all": EntityScores(0.3333, 0.3333, 0.3333),
    }


def test_what_lies_behind_the_text() -> None:
    truth = [[Span("per", 0, 3)]]
    assert eval_ner_f1([[Span("per", 0, 9)]], truth, ["ann"])["all"] == RIGHT
    assert eval_ner_f1([[Span("per", 3, 9)]], truth, ["ann"])["all"].precision == 0


def test_nothing() -> None:
    assert eval_ner_f1([], [], []) == {"all": EntityScores(0.0, 0.0, 0.0)}
    with pytest.raises(ValueError, match="zip"):
        eval_ner_f1([[]], [], [])
