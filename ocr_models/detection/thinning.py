"""Thinning of masks to lines of one pixel.

Paper: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984.
The result equals that of scikit-image's ``skeletonize``, which MMOCR calls.

Shapes: H x W mask in pixels; N pixels that are still set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows and columns of the eight neighbours, clockwise from the upper left; neighbour i is bit i.
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_FIRST_PASS, _SECOND_PASS = 1, 2
# Where scikit-image departs from the paper: it removes the inner corners of staircases (such as
# 10, neighbours above and to the right only), and takes less off the ends of lines that are two
# pixels wide. Neighbourhood -> passes that remove the pixel.
_DEPARTURES = {
    3: 1, 6: 1, 10: 3, 11: 1, 12: 1, 14: 1, 24: 2, 26: 2, 40: 3, 48: 0, 56: 2, 96: 2, 104: 2,
    108: 2, 129: 0, 130: 3, 131: 1, 134: 1, 160: 3, 161: 1, 176: 2, 192: 2, 194: 1, 198: 1, 224: 2,
}  # fmt: skip


def _removing_passes(neighbourhood: int) -> int:
    """The passes that remove a pixel with this neighbourhood, as bits (the paper's conditions)."""
    if neighbourhood in _DEPARTURES:
        return _DEPARTURES[neighbourhood]
    around = [bool(neighbourhood >> i & 1) for i in range(8)]
    entries = sum(around[i] and not around[i - 1] for i in range(8))
    if not 2 <= sum(around) <= 6 or entries != 1:
        return 0
    above, right, below, left = around[1::2]
    first = not (above and right and below) and not (right and below and left)
    second = not (above and right and left) and not (above and below and left)
    return _FIRST_PASS * first + _SECOND_PASS * second


_PASSES = np.array([_removing_passes(neighbourhood) for neighbourhood in range(256)], np.uint8)


def thin(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The skeleton of a mask: lines of one pixel that hang together as the mask does.

    Only set pixels are looked at, so the cost follows the area that is set and its thickness.
    """
    framed = np.pad(mask_HW.view(np.uint8), 1)
    width = framed.shape[1]
    offsets = [row * width + column for row, column in _NEIGHBOURS]
    flat = framed.ravel()
    left_N = np.flatnonzero(flat)
    while True:
        before = len(left_N)
        for number in (_FIRST_PASS, _SECOND_PASS):
            neighbourhood_N = np.zeros(len(left_N), np.uint8)
            for bit, offset in enumerate(offsets):
                neighbourhood_N |= flat[left_N + offset] << np.uint8(bit)
            removed_N = _PASSES[neighbourhood_N] & number != 0
            flat[left_N[removed_N]] = 0
            left_N = left_N[~removed_N]
        if len(left_N) == before:
            return framed[1:-1, 1:-1].view(np.bool_)
