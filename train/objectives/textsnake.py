"""Training objective of TextSnake: maps of the centre regions, and the loss on them.

Paper: TextSnake: A Flexible Representation for Detecting Text of Arbitrary Shapes,
arXiv:1807.01544, sections 3.4 and 3.5. Numbers equal MMOCR 0.6.1's. What differs from the paper
there: the radius is compared as a ratio, and the centre region's loss counts every text pixel.

Shapes: B images, H x W pixels of the network's input, h x w of its output, P pairs of points along
a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .settings import loss_config
from .side_lines import SideLines, paired, side_lines
from .text_kernels import at_output_size

# A text is vertical, and then runs downwards, from this slope of its centre line on.
_VERTICAL_SLOPE = 0.9
# The centre region leaves out this part of the text's height at either end.
_END_MARGIN_RATIO = 0.25
# Corners closer than this are one.
_SAME_POINT_PX = 1e-5
# Background pixels that count in the text map's loss where there is no text at all.
_NEGATIVES_WITHOUT_TEXT = 100
_EPS = 1e-8

Points = NDArray[np.float64]


@dataclass(frozen=True)
class TextSnakeTargets:
    """How polygons become target maps.

    Args:
        orientation_thr: a quad is vertical text when its steep sides are longer than the flat ones
            by this factor.
        resample_step: distance of neighbouring points along a text's sides, in pixels.
        center_region_shrink_ratio: height of the centre region over the text's.
    """

    orientation_thr: float = 2.0
    resample_step: float = 4.0
    center_region_shrink_ratio: float = 0.3

    def __post_init__(self) -> None:
        if self.resample_step <= 0:
            raise ConfigError(f"resample_step is {self.resample_step}; it must be above 0")
        if not 0 < self.center_region_shrink_ratio <= 1:
            raise ConfigError(
                f"center_region_shrink_ratio is {self.center_region_shrink_ratio}; "
                "it must be in (0, 1]"
            )


class TextSnakeTargetMaps(NamedTuple):
    """Target maps: (H, W) arrays of one image, or (B, H, W) tensors once a loader batched them."""

    text: Any
    """uint8, 1 on text."""
    center: Any
    """uint8, 1 near a centre line."""
    mask: Any
    """uint8, 0 where ignored text makes every answer acceptable, else 1."""
    radius: Any
    """float32, half the text's height in pixels in the centre region, else 0."""
    sin: Any
    """float32, of the text's direction in the centre region, else 0."""
    cos: Any
    """float32, see ``sin``."""


def make_targets(
    polygons: Sequence[ArrayLike],
    ignored: Sequence[ArrayLike],
    height: int,
    width: int,
    config: TextSnakeTargets = TextSnakeTargets(),
) -> TextSnakeTargetMaps:
    """Draw the target maps of one image.

    Text with fewer than four different corners has no sides and is ignored.

    Args:
        polygons: text to learn; each (K, 2) or flat ``x1, y1, ...``, in pixels of this image.
            It may reach over the edges.
        ignored: text that must not count either way, in the same form.
        height: H.
        width: W.
        config: settings.

    Raises:
        ValueError: a coordinate is not finite, or a flat polygon has an odd number of values.
    """
    outlines = [as_points(polygon) for polygon in polygons]
    hidden = [as_points(polygon) for polygon in ignored]
    text = np.zeros((height, width), np.uint8)
    segment_map = np.zeros((height, width), np.int32)
    attributes = [np.zeros((1, 3))]  # radius, sine, cosine of segment 0, the background
    drawn = 0
    for outline in outlines:
        corners = different_corners(outline)
        if len(corners) < 4:
            hidden.append(outline)
            continue
        cv2.fillPoly(text, [outline.astype(np.int32)], (1,))
        sides = oriented(center_strip(corners, config.resample_step, config.orientation_thr))
        attributes.append(_attributes(sides))
        boxes = center_boxes(sides, config.center_region_shrink_ratio)
        for number in np.flatnonzero(visible(boxes, height, width)):
            cv2.fillPoly(segment_map, [boxes[number]], (drawn + int(number) + 1,))
        drawn += len(boxes)
    mask = np.ones((height, width), np.uint8)
    for points in hidden:
        if len(points):
            cv2.fillPoly(mask, [points.astype(np.int32)], (0,))
    radius, sin, cos = np.concatenate(attributes).astype(np.float32).T
    return TextSnakeTargetMaps(
        text,
        (segment_map > 0).view(np.uint8),
        mask,
        radius[segment_map],
        sin[segment_map],
        cos[segment_map],
    )


def as_points(polygon: ArrayLike) -> Points:
    """Any accepted form of a polygon -> (K, 2)."""
    values = np.asarray(polygon, np.float64).ravel()
    if values.size % 2:
        raise ValueError(f"a polygon has {values.size} values; x and y must come in pairs")
    if not np.isfinite(values).all():
        raise ValueError(f"a polygon has coordinates that are not finite: {values.tolist()}")
    return values.reshape(-1, 2)


def different_corners(outline: Points) -> Points:
    """The outline without corners that repeat the following one."""
    steps = np.roll(outline, -1, axis=0) - outline
    return outline[np.hypot(steps[:, 0], steps[:, 1]) > _SAME_POINT_PX]


def center_strip(corners: Points, step_px: float, orientation_thr: float) -> SideLines:
    """Both sides of a text as pairs of points, without the ends that its centre region leaves out.

    Args:
        corners: at least four, all different from their neighbours.
        step_px: distance of neighbouring points.
        orientation_thr: see ``TextSnakeTargets``.
    """
    sides = paired(side_lines(corners, orientation_thr), step_px)
    heights = np.linalg.norm(sides.top - sides.bottom, axis=1)
    head, tail = (int(heights[end] * _END_MARGIN_RATIO // step_px) for end in (0, -1))
    count = len(heights)
    if count <= head + tail + 2:
        return sides
    return SideLines(sides.top[head : count - tail], sides.bottom[head : count - tail])


def oriented(sides: SideLines) -> SideLines:
    """The pairs in reading direction: to the right, and downwards in vertical text."""
    x, y = ((sides.top[-1] + sides.bottom[-1]) - (sides.top[0] + sides.bottom[0])) / 2
    along = y if abs(y / (x + _EPS)) > _VERTICAL_SLOPE else x
    return SideLines(sides.top[::-1], sides.bottom[::-1]) if along < 0 else sides


def center_boxes(sides: SideLines, shrink_ratio: float) -> NDArray[np.int32]:
    """Quads (P - 1, 4, 2) between neighbouring pairs, shrunk towards the centre line."""
    center = (sides.top + sides.bottom) / 2
    top = center + (sides.top - center) * shrink_ratio
    bottom = center + (sides.bottom - center) * shrink_ratio
    return np.stack([top[:-1], top[1:], bottom[1:], bottom[:-1]], axis=1).astype(np.int32)


def visible(boxes_N42: NDArray[np.int32], height: int, width: int) -> NDArray[np.bool_]:
    """Which quads may reach into an image, (N,)."""
    low, high = boxes_N42.min(axis=1), boxes_N42.max(axis=1)
    return np.logical_and((low < (width, height)).all(axis=1), (high >= 0).all(axis=1))


def _attributes(sides: SideLines) -> NDArray[np.float64]:
    """Radius, sine and cosine between neighbouring pairs, (P - 1, 3)."""
    across = sides.top - sides.bottom
    radius = np.linalg.norm((across[:-1] + across[1:]) / 2, axis=1) / 2
    along = np.diff((sides.top + sides.bottom) / 2, axis=0)
    length = np.linalg.norm(along, axis=1) + _EPS
    return np.stack([radius, along[:, 1] / length, along[:, 0] / length], axis=1)


@dataclass(frozen=True)
class TextSnakeLossConfig:
    """Settings of the loss.

    Args:
        ohem_ratio: at most this many background pixels count in the text map per text pixel: the
            hardest ones of the batch.
    """

    ohem_ratio: float = 3.0

    def __post_init__(self) -> None:
        if self.ohem_ratio < 0:
            raise ConfigError(f"ohem_ratio is {self.ohem_ratio}; it must not be negative")


class TextSnakeLoss(nn.Module):
    """Losses of the five maps; always in float32, also under autocast."""

    def __init__(self, config: TextSnakeLossConfig = TextSnakeLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(self, maps_B5hw: Tensor, targets: TextSnakeTargetMaps) -> dict[str, Tensor]:
        """Compare predicted maps with target maps.

        Args:
            maps_B5hw: text logit, centre logit, sine, cosine, radius.
            targets: (B, H, W) each, on the same device; H and W are multiples of h and w.

        Returns:
            ``loss_text``, ``loss_center``, ``loss_radius``, ``loss_sin`` and ``loss_cos``, scalars,
            to be summed.

        Raises:
            ValueError: the sizes do not fit.
        """
        with torch.autocast(maps_B5hw.device.type, enabled=False):
            return self._losses(maps_B5hw.float(), targets)

    def _losses(self, maps: Tensor, targets: TextSnakeTargetMaps) -> dict[str, Tensor]:
        height, width = maps.shape[-2:]
        scale = height / targets.text.shape[-2]
        text, center, mask, target_radius, target_sin, target_cos = (
            at_output_size(target, (height, width), name).float()
            for name, target in zip(targets._fields, targets, strict=True)
        )
        text_logits, center_logits, sin, cos, radius = maps.unbind(1)
        length = torch.rsqrt(sin**2 + cos**2 + _EPS)
        on_text, on_center = text * mask, center * mask
        center_error = F.binary_cross_entropy_with_logits(center_logits, center, reduction="none")
        radius_ratio = radius / (target_radius * scale + 1e-2)
        return {
            "loss_text": balanced_cross_entropy(text_logits, text, mask, self.config.ohem_ratio),
            "loss_center": _mean_on(on_text, center_error),
            "loss_radius": _mean_on(on_center, _smooth_l1(radius_ratio, torch.ones_like(radius))),
            "loss_sin": _mean_on(on_center, _smooth_l1(sin * length, target_sin)),
            "loss_cos": _mean_on(on_center, _smooth_l1(cos * length, target_cos)),
        }


class TextSnakeObjective:
    """How TextSnake is trained.

    Args:
        loss: MMOCR's ``bbox_head.loss``.
    """

    target_step = "TextSnakeTargets"

    def __init__(self, loss: TextSnakeLossConfig) -> None:
        self.loss = TextSnakeLoss(loss)

    @classmethod
    def from_model(cls, _: DetectorSpec, model: Mapping[str, Any]) -> TextSnakeObjective:
        """From the ``model`` dictionary of a config."""
        section = (model.get("bbox_head") or {}).get("loss") or {}
        return cls(loss_config(TextSnakeLossConfig, "TextSnakeLoss", section))

    def collate(self, targets: Sequence[TextSnakeTargetMaps]) -> TextSnakeTargetMaps:
        """(H, W) arrays to (B, H, W) tensors."""
        batch: TextSnakeTargetMaps = default_collate(list(targets))
        return batch

    def losses(
        self, network: nn.Module, images: Tensor, targets: TextSnakeTargetMaps
    ) -> dict[str, Tensor]:
        """See ``TextSnakeLoss``."""
        result: dict[str, Tensor] = self.loss(torch.stack(network(images), dim=1), targets)
        return result


def balanced_cross_entropy(logits: Tensor, is_text: Tensor, mask: Tensor, ratio: float) -> Tensor:
    """Mean cross-entropy of all text pixels and the hardest background pixels of the batch.

    Args:
        logits: (B, h, w).
        is_text: 0 or 1, float, the same shape.
        mask: 0 where text is ignored, else 1, float.
        ratio: background pixels per text pixel; 100 in all where there is no text.
    """
    positive, negative = is_text * mask, (1 - is_text) * mask
    positive_count = int(positive.sum())
    wanted = _NEGATIVES_WITHOUT_TEXT
    if positive_count:
        wanted = min(int(negative.sum()), int(positive_count * ratio))
    loss = F.binary_cross_entropy_with_logits(logits, is_text, reduction="none")
    hardest = (loss * negative).flatten().topk(min(wanted, loss.numel()), sorted=False).values
    return ((loss * positive).sum() + hardest.sum()) / (positive_count + wanted + 1e-5)


def _smooth_l1(prediction: Tensor, target: Tensor) -> Tensor:
    return F.smooth_l1_loss(prediction, target, reduction="none")


def _mean_on(region: Tensor, values: Tensor) -> Tensor:
    """Mean of values where the region is 1; 0 where it is empty."""
    return (values * region).sum() / region.sum().clamp(min=1)
