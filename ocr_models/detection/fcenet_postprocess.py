"""From FCENet's maps to text boundaries.

Paper: Fourier Contour Embedding for Arbitrary-Shaped Text Detection, arXiv:2104.10442, section 3.3.
Numbers equal MMOCR 0.6.1's ``FCEHead.get_boundary``.

Shapes: h, w size of a level's maps; N candidates; K Fourier degree; P points of a polygon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import Boundary
from .fcenet import STRIDES
from .masks import fill_holes, number_regions
from .panet_postprocess import sigmoid


@dataclass(frozen=True)
class FCEPostprocessing:
    """How boundaries are read off the maps.

    Args:
        num_reconstr_points: P, points of every polygon.
        alpha: exponent of the text probability in the score.
        beta: exponent of the centre probability in the score.
        score_thr: score above which a pixel proposes an outline.
        nms_thr: of outlines with a larger intersection over union only the best is kept.
    """

    num_reconstr_points: int = 50
    alpha: float = 1.0
    beta: float = 2.0
    score_thr: float = 0.3
    nms_thr: float = 0.1

    def __post_init__(self) -> None:
        if self.num_reconstr_points < 4:
            raise ConfigError(
                f"num_reconstr_points is {self.num_reconstr_points}; it must be at least 4"
            )


class _Candidates:
    """Polygons with scores, and what overlaps need of them.

    Args:
        points_NP2: x, y in pixels of the network's input.
        scores_N: 0..1.
    """

    def __init__(self, points_NP2: NDArray[np.float64], scores_N: NDArray[np.float64]) -> None:
        self.points = points_NP2
        self.scores = scores_N
        self.polygons = shapely.polygons(points_NP2)
        broken = ~shapely.is_valid(self.polygons)
        self.polygons[broken] = shapely.buffer(self.polygons[broken], 0)
        self.areas = shapely.area(self.polygons)
        self.low = points_NP2.min(axis=1)
        self.high = points_NP2.max(axis=1)

    def best(self, among: NDArray[np.intp], iou_thr: float) -> list[int]:
        """Non-maximum suppression.

        Args:
            among: numbers of the candidates that compete; of equally good ones the last wins.
            iou_thr: what overlaps the winner by more is dropped.

        Returns:
            The numbers of the winners, best first.
        """
        left = among[np.argsort(self.scores[among], kind="stable")]
        kept = []
        while len(left):
            winner, left = int(left[-1]), left[:-1]
            kept.append(winner)
            touching = self._touching(winner, left)
            near = left[touching]
            overlapping = self._lower_iou(winner, near) > iou_thr
            unclear = near[~overlapping]
            overlapping[~overlapping] = self._iou(winner, unclear) > iou_thr
            touching[touching] = overlapping
            left = left[~touching]
        return kept

    def _touching(self, one: int, others: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whose bounding boxes touch that of the first, and, as in MMOCR, which pairs of polygons
        are without area: these count as equal wherever they are."""
        touching = np.logical_and(
            (self.low[others] <= self.high[one]).all(axis=1),
            (self.high[others] >= self.low[one]).all(axis=1),
        )
        if self.areas[one] == 0:
            touching |= self.areas[others] == 0
        return np.asarray(touching)

    def _lower_iou(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """A bound that settles most comparisons without intersecting anything.

        A union is no larger than a box around both polygons, along the first one's direction; and
        intersection / union = (area + area) / union - 1.
        """
        _, _, degrees = cv2.minAreaRect(self.points[one].astype(np.float32))
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        x, y = np.moveaxis(self.points[np.append(others, one)], -1, 0)
        union = np.ones(len(others))
        for turned in (x * cos + y * sin, y * cos - x * sin):
            low, high = turned.min(axis=1), turned.max(axis=1)
            union *= np.maximum(high[:-1], high[-1]) - np.minimum(low[:-1], low[-1])
        return np.asarray((self.areas[others] + self.areas[one]) / np.maximum(union, 1e-9) - 1)

    def _iou(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """Intersection over union; 1 where both have no area, as in MMOCR."""
        shared = shapely.area(shapely.intersection(self.polygons[others], self.polygons[one]))
        union = self.areas[others] + self.areas[one] - shared
        return np.divide(shared, union, out=np.ones(len(others)), where=union > 0)


def fcenet_boundaries(
    levels: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]], config: FCEPostprocessing
) -> list[Boundary]:
    """Text boundaries of one image, polygons in pixels of the network's input, best first.

    Args:
        levels: ``FCELevel``s without their batch axis, of strides 8, 16 and 32.
        config: thresholds.
    """
    per_level = [
        level_boundaries(classes, coefficients, stride, config)
        for (classes, coefficients), stride in zip(levels, STRIDES, strict=True)
    ]
    return polygon_nms([boundary for level in per_level for boundary in level], config.nms_thr)


def level_boundaries(
    classes_4hw: NDArray[np.floating],
    coefficients_Chw: NDArray[np.floating],
    stride: int,
    config: FCEPostprocessing,
) -> list[Boundary]:
    """Text boundaries that one level of the pyramid sees, in pixels of the network's input.

    Suppression happens twice: among the pixels of a connected region, then among all winners.
    """
    classes_4hw = classes_4hw.astype(np.float32, copy=False)
    score_hw = _second(classes_4hw[:2]) ** np.float32(config.alpha)
    score_hw *= _second(classes_4hw[2:]) ** np.float32(config.beta)
    # Pixels in holes propose as well, however low their score.
    regions_hw = fill_holes(score_hw > np.float32(config.score_thr))
    labels_hw, numbers = number_regions(regions_hw)
    y, x = np.nonzero((labels_hw > 0) & (score_hw > 0))
    if not len(y):
        return []
    series_NC = _series(coefficients_Chw[:, y, x].T, x, y) * stride
    points_NP2 = outlines(series_NC, config.num_reconstr_points)
    candidates = _Candidates(points_NP2, score_hw[y, x].astype(np.float64))
    region_N = labels_hw[y, x]
    kept = [
        number
        for region in numbers
        for number in candidates.best(np.flatnonzero(region_N == region), config.nms_thr)
    ]
    winners = candidates.best(np.array(kept, np.intp), config.nms_thr)
    return [Boundary(points_NP2[i], float(candidates.scores[i])) for i in winners]


def polygon_nms(boundaries: Sequence[Boundary], iou_thr: float) -> list[Boundary]:
    """Non-maximum suppression (MMOCR's ``poly_nms``), best first.

    Args:
        boundaries: with the same number of points each; of equally good ones the last wins.
        iou_thr: what overlaps a winner by more is dropped.
    """
    if not boundaries:
        return []
    candidates = _Candidates(
        np.stack([boundary.points for boundary in boundaries]),
        np.array([boundary.score for boundary in boundaries]),
    )
    return [boundaries[i] for i in candidates.best(np.arange(len(boundaries)), iou_thr)]


def outlines(series_NC: NDArray[np.complexfloating], num_points: int) -> NDArray[np.float64]:
    """Polygons from Fourier series, by the inverse transform (equation 1).

    Args:
        series_NC: coefficients of x + i y for the frequencies -K..K.
        num_points: P.

    Returns:
        (N, P, 2) x, y, cut off to whole numbers as in MMOCR.
    """
    degree = series_NC.shape[1] // 2
    spectrum_NP = np.zeros((len(series_NC), num_points), np.complex128)
    spectrum_NP[:, : degree + 1] = series_NC[:, degree:]
    spectrum_NP[:, -degree:] = series_NC[:, :degree]
    curve_NP = np.fft.ifft(spectrum_NP, axis=1) * num_points
    return np.trunc(np.stack([curve_NP.real, curve_NP.imag], axis=-1))


def _series(
    coefficients_NR: NDArray[np.floating], x_N: NDArray[np.intp], y_N: NDArray[np.intp]
) -> NDArray[np.complex64]:
    """The predicted series (N, 2 K + 1) in pixels of the level, with absolute constant terms."""
    real_NC, imaginary_NC = np.split(coefficients_NR.astype(np.float32, copy=False), 2, axis=1)
    series_NC = real_NC + np.complex64(1j) * imaginary_NC
    series_NC[:, series_NC.shape[1] // 2] += x_N + 1j * y_N
    return series_NC


def _second(logits_2hw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of the second of two classes."""
    return sigmoid(logits_2hw[1] - logits_2hw[0])
