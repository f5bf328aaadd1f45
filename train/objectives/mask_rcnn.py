"""Training objective of Mask R-CNN: which boxes learn what, and the five losses.

Papers: Mask R-CNN, arXiv:1703.06870; Faster R-CNN, arXiv:1506.01497; online hard example mining,
arXiv:1604.03540. Numbers are those of MMDetection 2's two-stage detectors as MMOCR 0.6.1 uses them:

* ignored text is background;
* losses of boxes are divided by the number of boxes looked at, not of those with a true box;
* every true box belongs to the class text, the first one.

Shapes: B images, G true boxes and N candidates of an image (left, top, right, bottom in pixels of
the input), K classes, M side of a mask.
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

from ocr_models.config_section import Section
from ocr_models.detection.mask_rcnn import (
    MASK_SIZE,
    TEXT_CLASS,
    FirstStage,
    MaskRCNN,
    ProposalSettings,
    RoIHead,
    flatten_level,
    of_image,
    propose_boxes,
)
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr.mask_rcnn import proposal_settings
from ocr_models.layers.anchors import encode_boxes
from ocr_models.layers.roi_align import roi_align
from ocr_models.spec import DetectorSpec

from .box_matching import BoxSampler, MaxIoUAssigner, Sampled, at_random
from .settings import loss_config


class Instances(NamedTuple):
    """The texts of one image.

    Args:
        boxes: (G, 4) float32.
        masks: (G, H, W) uint8, 1 inside the text.
    """

    boxes: Any
    masks: Any


def make_instances(polygons: Sequence[ArrayLike], height: int, width: int) -> Instances:
    """Boxes and masks of one image; text of which less than a pixel is visible is left out.

    Args:
        polygons: text to learn; each (K, 2) or flat ``x1, y1, ...``, in pixels. It may reach over
            the edges.
        height: of the image.
        width: of the image.
    """
    boxes: list[NDArray[np.float64]] = []
    masks: list[NDArray[np.uint8]] = []
    limit = np.array([width, height])
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(points) < 3:
            continue
        low, high = (np.clip(edge, 0, limit) for edge in (points.min(axis=0), points.max(axis=0)))
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.clip(points, -1e6, 1e6).astype(np.int32)], (1,))
        if (high - low).min() >= 1 and mask.any():
            boxes.append(np.concatenate([low, high]))
            masks.append(mask)
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(masks, np.uint8).reshape(-1, height, width),
    )


@dataclass(frozen=True)
class MaskRCNNTraining:
    """Which boxes are learnt from, and how much each loss counts.

    Args:
        anchor_assigner: of anchors.
        anchor_sampler: of anchors; always at random.
        proposals: boxes of the first stage that the second learns from.
        box_assigner: of those.
        box_sampler: of those.
        hard_examples: whether those with the highest loss are taken, else any.
        weights: of ``loss_rpn_cls``, ``loss_rpn_bbox``, ``loss_cls``, ``loss_bbox``, ``loss_mask``.
    """

    anchor_assigner: MaxIoUAssigner
    anchor_sampler: BoxSampler
    proposals: ProposalSettings
    box_assigner: MaxIoUAssigner
    box_sampler: BoxSampler
    hard_examples: bool
    weights: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)

    @classmethod
    def from_model(cls, model: Mapping[str, Any]) -> MaskRCNNTraining:
        """From the ``model`` dictionary of a config."""
        train = Section(model.get("train_cfg") or {}, "model.train_cfg")
        first, second = train.section("rpn"), train.section("rcnn")
        first.fix(allowed_border=-1)
        second.fix(mask_size=MASK_SIZE)
        box_sampler, box_sampler_name = _sampler(second, ("RandomSampler", "OHEMSampler"))
        settings = cls(
            anchor_assigner=_assigner(first),
            anchor_sampler=_sampler(first, ("RandomSampler",))[0],
            proposals=proposal_settings(train.section("rpn_proposal")),
            box_assigner=_assigner(second),
            box_sampler=box_sampler,
            hard_examples=box_sampler_name == "OHEMSampler",
            weights=_loss_weights(model),
        )
        for section in (first, second):
            section.fix(pos_weight=-1, debug=False)
            section.finish()
        train.finish()
        return settings


def _assigner(parent: Section) -> MaxIoUAssigner:
    return loss_config(MaxIoUAssigner, "MaxIoUAssigner", parent.read("assigner", dict))


def _sampler(parent: Section, allowed: Sequence[str]) -> tuple[BoxSampler, str]:
    settings = parent.read("sampler", dict)
    name = parent.section("sampler").type_name(allowed)
    return loss_config(BoxSampler, name, settings), name


def _loss_weights(model: Mapping[str, Any]) -> tuple[float, float, float, float, float]:
    head = Section(model, "model").section
    heads = (head("rpn_head"), head("roi_head").section("bbox_head"))
    classes = [section.section("loss_cls") for section in heads]
    boxes = [section.section("loss_bbox") for section in heads]
    mask = head("roi_head").section("mask_head").section("loss_mask")
    for section in (*classes, mask):
        section.type_name(["CrossEntropyLoss"])
    classes[0].fix(use_sigmoid=True)
    classes[1].fix(use_sigmoid=False)
    mask.fix(use_mask=True)
    for section in boxes:
        section.type_name(["L1Loss"])
    first, first_box, second, second_box, last = (
        section.read("loss_weight", float, 1.0)
        for section in (classes[0], boxes[0], classes[1], boxes[1], mask)
    )
    for section in (*classes, *boxes, mask):
        section.finish()
    return first, first_box, second, second_box, last


class MaskRCNNObjective:
    """How Mask R-CNN is trained.

    Args:
        training: settings.
    """

    target_step = "Collect with 'gt_bboxes' and 'gt_masks' among its keys"

    def __init__(self, training: MaskRCNNTraining) -> None:
        self.training = training

    @classmethod
    def from_model(cls, _: DetectorSpec, model: Mapping[str, Any]) -> MaskRCNNObjective:
        """From the ``model`` dictionary of a config."""
        return cls(MaskRCNNTraining.from_model(model))

    def collate(self, targets: Sequence[Instances]) -> list[Instances]:
        """Tensors of each image; images differ in how much text they have."""
        return [Instances(*(torch.from_numpy(values) for values in each)) for each in targets]

    def losses(
        self, network: nn.Module, images: Tensor, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """The five losses; a picture without text teaches background only."""
        if not isinstance(network, MaskRCNN):
            raise ConfigError(f"this objective trains MaskRCNN, got {type(network).__name__}")
        first: FirstStage = network(images)
        content_hw = (images.shape[-2], images.shape[-1])
        proposals = self.propose(network, first, content_hw)
        with torch.autocast(images.device.type, enabled=False):
            first = FirstStage(*(tuple(level.float() for level in part) for part in first))
            per_level = self.proposal_losses(network, first, targets)
        losses = {name: values.sum() for name, values in per_level.items()}
        losses |= self.box_losses(network, first.pyramid, proposals, targets)
        return losses

    @torch.no_grad()
    def propose(
        self, network: MaskRCNN, first: FirstStage, content_hw: tuple[int, int]
    ) -> list[Tensor]:
        """The boxes (N, 4) of every image that the second stage learns from."""
        anchors = _anchors(network, first)
        config = network.config
        return [
            propose_boxes(
                [level[i] for level in first.scores],
                [level[i] for level in first.deltas],
                anchors,
                content_hw,
                config.proposal_stds,
                self.training.proposals,
            )
            for i in range(len(first.scores[0]))
        ]

    def proposal_losses(
        self, network: MaskRCNN, first: FirstStage, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """``loss_rpn_cls`` and ``loss_rpn_bbox``, one value per level of the pyramid."""
        anchors = _anchors(network, first)
        sizes = [len(level) for level in anchors]
        every = torch.cat(anchors)
        level_of = torch.repeat_interleave(torch.tensor(sizes, device=every.device))
        score_losses = every.new_zeros(len(sizes))
        delta_losses = every.new_zeros(len(sizes))
        count = 0
        for i, truth in enumerate(targets):
            levels = [
                flatten_level(scores[i], deltas[i])
                for scores, deltas in zip(first.scores, first.deltas, strict=True)
            ]
            logits = torch.cat([scores for scores, _ in levels])
            deltas = torch.cat([changes for _, changes in levels])
            matches = self.training.anchor_assigner(every, truth.boxes)
            positive, background = self.training.anchor_sampler(matches, at_random)
            count += max(len(positive), 1) + max(len(background), 1)
            chosen = torch.cat([positive, background])
            is_text = (torch.arange(len(chosen), device=chosen.device) < len(positive)).float()
            losses = score_errors(logits[chosen], is_text)
            score_losses = score_losses.index_add(0, level_of[chosen], losses)
            wanted = encode_boxes(
                every[positive], truth.boxes[matches[positive]], network.config.proposal_stds
            )
            losses = delta_errors(deltas[positive], wanted)
            delta_losses = delta_losses.index_add(0, level_of[positive], losses)
        weights = self.training.weights
        return {
            "loss_rpn_cls": weights[0] * score_losses / count,
            "loss_rpn_bbox": weights[1] * delta_losses / count,
        }

    def box_losses(
        self,
        network: MaskRCNN,
        pyramid: Sequence[Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[Instances],
    ) -> dict[str, Tensor]:
        """``loss_cls``, ``loss_bbox`` and ``loss_mask``.

        Args:
            network: whose second stage learns.
            pyramid: of the batch.
            proposals: (N, 4) of every image.
            targets: of every image.
        """
        chosen = [
            self.choose(network.roi_head, pyramid, i, boxes, truth)
            for i, (boxes, truth) in enumerate(zip(proposals, targets, strict=True))
        ]
        boxes_N5 = torch.cat([of_image(boxes.all, i) for i, boxes in enumerate(chosen)])
        logits, deltas = network.roi_head.boxes(pyramid, boxes_N5)
        text_N5 = torch.cat([of_image(boxes.text, i) for i, boxes in enumerate(chosen)])
        mask_logits = network.roi_head.masks(pyramid, text_N5)[:, TEXT_CLASS]
        is_text = torch.cat([boxes.is_text for boxes in chosen])
        true_boxes = torch.cat([boxes.true_boxes for boxes in chosen])
        masks = torch.cat([boxes.true_masks for boxes in chosen])
        with torch.autocast(logits.device.type, enabled=False):
            logits, deltas, mask_logits = logits.float(), deltas.float(), mask_logits.float()
            classes = torch.where(is_text, TEXT_CLASS, network.config.num_classes)
            changes = deltas.unflatten(1, (-1, 4))[is_text, TEXT_CLASS]
            wanted = encode_boxes(text_N5[:, 1:], true_boxes, network.config.box_stds)
            # Sums over no boxes keep the heads in the graph, as training on several GPUs needs.
            mask_loss = score_errors(mask_logits, masks).sum()
            boxes = max(len(boxes_N5), 1)
            weights = self.training.weights
            return {
                "loss_cls": weights[2] * class_errors(logits, classes).sum() / boxes,
                "loss_bbox": weights[3] * delta_errors(changes, wanted).sum() / boxes,
                "loss_mask": weights[4] * mask_loss / max(masks.numel(), 1),
            }

    @torch.no_grad()
    def choose(
        self,
        head: RoIHead,
        pyramid: Sequence[Tensor],
        number: int,
        candidates: Tensor,
        truth: Instances,
    ) -> Chosen:
        """The boxes of image ``number`` that the second stage learns from."""
        matches = self.training.box_assigner(candidates, truth.boxes)
        if self.training.box_sampler.add_gt_as_proposals:
            candidates = torch.cat([truth.boxes, candidates])
            own = torch.arange(len(truth.boxes), device=matches.device)
            matches = torch.cat([own, matches])

        def hardest(indices: Tensor, wanted: int) -> Tensor:
            boxes_N5 = of_image(candidates[indices], number)
            logits = head.boxes(pyramid, boxes_N5)[0].float()
            background = logits.shape[1] - 1
            classes = torch.where(matches[indices] >= 0, TEXT_CLASS, background)
            return indices[class_errors(logits, classes).topk(wanted).indices]

        choose = hardest if self.training.hard_examples else at_random
        sampled = self.training.box_sampler(matches, choose)
        return _chosen(candidates, matches, sampled, truth)


class Chosen(NamedTuple):
    """Boxes of one image: first P with a true box, then background.

    Args:
        all: (N, 4).
        is_text: (N,), true for the first P.
        true_boxes: (P, 4).
        true_masks: (P, M, M), 0 or 1.
    """

    all: Tensor
    is_text: Tensor
    true_boxes: Tensor
    true_masks: Tensor

    @property
    def text(self) -> Tensor:
        """(P, 4)."""
        return self.all[self.is_text]


def _chosen(candidates: Tensor, matches: Tensor, sampled: Sampled, truth: Instances) -> Chosen:
    boxes = torch.cat([candidates[sampled.positive], candidates[sampled.background]])
    is_text = torch.arange(len(boxes), device=boxes.device) < len(sampled.positive)
    numbers = matches[sampled.positive]
    masks = mask_targets(truth.masks, numbers, candidates[sampled.positive])
    return Chosen(boxes, is_text, truth.boxes[numbers], masks)


def score_errors(logits: Tensor, is_text: Tensor) -> Tensor:
    """Cross-entropy of anchors (N,), or of the pixels of masks (N, M, M); truth 0 or 1, float."""
    return F.binary_cross_entropy_with_logits(logits, is_text, reduction="none")


def class_errors(logits_NK: Tensor, classes_N: Tensor) -> Tensor:
    """Cross-entropy of boxes, (N,)."""
    return F.cross_entropy(logits_NK, classes_N, reduction="none")


def delta_errors(deltas_N4: Tensor, wanted_N4: Tensor) -> Tensor:
    """Absolute differences of boxes, (N,)."""
    return (deltas_N4 - wanted_N4).abs().sum(dim=1)


def mask_targets(masks_GHW: Tensor, numbers_P: Tensor, boxes_P4: Tensor) -> Tensor:
    """What each box should draw of its text, (P, M, M) of 0 and 1: at least half of a bin."""
    height, width = masks_GHW.shape[-2:]
    limit = boxes_P4.new_tensor([width, height, width, height])
    boxes_P5 = torch.cat([numbers_P[:, None], torch.minimum(boxes_P4.clamp(min=0), limit)], dim=1)
    covered = roi_align(masks_GHW[:, None], boxes_P5, MASK_SIZE)[:, 0]
    return (covered >= 0.5).float()


def _anchors(network: MaskRCNN, first: FirstStage) -> list[Tensor]:
    sizes = [(level.shape[-2], level.shape[-1]) for level in first.scores]
    return [level.to(first.scores[0].device) for level in network.anchors(sizes)]
