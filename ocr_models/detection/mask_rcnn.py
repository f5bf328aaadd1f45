"""Mask R-CNN, with the long anchors that text needs.

Paper: Mask R-CNN, arXiv:1703.06870, on the feature pyramid of arXiv:1612.03144. Parameter names and
numbers are those of MMOCR 0.6.1's ``OCRMaskRCNN``, built on MMDetection 2. What differs from the
paper: anchors have five aspect ratios from flat to tall, found by clustering words, and of several
classes only the first one is text.

Inference has two stages. The first is convolutional: pyramid and box proposals' scores. What the
second looks at depends on the image: the best proposals are pooled, classified and refined, and of
what remains the masks are drawn.

Shapes: B batch, H x W padded image in pixels, L channels of the pyramid, A anchors per place, N
boxes (left, top, right, bottom, in pixels of the input), K classes, M side of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ocr_models.layers.anchors import decode_boxes, grid_anchors
from ocr_models.layers.fpn import FPN
from ocr_models.layers.nms import grouped_nms
from ocr_models.layers.resnet import ResNet, ResNetConfig
from ocr_models.layers.roi_align import roi_align

STRIDES = (4, 8, 16, 32, 64)
"""Of the pyramid's levels; boxes are pooled from all but the last."""
POOLED_STRIDES = STRIDES[:-1]
BOX_BINS, MASK_BINS = 7, 14
MASK_SIZE = 2 * MASK_BINS
"""M."""
TEXT_CLASS = 0

# Boxes whose side is up to twice this many pixels are pooled from the finest level.
_FINEST_SIDE_PX = 56


@dataclass(frozen=True)
class ProposalSettings:
    """Which boxes of the first stage are looked at.

    Args:
        nms_pre: of each level at most so many, the best.
        max_per_img: at most so many of all levels together.
        iou_threshold: of boxes of a level that overlap by more only the best is kept.
        min_bbox_size: width and height must be above this, in pixels of the input.
    """

    nms_pre: int = 1000
    max_per_img: int = 1000
    iou_threshold: float = 0.7
    min_bbox_size: float = 0


@dataclass(frozen=True)
class DetectionSettings:
    """Which boxes of the second stage are text.

    Args:
        score_thr: probability that a box must exceed.
        iou_threshold: of boxes of a class that overlap by more only the best is kept.
        max_per_img: at most so many of all classes together.
    """

    score_thr: float = 0.05
    iou_threshold: float = 0.5
    max_per_img: int = 100


@dataclass(frozen=True)
class MaskRCNNConfig:
    """Everything that fixes the network and its two selections of boxes.

    Args:
        backbone: with levels of stride 4, 8, 16 and 32.
        channels: L, also those inside the proposal head.
        anchor_scales: side of a square anchor over the level's stride.
        anchor_ratios: height over width.
        proposal_stds: standard deviations by which the first stage's deltas are divided.
        num_classes: K, without the background; text is the first.
        fc_channels: of the two fully connected layers.
        box_stds: as ``proposal_stds``, of the second stage.
        mask_convs: convolutions before masks are enlarged.
        mask_channels: theirs.
        proposals: see there.
        detections: see there.
    """

    backbone: ResNetConfig = field(default_factory=lambda: ResNetConfig(depth=50))
    channels: int = 256
    anchor_scales: tuple[float, ...] = (4.0,)
    anchor_ratios: tuple[float, ...] = (0.17, 0.44, 1.13, 2.9, 7.46)
    proposal_stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    num_classes: int = 1
    fc_channels: int = 1024
    box_stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    mask_convs: int = 4
    mask_channels: int = 256
    proposals: ProposalSettings = ProposalSettings()
    detections: DetectionSettings = DetectionSettings()

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {self.num_classes}")
        anchors = (*self.anchor_scales, *self.anchor_ratios)
        if not (self.anchor_scales and self.anchor_ratios and min(anchors) > 0):
            raise ValueError(
                "anchors need scales and ratios above 0, got scales "
                f"{self.anchor_scales} and ratios {self.anchor_ratios}"
            )
        if min(self.proposal_stds + self.box_stds) <= 0:
            raise ValueError(
                f"target_stds must be above 0, got {self.proposal_stds} and {self.box_stds}"
            )

    @property
    def anchors_per_place(self) -> int:
        """A."""
        return len(self.anchor_scales) * len(self.anchor_ratios)


class FirstStage(NamedTuple):
    """The convolutional part, one tensor per level.

    Args:
        pyramid: (B, L, h, w).
        scores: logits that an anchor holds an object, (B, A, h, w).
        deltas: how anchors change into boxes, (B, 4 A, h, w).
    """

    pyramid: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]


class RPNHead(nn.Module):
    """Scores and deltas of the anchors, by the same weights on every level."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, anchors, 1)
        self.rpn_reg = nn.Conv2d(channels, 4 * anchors, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.rpn_conv(features))
        return self.rpn_cls(x), self.rpn_reg(x)


class BoxHead(nn.Module):
    """Classes and refined boxes of pooled features."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        width = config.fc_channels
        self.fc_cls = nn.Linear(width, config.num_classes + 1)
        self.fc_reg = nn.Linear(width, 4 * config.num_classes)
        pooled = config.channels * BOX_BINS**2
        self.shared_fcs = nn.ModuleList([nn.Linear(pooled, width), nn.Linear(width, width)])

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L, 7, 7) -> logits (N, K + 1), background last, and deltas (N, 4 K)."""
        x = pooled.flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


class MaskConv(nn.Module):
    """A convolution under the name that MMDetection's checkpoints have for it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class MaskHead(nn.Module):
    """Masks of pooled features."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        width = config.mask_channels
        widths = [config.channels] + [width] * config.mask_convs
        self.convs = nn.ModuleList(MaskConv(before, after) for before, after in pairwise(widths))
        self.upsample = nn.ConvTranspose2d(widths[-1], width, 2, 2)
        self.conv_logits = nn.Conv2d(width, config.num_classes, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """(N, L, 14, 14) -> logits (N, K, M, M)."""
        for layer in self.convs:
            pooled = layer(pooled)
        return self.conv_logits(F.relu(self.upsample(pooled)))


class RoIHead(nn.Module):
    """The second stage's two heads."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.bbox_head = BoxHead(config)
        self.mask_head = MaskHead(config)

    def boxes(self, pyramid: Sequence[Tensor], boxes_N5: Tensor) -> tuple[Tensor, Tensor]:
        """Classes and deltas of boxes that begin with the number of their image."""
        scores, deltas = self.bbox_head(pool_boxes(pyramid, boxes_N5, BOX_BINS))
        return scores, deltas

    def masks(self, pyramid: Sequence[Tensor], boxes_N5: Tensor) -> Tensor:
        """Logits (N, K, M, M) inside boxes that begin with the number of their image."""
        logits: Tensor = self.mask_head(pool_boxes(pyramid, boxes_N5, MASK_BINS))
        return logits


class MaskRCNN(nn.Module):
    """The whole network."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone)
        self.neck = FPN(config.backbone.out_channels, config.channels, len(STRIDES))
        self.rpn_head = RPNHead(config.channels, config.anchors_per_place)
        self.roi_head = RoIHead(config)

    def forward(self, images_B3HW: Tensor) -> FirstStage:
        pyramid = self.neck(self.backbone(images_B3HW))
        scores, deltas = zip(*(self.rpn_head(level) for level in pyramid), strict=True)
        return FirstStage(pyramid, scores, deltas)

    def first_stage(self, images_B3HW: Tensor) -> tuple[Tensor, ...]:
        """What ``second_stage`` needs: the pooled levels, all scores, all deltas."""
        pyramid, scores, deltas = self(images_B3HW)
        return (*pyramid[: len(POOLED_STRIDES)], *scores, *deltas)

    def second_stage(
        self, found: tuple[Tensor, ...], content_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Text of one image.

        Args:
            found: from ``first_stage``, B = 1.
            content_hw: height and width of the image without padding.

        Returns:
            boxes (N, 4), scores (N,) in 0..1, falling, and masks (N, M, M) of probabilities.
        """
        pooled, levels = len(POOLED_STRIDES), len(STRIDES)
        pyramid = found[:pooled]
        scores, deltas = found[pooled : pooled + levels], found[pooled + levels :]
        anchors = self.anchors([(level.shape[-2], level.shape[-1]) for level in scores])
        proposals = propose_boxes(
            [level[0] for level in scores],
            [level[0] for level in deltas],
            [level.to(scores[0].device) for level in anchors],
            content_hw,
            self.config.proposal_stds,
            self.config.proposals,
        )
        logits, box_deltas = self.roi_head.boxes(pyramid, of_image(proposals, 0))
        boxes, text_scores = select_text(proposals, logits, box_deltas, content_hw, self.config)
        masks = self.roi_head.masks(pyramid, of_image(boxes, 0))[:, TEXT_CLASS].float().sigmoid()
        return boxes, text_scores, masks

    def anchors(self, sizes_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Anchors (h * w * A, 4) of levels of these sizes, on the CPU."""
        return [
            grid_anchors(size, stride, self.config.anchor_scales, self.config.anchor_ratios)
            for size, stride in zip(sizes_hw, STRIDES, strict=True)
        ]


def flatten_level(scores_AHW: Tensor, deltas_AHW: Tensor) -> tuple[Tensor, Tensor]:
    """One level of one image in the order of its anchors: logits (h * w * A,), deltas (..., 4)."""
    return scores_AHW.permute(1, 2, 0).reshape(-1), deltas_AHW.permute(1, 2, 0).reshape(-1, 4)


def of_image(boxes_N4: Tensor, number: int) -> Tensor:
    """(N, 4) boxes behind the number of their image, (N, 5)."""
    return F.pad(boxes_N4, (1, 0), value=number)


def propose_boxes(
    scores: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    content_hw: tuple[int, int],
    stds: Sequence[float],
    settings: ProposalSettings,
) -> Tensor:
    """The boxes of one image that the second stage looks at, (N, 4), best first.

    Args:
        scores: per level (A, h, w), logits.
        deltas: per level (4 A, h, w).
        anchors: per level (h * w * A, 4).
        content_hw: height and width of the image without padding.
        stds: of the deltas.
        settings: how many, and how far apart.
    """
    boxes, probabilities, numbers = [], [], []
    for number, (level_scores, level_deltas) in enumerate(zip(scores, deltas, strict=True)):
        logits, changes = flatten_level(level_scores, level_deltas)
        level_probabilities = logits.float().sigmoid()
        if 0 < settings.nms_pre < len(logits):
            best = level_probabilities.argsort(descending=True, stable=True)[: settings.nms_pre]
        else:
            best = torch.arange(len(logits), device=logits.device)
        boxes.append(decode_boxes(anchors[number][best], changes[best], stds, content_hw))
        probabilities.append(level_probabilities[best])
        numbers.append(torch.full_like(best, number))
    candidates, chances, levels = torch.cat(boxes), torch.cat(probabilities), torch.cat(numbers)
    sizes = candidates[:, 2:] - candidates[:, :2]
    large = (sizes > settings.min_bbox_size).all(dim=1).nonzero()[:, 0]
    kept = grouped_nms(candidates[large], chances[large], levels[large], settings.iou_threshold)
    return candidates[large[kept[: settings.max_per_img]]]


def pool_boxes(pyramid: Sequence[Tensor], boxes_N5: Tensor, bins: int) -> Tensor:
    """Features (N, L, bins, bins) of boxes, each from the level that fits its size.

    Args:
        pyramid: levels of the strides ``POOLED_STRIDES``, perhaps more.
        boxes_N5: number of the image and left, top, right, bottom.
        bins: per axis.
    """
    sides = (boxes_N5[:, 3:] - boxes_N5[:, 1:3]).prod(dim=1).sqrt()
    # Equation 1 of arXiv:1612.03144.
    wanted = (sides / _FINEST_SIDE_PX + 1e-6).log2().floor()
    wanted = wanted.clamp(0, len(POOLED_STRIDES) - 1)
    members = [(wanted == number).nonzero()[:, 0] for number in range(len(POOLED_STRIDES))]
    by_level = [
        roi_align(pyramid[number], boxes_N5[members[number]], bins, 1 / stride)
        for number, stride in enumerate(POOLED_STRIDES)
    ]
    return torch.cat(by_level)[torch.cat(members).argsort()]


def select_text(
    proposals_N4: Tensor,
    logits_NK: Tensor,
    deltas_N4K: Tensor,
    content_hw: tuple[int, int],
    config: MaskRCNNConfig,
) -> tuple[Tensor, Tensor]:
    """Boxes and scores of the text, best first; other classes only compete for their number.

    Args:
        proposals_N4: what was pooled.
        logits_NK: (N, K + 1).
        deltas_N4K: (N, 4 K).
        content_hw: height and width of the image without padding.
        config: thresholds.
    """
    settings = config.detections
    probabilities = logits_NK.float().softmax(dim=1)[:, :-1]
    changes = deltas_N4K.reshape(len(deltas_N4K), config.num_classes, 4)
    boxes = decode_boxes(proposals_N4[:, None], changes, config.box_stds, content_hw)
    rows, classes = (probabilities > settings.score_thr).nonzero(as_tuple=True)
    boxes, scores = boxes[rows, classes], probabilities[rows, classes]
    kept = grouped_nms(boxes, scores, classes, settings.iou_threshold)[: settings.max_per_img]
    text = kept[classes[kept] == TEXT_CLASS]
    return boxes[text], scores[text]
