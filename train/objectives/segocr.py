"""Training objective of SegOCR: maps of shrunk characters, and a weighted cross-entropy.

MMOCR's own baseline; there is no paper. Maps and losses equal those of MMOCR 0.6.1.

Shapes: B lines, K classes with the background at 0, H x W map in pixels, N characters. Points are
x, y in pixels of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.codecs.segmentation import SegCodec, SegCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from .lines import RecognitionBatch
from .settings import loss_config


@dataclass(frozen=True)
class CharacterTargets:
    """How characters are drawn.

    Args:
        attention_ratio: how much characters shrink in the attention map.
        class_ratio: how much they shrink in the map of classes.
        rectangles: draw the upright box around each character instead of its quadrangle.
        ignored_value: what the maps hold where nothing counts, mostly in the padding.
    """

    attention_ratio: float = 0.5
    class_ratio: float = 0.25
    rectangles: bool = True
    ignored_value: int = 255

    def __post_init__(self) -> None:
        for name, ratio in (("attn", self.attention_ratio), ("seg", self.class_ratio)):
            if not 0 <= ratio <= 1:
                raise ConfigError(f"{name}_shrink_ratio is {ratio}; it must be in 0..1")


class CharacterMaps(NamedTuple):
    """Maps of one line, (H, W) int32 each.

    Args:
        attention: 1 on characters.
        classes: their classes.
        valid: 0 where nothing counts, else 1. The other two hold the ignored value there, except
            where a character reaches into it.
    """

    attention: NDArray[np.int32]
    classes: NDArray[np.int32]
    valid: NDArray[np.int32]


def make_targets(
    quads: Sequence[NDArray[np.float64]],
    classes: Sequence[int],
    ignored: Sequence[NDArray[np.float64]],
    height: int,
    width: int,
    settings: CharacterTargets,
) -> CharacterMaps:
    """Draw the maps of a line.

    Args:
        quads: (4, 2) corners of each character, in order around it.
        classes: of the characters.
        ignored: (K, 2) polygons in which nothing counts.
        height: H.
        width: W.
        settings: see there.
    """
    valid = np.ones((height, width), np.int32)
    if ignored:
        # Pixels that an edge runs through do not count either.
        cv2.fillPoly(valid, [np.floor(points).astype(np.int32) for points in ignored], (0,))
    attention = np.where(valid, 0, settings.ignored_value).astype(np.int32)
    class_map = attention.copy()
    for quad, index in zip(quads, classes, strict=True):
        corners = np.rint(quad)
        shrink = _shrunk_rectangle if settings.rectangles else _shrunk_quad
        cv2.fillConvexPoly(attention, shrink(corners, settings.attention_ratio), (1,))
        cv2.fillConvexPoly(class_map, shrink(corners, settings.class_ratio), (int(index),))
    return CharacterMaps(attention, class_map, valid)


def _shrunk_rectangle(corners_42: NDArray[np.float64], ratio: float) -> NDArray[np.int32]:
    """The upright box around the corners, its sides multiplied by ``ratio``."""
    low, high = corners_42.min(axis=0), corners_42.max(axis=0)
    reach = (high - low) * ratio
    left, top = np.rint((low + high - reach) / 2)
    right, bottom = np.rint((low + high + reach) / 2)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.int32)


def _shrunk_quad(corners_42: NDArray[np.float64], ratio: float) -> NDArray[np.int32]:
    """Every corner moved along both of its sides, by ``ratio`` of the shorter one's length.

    At 0.5 a square has shrunk to a point: the larger ``ratio``, the smaller the character.
    """
    sides = np.stack([np.roll(corners_42, 1, axis=0), np.roll(corners_42, -1, axis=0)])
    sides = sides - corners_42
    lengths = np.linalg.norm(sides, axis=2)
    shortest = lengths.min(axis=0)
    steps = np.divide(ratio * shortest, lengths, out=np.zeros_like(lengths), where=shortest > 0)
    moved = corners_42 + (sides * steps[..., None]).sum(axis=0)
    return np.rint(moved).astype(np.int32)


@dataclass(frozen=True)
class SegLossConfig:
    """Settings of the loss, with MMOCR's names.

    Args:
        seg_downsample_ratio: size of the network's map over that of the targets.
        seg_with_loss_weight: let all characters together weigh as much as the background.
        ignore_index: class that does not count.
    """

    seg_downsample_ratio: float = 0.5
    seg_with_loss_weight: bool = True
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if self.seg_downsample_ratio <= 0:
            raise ConfigError(
                f"seg_downsample_ratio is {self.seg_downsample_ratio}; it must be above 0"
            )


class SegLoss(nn.Module):
    """Cross-entropy of every pixel's class; always in float32, also under autocast."""

    def __init__(self, config: SegLossConfig = SegLossConfig()) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Compare logits with maps of classes.

        Args:
            logits: (B, K, h, w).
            classes: (B, H, W) int64, drawn at the image's size.

        Returns:
            ``loss_seg``, a scalar.

        Raises:
            ConfigError: the maps have another size than the logits once they are rescaled.
        """
        targets = _rescaled(classes, self.config.seg_downsample_ratio)
        if targets.shape[1:] != logits.shape[2:]:
            raise ConfigError(
                f"the network's map is {tuple(logits.shape[2:])}, its targets are "
                f"{tuple(targets.shape[1:])}; let loss.seg_downsample_ratio fit "
                "head.upsample_param"
            )
        with torch.autocast(logits.device.type, enabled=False):
            weights = self._weights(targets, logits.shape[1])
            loss = F.cross_entropy(
                logits.float(), targets, weights, ignore_index=self.config.ignore_index
            )
        return {"loss_seg": loss}

    def _weights(self, targets: Tensor, classes: int) -> Tensor | None:
        """(K,): 1 for the background, pixels of background per pixel of character for the rest."""
        if not self.config.seg_with_loss_weight:
            return None
        background = (targets == 0).sum()
        characters = (targets != self.config.ignore_index).sum() - background
        weights = torch.ones(classes, device=targets.device)
        weights[1:] = background / characters.clamp(min=1)  # without characters nothing takes it
        return weights


def _rescaled(maps_BHW: Tensor, scale: float) -> Tensor:
    """Nearest pixels of maps whose sides become int(side * scale + 0.5), as in MMCV."""
    rows, columns = (
        torch.arange(int(side * scale + 0.5), device=maps_BHW.device) for side in maps_BHW.shape[1:]
    )
    height, width = maps_BHW.shape[1:]
    rows, columns = rows * height // max(1, len(rows)), columns * width // max(1, len(columns))
    return maps_BHW[:, rows[:, None], columns]


class SegObjective:
    """Targets and loss of SegOCR.

    Args:
        codec: its codec.
        loss: settings of its loss.
    """

    target_step = "OCRSegTargets"

    def __init__(self, codec: SegCodecConfig, loss: SegLossConfig) -> None:
        self.num_classes = SegCodec(codec).num_classes
        self.loss = SegLoss(loss)

    @classmethod
    def from_model(cls, spec: RecognizerSpec, model: Mapping[str, Any]) -> SegObjective:
        """From the config's ``model`` dictionary."""
        assert isinstance(spec.codec, SegCodecConfig)  # checked by the spec
        return cls(spec.codec, loss_config(SegLossConfig, "SegLoss", model.get("loss") or {}))

    def check(self, sample: Sample) -> None:
        """The map's classes must be the network's."""
        if sample.targets is None:
            return  # told when the batch is formed
        classes = sample.targets.classes
        counted = classes[classes != self.loss.config.ignore_index]
        if counted.size and counted.max() >= self.num_classes:
            raise ConfigError(
                f"OCRSegTargets draws class {counted.max()}, but the network has "
                f"{self.num_classes} classes; give the step the model's label_convertor"
            )

    def collate(self, targets: Sequence[CharacterMaps]) -> Tensor:
        """(B, H, W) int64, narrower maps filled up on the right with the ignored class."""
        width = max(maps.classes.shape[1] for maps in targets)
        size = (len(targets), targets[0].classes.shape[0], width)
        batch = torch.full(size, self.loss.config.ignore_index, dtype=torch.long)
        for own, maps in zip(batch, targets, strict=True):
            own[:, : maps.classes.shape[1]] = torch.from_numpy(maps.classes)
        return batch

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """``loss_seg``."""
        result: dict[str, Tensor] = self.loss(network(batch.images).logits, batch.targets)
        return result
