"""Targets of DRRG: maps of the centre regions, and components to build graphs from.

Paper: Deep Relational Reasoning Graph Network for Arbitrary Shape Text Detection, arXiv:2003.07493,
section 3.2; numbers are those of MMOCR 0.6.1.

Shapes: H x W pixels of the network's input, N components, P pairs of points along a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ocr_models.detection.drrg_components import GeometryMaps, component_boxes
from ocr_models.detection.quad_nms import locality_aware_nms
from ocr_models.errors import ConfigError

from .side_lines import SideLines, paired, side_lines
from .textsnake import as_points, center_boxes, different_corners, oriented

_EPS = 1e-8


@dataclass(frozen=True)
class DRRGTargets:
    """How polygons become target maps and components.

    Args:
        orientation_thr: a quad is vertical text when its steep sides are longer by this factor.
        resample_step: distance of the points along a side of a text, in pixels.
        num_min_comps: where there are fewer components, random ones off the text join them.
        num_max_comps: components beyond this number are left out.
        min_width: least width of a component in pixels.
        max_width: largest width in pixels.
        center_region_shrink_ratio: height of the centre region over the text's.
        comp_shrink_ratio: height of components over the text's.
        comp_w_h_ratio: width of a component over its height, before the bounds.
        text_comp_nms_thr: allowed intersection over union of two components.
        min_rand_half_height: of random components, in pixels.
        max_rand_half_height: of random components, in pixels.
        jitter_level: by which part, at most, components are moved and changed.
    """

    orientation_thr: float = 2.0
    resample_step: float = 8.0
    num_min_comps: int = 9
    num_max_comps: int = 600
    min_width: float = 8.0
    max_width: float = 24.0
    center_region_shrink_ratio: float = 0.3
    comp_shrink_ratio: float = 1.0
    comp_w_h_ratio: float = 0.3
    text_comp_nms_thr: float = 0.25
    min_rand_half_height: float = 8.0
    max_rand_half_height: float = 24.0
    jitter_level: float = 0.2

    def __post_init__(self) -> None:
        if self.resample_step <= 0:
            raise ConfigError(f"resample_step is {self.resample_step}; it must be above 0")
        if not 2 <= self.num_min_comps <= self.num_max_comps:
            raise ConfigError(
                f"num_min_comps is {self.num_min_comps} and num_max_comps is "
                f"{self.num_max_comps}; needed: 2 <= num_min_comps <= num_max_comps"
            )
        if not 0 < self.min_width <= self.max_width:
            raise ConfigError(
                f"min_width is {self.min_width} and max_width is {self.max_width}; "
                "needed: 0 < min_width <= max_width"
            )
        if not 0 < self.min_rand_half_height < self.max_rand_half_height:
            raise ConfigError(
                f"min_rand_half_height is {self.min_rand_half_height} and max_rand_half_height is "
                f"{self.max_rand_half_height}; needed: 0 < min_rand_half_height < "
                "max_rand_half_height"
            )


class DRRGTargetMaps(NamedTuple):
    """Target maps: (H, W) arrays of one image, or (B, H, W) tensors once batched."""

    text: Any
    """uint8, 1 on text."""
    center: Any
    """uint8, 1 near a centre line."""
    mask: Any
    """uint8, 0 on ignored text, else 1."""
    top_height: Any
    """float32, in centre regions the distance to the upper side in pixels, else 0."""
    bottom_height: Any
    """float32, the same for the lower side."""
    sin: Any
    """float32, in centre regions of the direction from the lower to the upper side, else 0."""
    cos: Any
    """float32, see ``sin``."""


class DRRGImageTargets(NamedTuple):
    """Targets of one image."""

    maps: DRRGTargetMaps
    components: NDArray[np.float32]
    """(N, 7): x, y, height, width, cos, sin, and the number of the centre region, 0 for none."""


def make_targets(
    polygons: Sequence[ArrayLike],
    ignored: Sequence[ArrayLike],
    height: int,
    width: int,
    rng: np.random.Generator,
    config: DRRGTargets = DRRGTargets(),
) -> DRRGImageTargets:
    """Draw the maps of one image and choose its components.

    Args:
        polygons: text to learn; each (K, 2) or flat ``x1, y1, ...``, in pixels of this image.
            Outlines without side lines (fewer than four corners, no extent) are ignored text.
        ignored: text that must not count either way, in the same form.
        height: H.
        width: W.
        rng: random numbers, for the components only.
        config: settings.

    Raises:
        ValueError: a coordinate is not finite, or a flat polygon has an odd number of values.
    """
    outlines = [as_points(polygon) for polygon in polygons]
    hidden = [as_points(polygon) for polygon in ignored]
    hidden += [outline for outline in outlines if not _has_sides(outline)]
    learnt = [outline for outline in outlines if _has_sides(outline)]
    text, mask = np.zeros((height, width), np.uint8), np.ones((height, width), np.uint8)
    for outline in learnt:
        cv2.fillPoly(text, [outline.astype(np.int32)], (1,))
    for outline in hidden:
        if len(outline):
            cv2.fillPoly(mask, [outline.astype(np.int32)], (0,))
    sides = [_sides(outline, config) for outline in learnt]
    center, geometry = _draw(sides, height, width, config.center_region_shrink_ratio)
    center_lines = [((own.top + own.bottom) / 2).astype(np.int32) for own in sides]
    components = _components(center_lines, text, center, geometry, rng, config)
    maps = DRRGTargetMaps(
        text, center, mask, geometry.top_height, geometry.bottom_height, geometry.sin, geometry.cos
    )
    return DRRGImageTargets(maps, components)


def _sides(outline: NDArray[np.float64], config: DRRGTargets) -> SideLines:
    """Pairs of points along the text, without its ends, where components would reach over it.

    How long an end is follows from the distance of the first and of the last corners of both side
    lines. These run in opposite directions, so that is the text's length instead of its height, and
    an end is mostly as long as half the widest component.
    """
    lines = side_lines(different_corners(outline), config.orientation_thr)
    lengths = np.linalg.norm(lines.top[[0, -1]] - lines.bottom[[0, -1]], axis=1)
    ends = (lengths * config.comp_w_h_ratio).clip(config.min_width, config.max_width) / 2
    head, tail = (ends // config.resample_step).astype(int)
    sides = oriented(paired(lines, config.resample_step))
    if len(sides.top) <= head + tail + 2:
        return sides
    part = slice(head, len(sides.top) - tail)
    return SideLines(sides.top[part], sides.bottom[part])


def _has_sides(outline: NDArray[np.float64]) -> bool:
    return len(different_corners(outline)) >= 4


def _draw(
    texts: Sequence[SideLines], height: int, width: int, shrink_ratio: float
) -> tuple[NDArray[np.uint8], GeometryMaps]:
    """Mask of the centre regions, and the geometry there; where two overlap the last one wins."""
    numbers = np.zeros((height, width), np.int32)
    boxes = [box for sides in texts for box in center_boxes(sides, shrink_ratio)]
    for last, box in enumerate(boxes, start=1):
        cv2.fillPoly(numbers, [box], (last,))
    maps = GeometryMaps(*(np.zeros((height, width), np.float32) for _ in range(4)))
    y, x = np.nonzero(numbers)
    if len(y):
        number = numbers[y, x] - 1
        top = _segments([sides.top for sides in texts])
        bottom = _segments([sides.bottom for sides in texts])
        up = top.mean(axis=1) - bottom.mean(axis=1)
        up /= np.linalg.norm(up, axis=1, keepdims=True) + _EPS
        maps.cos[y, x], maps.sin[y, x] = up[number].T
        points = np.stack([x, y], axis=1)
        maps.top_height[y, x] = _distances(points, top[number])
        maps.bottom_height[y, x] = _distances(points, bottom[number])
    return (numbers > 0).view(np.uint8), maps


def _segments(lines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Neighbouring points of each line, (n, 2, 2)."""
    return np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in lines])


def _distances(points: NDArray[np.integer], lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of points (n, 2) from lines through two points each (n, 2, 2)."""
    start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
    cross = along[:, 0] * (start - points)[:, 1] - along[:, 1] * (start - points)[:, 0]
    return np.asarray(np.abs(cross) / (np.linalg.norm(along, axis=1) + _EPS))


def _components(
    center_lines: Sequence[NDArray[np.int32]],
    text: NDArray[np.uint8],
    center: NDArray[np.uint8],
    geometry: GeometryMaps,
    rng: np.random.Generator,
    config: DRRGTargets,
) -> NDArray[np.float32]:
    """See ``DRRGImageTargets.components``."""
    lines = np.zeros_like(center)
    cv2.polylines(lines, list(center_lines), False, (1,), 1)
    y, x = np.nonzero(lines & center)
    bounds = (config.min_width, config.max_width)
    boxes = component_boxes(
        np.stack([x, y], axis=1), geometry, config.comp_shrink_ratio, config.comp_w_h_ratio, bounds
    )
    scored = np.hstack([boxes, np.ones((len(boxes), 1), np.float32)])
    kept, _ = locality_aware_nms(scored, config.text_comp_nms_thr)
    height, width = center.shape
    corners = kept[:, :8].reshape(-1, 4, 2).clip(0, (width - 1, height - 1))
    x, y = corners.mean(axis=1).astype(np.int32).T
    heights = geometry.top_height[y, x] + geometry.bottom_height[y, x]
    _, regions = cv2.connectedComponents(center, connectivity=8)
    columns = [
        x, y, heights, (heights * config.comp_w_h_ratio).clip(*bounds),
        geometry.cos[y, x], geometry.sin[y, x], regions[y, x],
    ]  # fmt: skip
    components = jittered(np.stack(columns, axis=1).astype(np.float32), config.jitter_level, rng)
    missing = config.num_min_comps - len(components)
    if missing > 0:
        components = np.vstack([components, random_components(missing, text, rng, config)])
    return components[: config.num_max_comps]


def jittered(
    components: NDArray[np.float32], level: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Components (N, 7) whose geometry is moved and changed a little, at random.

    Args:
        components: see ``DRRGImageTargets.components``; numbers of regions stay.
        level: centres move by at most half of this part of the height, along the height; height and
            width change by at most half of this part; cos and sin by at most this much.
        rng: random numbers.
    """
    x, y, height, width, cos, sin, region = components.T
    noise = rng.random((6, len(components))) - 0.5
    cos_noisy, sin_noisy = cos + noise[4] * 2 * level, sin + noise[5] * 2 * level
    scale = np.sqrt(1.0 / (cos_noisy**2 + sin_noisy**2 + _EPS))
    columns = [
        x + noise[0] * height * np.abs(cos) * level,
        y + noise[1] * height * np.abs(sin) * level,
        height * (1 + noise[2] * level),
        width * (1 + noise[3] * level),
        cos_noisy * scale,
        sin_noisy * scale,
        region,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def random_components(
    count: int, text: NDArray[np.uint8], rng: np.random.Generator, config: DRRGTargets
) -> NDArray[np.float32]:
    """Components of random size and direction that lie off the text, region 0, (count, 7).

    Args:
        count: how many.
        text: uint8 (H, W), 1 on text.
        rng: random numbers.
        config: sizes.
    """
    largest, margin = _random_size(min(text.shape), config)
    places = _free_places(text, margin, largest, config)
    centers = places[rng.integers(len(places), size=count)]
    smallest = min(int(config.min_rand_half_height), int(largest) - 1)
    heights = rng.integers(smallest, int(largest), size=(2, count)).sum(axis=0)
    cos, sin = rng.random((2, count)) * 2 - 1
    scale = np.sqrt(1.0 / (cos**2 + sin**2 + _EPS))
    widths = (heights * config.comp_w_h_ratio).clip(config.min_width, config.max_width)
    columns = [*centers.T, heights, widths, cos * scale, sin * scale, np.zeros(count)]
    return np.stack(columns, axis=1).astype(np.float32)


def _random_size(shorter_side_px: int, config: DRRGTargets) -> tuple[float, int]:
    """Largest half height of a random component, and its distance from the image's edges."""
    largest = config.max_rand_half_height
    margin = _half_diagonal(largest, config)
    if 2 * margin + 1 > shorter_side_px:
        largest = max(shorter_side_px / 4, config.min_width / 2 + 1)
        margin = _half_diagonal(largest, config)
    return largest, margin


def _half_diagonal(half_height: float, config: DRRGTargets) -> int:
    height = 2 * half_height
    return int(np.hypot(height, height * config.comp_w_h_ratio) / 2) + 1


def _free_places(
    text: NDArray[np.uint8], margin: int, largest: float, config: DRRGTargets
) -> NDArray[np.intp]:
    """Pixels x, y where a random component fits; those that come nearest to it where none fits.

    MMOCR fails where none fits, as in small images or images full of text.
    """
    inner = np.zeros_like(text)
    inner[margin : text.shape[0] - margin, margin : text.shape[1] - margin] = 1
    side = int(np.clip(largest, 7, 21))
    roomy = cv2.erode((1 - text) * inner, np.ones((side, side), np.uint8))
    for places in (roomy, (1 - text) * inner, 1 - text):
        y, x = np.nonzero(places)
        if len(y):
            return np.stack([x, y], axis=1)
    return np.array([[text.shape[1] // 2, text.shape[0] // 2]], np.intp)
