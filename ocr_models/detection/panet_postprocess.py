"""From PANet's maps to text boundaries: pixel aggregation.

Paper: arXiv:1908.05900, section 3.5. Numbers equal MMOCR 0.6.1's ``PANPostprocessor``: kernels grow
over text pixels whose embedding is near the kernel's mean. The largest allowed distance is the same
number as the lowest score of an instance, as it is there.

Shapes: H, W size of the maps, a quarter of the network's input; D size of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import Boundary
from .label_growth import Labels, connected_kernels, grow, label_boundaries


@dataclass(frozen=True)
class PANPostprocessing:
    """How boundaries are read off the maps.

    Args:
        text_repr_type: ``"quad"``, smallest rotated rectangles, or ``"poly"``, the contours.
        min_text_confidence: probability above which a pixel is text.
        min_kernel_confidence: probability above which a text pixel belongs to a kernel.
        min_text_avg_confidence: an instance's mean text probability must be above this; also the
            distance of embeddings below which a pixel joins a kernel.
        min_text_area: least number of pixels of an instance, in pixels of the map.
    """

    text_repr_type: Literal["quad", "poly"] = "poly"
    min_text_confidence: float = 0.5
    min_kernel_confidence: float = 0.5
    min_text_avg_confidence: float = 0.85
    min_text_area: float = 16

    def __post_init__(self) -> None:
        if self.text_repr_type not in ("quad", "poly"):
            raise ConfigError(
                f"text_repr_type={self.text_repr_type!r}; allowed are 'quad' and 'poly'"
            )


def pan_boundaries(
    maps_CHW: NDArray[np.floating], config: PANPostprocessing = PANPostprocessing()
) -> list[Boundary]:
    """Text boundaries of one image, in pixels of the map, clockwise.

    Args:
        maps_CHW: (2 + D, H, W): logits of text and of kernels, embedding.
        config: thresholds.
    """
    maps_CHW = maps_CHW.astype(np.float32, copy=False)
    probability = sigmoid(maps_CHW[:2])
    text = probability[0] > np.float32(config.min_text_confidence)
    kernels = text & (probability[1] > np.float32(config.min_kernel_confidence))
    labels = aggregate(
        connected_kernels(kernels), text, maps_CHW[2:], config.min_text_avg_confidence
    )
    return label_boundaries(
        labels,
        probability[0],
        config.text_repr_type,
        config.min_text_area,
        config.min_text_avg_confidence,
    )


def aggregate(
    kernels_HW: Labels,
    text_HW: NDArray[np.bool_],
    embedding_DHW: NDArray[np.float32],
    max_distance: float,
) -> Labels:
    """Let kernels grow over the text pixels that are like them (MMOCR's ``pixel_group``).

    Args:
        kernels_HW: the kernels' numbers.
        text_HW: where there is text.
        embedding_DHW: of every pixel.
        max_distance: a pixel joins when its embedding is nearer than this to the kernel's mean.
    """
    embedding = embedding_DHW.reshape(len(embedding_DHW), -1).T  # (H W, D)
    numbers = kernels_HW.ravel()
    sizes = np.maximum(np.bincount(numbers), 1)
    sums = [np.bincount(numbers, weights=values) for values in embedding.T]
    means = (np.stack(sums, axis=1) / sizes[:, None]).astype(np.float32)

    def joins(pixels: NDArray[np.intp], kernels: Labels) -> NDArray[np.bool_]:
        difference = embedding[pixels] - means[kernels]
        return np.asarray((difference**2).sum(axis=1) < max_distance**2)

    return grow(kernels_HW, text_HW, joins)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)
