"""Training objective of FCENet: Fourier series of outlines, and the loss on them.

Paper: Fourier Contour Embedding for Arbitrary-Shaped Text Detection, arXiv:2104.10442, sections 3.2
and 3.4. Numbers equal MMOCR 0.6.1's.

Shapes: B images, H x W pixels of the network's input; level i has stride 8, 16 or 32 and h x w
pixels; K Fourier degree, C = 2 K + 1 coefficients for the frequencies -K..K; N text pixels of a
level in a batch; S points sampled on an outline.
"""

from __future__ import annotations

import math
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

from ocr_models.detection.fcenet import STRIDES, FCELevel, FCENetConfig
from ocr_models.errors import ConfigError
from ocr_models.spec import DetectorSpec

from .settings import loss_config
from .textsnake import as_points, center_boxes, center_strip, different_corners, visible

# Points that an outline is sampled at before its transform.
_OUTLINE_POINTS = 400
# The start of an outline is the highest of this many points nearest to the middle in x.
_START_CANDIDATES = 8
# Background pixels that count in the text map's loss where a level has no text at all.
_NEGATIVES_WITHOUT_TEXT = 100
# Weight of the centre map's loss outside text.
_OUTSIDE_WEIGHT = 0.5

Points = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class FCENetTargets:
    """How polygons become target maps.

    Args:
        fourier_degree: K.
        resample_step: distance of neighbouring points along a text's sides, in pixels of the level.
        center_region_shrink_ratio: height of the centre region over the text's.
        level_proportion_range: for each level the texts that it learns: the longer side of the
            bounding box over the image's height is strictly between the two.
    """

    fourier_degree: int = 5
    resample_step: float = 4.0
    center_region_shrink_ratio: float = 0.3
    level_proportion_range: tuple[Range, Range, Range] = ((0, 0.4), (0.3, 0.7), (0.6, 1.0))

    def __post_init__(self) -> None:
        if not 1 <= self.fourier_degree <= _OUTLINE_POINTS // 8:
            raise ConfigError(
                f"fourier_degree is {self.fourier_degree}; it must be in 1..{_OUTLINE_POINTS // 8}"
            )
        if self.resample_step <= 0:
            raise ConfigError(f"resample_step is {self.resample_step}; it must be above 0")
        if not 0 < self.center_region_shrink_ratio <= 1:
            raise ConfigError(
                f"center_region_shrink_ratio is {self.center_region_shrink_ratio}; "
                "it must be in (0, 1]"
            )


def level_ranges(value: Sequence[Sequence[float]]) -> tuple[Range, Range, Range]:
    """Checks what a config says about ``level_proportion_range``.

    Raises:
        ConfigError: not a pair for each level.
    """
    pairs = [(float(low), float(high)) for low, high in value if len(value) == len(STRIDES)]
    if not pairs:
        raise ConfigError(
            f"level_proportion_range is {value!r:.80}; needed: a pair (low, high) for each of the "
            f"strides {STRIDES}"
        )
    first, second, third = pairs
    return first, second, third


class FCETargetMaps(NamedTuple):
    """Target maps of the three levels.

    float32 (3 + 2 C, h, w) of one image, or tensors with B in front once a loader batched them:
    text region, centre region, mask (0 on ignored text), real parts and imaginary parts of the
    outline's series in pixels of the level, the constant term relative to the pixel.
    """

    stride8: Any
    stride16: Any
    stride32: Any


def make_targets(
    polygons: Sequence[ArrayLike],
    ignored: Sequence[ArrayLike],
    height: int,
    width: int,
    config: FCENetTargets = FCENetTargets(),
) -> FCETargetMaps:
    """Draw the target maps of one image.

    Text with fewer than four different corners has no sides and is ignored.

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
    hidden = [points for points in map(as_points, ignored) if len(points)]
    learnt = []
    for points in map(as_points, polygons):
        corners = different_corners(points)
        if len(corners) >= 4:
            learnt.append(corners)
        elif len(points):
            hidden.append(points)
    levels = []
    for stride, (low, high) in zip(STRIDES, config.level_proportion_range, strict=True):
        own, own_hidden = (
            [points / stride for points in group if low < _proportion(points, height) < high]
            for group in (learnt, hidden)
        )
        levels.append(_level(own, own_hidden, height // stride, width // stride, config))
    return FCETargetMaps(*levels)


def _proportion(points: Points, height: int) -> float:
    _, _, box_width, box_height = cv2.boundingRect(points.astype(np.int32))
    return max(box_width, box_height) / (height + 1e-8)


def _level(
    outlines: Sequence[Points],
    hidden: Sequence[Points],
    height: int,
    width: int,
    config: FCENetTargets,
) -> NDArray[np.float32]:
    """The maps of one level from outlines in its pixels, (3 + 2 C, h, w)."""
    numbers = np.zeros((height, width), np.int32)
    series = [np.zeros(2 * config.fourier_degree + 1, np.complex128)]
    boxes: list[NDArray[np.int32]] = []
    for number, outline in enumerate(outlines, start=1):
        cv2.fillPoly(numbers, [outline.astype(np.int32)], (number,))
        series.append(fourier_series(outline, config.fourier_degree))
        corners = different_corners(outline)
        if len(corners) >= 4:
            strip = center_strip(corners, config.resample_step, orientation_thr=2.0)
            found = center_boxes(strip, config.center_region_shrink_ratio)
            boxes += list(found[visible(found, height, width)])
    center = np.zeros((height, width), np.uint8)
    if boxes:
        # In one call, as in MMOCR: where an even number of boxes overlap, none is drawn.
        cv2.fillPoly(center, boxes, (1,))
    mask = np.ones((height, width), np.uint8)
    for points in hidden:
        cv2.fillPoly(mask, [points.astype(np.int32)], (0,))
    maps = np.array(series).T[:, numbers]  # (C, h, w)
    y, x = np.nonzero(numbers)
    maps[config.fourier_degree, y, x] -= x + 1j * y
    regions = np.stack([numbers > 0, center, mask])
    return np.concatenate([regions, maps.real, maps.imag]).astype(np.float32)


def fourier_series(outline: Points, degree: int) -> NDArray[np.complex128]:
    """Coefficients of an outline as x + i y for the frequencies -K..K (equation 2).

    The outline is run through clockwise on the screen, from a point above its middle.
    """
    points = _sampled(outline)
    x, y = np.roll(points, -_start(points), axis=0).T
    spectrum = np.fft.fft(x + 1j * y) / len(points)
    series = np.concatenate([spectrum[-degree:], spectrum[: degree + 1]])
    # Running the other way reverses the frequencies.
    for frequency in (1, 2)[:degree]:
        forward, backward = abs(series[degree + frequency]), abs(series[degree - frequency])
        if forward != backward:
            return series if forward > backward else series[::-1]
    return series[::-1]


def _sampled(outline: Points) -> Points:
    """About 400 points, equally spaced on each side."""
    sides = np.roll(outline, -1, axis=0) - outline
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    counts = (lengths / (lengths.sum() + 1e-8) * _OUTLINE_POINTS).astype(np.int64)
    side = np.repeat(np.arange(len(outline)), counts)
    on_side = np.arange(len(side)) - np.repeat(np.cumsum(counts) - counts, counts)
    return outline[side] + sides[side] / counts[side, None] * on_side[:, None]


def _start(points: Points) -> int:
    """Number of the first point of the outline."""
    x, y = (points - points.mean(axis=0)).T
    nearest = np.abs(x).argsort(kind="stable")[:_START_CANDIDATES]
    return int(nearest[y[nearest].argmin()])


@dataclass(frozen=True)
class FCELossConfig:
    """Settings of the loss.

    Args:
        num_sample: S, points at which outlines are compared.
        ohem_ratio: at most this many background pixels count per text pixel: the hardest ones of
            the level and batch.
    """

    num_sample: int
    ohem_ratio: float = 3.0

    def __post_init__(self) -> None:
        if self.num_sample < 1:
            raise ConfigError(f"num_sample is {self.num_sample}; it must be at least 1")
        if self.ohem_ratio < 0:
            raise ConfigError(f"ohem_ratio is {self.ohem_ratio}; it must not be negative")


class FCELoss(nn.Module):
    """Losses of all levels; always in float32, also under autocast.

    Args:
        config: settings.
        fourier_degree: K.
    """

    def __init__(self, config: FCELossConfig, fourier_degree: int) -> None:
        super().__init__()
        self.config = config
        self.fourier_degree = fourier_degree

    def forward(self, levels: Sequence[FCELevel], targets: FCETargetMaps) -> dict[str, Tensor]:
        """Compare predicted maps with target maps.

        Args:
            levels: the network's output.
            targets: (B, 3 + 2 C, h, w) each, on the same device.

        Returns:
            ``loss_text``, ``loss_center``, ``loss_reg_x`` and ``loss_reg_y``, scalars summed over
            the levels, to be summed.

        Raises:
            ValueError: maps and targets differ in size.
        """
        device = levels[0].classes.device
        with torch.autocast(device.type, enabled=False):
            parts = [
                torch.stack(self._level(level.classes.float(), level.coefficients.float(), target))
                for level, target in zip(levels, targets, strict=True)
            ]
        text, center, reg_x, reg_y = torch.stack(parts).sum(dim=0)
        return {
            "loss_text": text,
            "loss_center": center,
            "loss_reg_x": reg_x,
            "loss_reg_y": reg_y,
        }

    def _level(
        self, classes_B4hw: Tensor, coefficients: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if classes_B4hw.shape[-2:] != target.shape[-2:]:
            raise ValueError(
                f"the maps of a level have {tuple(classes_B4hw.shape[-2:])} pixels, their targets "
                f"{tuple(target.shape[-2:])}; images must be multiples of {STRIDES[-1]} pixels"
            )
        is_text, is_center, mask = (target[:, i] > 0 for i in range(3))
        learnt = is_text & mask
        text_error = _class_error(classes_B4hw[:, :2], is_text)
        loss_text = self._hardest(text_error, learnt, ~is_text & mask)
        zero = classes_B4hw.new_zeros(())
        if not learnt.any():
            return loss_text, zero, zero, zero
        center_error = _class_error(classes_B4hw[:, 2:], is_center)
        outside = center_error[~learnt]
        loss_center = center_error[learnt].mean()
        if len(outside):
            loss_center = loss_center + _OUTSIDE_WEIGHT * outside.mean()
        errors = F.smooth_l1_loss(
            self._curves(coefficients.movedim(1, -1)[learnt]),
            self._curves(target[:, 3:].movedim(1, -1)[learnt]),
            reduction="none",
        )  # (2, N, S)
        weight = (1 + is_center[learnt].float()) / 2
        loss_x, loss_y = (errors * weight[None, :, None]).mean(dim=(1, 2))
        return loss_text, loss_center, loss_x, loss_y

    def _hardest(self, error: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Mean error of text and the hardest background; (B, h, w) each."""
        count = int(positive.sum())
        wanted = _NEGATIVES_WITHOUT_TEXT
        if count:
            wanted = min(int(negative.sum()), int(self.config.ohem_ratio * count))
        background = error[negative]
        hardest = background.topk(min(wanted, len(background)), sorted=False).values
        return (error[positive].sum() + hardest.sum()) / max(count + wanted, 1)

    def _curves(self, coefficients_NR: Tensor) -> Tensor:
        """Points of the series, (2, N, S): x, then y."""
        degree, samples = self.fourier_degree, self.config.num_sample
        device = coefficients_NR.device
        frequencies = torch.arange(-degree, degree + 1, dtype=torch.float32, device=device)
        steps = torch.arange(samples, dtype=torch.float32, device=device)
        angles = 2 * math.pi / samples * torch.outer(frequencies, steps)  # (C, S)
        cos, sin = torch.cos(angles), torch.sin(angles)
        real, imaginary = coefficients_NR.chunk(2, dim=1)
        return torch.stack([real @ cos - imaginary @ sin, real @ sin + imaginary @ cos])


def _class_error(logits_B2hw: Tensor, is_second: Tensor) -> Tensor:
    """Cross-entropy of two classes at every pixel, (B, h, w)."""
    return F.cross_entropy(logits_B2hw, is_second.long(), reduction="none")


class FCEObjective:
    """How FCENet is trained.

    Args:
        loss: MMOCR's ``bbox_head.loss``.
        fourier_degree: K.
    """

    target_step = "FCENetTargets"

    def __init__(self, loss: FCELossConfig, fourier_degree: int) -> None:
        self.loss = FCELoss(loss, fourier_degree)

    @classmethod
    def from_model(cls, spec: DetectorSpec, model: Mapping[str, Any]) -> FCEObjective:
        """From the ``model`` dictionary of a config."""
        assert isinstance(spec.network, FCENetConfig)
        section = {"num_sample": 50, **((model.get("bbox_head") or {}).get("loss") or {})}
        return cls(loss_config(FCELossConfig, "FCELoss", section), spec.network.fourier_degree)

    def collate(self, targets: Sequence[FCETargetMaps]) -> FCETargetMaps:
        """(3 + 2 C, h, w) arrays to (B, 3 + 2 C, h, w) tensors."""
        batch: FCETargetMaps = default_collate(list(targets))
        return batch

    def losses(
        self, network: nn.Module, images: Tensor, targets: FCETargetMaps
    ) -> dict[str, Tensor]:
        """See ``FCELoss``."""
        result: dict[str, Tensor] = self.loss(network(images), targets)
        return result
