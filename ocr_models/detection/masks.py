"""Small operations on the maps of one image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def fill_holes(mask_HW: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask (0 or 1) with every hole filled (MMOCR's ``fill_hole``).

    A hole is background from which no path of edge-adjacent pixels leads out of the image.
    """
    framed = np.pad(mask_HW.view(np.uint8), 1)
    outside = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    cv2.floodFill(framed, outside, (0, 0), (2,))
    return (framed[1:-1, 1:-1] != 2).view(np.uint8)


def number_regions(
    regions_HW: NDArray[np.uint8], min_area: float = 0
) -> tuple[NDArray[np.int32], list[int]]:
    """Number the connected regions of a mask without holes.

    Args:
        regions_HW: 0 or 1, from ``fill_holes``. Pixels that touch at a corner are connected.
        min_area: regions whose outline encloses less than this many square pixels are left out.

    Returns:
        A map (H, W) of numbers, 0 elsewhere, and the numbers in OpenCV's order of contours.
    """
    contours, _ = cv2.findContours(regions_HW, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    labels_HW = np.zeros(regions_HW.shape, np.int32)
    numbers = []
    for number, contour in enumerate(contours, start=1):
        if cv2.contourArea(contour) >= min_area:
            cv2.drawContours(labels_HW, [contour], -1, (number,), cv2.FILLED)
            numbers.append(number)
    return labels_HW, numbers
