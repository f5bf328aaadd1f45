"""Precision, recall and F1 of named entities, with MMOCR's names and rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_models.codecs.ner import Span

ALL = "all"
"""What the figures of all categories together are called."""


@dataclass(frozen=True)
class EntityScores:
    """Figures of one category, or of all; each 0..1, rounded to 4 places.

    Args:
        precision: share of the found entities that are right.
        recall: share of the true entities that were found.
        f1: their harmonic mean.
    """

    precision: float
    recall: float
    f1: float


def eval_ner_f1(
    found: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]], texts: Sequence[str]
) -> dict[str, EntityScores]:
    """Compare entities text by text; label and both ends must be equal.

    Found entities that start behind the text, or of a single character, do not count; of those that
    end behind it the end is moved to it.

    Args:
        found: entities by text.
        truths: true entities by text.
        texts: what they are in.

    Returns:
        Scores of each category that the truth has, and of ``"all"``.

    Raises:
        ValueError: the three differ in length.
    """
    true_counts: Counter[str] = Counter()
    found_counts: Counter[str] = Counter()
    right_counts: Counter[str] = Counter()
    for spans, true_spans, text in zip(found, truths, texts, strict=True):
        kept = [
            span._replace(end=min(span.end, len(text))) for span in spans if span.start < len(text)
        ]
        kept = [span for span in kept if span.end > span.start]
        true_counts.update(span.label for span in true_spans)
        found_counts.update(span.label for span in kept)
        right_counts.update(span.label for span in kept if span in true_spans)
    scores = {
        label: _scores(true_counts[label], found_counts[label], right_counts[label])
        for label in true_counts
    }
    return scores | {ALL: _scores(true_counts.total(), found_counts.total(), right_counts.total())}


def _scores(true_count: int, found_count: int, right_count: int) -> EntityScores:
    precision = right_count / found_count if found_count else 0.0
    recall = right_count / true_count if true_count else 0.0
    total = precision + recall
    f1 = 2 * precision * recall / total if total else 0.0
    return EntityScores(round(precision, 4), round(recall, 4), round(f1, 4))
