"""Training objective of DBNet: target maps from polygons, and the loss on them.

Paper: "Real-time Scene Text Detection with Differentiable Binarization", arXiv:1911.08947.

Two facts differ from a plain reading of the paper, and both are needed to continue training from
MMOCR's checkpoints with the same numbers:

* the kernel is shrunk by the *rounded* offset, the border of the threshold map has the unrounded
  one; both start from ``area * (1 - shrink_ratio ** 2) / perimeter``;
* the distance of a pixel to a side is perpendicular only inside the circle that has this side as
  its diameter; outside it is the distance to the nearer corner.

Shapes: B images, H x W pixels of the network's input, K corners of a polygon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyclipper
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .settings import loss_config

# Added to the perimeter before the kernel's offset is rounded, as MMOCR does.
_PERIMETER_SMOOTHING_PX = 0.001


@dataclass(frozen=True)
class DBNetTargets:
    """How polygons become target maps.

    Args:
        shrink_ratio: 0..1; the smaller, the thinner the text kernels.
        thr_min: value of the threshold map far from any border.
        thr_max: value of the threshold map on the border of a text.
        min_short_size: text whose rotated bounding box has a shorter side below this many pixels
            is ignored.
    """

    shrink_ratio: float = 0.4
    thr_min: float = 0.3
    thr_max: float = 0.7
    min_short_size: float = 8

    def __post_init__(self) -> None:
        if not 0 < self.shrink_ratio <= 1:
            raise ConfigError(f"shrink_ratio is {self.shrink_ratio}; it must be in (0, 1]")
        if not 0 <= self.thr_min <= self.thr_max <= 1:
            raise ConfigError(
                f"thr_min is {self.thr_min} and thr_max is {self.thr_max}; "
                "needed: 0 <= thr_min <= thr_max <= 1"
            )


class DBTargetMaps(NamedTuple):
    """Target maps: (H, W) arrays of one image, or (B, H, W) tensors once a loader batched them.

    ``torch.utils.data.default_collate`` turns a list of the former into the latter.
    """

    shrink: Any
    """int16, 0 outside the text kernels, else the 1-based number of the instance."""
    shrink_mask: Any
    """uint8, 0 where ignored text makes every answer acceptable, else 1."""
    threshold: Any
    """float32, ``thr_max`` on the border of a text, falling to ``thr_min`` away from it."""
    threshold_mask: Any
    """uint8, 1 inside the expanded text, where the threshold map is learnt."""


def make_targets(
    polygons: Sequence[ArrayLike],
    ignored: Sequence[ArrayLike],
    height: int,
    width: int,
    config: DBNetTargets = DBNetTargets(),
) -> DBTargetMaps:
    """Draw the four target maps of one image.

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
    learnt = [_points(polygon) for polygon in polygons]
    ignored_points = [_points(polygon) for polygon in ignored]

    shrink_map = np.zeros((height, width), np.int16)
    shrink_mask = np.ones((height, width), np.uint8)
    border_map = np.zeros((height, width), np.float32)
    threshold_mask = np.zeros((height, width), np.uint8)

    # Too small to learn from: such text is ignored before instances are numbered; text whose
    # kernel vanishes is ignored after that, and its number stays unused.
    large = []
    for points in learnt:
        if _is_too_small(points, config.min_short_size):
            ignored_points.append(points)
        else:
            large.append(points)
    for number, points in enumerate(large, start=1):
        kernel = _shrunk(points, config.shrink_ratio)
        if kernel is None:
            ignored_points.append(points)
            continue
        cv2.fillPoly(shrink_map, [kernel], (number,))
        _draw_border(points, config.shrink_ratio, border_map, threshold_mask)
    for points in ignored_points:
        if len(points):
            cv2.fillPoly(shrink_mask, [points.astype(np.int32)], (0,))

    border_map *= config.thr_max - config.thr_min
    border_map += config.thr_min
    return DBTargetMaps(shrink_map, shrink_mask, border_map, threshold_mask)


def _points(polygon: ArrayLike) -> NDArray[np.float64]:
    """Any accepted form of a polygon -> (K, 2)."""
    values = np.asarray(polygon, np.float64).ravel()
    if values.size % 2:
        raise ValueError(f"a polygon has {values.size} values; x and y must come in pairs")
    if not np.isfinite(values).all():
        raise ValueError(f"a polygon has coordinates that are not finite: {values.tolist()}")
    return values.reshape(-1, 2)


def _area_px2(points: NDArray[np.float64]) -> float:
    """Absolute shoelace area; the lobes of a self-crossing polygon cancel."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _perimeter_px(points: NDArray[np.float64]) -> float:
    steps = np.roll(points, -1, axis=0) - points
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def _is_too_small(points: NDArray[np.float64], min_short_size: float) -> bool:
    if len(points) < 3 or _area_px2(points) < 1:
        return True
    _, (side_a, side_b), _ = cv2.minAreaRect(points.astype(np.int32))
    return min(side_a, side_b) < min_short_size


def _offset(points: NDArray[Any], distance_px: float) -> NDArray[np.int32] | None:
    """Move the outline by ``distance_px`` (outwards if positive), or None if nothing is left.

    Of an outline that falls apart only the first piece is kept, as in MMOCR.
    """
    offset = pyclipper.PyclipperOffset()
    try:
        offset.AddPath(points.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    except pyclipper.ClipperException:  # fewer than two distinct corners
        return None
    pieces = offset.Execute(distance_px)
    return np.array(pieces[0], np.int32) if pieces and len(pieces[0]) else None


def _shrunk(points: NDArray[np.float64], shrink_ratio: float) -> NDArray[np.int32] | None:
    corners = points.astype(np.int32)
    area = _area_px2(corners.astype(np.float64))
    perimeter = cv2.arcLength(corners, True) + _PERIMETER_SMOOTHING_PX
    return _offset(corners, -int(area * (1 - shrink_ratio**2) / perimeter + 0.5))


def _draw_border(
    points: NDArray[np.float64],
    shrink_ratio: float,
    border_map: NDArray[np.float32],
    threshold_mask: NDArray[np.uint8],
) -> None:
    """Add 1 - distance / border width of one text to ``border_map``, and its area to the mask."""
    border_px = _area_px2(points) * (1 - shrink_ratio**2) / _perimeter_px(points)
    expanded = _offset(points, border_px)
    if expanded is None:
        expanded = points.astype(np.int32)
    height, width = border_map.shape
    x_min, y_min = np.maximum(expanded.min(axis=0), 0)
    x_end, y_end = np.minimum(expanded.max(axis=0) + 1, (width, height))
    if x_min >= x_end or y_min >= y_end:
        return
    cv2.fillPoly(threshold_mask, [expanded], (1,))
    if border_px == 0:  # shrink_ratio is 1: nothing but the outline, which has no width
        return
    distance = _distance_to_outline(
        np.arange(x_min, x_end, dtype=np.float64), np.arange(y_min, y_end, dtype=np.float64), points
    )
    window = border_map[y_min:y_end, x_min:x_end]
    np.maximum(window, 1 - np.minimum(distance / np.float32(border_px), 1), out=window)


def _distance_to_outline(
    xs: NDArray[np.float64], ys: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Distance of the pixels ``ys`` x ``xs`` to a polygon's outline, (len(ys), len(xs)).

    Every term is a function of x plus a function of y, so both are computed on their axis in
    double precision, and only sums and minima touch the whole window.
    """
    squared: NDArray[np.float32] | None = None
    for corner, following in zip(points, np.roll(points, -1, axis=0), strict=True):
        to_corner = _outer_sum((xs - corner[0]) ** 2, (ys - corner[1]) ** 2)
        squared = to_corner if squared is None else np.minimum(squared, to_corner, out=squared)
        side = following - corner
        length = float(np.hypot(side[0], side[1]))
        if length == 0:
            continue
        normal = np.array((-side[1], side[0])) / length
        middle = (corner + following) / 2
        across = _outer_sum((xs - corner[0]) * normal[0], (ys - corner[1]) * normal[1])
        outside_circle = (
            _outer_sum((xs - middle[0]) ** 2, (ys - middle[1]) ** 2 - (length / 2) ** 2) > 0
        )
        np.square(across, out=across)
        across[outside_circle] = np.inf
        np.minimum(squared, across, out=squared)
    assert squared is not None, "text with fewer than three corners is ignored before this"
    return np.sqrt(squared, out=squared)


def _outer_sum(of_x: NDArray[np.float64], of_y: NDArray[np.float64]) -> NDArray[np.float32]:
    """(len(of_y), len(of_x)) sums."""
    return of_x.astype(np.float32)[None, :] + of_y.astype(np.float32)[:, None]


@dataclass(frozen=True)
class DBLossConfig:
    """Weights of the three parts of the loss.

    Args:
        alpha: weight of the probability map's part.
        beta: weight of the threshold map's part.
        bbce_loss: balanced binary cross-entropy for the probability map instead of dice.
        negative_ratio: with ``bbce_loss``, at most this many background pixels count per text
            pixel: the hardest ones of the batch.
        eps: added to denominators.
    """

    alpha: float = 1.0
    beta: float = 1.0
    bbce_loss: bool = False
    negative_ratio: float = 3.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.negative_ratio < 0:
            raise ConfigError(f"negative_ratio is {self.negative_ratio}; it must not be negative")
        if self.eps <= 0:
            raise ConfigError(f"eps is {self.eps}; it must be above 0")


class DBLoss(nn.Module):
    """Losses of DBNet's three maps; always in float32, also under autocast."""

    def __init__(self, config: DBLossConfig = DBLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, probability: Tensor, threshold: Tensor, binary: Tensor, targets: DBTargetMaps
    ) -> dict[str, Tensor]:
        """Compare predicted maps with target maps.

        Args:
            probability: (B, 1, H, W) or (B, H, W), 0..1.
            threshold: the same shape, 0..1.
            binary: the same shape, 0..1.
            targets: (B, H, W) each, on the same device.

        Returns:
            ``loss_prob``, ``loss_db`` and ``loss_thr``, scalars, to be summed.

        Raises:
            ValueError: maps and targets differ in shape.
        """
        shape = tuple(targets.shrink.shape)
        with torch.autocast(probability.device.type, enabled=False):
            return self._losses(
                _as_target(probability, shape, "probability"),
                _as_target(threshold, shape, "threshold"),
                _as_target(binary, shape, "binary"),
                targets,
            )

    def _losses(
        self, probability: Tensor, threshold: Tensor, binary: Tensor, targets: DBTargetMaps
    ) -> dict[str, Tensor]:
        config = self.config
        is_text = (targets.shrink > 0).float()
        counts = targets.shrink_mask.float()
        if config.bbce_loss:
            loss_prob = _balanced_cross_entropy(
                probability, is_text, counts, config.negative_ratio, config.eps
            )
        else:
            loss_prob = dice_loss(probability, is_text, counts, config.eps)
        border = targets.threshold_mask.float()
        border_error = (threshold - targets.threshold).abs() * border
        return {
            "loss_prob": config.alpha * loss_prob,
            "loss_db": dice_loss(binary, is_text, counts, config.eps),
            "loss_thr": config.beta * border_error.sum() / (border.sum() + config.eps),
        }


class DBObjective:
    """How DBNet is trained.

    Args:
        loss: MMOCR's ``bbox_head.loss``.
    """

    target_step = "DBNetTargets"

    def __init__(self, loss: DBLossConfig) -> None:
        self.loss = DBLoss(loss)

    @classmethod
    def from_model(cls, _: DetectorSpec, model: Mapping[str, Any]) -> DBObjective:
        """From the ``model`` dictionary of a config."""
        section = (model.get("bbox_head") or {}).get("loss") or {}
        return cls(loss_config(DBLossConfig, "DBLoss", section))

    def collate(self, targets: Sequence[DBTargetMaps]) -> DBTargetMaps:
        """(H, W) arrays to (B, H, W) tensors."""
        batch: DBTargetMaps = default_collate(list(targets))
        return batch

    def losses(
        self, network: nn.Module, images: Tensor, targets: DBTargetMaps
    ) -> dict[str, Tensor]:
        """See ``DBLoss``."""
        maps = network(images)
        result: dict[str, Tensor] = self.loss(
            maps.probability, maps.threshold, maps.binary, targets
        )
        return result


def _as_target(prediction: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """(B, 1, H, W) or (B, H, W) in any float type -> (B, H, W) float32."""
    squeezed = prediction.squeeze(1) if prediction.dim() == 4 else prediction
    if tuple(squeezed.shape) != shape:
        raise ValueError(
            f"the {name} map has shape {tuple(prediction.shape)}, the targets {shape}; "
            "draw the targets at the size of the network's output"
        )
    return squeezed.float()


def dice_loss(prediction: Tensor, target: Tensor, mask: Tensor, eps: float) -> Tensor:
    """1 - 2 * overlap / (sum + sum + eps), over the whole batch at once; 1 without any text."""
    prediction = prediction * mask
    target = target * mask
    overlap = (prediction * target).sum()
    return 1 - 2 * overlap / (prediction.sum() + target.sum() + eps)


def _balanced_cross_entropy(
    probability: Tensor, is_text: Tensor, mask: Tensor, negative_ratio: float, eps: float
) -> Tensor:
    """Mean cross-entropy of all text pixels and the hardest background pixels of the batch."""
    positive = is_text * mask
    negative = (1 - is_text) * mask
    positive_count = int(positive.sum())
    negative_count = min(int(negative.sum()), int(positive_count * negative_ratio))
    loss = F.binary_cross_entropy(probability, is_text, reduction="none")
    hardest = torch.topk((loss * negative).flatten(), negative_count, sorted=False).values
    total = (loss * positive).sum() + hardest.sum()
    return total / (positive_count + negative_count + eps)
