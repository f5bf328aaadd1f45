"""Recognition metrics with MMOCR's names: word accuracies, character recall, precision, 1-N.E.D."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ocr_models.errors import ConfigError

# What counts as a symbol. The circumflex stays, as in MMOCR.
_SYMBOLS = re.compile("[^A-Za-z0-9^\u4e00-\u9fa5]")

# Keeps an empty data set from dividing by zero.
_EPS = 1e-8

RECOGNITION_METRICS = (
    "word_acc",
    "word_acc_ignore_case",
    "word_acc_ignore_case_symbol",
    "char_recall",
    "char_precision",
    "1-N.E.D",
)
"""What `eval_ocr_metric` can report; ``acc`` means all of them."""


@dataclass(frozen=True)
class MatchCounts:
    """What was counted over a data set.

    Characters and the edit distance are counted in lower case and without symbols.

    Args:
        gt_char_num: characters in the true texts.
        pred_char_num: characters in the predicted texts.
        true_positive_char_num: characters that both texts share, in order.
        gt_word_num: texts.
        match_word_num: texts that are equal.
        match_word_ignore_case: texts that are equal in lower case.
        match_word_ignore_case_symbol: texts that are equal in lower case, without symbols.
        ned: mean of edit distance over the length of the longer text, 0..1.
    """

    gt_char_num: int
    pred_char_num: int
    true_positive_char_num: int
    gt_word_num: int
    match_word_num: int
    match_word_ignore_case: int
    match_word_ignore_case_symbol: int
    ned: float


def count_matches(predictions: Sequence[str], truths: Sequence[str]) -> MatchCounts:
    """Compare texts pair by pair.

    Raises:
        ValueError: the two lists differ in length.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predicted texts but {len(truths)} true ones")
    gt_chars = pred_chars = common_chars = exact = same_case = same_letters = 0
    distances = 0.0
    for prediction, truth in zip(predictions, truths, strict=True):
        exact += prediction == truth
        prediction, truth = prediction.lower(), truth.lower()
        same_case += prediction == truth
        prediction, truth = _SYMBOLS.sub("", prediction), _SYMBOLS.sub("", truth)
        gt_chars += len(truth)
        pred_chars += len(prediction)
        if prediction == truth:
            same_letters += 1
            common_chars += len(truth)
        else:
            common_chars += _common_characters(prediction, truth)
            distances += edit_distance(prediction, truth) / max(len(prediction), len(truth))
    return MatchCounts(
        gt_char_num=gt_chars,
        pred_char_num=pred_chars,
        true_positive_char_num=common_chars,
        gt_word_num=len(truths),
        match_word_num=exact,
        match_word_ignore_case=same_case,
        match_word_ignore_case_symbol=same_letters,
        ned=distances / max(1, len(truths)),
    )


def eval_ocr_metric(
    predictions: Sequence[str], truths: Sequence[str], metric: str | Sequence[str] = "acc"
) -> dict[str, float]:
    """Metrics of a data set, rounded to 4 places.

    Args:
        predictions: predicted texts.
        truths: true texts, in the same order.
        metric: names out of `RECOGNITION_METRICS`, or ``acc`` for all; ``one_minus_ned`` is
            another name of ``1-N.E.D``.

    Raises:
        ConfigError: an unknown metric.
        ValueError: the two lists differ in length.
    """
    names = _metric_names((metric,) if isinstance(metric, str) else metric)
    counts = count_matches(predictions, truths)
    words = counts.gt_word_num + _EPS
    values = {
        "word_acc": counts.match_word_num / words,
        "word_acc_ignore_case": counts.match_word_ignore_case / words,
        "word_acc_ignore_case_symbol": counts.match_word_ignore_case_symbol / words,
        "char_recall": counts.true_positive_char_num / (counts.gt_char_num + _EPS),
        "char_precision": counts.true_positive_char_num / (counts.pred_char_num + _EPS),
        "1-N.E.D": 1 - counts.ned,
    }
    return {name: round(values[name], 4) for name in RECOGNITION_METRICS if name in names}


def _metric_names(requested: Sequence[str]) -> set[str]:
    names: set[str] = set()
    for name in requested:
        if name == "acc":
            names.update(RECOGNITION_METRICS)
        elif name == "one_minus_ned":
            names.add("1-N.E.D")
        elif name in RECOGNITION_METRICS:
            names.add(name)
        else:
            raise ConfigError(
                f"metric {name!r} is unknown; allowed: acc, {', '.join(RECOGNITION_METRICS)}"
            )
    return names


def edit_distance(first: str, second: str) -> int:
    """Fewest insertions, deletions and replacements that turn one text into the other."""
    row = list(range(len(second) + 1))
    for i, character in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            substituted = diagonal + (character != other)
            diagonal = row[j]
            row[j] = min(substituted, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _common_characters(prediction: str, truth: str) -> int:
    """Characters in the matching blocks that `difflib` finds between the two texts."""
    blocks = SequenceMatcher(None, prediction, truth).get_matching_blocks()
    return sum(block.size for block in blocks)
