"""From DBNet's probability map to text boundaries.

Paper: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization",
arXiv 1911.08947, section 3.5. Numbers equal MMOCR 0.6.1's ``DBPostprocessor``.

Shapes: H, W size of the map; K points of a polygon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import Boundary


@dataclass(frozen=True)
class DBPostprocessing:
    """How boundaries are read off the probability map.

    Args:
        text_repr_type: ``"quad"``, smallest rotated rectangles, or ``"poly"``, the contours.
        mask_thr: probability above which a pixel belongs to a text kernel.
        min_text_score: lowest mean probability inside the kernel's outline.
        min_text_width: an expanded quad's shorter side must be above this, in pixels of the map;
            polygons have no such bound.
        unclip_ratio: kernels grow by area * unclip_ratio / perimeter pixels.
        epsilon_ratio: contours are simplified to within epsilon_ratio * perimeter pixels.
        max_candidates: at most ``max_candidates + 1`` contours are looked at, as in MMOCR.
    """

    text_repr_type: Literal["quad", "poly"] = "poly"
    mask_thr: float = 0.3
    min_text_score: float = 0.3
    min_text_width: float = 5
    unclip_ratio: float = 1.5
    epsilon_ratio: float = 0.01
    max_candidates: int = 3000

    def __post_init__(self) -> None:
        if self.text_repr_type not in ("quad", "poly"):
            raise ConfigError(
                f"text_repr_type={self.text_repr_type!r}; allowed are 'quad' and 'poly'"
            )


def db_boundaries(probability_HW: NDArray[np.floating], config: DBPostprocessing) -> list[Boundary]:
    """Text boundaries of one image, in pixels of the map.

    Quads come in OpenCV's corner order, clockwise; polygons clockwise. Contours of holes count as
    candidates too and mostly fail on their score.

    Args:
        probability_HW: DBNet's shrink map, 0..1.
        config: thresholds.
    """
    probability_HW = probability_HW.astype(np.float32, copy=False)
    kernels = (probability_HW > np.float32(config.mask_thr)).view(np.uint8)
    contours, _ = cv2.findContours(kernels, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boundaries = []
    for contour in contours[: config.max_candidates + 1]:
        if len(contour) < 4:
            continue  # simplifying only removes points
        epsilon = config.epsilon_ratio * cv2.arcLength(contour, True)
        kernel = cv2.approxPolyDP(contour, epsilon, True).reshape(-1, 2)
        if len(kernel) < 4:
            continue
        score = mean_inside(probability_HW, kernel)
        if score < config.min_text_score:
            continue
        outline = _outline(kernel, config)
        if outline is not None:
            boundaries.append(Boundary(outline.astype(np.float64), score))
    return boundaries


def _outline(kernel: np.ndarray, config: DBPostprocessing) -> np.ndarray | None:
    """The expanded kernel as a quad or polygon, None where it is too thin or falls apart."""
    parts = expand_polygon(kernel, config.unclip_ratio)
    # A kernel that bends back on itself may expand into several rings. MMOCR drops these unless all
    # have equally many points, when it runs them together; so do we, for equal numbers.
    if not parts or any(len(part) != len(parts[0]) for part in parts):
        return None
    expanded = np.concatenate(parts)
    if config.text_repr_type == "poly":
        return expanded if len(expanded) >= 4 else None
    rectangle = cv2.minAreaRect(expanded)
    return cv2.boxPoints(rectangle) if min(rectangle[1]) > config.min_text_width else None


def expand_polygon(points: np.ndarray, ratio: float) -> list[NDArray[np.int32]]:
    """Rings around the polygon at distance area * ratio / perimeter, with round corners.

    MMOCR's ``unclip`` (the Vatti offset of the paper). Mostly one ring; none where the polygon has
    no area.

    Args:
        points: (K, 2) integer x, y.
        ratio: the paper's r'.

    Returns:
        Arrays (K', 2), clockwise.
    """
    ring = points.tolist()
    # Plain Python: kernels have a handful of points, where numpy's call overhead would dominate.
    twice_area, perimeter = 0, 0.0
    for (x0, y0), (x1, y1) in pairwise([*ring, ring[0]]):
        twice_area += x0 * y1 - x1 * y0
        perimeter += math.hypot(x1 - x0, y1 - y0)
    distance = abs(twice_area) / 2 * ratio / max(perimeter, 1e-12)
    offset = pyclipper.PyclipperOffset()
    offset.AddPath(ring, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    return [np.array(path, np.int32) for path in offset.Execute(distance)]


def mean_inside(values_HW: NDArray[np.float32], polygon: np.ndarray) -> float:
    """Mean of the map inside a polygon, its outline included (MMOCR's ``box_score_fast``).

    Args:
        values_HW: any float32 map.
        polygon: (K, 2) x, y; parts outside the map are ignored.
    """
    height, width = values_HW.shape
    xs, ys = polygon.T.tolist()
    left = min(max(math.floor(min(xs)), 0), width - 1)
    right = min(max(math.ceil(max(xs)), 0), width - 1)
    top = min(max(math.floor(min(ys)), 0), height - 1)
    bottom = min(max(math.ceil(max(ys)), 0), height - 1)
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(polygon - (left, top)).astype(np.int32)], (1,))
    return cv2.mean(values_HW[top : bottom + 1, left : right + 1], inside)[0]
