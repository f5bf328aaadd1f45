"""Detection metrics: hmean-iou (ICDAR 2015) and hmean-ic13 (ICDAR 2013), with MMOCR's rules.

Recall, precision and their harmonic mean over a data set. Text marked as ignored never counts as
missed, and a prediction that lies mostly inside ignored text never counts as wrong.

hmean-ic13 is the protocol of "Object Count/Area Graphs for the Evaluation of Object Detection and
Segmentation Algorithms", Wolf and Jolion, 2006: it also pays for words that were split or merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ocr_models.errors import ConfigError

from .polygons import Overlaps, overlaps


@dataclass(frozen=True, eq=False)
class ImageSample:
    """Predictions and truth of one image; boundaries are (K, 2) or flat, in pixels, without score.

    Args:
        predictions: predicted boundaries.
        scores: one per prediction.
        truths: boundaries to find.
        ignored: boundaries that count neither way.
    """

    predictions: Sequence[ArrayLike]
    scores: Sequence[float]
    truths: Sequence[ArrayLike]
    ignored: Sequence[ArrayLike] = ()

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.predictions):
            raise ValueError(f"{len(self.predictions)} predictions but {len(self.scores)} scores")


@dataclass(frozen=True)
class Hmean:
    """Outcome for one image or a whole data set.

    Args:
        num_gts: boundaries to find.
        num_dets: predictions that count.
        num_recall: sum of what was earned towards recall (for hmean-iou: matches).
        num_precision: sum of what was earned towards precision (for hmean-iou: matches).
    """

    num_gts: int
    num_dets: int
    num_recall: float
    num_precision: float

    @property
    def recall(self) -> float:
        """Part of the text that was found; 1 if there was none to find."""
        return self.num_recall / self.num_gts if self.num_gts else 1.0

    @property
    def precision(self) -> float:
        """Part of the predictions that are text; without predictions, 0 if text was missed."""
        if not self.num_gts:
            return 0.0 if self.num_dets else 1.0
        return self.num_precision / self.num_dets if self.num_dets else 0.0

    @property
    def hmean(self) -> float:
        """Harmonic mean of recall and precision."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


def total(outcomes: Iterable[Hmean]) -> Hmean:
    """Outcome of a data set from those of its images."""
    images = list(outcomes)
    return Hmean(
        sum(image.num_gts for image in images),
        sum(image.num_dets for image in images),
        sum(image.num_recall for image in images),
        sum(image.num_precision for image in images),
    )


class ImageTable:
    """Overlaps between everything in one image: measured once, used at every score threshold.

    Rows are the truths followed by the ignored boundaries, columns the predictions.
    """

    def __init__(self, sample: ImageSample) -> None:
        rows = [*sample.truths, *sample.ignored]
        table = overlaps(rows, sample.predictions)
        self.scores = np.asarray(sample.scores, np.float64)
        self.is_truth = np.arange(len(rows)) < len(sample.truths)
        self.iou = table.iou
        self.recall = table.covered_a
        self.precision = table.covered_b
        self.center_distance = _center_distances(rows, sample.predictions, table)

    def counted_predictions(
        self, selected: NDArray[np.bool_], precision_thr: float
    ) -> NDArray[np.bool_]:
        """Of the selected predictions, those with no more than that part in ignored text."""
        ignored = (self.precision[~self.is_truth] > precision_thr).any(axis=0)
        return selected & ~ignored


def _center_distances(
    rows: Sequence[ArrayLike], columns: Sequence[ArrayLike], table: Overlaps
) -> NDArray[np.float64]:
    """(R, C) distance of centres over the mean of the diagonals; 0 where nothing overlaps."""
    row_centers, row_diagonals = _centers(rows)
    column_centers, column_diagonals = _centers(columns)
    offsets = row_centers[:, None] - column_centers[None]
    distances = np.hypot(offsets[..., 0], offsets[..., 1])
    diagonals = row_diagonals[:, None] + column_diagonals[None]
    relevant = (table.intersection > 0) & (diagonals > 0)
    return np.divide(2 * distances, diagonals, out=np.zeros_like(distances), where=relevant)


def _centers(boundaries: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 2) mean points, and (N,) distances from the first point to the one halfway round."""
    points = [np.asarray(boundary, np.float64).reshape(-1, 2) for boundary in boundaries]
    centers = np.array([item.mean(axis=0) for item in points]).reshape(-1, 2)
    across = np.array([item[len(item) // 2] - item[0] for item in points]).reshape(-1, 2)
    return centers, np.hypot(across[:, 0], across[:, 1])


class DetectionMetric(Protocol):
    """Scores the selected predictions of one image."""

    def __call__(self, table: ImageTable, selected: NDArray[np.bool_]) -> Hmean:
        """``selected`` says which of the image's predictions to use."""


@dataclass(frozen=True)
class HmeanIoU:
    """A truth and a prediction match if their intersection over union is large enough.

    Args:
        iou_thr: intersection over union above which two boundaries match.
        precision_thr: a prediction with more than this part in ignored text does not count.
    """

    iou_thr: float = 0.5
    precision_thr: float = 0.5

    def __call__(self, table: ImageTable, selected: NDArray[np.bool_]) -> Hmean:
        """Greedy matching, in the order of truths, then predictions."""
        counted = table.counted_predictions(selected, self.precision_thr)
        candidates = (table.iou > self.iou_thr) & table.is_truth[:, None] & counted
        used_rows: set[int] = set()
        used_columns: set[int] = set()
        for row, column in np.argwhere(candidates).tolist():
            if row not in used_rows and column not in used_columns:
                used_rows.add(row)
                used_columns.add(column)
        matches = len(used_rows)
        return Hmean(int(table.is_truth.sum()), int(counted.sum()), matches, matches)


@dataclass(frozen=True)
class HmeanIC13:
    """Words may match one to one, one to several (split) or several to one (merged).

    Args:
        recall_thr: part of a truth that has to be covered.
        precision_thr: part of a prediction that has to lie in the truth; also the part in ignored
            text above which a prediction does not count.
        center_dist_thr: one to one only: largest distance of the centres, in mean diagonals.
        one_to_one_score: earned for both sides by a one-to-one match.
        one_to_many_score: earned by a split truth, and by each of its predictions.
        many_to_one_score: earned by a merging prediction, and by each of its truths.
    """

    recall_thr: float = 0.8
    precision_thr: float = 0.4
    center_dist_thr: float = 1.0
    one_to_one_score: float = 1.0
    one_to_many_score: float = 0.8
    many_to_one_score: float = 1.0

    def __call__(self, table: ImageTable, selected: NDArray[np.bool_]) -> Hmean:
        """One-to-one matches first, then split truths, then merging predictions."""
        counted = table.counted_predictions(selected, self.precision_thr)
        rows_open = table.is_truth.copy()
        columns_open = counted.copy()
        earned_recall = earned_precision = 0.0

        matches = (table.recall > self.recall_thr) & (table.precision > self.precision_thr)
        matches &= selected
        # Ignored text and uncounted predictions make a match ambiguous, though they earn nothing.
        unique = matches & (matches.sum(axis=0) == 1) & (matches.sum(axis=1) == 1)[:, None]
        unique &= table.center_distance < self.center_dist_thr
        for row, column in np.argwhere(unique).tolist():
            if rows_open[row] and columns_open[column]:
                rows_open[row] = columns_open[column] = False
                earned_recall += self.one_to_one_score
                earned_precision += self.one_to_one_score

        for row in np.flatnonzero(rows_open).tolist():
            parts = np.flatnonzero(columns_open & (table.precision[row] >= self.precision_thr))
            if len(parts) and table.recall[row, parts].sum() >= self.recall_thr:
                rows_open[row] = False
                columns_open[parts] = False
                score = self.one_to_one_score if len(parts) == 1 else self.one_to_many_score
                earned_recall += score
                earned_precision += score * len(parts)

        for column in np.flatnonzero(columns_open).tolist():
            parts = np.flatnonzero(rows_open & (table.recall[:, column] >= self.recall_thr))
            if len(parts) and table.precision[parts, column].sum() >= self.precision_thr:
                columns_open[column] = False
                rows_open[parts] = False
                score = self.one_to_one_score if len(parts) == 1 else self.many_to_one_score
                earned_recall += score * len(parts)
                earned_precision += score

        return Hmean(int(table.is_truth.sum()), int(counted.sum()), earned_recall, earned_precision)


DETECTION_METRICS: Mapping[str, DetectionMetric] = {
    "hmean-iou": HmeanIoU(),
    "hmean-ic13": HmeanIC13(),
}
"""What ``--eval`` accepts for detectors."""


def score_images(
    samples: Iterable[ImageSample], metric: DetectionMetric
) -> tuple[Hmean, list[Hmean]]:
    """Score all predictions, whatever their score: (data set, one per image)."""
    images = []
    for sample in samples:
        table = ImageTable(sample)
        images.append(metric(table, np.ones(len(table.scores), bool)))
    return total(images), images


def score_thresholds(
    min_score_thr: float = 0.3, max_score_thr: float = 0.9, step: float = 0.1
) -> list[float]:
    """The score thresholds of a sweep; float steps may leave out the last one, as in MMOCR."""
    if step <= 0:
        raise ConfigError(f"step is {step}; it must be above 0")
    if not 0 <= min_score_thr <= max_score_thr <= 1:
        raise ConfigError(
            f"score thresholds from {min_score_thr} to {max_score_thr}; "
            "needed: 0 <= min_score_thr <= max_score_thr <= 1"
        )
    return np.arange(min_score_thr, min(max_score_thr + step, 1.0), step).tolist()


def sweep(
    samples: Iterable[ImageSample],
    metrics: Mapping[str, DetectionMetric],
    thresholds: Sequence[float],
) -> dict[str, list[Hmean]]:
    """Score with only the predictions above each threshold: metric name -> one per threshold."""
    tables = [ImageTable(sample) for sample in samples]
    return {
        name: [
            total(metric(table, table.scores > threshold) for table in tables)
            for threshold in thresholds
        ]
        for name, metric in metrics.items()
    }


def eval_hmean(
    samples: Iterable[ImageSample],
    metrics: Mapping[str, DetectionMetric] = DETECTION_METRICS,
    *,
    min_score_thr: float = 0.3,
    max_score_thr: float = 0.9,
    step: float = 0.1,
) -> dict[str, float]:
    """The best outcome over a sweep of score thresholds, the first one if several are equal.

    Returns:
        ``NAME:recall``, ``NAME:precision`` and ``NAME:hmean`` for each metric, 0..1.
    """
    thresholds = score_thresholds(min_score_thr, max_score_thr, step)
    if not thresholds:
        raise ConfigError(f"no score threshold below 1 from {min_score_thr} on")
    result = {}
    for name, outcomes in sweep(samples, metrics, thresholds).items():
        best = max(outcomes, key=lambda outcome: outcome.hmean)
        result[f"{name}:recall"] = best.recall
        result[f"{name}:precision"] = best.precision
        result[f"{name}:hmean"] = best.hmean
    return result
