"""Text components of DRRG: small boxes along the centre line of each text.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493,
section 3.2. Numbers are those of MMOCR 0.6.1.

Shapes: H, W size of the maps; N components. A component's angle is that of the vector from the
middle of its bottom side to that of its top side, x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .masks import fill_holes
from .quad_nms import locality_aware_nms

# A region is dropped unless this part of its components' area is text.
_LEAST_TEXT_SHARE = 0.5


@dataclass(frozen=True)
class ComponentProposals:
    """How components are read off the maps.

    Args:
        nms_thr: intersection over union above which components are merged or suppressed.
        min_width: least width of a component in pixels.
        max_width: largest width in pixels.
        comp_shrink_ratio: components are this much higher than the text.
        comp_ratio: width over height, before the bounds.
        comp_score_thr: text probability that the pixel in the middle of a component must exceed.
        text_region_thr: probability above which a pixel is text.
        center_region_thr: product of both probabilities above which a pixel belongs to a centre
            region.
        center_region_area_thr: a centre region must be larger than this many pixels.
    """

    nms_thr: float = 0.3
    min_width: float = 8.0
    max_width: float = 24.0
    comp_shrink_ratio: float = 1.03
    comp_ratio: float = 0.4
    comp_score_thr: float = 0.3
    text_region_thr: float = 0.2
    center_region_thr: float = 0.2
    center_region_area_thr: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.min_width <= self.max_width:
            raise ConfigError(
                f"min_width is {self.min_width} and max_width is {self.max_width}; "
                "needed: 0 < min_width <= max_width"
            )
        if self.comp_score_thr < 0:
            raise ConfigError(f"comp_score_thr is {self.comp_score_thr}; it must not be negative")


class GeometryMaps(NamedTuple):
    """What the network says about each pixel near a centre line, (H, W) each.

    ``sin`` and ``cos`` are of the text's upward direction, not normalised; the heights are
    distances in pixels to the upper and lower side of the text.
    """

    sin: NDArray[np.float32]
    cos: NDArray[np.float32]
    top_height: NDArray[np.float32]
    bottom_height: NDArray[np.float32]


class Components(NamedTuple):
    """Components of one image, by the region that they came from."""

    boxes: NDArray[np.float64]
    """(N, 9): corners x, y (top left, top right, bottom right, bottom left), and the mean
    probability of text inside."""
    attributes: NDArray[np.float64]
    """(N, 6): x and y of the centre, height, width, cos, sin."""


def propose_components(
    text_HW: NDArray[np.float32],
    center_HW: NDArray[np.float32],
    geometry: GeometryMaps,
    config: ComponentProposals,
) -> Components:
    """Components of one image.

    Args:
        text_HW: probability of text.
        center_HW: probability of the region around a centre line.
        geometry: maps in pixels.
        config: thresholds.
    """
    geometry = with_unit_direction(geometry)
    text_mask = text_HW > config.text_region_thr
    center_mask = (center_HW * text_HW > config.center_region_thr) & text_mask
    pixels, sizes = _center_pixels(center_mask, text_HW, config)
    boxes = component_boxes(
        pixels, geometry, config.comp_shrink_ratio, config.comp_ratio,
        (config.min_width, config.max_width),
    )  # fmt: skip
    scored = np.hstack([boxes, text_HW[pixels[:, 1], pixels[:, 0], None]])
    merged, regions = locality_aware_nms(scored, config.nms_thr, sizes)
    corners = merged[:, :8].reshape(-1, 4, 2)
    corners = corners[_in_text(corners, regions, text_mask)]
    return Components(_scored_inside(corners, text_HW), _attributes(corners, geometry, config))


def with_unit_direction(geometry: GeometryMaps) -> GeometryMaps:
    """The same maps with sin^2 + cos^2 = 1."""
    scale = np.sqrt(1.0 / (geometry.sin**2 + geometry.cos**2 + 1e-8))
    return geometry._replace(sin=geometry.sin * scale, cos=geometry.cos * scale)


def component_boxes(
    pixels: NDArray[np.integer],
    geometry: GeometryMaps,
    shrink_ratio: float,
    width_ratio: float,
    width_bounds: tuple[float, float],
) -> NDArray[np.float32]:
    """A box around each of some pixels, corners from the top left, (N, 8).

    Args:
        pixels: (N, 2) x, y.
        geometry: with unit directions.
        shrink_ratio: height of a box over the text's.
        width_ratio: width over height.
        width_bounds: least and largest width in pixels.
    """
    x, y = pixels.T
    up = np.stack([geometry.cos[y, x], geometry.sin[y, x]], axis=1)
    top = geometry.top_height[y, x, None] * shrink_ratio
    bottom = geometry.bottom_height[y, x, None] * shrink_ratio
    half_width = np.clip((top + bottom) * width_ratio, *width_bounds) / 2
    right = np.stack([-up[:, 1], up[:, 0]], axis=1) * half_width
    above, below = pixels + top * up, pixels - bottom * up
    corners = [above - right, above + right, below + right, below - right]
    return np.hstack(corners).astype(np.float32)


def _center_pixels(
    center_mask: NDArray[np.bool_], text_HW: NDArray[np.float32], config: ComponentProposals
) -> tuple[NDArray[np.intp], list[int]]:
    """Pixels x, y that get a component, by region and row; and how many each region has."""
    filled = fill_holes(center_mask)
    contours, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=8)
    regions = [labels[contour[0, 0, 1], contour[0, 0, 0]] for contour in contours]
    large = [r for r in regions if stats[r, cv2.CC_STAT_AREA] > config.center_region_area_thr]
    rank = np.full(len(stats), len(large))  # of a label's region in the order of the contours
    rank[large] = np.arange(len(large))
    ranks = rank[labels]
    y, x = np.nonzero((ranks < len(large)) & (text_HW > config.comp_score_thr))
    order = np.argsort(ranks[y, x], kind="stable")
    sizes = np.bincount(ranks[y, x], minlength=len(large))
    return np.stack([x, y], axis=1)[order], sizes.tolist()


def _in_text(
    corners: NDArray[np.float32], regions: NDArray[np.intp], text_mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which components belong to a region whose components lie mostly on text, (N,)."""
    height, width = text_mask.shape
    good = np.zeros(len(corners), bool)
    starts = np.flatnonzero(np.diff(regions, prepend=-1))
    for start, end in pairwise([*starts, len(corners)]):
        boxes = corners[start:end].astype(np.int32)
        left, top = boxes.min(axis=(0, 1)).clip(0, (width - 1, height - 1))
        right, bottom = boxes.max(axis=(0, 1)).clip(0, (width - 1, height - 1))
        covered = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
        cv2.drawContours(covered, list(boxes), -1, (1,), -1, offset=(-int(left), -int(top)))
        on_text = covered & text_mask[top : bottom + 1, left : right + 1]
        good[start:end] = on_text.sum() >= covered.sum() * _LEAST_TEXT_SHARE
    return good


def _scored_inside(
    corners: NDArray[np.float32], text_HW: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Boxes cut at the image's edges, with the mean probability of text inside, (N, 9)."""
    height, width = text_HW.shape
    corners = corners.clip(0, (width - 1, height - 1))
    result = np.empty((len(corners), 9))
    result[:, :8] = corners.reshape(-1, 8)
    for row, box in zip(result, corners, strict=True):
        left, top = box.min(axis=0).astype(np.int32)
        right, bottom = box.max(axis=0).astype(np.int32)
        inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
        cv2.fillPoly(inside, [(box - (left, top)).astype(np.int32)], (1,))
        row[8] = cv2.mean(text_HW[top : bottom + 1, left : right + 1], inside)[0]
    return result


def _attributes(
    corners: NDArray[np.float32], geometry: GeometryMaps, config: ComponentProposals
) -> NDArray[np.float64]:
    """What the maps say at the centre of each box, (N, 6)."""
    height, width = geometry.sin.shape
    corners = corners.clip(0, (width - 1, height - 1))
    x, y = corners.mean(axis=1).astype(np.int32).T
    heights = geometry.top_height[y, x] + geometry.bottom_height[y, x]
    widths = np.clip(heights * config.comp_ratio, config.min_width, config.max_width)
    columns = [x, y, heights, widths, geometry.cos[y, x], geometry.sin[y, x]]
    return np.stack(columns, axis=1).astype(np.float64)
