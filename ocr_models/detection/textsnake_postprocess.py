"""From TextSnake's maps to text boundaries.

Paper: TextSnake: A Flexible Representation for Detecting Text of Arbitrary Shapes,
arXiv:1807.01544, section 3.3. Numbers equal MMOCR 0.6.1's ``TextSnakePostprocessor``, but every
text's centre line is followed at the same time, so a page full of words costs little more than one.

Shapes: H, W size of the maps; N points of all centre lines; D disks of one text.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import Boundary
from .masks import fill_holes, number_regions
from .panet_postprocess import sigmoid
from .thinning import thin

# A point of the skeleton walks to either edge of its centre region in steps of this many radii.
_STEP_RADII = 0.03
# The centre region reaches 0.3 radii to either side, ten steps. Where the maps contradict each
# other, a walk ends here instead of crossing the image, or of never moving at all.
_MAX_STEPS = 400
# Disks that are compared with all others at once: bounds the memory of long centre lines.
_BLOCK = 256


@dataclass(frozen=True)
class TextSnakePostprocessing:
    """How boundaries are read off the maps.

    Args:
        min_center_region_confidence: text probability times centre probability above which a pixel
            belongs to a centre region.
        min_center_area: smallest area of a centre region's outline, in square pixels of the map.
        disk_overlap_thr: disks are merged when their centres are closer than this many times the
            sum of their radii.
        radius_shrink_ratio: the disks' radii are the predicted ones times this.
    """

    min_center_region_confidence: float = 0.2
    min_center_area: float = 30
    disk_overlap_thr: float = 0.03
    radius_shrink_ratio: float = 1.03

    def __post_init__(self) -> None:
        if self.disk_overlap_thr < 0:
            raise ConfigError(
                f"disk_overlap_thr is {self.disk_overlap_thr}; it must not be negative"
            )


def textsnake_boundaries(
    maps_5HW: NDArray[np.floating], config: TextSnakePostprocessing
) -> list[Boundary]:
    """Text boundaries of one image, polygons in pixels of the maps.

    Args:
        maps_5HW: the network's output: text logit, centre logit, sine, cosine, radius.
        config: thresholds.
    """
    text_logits, center_logits, sin, cos, radius = maps_5HW.astype(np.float32, copy=False)
    text_score = sigmoid(text_logits)
    center_score = sigmoid(center_logits) * text_score
    regions = fill_holes(center_score > np.float32(config.min_center_region_confidence))
    labels, numbers = number_regions(regions, config.min_center_area)
    if not len(numbers):
        return []
    skeleton_yx = np.argwhere(thin(labels > 0))
    y, x = skeleton_yx.T
    own_label = labels[y, x]
    length = np.sqrt(sin[y, x] ** 2 + cos[y, x] ** 2 + np.float32(1e-8))
    # Across the text: its direction turned by a quarter.
    normal_yx = np.stack([cos[y, x], -sin[y, x]], axis=1) / length[:, None]
    step_yx = normal_yx * (np.float32(_STEP_RADII) * radius[y, x])[:, None]
    edges = [_walk(skeleton_yx, step, labels) for step in (step_yx, -step_yx)]
    center_y, center_x = ((edges[0] + edges[1]) * 0.5).astype(np.int32).T
    disks = np.stack(
        [
            center_x,
            center_y,
            radius[center_y, center_x] * np.float32(config.radius_shrink_ratio),
            center_score[center_y, center_x],
        ],
        axis=1,
    ).astype(np.float64)
    found = []
    for number in numbers:
        own = _merge_disks(disks[own_label == number], config.disk_overlap_thr)
        boundary = _outline(own, text_score)
        if boundary is not None:
            found.append(boundary)
    return found


def _walk(
    start_N2: NDArray[np.int64], step_N2: NDArray[np.float32], labels_HW: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Each point moved by its step until the next one would leave its region; (row, column)."""
    height, width = labels_HW.shape
    position_N2 = start_N2.astype(np.float64)
    own_N = labels_HW[start_N2[:, 0], start_N2[:, 1]]
    walking = np.arange(len(start_N2))
    for _ in range(_MAX_STEPS):
        ahead = position_N2[walking] + step_N2[walking]
        row, column = ahead.clip(-1, (height, width)).astype(np.int32).T
        # MMOCR counts the first column as outside.
        inside = (row >= 0) & (row < height) & (column > 0) & (column < width)
        inside[inside] = labels_HW[row[inside], column[inside]] == own_N[walking[inside]]
        walking = walking[inside]
        if not len(walking):
            break
        position_N2[walking] = ahead[inside]
    return position_N2


def _merge_disks(disks_D4: NDArray[np.float64], overlap_thr: float) -> NDArray[np.float64]:
    """Means of disks whose centres nearly coincide, those with the best score first.

    Of equally good ones the first comes first, where MMOCR's order depends on the processor.

    Args:
        disks_D4: x, y, radius, score.
        overlap_thr: see ``TextSnakePostprocessing``.
    """
    ordered = disks_D4[np.argsort(-disks_D4[:, 3], kind="stable")]
    crowded = _crowded(ordered, overlap_thr)
    left, merged = ordered[crowded], [ordered[~crowded]]
    while len(left):
        close = _close(left[:1], left, overlap_thr)[0]
        close[0] = True  # also where the radius is negative
        merged.append(left[close].mean(axis=0, keepdims=True))
        left = left[~close]
    return np.concatenate(merged)


def _crowded(disks_D4: NDArray[np.float64], overlap_thr: float) -> NDArray[np.bool_]:
    """Which disks have another one near enough to be merged with, (D,); mostly few."""
    crowded = np.zeros(len(disks_D4), bool)
    for start in range(0, len(disks_D4), _BLOCK):
        close = _close(disks_D4[start : start + _BLOCK], disks_D4, overlap_thr)
        rows = np.arange(len(close))
        close[rows, start + rows] = False
        crowded[start : start + _BLOCK] = close.any(axis=1)
    return crowded


def _close(
    some_S4: NDArray[np.float64], all_D4: NDArray[np.float64], overlap_thr: float
) -> NDArray[np.bool_]:
    """Which pairs of disks have centres that nearly coincide, (S, D)."""
    across = some_S4[:, None, 0] - all_D4[:, 0]
    down = some_S4[:, None, 1] - all_D4[:, 1]
    reach = (some_S4[:, None, 2] + all_D4[:, 2]) * overlap_thr
    return np.asarray(np.hypot(across, down) <= reach)


def _outline(disks_D4: NDArray[np.float64], text_score_HW: NDArray[np.float32]) -> Boundary | None:
    """Outline of the union of disks, and the mean text score inside; None if it has no area."""
    drawn = disks_D4[disks_D4[:, 2] > 1]
    if not len(drawn):
        return None
    height, width = text_score_HW.shape
    # Whole pixels as in MMOCR; a disk cannot cover more than all of the map.
    centers = drawn[:, :2].astype(np.int32)
    radii = drawn[:, 2].clip(max=height + width).astype(np.int32)
    left, top = np.maximum((centers - radii[:, None]).min(axis=0), 0).tolist()
    right, bottom = np.minimum((centers + radii[:, None]).max(axis=0) + 1, (width, height)).tolist()
    mask = np.zeros((bottom - top, right - left), np.uint8)
    for (x, y), disk_radius in zip((centers - (left, top)).tolist(), radii.tolist(), strict=True):
        cv2.circle(mask, (x, y), disk_radius, (1,), cv2.FILLED)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
    # Disks that do not touch give several contours; MMOCR keeps the first.
    if not contours or len(contours[0]) < 5 or cv2.contourArea(contours[0]) <= 0:
        return None
    score = cv2.mean(text_score_HW[top:bottom, left:right], mask)[0]
    return Boundary(contours[0].reshape(-1, 2).astype(np.float64), score)
