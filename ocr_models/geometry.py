"""Plane geometry of text: vertex orders, outlines, crops, text lines, reading order.

Points are (x, y) in pixels, x to the right and y down, so "clockwise" means as seen on the screen.
A *flat box* is ``[x1, y1, x2, y2, ...]``, MMOCR's habit; everything else is an (N, 2) array.

Three ways to cut a word out of an image live here. ``perspective_crop`` is the one that the OCR
chain uses; ``padded_crop`` and ``rectified_crop`` give the same pixels as MMOCR's ``crop_img`` and
``warp_img``, for checkpoints and data sets that were made with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .results import Boundary, RecognitionResult, Word

FloatArray = NDArray[np.float64]

# Boxes whose heights differ by more than this are never put on one text line: a logo or a vertical
# sign beside three lines of small print would otherwise join them.
_MAX_HEIGHT_RATIO = 3.0

_NEXT_CORNER = [1, 2, 3, 0]
_OPPOSITE_EDGE = [2, 3, 0, 1]


def _pairs(flat_or_pairs: ArrayLike) -> FloatArray:
    """(N, 2) float64 view of a flat box or of points."""
    points = np.asarray(flat_or_pairs, dtype=np.float64)
    return points.reshape(-1, 2)


# --- vertex orders -----------------------------------------------------------------------------


def order_vertices(quad: ArrayLike) -> FloatArray:
    """Four points clockwise, starting with the one nearest the bounding box's top-left corner.

    MMOCR's ``sort_vertex`` and ``sort_vertex8``; use ``order_quad`` for text of unknown rotation.

    Args:
        quad: four points in any order, as (4, 2) or flat.

    Returns:
        (4, 2) float64.
    """
    points = _pairs(quad)
    if len(points) != 4:
        raise ValueError(f"four points are needed to order a quad; got {len(points)}")
    from_centre = points - points.mean(axis=0)
    angle = np.arctan2(from_centre[:, 1], from_centre[:, 0])
    clockwise = points[np.argsort(angle, kind="stable")]
    from_corner = clockwise - points.min(axis=0)
    return np.roll(clockwise, -int(np.argmin((from_corner**2).sum(axis=1))), axis=0)


def order_polygon(points: ArrayLike) -> FloatArray:
    """Points sorted anticlockwise around their mean, from straight above it (exclusive).

    MMOCR's ``sort_points``. Points on one ray from the mean come outermost first.
    """
    points = _pairs(points)
    offset_x, offset_y = (points - points.mean(axis=0)).T
    # 0 = up, a quarter turn = left, half = down; the ray straight up closes the circle.
    turn = np.arctan2(-offset_x, -offset_y) % (2 * np.pi)
    turn[(offset_x == 0) & (offset_y < 0)] = 2 * np.pi
    distance = np.hypot(offset_x, offset_y)
    return points[np.lexsort((-distance, turn.round(9)))]


def order_quad(quad: ArrayLike) -> FloatArray:
    """Four corners clockwise, starting at the top-left of upright text inside.

    The top edge is the one whose direction is nearest to "to the right"; between two equally good
    ones (a box turned by 45 degrees) the longer wins. Works for crossed corner orders as well.

    Args:
        quad: four points in any order, as (4, 2) or flat.

    Returns:
        (4, 2) float64.
    """
    return order_quads(_pairs(quad)[None])[0]


def order_quads(quads_N42: FloatArray) -> FloatArray:
    """``order_quad`` for many quads at once: (N, 4, 2) -> (N, 4, 2)."""
    from_centre = quads_N42 - quads_N42.mean(axis=1, keepdims=True)
    angle = np.arctan2(from_centre[..., 1], from_centre[..., 0])
    order = np.argsort(angle, axis=1, kind="stable")
    clockwise = np.take_along_axis(quads_N42, order[..., None], axis=1)
    edge = clockwise[:, _NEXT_CORNER] - clockwise
    # An edge and the opposite one, walked the same way, give the direction of a text line.
    along = edge - edge[:, _OPPOSITE_EDGE]
    length = np.hypot(along[..., 0], along[..., 1])
    rightness = along[..., 0] / np.maximum(length, 1e-9)
    longer = length / np.maximum(length.max(axis=1, keepdims=True), 1e-9)
    start = np.argmax(rightness.round(3) + 1e-4 * longer, axis=1)
    turned = (np.arange(4)[None] + start[:, None]) % 4
    return np.take_along_axis(clockwise, turned[..., None], axis=1)


def min_area_quad(points: ArrayLike) -> FloatArray:
    """Corners (4, 2) of the smallest rotated rectangle around points, in ``order_quad`` order."""
    rectangle = cv2.minAreaRect(_pairs(points).astype(np.float32))
    return order_quad(cv2.boxPoints(rectangle))


def bounding_quad(points: ArrayLike) -> FloatArray:
    """Corners (4, 2) of the upright bounding box, clockwise from the top-left."""
    (left, top), (right, bottom) = _pairs(points).min(axis=0), _pairs(points).max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


# --- outlines ----------------------------------------------------------------------------------


def bezier_polygon(control_points: ArrayLike, num_samples: int = 20) -> FloatArray:
    """Polygon between two cubic Bezier curves (MMOCR's ``bezier2polygon``, ABCNet annotations).

    Args:
        control_points: eight points: four of the upper curve, four of the lower, going around.
        num_samples: points taken on each curve.

    Returns:
        (2 * num_samples, 2) float64.
    """
    curves = np.asarray(control_points, dtype=np.float64).reshape(2, 4, 2)
    t = np.linspace(0.0, 1.0, num_samples)
    bernstein = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    return np.concatenate([bernstein @ curves[0], bernstein @ curves[1]])


def instance_outline(
    pixels: NDArray[np.integer], kind: Literal["quad", "poly"], min_width_px: float = -1
) -> NDArray[np.generic] | None:
    """Outline of one text instance that is given by its pixels (MMOCR's ``points2boundary``).

    Args:
        pixels: (N, 2) integer x, y of every pixel that belongs to the instance.
        kind: ``"quad"``, the smallest rotated rectangle, or ``"poly"``, the outer contour of the
            component that OpenCV lists first.
        min_width_px: quads whose short side is not above this are dropped; polygons never are.

    Returns:
        (K, 2) points, or None when the instance is too thin or has fewer than four contour points.
    """
    if kind == "quad":
        rectangle = cv2.minAreaRect(np.ascontiguousarray(pixels, dtype=np.int32))
        return cv2.boxPoints(rectangle) if min(rectangle[1]) > min_width_px else None
    if kind != "poly":
        raise ValueError(f"an outline is 'quad' or 'poly'; got {kind!r}")
    low = pixels.min(axis=0)
    width, height = pixels.max(axis=0) - low + 1
    mask = np.zeros((height + 2, width + 2), np.uint8)
    mask[pixels[:, 1] - low[1] + 1, pixels[:, 0] - low[0] + 1] = 255
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = contours[0].reshape(-1, 2) + (low - 1)
    return outline if len(outline) >= 4 else None


def rescale(boundaries: Sequence[Boundary], factor_xy: ArrayLike) -> list[Boundary]:
    """Boundaries with x and y multiplied by ``factor_xy[0]`` and ``factor_xy[1]``.

    MMOCR's ``resize_boundary``; a longer ``factor_xy`` such as (w, h, w, h) is read up to its
    second entry.
    """
    factor = np.asarray(factor_xy, dtype=np.float64).ravel()[:2]
    return [Boundary(boundary.points * factor, boundary.score) for boundary in boundaries]


def to_original(
    boundaries: Sequence[Boundary], scale_factor: ArrayLike, downsample_ratio: float = 1.0
) -> list[Boundary]:
    """Boundaries in pixels of the image as it was before preprocessing.

    Args:
        boundaries: in pixels of the network's output map.
        scale_factor: (w, h, w, h) new / old, of ``DetectionInput``.
        downsample_ratio: map size / network input size, 1 for DBNet.
    """
    # Divided in float32, so that the numbers equal MMOCR's to the last bit.
    factor = np.float32(1.0 / downsample_ratio) / np.asarray(scale_factor, dtype=np.float32)
    return rescale(boundaries, factor)


# --- crops -------------------------------------------------------------------------------------


def perspective_crop(image: NDArray[np.uint8], outline: ArrayLike) -> NDArray[np.uint8]:
    """The text inside an outline, turned upright.

    Args:
        image: (H, W) or (H, W, C).
        outline: a quad, clockwise from the text's top-left (see ``order_quad``), or a longer
            polygon, which is cut by its smallest rotated rectangle.

    Returns:
        New image as wide and high as the longer of the opposite edges, at least 1 x 1 pixel. Points
        outside the image are moved onto its border first.
    """
    points = _pairs(outline)
    if not np.isfinite(points).all():
        raise ValueError(f"outlines need finite coordinates; got {points.tolist()}")
    quad = points if len(points) == 4 else min_area_quad(points)
    image_height, image_width = image.shape[:2]
    quad = quad.clip(0, (image_width, image_height))
    width, height = (max(1.0, round(side)) for side in _quad_size(quad))
    return _warp(image, quad, width, height, cv2.BORDER_REPLICATE)


def widen_quad(quad: ArrayLike, margin_ratio: float) -> FloatArray:
    """The quad moved outwards on every side by ``margin_ratio`` times its shorter extent.

    Args:
        quad: (4, 2), clockwise.
        margin_ratio: 0 returns the same quad.
    """
    corners = _pairs(quad)
    along = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    down = (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    width, height = float(np.hypot(*along)), float(np.hypot(*down))
    margin = margin_ratio * min(width, height)
    across, below = along * (margin / max(width, 1e-6)), down * (margin / max(height, 1e-6))
    return corners + np.stack([-across - below, across - below, across + below, below - across])


def rectified_crop(image: NDArray[np.uint8], quad: ArrayLike) -> NDArray[np.uint8]:
    """MMOCR's ``warp_img``: the quad, in ``order_vertices`` order, as an upright rectangle.

    Differs from ``perspective_crop`` in the order of corners, in cutting off fractions of a pixel
    of its size, and in black borders.
    """
    image_height, image_width = image.shape[:2]
    return upright_crop(image, order_vertices(_pairs(quad).clip(0, (image_width, image_height))))


def upright_crop(image: NDArray[np.uint8], corners: FloatArray) -> NDArray[np.uint8]:
    """``rectified_crop`` for corners that are in order, wherever they lie; outside all is black.

    Args:
        image: (H, W) or (H, W, C).
        corners: (4, 2), clockwise from the one that becomes the top-left.
    """
    width, height = _quad_size(corners)
    return _warp(image, corners, max(1.0, width), max(1.0, height), cv2.BORDER_CONSTANT)


def _quad_size(quad: FloatArray) -> tuple[float, float]:
    """Length of the longer of the first and third edge, and of the second and fourth."""
    edge_x, edge_y = (quad[_NEXT_CORNER] - quad).T
    top, right, bottom, left = np.hypot(edge_x, edge_y).tolist()
    return max(top, bottom), max(right, left)


def _warp(
    image: NDArray[np.uint8], quad: FloatArray, width: float, height: float, border: int
) -> NDArray[np.uint8]:
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    warped = cv2.warpPerspective(image, transform, (int(width), int(height)), borderMode=border)
    return np.asarray(warped, np.uint8)


def padded_crop(
    image: NDArray[np.uint8],
    outline: ArrayLike,
    long_edge_pad_ratio: float = 0.4,
    short_edge_pad_ratio: float = 0.2,
) -> NDArray[np.uint8]:
    """The upright bounding box of an outline with some margin (MMOCR's ``crop_img``).

    Args:
        image: (H, W) or (H, W, C).
        outline: flat box or (K, 2) points.
        long_edge_pad_ratio: margin along the longer side, as a share of the shorter side.
        short_edge_pad_ratio: margin along the shorter side, as a share of the shorter side.

    Returns:
        A view of ``image``; empty where the outline lies outside it.
    """
    image_height, image_width = image.shape[:2]
    points = _pairs(outline).clip(0, (image_width, image_height))
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    short = min(right - left, bottom - top)
    pad_x, pad_y = long_edge_pad_ratio * short, short_edge_pad_ratio * short
    if bottom - top >= right - left:
        pad_x, pad_y = pad_y, pad_x
    x0, x1 = (min(max(int(x), 0), image_width) for x in (left - pad_x, right + pad_x))
    y0, y1 = (min(max(int(y), 0), image_height) for y in (top - pad_y, bottom + pad_y))
    return image[y0:y1, x0:x1]


# --- text lines --------------------------------------------------------------------------------


def on_same_line(a: ArrayLike, b: ArrayLike, min_y_overlap_ratio: float | None = 0.8) -> bool:
    """Whether two boxes overlap enough in y (MMOCR's ``is_on_same_line``).

    Args:
        a: flat box or points.
        b: the other one.
        min_y_overlap_ratio: needed overlap as a share of either box's height; with None, touching
            is enough.
    """
    return _overlap_in_y(_pairs(a)[:, 1], _pairs(b)[:, 1], min_y_overlap_ratio)


def _overlap_in_y(a_y: FloatArray, b_y: FloatArray, min_ratio: float | None) -> bool:
    upper, lower = sorted([(a_y.min(), a_y.max()), (b_y.min(), b_y.max())], key=lambda y: y[0])
    if lower[0] > upper[1]:
        return False
    if min_ratio is None:
        return True
    overlap = min(lower[1], upper[1]) - lower[0]
    return bool(
        overlap >= (upper[1] - upper[0]) * min_ratio or overlap >= (lower[1] - lower[0]) * min_ratio
    )


def stitch_lines(
    boxes: Sequence[ArrayLike], max_gap_px: float = 10, min_y_overlap_ratio: float | None = 0.8
) -> list[list[int]]:
    """Groups of boxes that read as one line (MMOCR's ``stitch_boxes_into_lines``).

    Boxes are chained from the left, each compared with the one added last, then split where the
    horizontal gap is above ``max_gap_px``.

    Returns:
        Indices into ``boxes``, left to right, one list per line; lines by their leftmost box.
    """
    points = [_pairs(box) for box in boxes]
    left = [float(p[:, 0].min()) for p in points]
    right = [float(p[:, 0].max()) for p in points]
    waiting = sorted(range(len(points)), key=left.__getitem__)
    lines: list[list[int]] = []
    while waiting:
        chain, others = [waiting[0]], []
        for index in waiting[1:]:
            if _overlap_in_y(points[chain[-1]][:, 1], points[index][:, 1], min_y_overlap_ratio):
                chain.append(index)
            else:
                others.append(index)
        waiting = others
        lines.append([chain[0]])
        for previous, index in pairwise(chain):
            if left[index] - right[previous] > max_gap_px:
                lines.append([])
            lines[-1].append(index)
    return lines


def merge_words(
    words: Sequence[Word], max_gap_px: float = 10, min_y_overlap_ratio: float | None = 0.8
) -> tuple[Word, ...]:
    """Words joined into line-like words, as ``stitch_lines`` groups them.

    A merged word has the upright bounding box, the texts joined by spaces, the mean box score, all
    character scores and probabilities in order (none for the spaces), and as its score the mean
    weighted by length.
    """
    merged = []
    for line in stitch_lines(
        [word.boundary.points for word in words], max_gap_px, min_y_overlap_ratio
    ):
        parts = [words[index] for index in line]
        if len(parts) == 1:
            merged.append(parts[0])
            continue
        outline = bounding_quad(np.concatenate([part.boundary.points for part in parts]))
        box_score = sum(part.boundary.score for part in parts) / len(parts)
        weights = [max(1, len(part.text)) for part in parts]
        score = sum(
            part.recognition.score * weight for part, weight in zip(parts, weights, strict=True)
        )
        recognition = RecognitionResult(
            text=" ".join(part.text for part in parts),
            score=score / sum(weights),
            char_scores=tuple(s for part in parts for s in part.recognition.char_scores),
            char_probabilities=tuple(
                p for part in parts for p in part.recognition.char_probabilities
            ),
        )
        merged.append(Word(Boundary(outline, box_score), recognition))
    return tuple(merged)


# --- reading order -----------------------------------------------------------------------------


def text_lines(
    outlines: Sequence[ArrayLike], min_y_overlap_ratio: float = 0.5
) -> tuple[tuple[int, ...], ...]:
    """Indices of outlines grouped into text lines, in reading order.

    The page's own skew is taken out first (the median tilt of its wide boxes), then boxes are
    joined from left to right: a box continues the line whose last box it overlaps most in y, if
    that is at least ``min_y_overlap_ratio`` of the lower one's height, the two are not stacked, and
    neither is more than three times as high as the other. Box heights are measured across the text,
    so tilted and curved lines hold together. Ties fall to the earlier line; the same boxes always
    give the same answer. Columns are not told apart: what stands at one height is one line.

    Args:
        outlines: quads or longer polygons, as (K, 2) or flat.
        min_y_overlap_ratio: see above.

    Returns:
        One tuple per line, lines top to bottom, boxes left to right.
    """
    if not outlines:
        return ()
    quads = [_pairs(outline) for outline in outlines]
    quads_N42 = order_quads(np.stack([q if len(q) == 4 else min_area_quad(q) for q in quads]))
    along = (quads_N42[:, 1] - quads_N42[:, 0] + quads_N42[:, 2] - quads_N42[:, 3]) / 2
    down = (quads_N42[:, 3] - quads_N42[:, 0] + quads_N42[:, 2] - quads_N42[:, 1]) / 2
    width, height = np.linalg.norm(along, axis=1), np.linalg.norm(down, axis=1)
    skew = _weighted_median(np.arctan2(along[:, 1], along[:, 0]), width * (width >= 2 * height))
    cosine, sine = np.cos(skew), np.sin(skew)
    deskew = np.array([[cosine, -sine], [sine, cosine]])
    lines = _join_lines(
        start=(quads_N42[:, 0] + quads_N42[:, 3]) / 2 @ deskew,
        end=(quads_N42[:, 1] + quads_N42[:, 2]) / 2 @ deskew,
        height=np.maximum(height, 1e-6),
        min_overlap=min_y_overlap_ratio,
    )
    middle_y = quads_N42.mean(axis=1) @ deskew[:, 1]
    lines.sort(key=lambda line: (float(middle_y[line].mean()), line[0]))
    return tuple(tuple(line) for line in lines)


def _join_lines(
    start: FloatArray, end: FloatArray, height: FloatArray, min_overlap: float
) -> list[list[int]]:
    """The greedy pass of ``text_lines``.

    Args:
        start: (N, 2) middle of every box's left edge, page skew removed.
        end: (N, 2) middle of every box's right edge.
        height: (N,).
        min_overlap: least share of the lower box's height.
    """
    width = end[:, 0] - start[:, 0]
    # Boxes of one or two characters have no reliable tilt.
    slope = np.where(width >= 2 * height, (end[:, 1] - start[:, 1]) / np.maximum(width, 1e-6), 0)
    boxes = np.stack([end[:, 0], end[:, 1], width, height, slope])
    ends = np.empty_like(boxes)  # the same of every line's last box
    lines: list[list[int]] = []
    for box in np.lexsort((start[:, 1], start[:, 0])).tolist():
        _, _, box_width, box_height, box_slope = boxes[:, box].tolist()
        left, box_y = start[box].tolist()
        right, end_y, end_width, end_height, end_slope = ends[:, : len(lines)]
        # Both boxes are prolonged along their tilt to where they meet, but not far.
        half_gap = np.maximum(left - right, 0) / 2
        y_before = end_y + end_slope * np.minimum(half_gap, 2 * end_height)
        y_after = box_y - box_slope * np.minimum(half_gap, 2 * box_height)
        lower_height = np.minimum(end_height, box_height)
        mean_height = (end_height + box_height) / 2
        overlap = np.minimum(mean_height - np.abs(y_after - y_before), lower_height)
        shared_x = np.minimum(right, boxes[0, box]) - left
        stacked = shared_x > 0.5 * np.minimum(end_width, box_width)
        uneven = np.maximum(end_height, box_height) > _MAX_HEIGHT_RATIO * lower_height
        share = np.where(stacked | uneven, -1.0, overlap / lower_height)
        best = int(share.argmax()) if lines else -1
        if best >= 0 and share[best] >= min_overlap:
            lines[best].append(box)
        else:
            best = len(lines)
            lines.append([box])
        ends[:, best] = boxes[:, box]
    return lines


def reading_order(outlines: Sequence[ArrayLike]) -> list[int]:
    """Indices of outlines in reading order: the lines of ``text_lines`` one after the other."""
    return [index for line in text_lines(outlines) for index in line]


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """Lower weighted median, 0 where all weights are 0."""
    if not weights.any():
        return 0.0
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]])
