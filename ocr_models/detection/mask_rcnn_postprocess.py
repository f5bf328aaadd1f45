"""From Mask R-CNN's boxes and masks to text boundaries.

Masks are enlarged to their box in the original image and cut at a threshold, as in MMDetection's
``FCNMaskHead``; what remains is outlined as in MMOCR 0.6.1's ``OCRMaskRCNN``.

Shapes: N boxes (left, top, right, bottom), M side of a mask, H x W original image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..geometry import instance_outline
from ..results import Boundary


@dataclass(frozen=True)
class MaskRCNNPostprocessing:
    """How boundaries are read off the masks.

    Args:
        text_repr_type: ``"quad"``, smallest rotated rectangles, or ``"poly"``, the contours.
        mask_thr: probability from which on a pixel belongs to the text.
    """

    text_repr_type: Literal["quad", "poly"] = "quad"
    mask_thr: float = 0.5

    def __post_init__(self) -> None:
        if self.text_repr_type not in ("quad", "poly"):
            raise ConfigError(
                f"text_repr_type={self.text_repr_type!r}; allowed are 'quad' and 'poly'"
            )


def mask_rcnn_boundaries(
    boxes_N4: NDArray[np.float32],
    scores_N: NDArray[np.float32],
    masks_NMM: NDArray[np.float32],
    image_hw: tuple[int, int],
    config: MaskRCNNPostprocessing,
) -> list[Boundary]:
    """Text boundaries in pixels of the original image, in the order of the boxes.

    Args:
        boxes_N4: in pixels of the original image.
        scores_N: 0..1.
        masks_NMM: probabilities inside each box.
        image_hw: H, W.
        config: threshold and kind of outline.
    """
    boundaries = []
    for box, score, mask in zip(boxes_N4, scores_N, masks_NMM, strict=True):
        probabilities, corner = paste_mask(mask, box, image_hw)
        outline = mask_outline(probabilities >= config.mask_thr, config.text_repr_type)
        if outline is not None:
            boundaries.append(Boundary(outline + corner, float(score)))
    return boundaries


def paste_mask(
    mask_MM: NDArray[np.float32], box: NDArray[np.float32], image_hw: tuple[int, int]
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """A mask enlarged to its box, bilinearly and fading to 0 beyond its outermost pixels.

    Returns:
        The part of the image around the box, empty when the box is; and its left top corner x, y.
    """
    left, top, right, bottom = (float(side) for side in box)
    height, width = image_hw
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.float32), (0, 0)
    x0, y0 = max(math.floor(left) - 1, 0), max(math.floor(top) - 1, 0)
    x1, y1 = min(math.ceil(right) + 1, width), min(math.ceil(bottom) + 1, height)
    size = len(mask_MM)
    across = _stretch(np.arange(x0, x1), left, right, size)
    down = _stretch(np.arange(y0, y1), top, bottom, size)
    return np.asarray(down @ mask_MM @ across.T, np.float32), (x0, y0)


def _stretch(
    pixels: NDArray[np.integer], start: float, end: float, size: int
) -> NDArray[np.float32]:
    """(len(pixels), size): how much each of ``size`` samples between the ends counts at a pixel."""
    places = (pixels + 0.5 - start) / (end - start) * size - 0.5
    distance = np.abs(places[:, None] - np.arange(size))
    return np.maximum(1 - distance, 0).astype(np.float32)


def mask_outline(
    mask_HW: NDArray[np.bool_], kind: Literal["quad", "poly"]
) -> NDArray[np.float64] | None:
    """Outline (K, 2) of a mask, x and y, clockwise, or None where there is none.

    See ``instance_outline``. MMOCR's polygons run anticlockwise from the same point.
    """
    if not mask_HW.any():
        return None
    pixels = _row_ends(mask_HW) if kind == "quad" else np.argwhere(mask_HW)[:, ::-1]
    outline = instance_outline(pixels, kind)
    if outline is None:
        return None
    if kind == "poly":  # OpenCV follows outer contours anticlockwise; keep where they start
        outline = np.roll(outline[::-1], 1, axis=0)
    return outline.astype(np.float64)


def _row_ends(mask_HW: NDArray[np.bool_]) -> NDArray[np.intp]:
    """x, y of the first and last pixel of each row: all that a convex hull needs."""
    rows = np.flatnonzero(mask_HW.any(axis=1))
    first = mask_HW[rows].argmax(axis=1)
    last = mask_HW.shape[1] - 1 - mask_HW[rows, ::-1].argmax(axis=1)
    return np.stack([np.concatenate([first, last]), np.concatenate([rows, rows])], axis=1)
