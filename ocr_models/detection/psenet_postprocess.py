"""From PSENet's kernels to text boundaries: scale expansion.

Paper: arXiv:1903.12473, section 3.3. Numbers equal MMOCR 0.6.1's ``PSEPostprocessor``, which
differs from the paper: the smallest kernels grow into the largest map in one breadth-first pass,
and the maps between play no part.

Shapes: K kernels, H, W size of the maps, a quarter of the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import Boundary
from .label_growth import connected_kernels, grow, label_boundaries
from .panet_postprocess import sigmoid


@dataclass(frozen=True)
class PSEPostprocessing:
    """How boundaries are read off the maps.

    Args:
        text_repr_type: ``"quad"``, smallest rotated rectangles, or ``"poly"``, the contours.
        min_kernel_confidence: probability above which a pixel belongs to a kernel, of any size.
        min_text_avg_confidence: an instance's mean text probability must be above this.
        min_kernel_area: least number of pixels of a smallest kernel, in pixels of the map; others
            vanish, and what they would have grown over is left to their neighbours.
        min_text_area: least number of pixels of an instance, in pixels of the map.
    """

    text_repr_type: Literal["quad", "poly"] = "poly"
    min_kernel_confidence: float = 0.5
    min_text_avg_confidence: float = 0.85
    min_kernel_area: float = 0
    min_text_area: float = 16

    def __post_init__(self) -> None:
        if self.text_repr_type not in ("quad", "poly"):
            raise ConfigError(
                f"text_repr_type={self.text_repr_type!r}; allowed are 'quad' and 'poly'"
            )


def pse_boundaries(
    logits_KHW: NDArray[np.floating], config: PSEPostprocessing = PSEPostprocessing()
) -> list[Boundary]:
    """Text boundaries of one image, in pixels of the map, clockwise.

    Args:
        logits_KHW: of the whole text first, of the smallest kernels last.
        config: thresholds.
    """
    text, kernel = sigmoid(logits_KHW[[0, -1]].astype(np.float32, copy=False))
    inside = text > np.float32(config.min_kernel_confidence)
    labels = connected_kernels(inside & (kernel > np.float32(config.min_kernel_confidence)))
    too_small = np.bincount(labels.ravel()) < config.min_kernel_area
    labels[too_small[labels]] = 0
    return label_boundaries(
        grow(labels, inside),
        text,
        config.text_repr_type,
        config.min_text_area,
        config.min_text_avg_confidence,
    )
