"""What PANet and PSENet share in training: maps of shrunken text, and losses on such maps.

Papers: arXiv:1908.05900 (PANet), arXiv:1903.12473 (PSENet). Numbers equal MMOCR 0.6.1's.

Shapes: B images, K kernels, H x W pixels of the network's input, h x w of its output, N = h w,
P corners of a polygon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyclipper
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ocr_models.errors import ConfigError

# Added to the perimeter before the offset is rounded, as MMOCR does.
_PERIMETER_SMOOTHING_PX = 0.001
# Added to both sides of the dice fraction, so that a perfectly empty map costs nothing.
_DICE_SMOOTHING = 0.001


@dataclass(frozen=True)
class KernelTargets:
    """How polygons become maps of kernels.

    Args:
        shrink_ratio: one map each, from large to small; the first is the text itself, 1.
        max_shrink: no outline moves inwards by more than this many pixels.
    """

    shrink_ratio: tuple[float, ...]
    max_shrink: float = 20

    def __post_init__(self) -> None:
        if len(self.shrink_ratio) < 2 or self.shrink_ratio[0] != 1:
            raise ConfigError(
                f"shrink_ratio is {self.shrink_ratio}; it needs at least two values, the first 1.0"
            )
        if not all(0 < ratio <= 1 for ratio in self.shrink_ratio):
            raise ConfigError(f"shrink_ratio is {self.shrink_ratio}; each must be in (0, 1]")
        if self.max_shrink < 0:
            raise ConfigError(f"max_shrink is {self.max_shrink}; it must not be negative")


class KernelMaps(NamedTuple):
    """Target maps: arrays of one image, or tensors with B in front once a loader batched them.

    ``torch.utils.data.default_collate`` turns a list of the former into the latter.
    """

    kernels: Any
    """int16 (K, H, W): 0 outside the kernels, else the 1-based number of the text."""
    mask: Any
    """uint8 (H, W): 0 where ignored text makes every answer acceptable, else 1."""


def make_targets(
    polygons: Sequence[ArrayLike],
    ignored: Sequence[ArrayLike],
    height: int,
    width: int,
    config: KernelTargets,
) -> KernelMaps:
    """Draw the maps of one image.

    A text whose kernel vanishes is missing from the smaller maps only. Of overlapping texts the
    later lies on top.

    Args:
        polygons: text to learn; each (P, 2) or flat ``x1, y1, ...``, in pixels of this image.
            It may reach over the edges.
        ignored: text that must not count either way, in the same form.
        height: H.
        width: W.
        config: settings.

    Raises:
        ValueError: a coordinate is not finite, or a flat polygon has an odd number of values.
    """
    kernels = np.zeros((len(config.shrink_ratio), height, width), np.int16)
    for number, polygon in enumerate(polygons, start=1):
        corners = _corners(polygon)
        if len(corners) < 3:
            continue
        for kernel_map, ratio in zip(kernels, config.shrink_ratio, strict=True):
            outline = shrunk(corners, ratio, config.max_shrink)
            if outline is not None:
                cv2.fillPoly(kernel_map, [outline], (number,))
    mask = np.ones((height, width), np.uint8)
    for polygon in ignored:
        corners = _corners(polygon)
        if len(corners):
            cv2.fillPoly(mask, [corners], (0,))
    return KernelMaps(kernels, mask)


def _corners(polygon: ArrayLike) -> NDArray[np.int32]:
    """Any accepted form of a polygon -> (P, 2), whole pixels towards 0."""
    values = np.asarray(polygon, np.float64).ravel()
    if values.size % 2:
        raise ValueError(f"a polygon has {values.size} values; x and y must come in pairs")
    if not np.isfinite(values).all():
        raise ValueError(f"a polygon has coordinates that are not finite: {values.tolist()}")
    return values.reshape(-1, 2).astype(np.int32)


def shrunk(
    corners: NDArray[np.int32], shrink_ratio: float, max_shrink_px: float
) -> NDArray[np.int32] | None:
    """The outline moved inwards by area * (1 - ratio^2) / perimeter, None if nothing is left.

    Of an outline that falls apart only the first piece is kept, as in MMOCR.
    """
    x, y = corners.astype(np.float64).T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    perimeter = cv2.arcLength(corners, True) + _PERIMETER_SMOOTHING_PX
    distance = min(int(area * (1 - shrink_ratio**2) / perimeter + 0.5), max_shrink_px)
    offset = pyclipper.PyclipperOffset()
    try:
        offset.AddPath(corners.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    except pyclipper.ClipperException:  # fewer than two distinct corners
        return None
    pieces = offset.Execute(-distance)
    return np.array(pieces[0], np.int32) if pieces and len(pieces[0]) else None


def at_output_size(maps: Tensor, shape: tuple[int, int], name: str) -> Tensor:
    """Nearest-neighbour reduction (..., H, W) -> (..., h, w), by OpenCV's choice of neighbours.

    Raises:
        ValueError: h x w is not a whole fraction of H x W.
    """
    height, width = maps.shape[-2:]
    if height % shape[0] or width % shape[1] or height // shape[0] != width // shape[1]:
        raise ValueError(
            f"the target {name} has {height} x {width} pixels, the network's output {shape[0]} x "
            f"{shape[1]}; draw the targets at the size of the network's input"
        )
    step = height // shape[0]
    return maps[..., ::step, ::step]


def hard_pixels(text_logits: Tensor, is_text: Tensor, mask: Tensor, ratio: float) -> Tensor:
    """The pixels that count in the text map's loss: all text, and the hardest background.

    Background is chosen by its logit, image by image, and ignored areas take part in the choice,
    before they are left out. An image without text counts whole.

    Args:
        text_logits: (B, h, w).
        is_text: bool (B, h, w).
        mask: bool (B, h, w), false where text is ignored.
        ratio: at most this many background pixels per pixel of text that is not ignored.

    Returns:
        bool (B, h, w).
    """
    scores, text, valid = (x.flatten(1) for x in (text_logits.detach(), is_text, mask))
    wanted = ((text & valid).sum(1) * ratio).long().minimum((~text).sum(1))
    ranked = scores.masked_fill(text, -torch.inf).sort(dim=1, descending=True).values
    threshold = ranked.gather(1, (wanted - 1).clamp(min=0)[:, None])
    chosen = (text | (scores >= threshold)) & valid
    return torch.where((wanted > 0)[:, None], chosen, valid).reshape(is_text.shape)


def dice(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """1 - 2 * overlap / (squared sum + squared sum), over the last two axes.

    Args:
        logits: (..., h, w) float32.
        target: bool, the same shape.
        counted: bool, broadcast to it.
    """
    prediction = (logits.sigmoid() * counted).flatten(-2)
    truth = (target & counted).float().flatten(-2)
    overlap = (prediction * truth).sum(-1) + _DICE_SMOOTHING
    squares = prediction.square().sum(-1) + truth.sum(-1) + 2 * _DICE_SMOOTHING
    return 1 - 2 * overlap / squares


def reduced(loss_per_image: Tensor, reduction: str) -> Tensor:
    """The mean or the sum over images."""
    return loss_per_image.mean() if reduction == "mean" else loss_per_image.sum()


def check_reduction(reduction: str) -> None:
    """Raises ConfigError unless it is known."""
    if reduction not in ("mean", "sum"):
        raise ConfigError(f"reduction is {reduction!r}; allowed are 'mean' and 'sum'")
