"""Recognition metrics: equal to MMOCR's numbers, and their rules one by one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.evaluation.recognition import (
    RECOGNITION_METRICS,
    count_matches,
    edit_distance,
    eval_ocr_metric,
)

CASES = json.loads((Path(__file__).parents[1] / "golden" / "metrics" / "metrics.json").read_text())[
    "ocr"
]


def test_sweep_is_complete() -> None:
    assert len(CASES) == 6


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case["pred"]))
def test_metrics_equal_mmocr(case: dict[str, Any]) -> None:
    texts = case["pred"], case["gt"]
    assert eval_ocr_metric(*texts) == case["acc"]
    assert asdict(count_matches(*texts)) == pytest.approx(case["counts"])
    for key in ("single", "pair"):
        assert eval_ocr_metric(*texts, metric=list(case[key])) == case[key]


@pytest.mark.parametrize(
    ("prediction", "truth", "equal_in"),
    [
        ("Hello", "Hello", (1, 1, 1)),
        ("HELLO", "Hello", (0, 1, 1)),
        ("hel-lo!", "Hello", (0, 0, 1)),
        ("hel^lo", "Hello", (0, 0, 0)),
        ("helo", "Hello", (0, 0, 0)),
    ],
)
def test_what_counts_as_equal(prediction: str, truth: str, equal_in: tuple[int, ...]) -> None:
    counts = count_matches([prediction], [truth])
    assert equal_in == (
        counts.match_word_num,
        counts.match_word_ignore_case,
        counts.match_word_ignore_case_symbol,
    )


def test_names_of_metrics() -> None:
    texts = ["a"], ["a"]
    assert tuple(eval_ocr_metric(*texts)) == RECOGNITION_METRICS
    assert eval_ocr_metric(*texts, metric="one_minus_ned") == {"1-N.E.D": 1.0}
    assert list(eval_ocr_metric(*texts, metric=("char_recall", "word_acc"))) == [
        "word_acc",
        "char_recall",
    ]
    with pytest.raises(ConfigError, match="'accuracy' is unknown; allowed: acc, word_acc"):
        eval_ocr_metric(*texts, metric="accuracy")


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 predicted texts but 1 true ones"):
        count_matches(["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("abc", "acb", 2),
        ("intention", "execution", 5),
    ],
)
def test_edit_distance(first: str, second: str, expected: int) -> None:
    assert edit_distance(first, second) == expected
    assert edit_distance(second, first) == expected
