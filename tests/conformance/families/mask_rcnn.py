"""Mask R-CNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ocr_models.detection.mask_rcnn import TEXT_CLASS, MaskRCNN, of_image
from ocr_models.detection.mask_rcnn_postprocess import mask_outline
from ocr_models.results import Boundary
from ocr_models.spec import Spec
from ocrserve.train.objectives.mask_rcnn import (
    Instances,
    MaskRCNNObjective,
    MaskRCNNTraining,
    class_errors,
    delta_errors,
    score_errors,
)

from ..check import Check
from ..kit import Arrays, Kit, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, LossCase
from .text_kernels import compare_boundaries

# The stored samplers never had to choose.
ALL_BOXES = 1_000_000


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, MaskRCNN)
    levels = network.backbone(images)
    compare_forward(check, arrays, "backbone_last", levels[-1].numpy())
    first = network(images)
    for i, (scores, deltas) in enumerate(zip(first.scores, first.deltas, strict=True)):
        compare_forward(check, arrays, f"rpn_cls{i}", scores.numpy())
        compare_forward(check, arrays, f"rpn_reg{i}", deltas.numpy())
    boxes = torch.from_numpy(arrays["rois"])
    logits, deltas = network.roi_head.boxes(first.pyramid, boxes)
    compare_forward(check, arrays, "roi_cls", logits.numpy())
    compare_forward(check, arrays, "roi_reg", deltas.numpy())
    masks = network.roi_head.masks(first.pyramid, boxes)
    compare_forward(check, arrays, "roi_mask", masks.numpy())


def _train_forward(
    network: nn.Module,
    _: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, MaskRCNN)
    settings = MaskRCNNTraining.from_model(model)
    objective = MaskRCNNObjective(
        replace(
            settings,
            anchor_sampler=replace(settings.anchor_sampler, num=ALL_BOXES),
            box_sampler=replace(settings.box_sampler, num=ALL_BOXES),
        )
    )
    targets = [
        Instances(torch.tensor(boxes), torch.from_numpy(arrays[f"gt_masks{i}"]))
        for i, boxes in enumerate(entry["gt_bboxes"])
    ]
    proposals = [torch.from_numpy(arrays[f"proposals{i}"][:, :4]) for i in range(len(targets))]
    first = network(images)
    losses = objective.proposal_losses(network, first, targets)
    of_boxes = objective.box_losses(network, first.pyramid, proposals, targets)
    losses |= {f"rcnn_{name}": loss for name, loss in of_boxes.items()}
    losses["rcnn_loss_mask"] = losses["rcnn_loss_mask"].reshape(1)
    losses["rcnn_acc"] = _accuracy(network, first.pyramid, objective, proposals, targets)
    return losses


@torch.no_grad()
def _accuracy(
    network: MaskRCNN,
    pyramid: Sequence[Tensor],
    objective: MaskRCNNObjective,
    proposals: Sequence[Tensor],
    targets: Sequence[Instances],
) -> Tensor:
    """Percentage of right classes, (1,); MMDetection logs it among its losses."""
    right = []
    for i, (candidates, truth) in enumerate(zip(proposals, targets, strict=True)):
        chosen = objective.choose(network.roi_head, pyramid, i, candidates, truth)
        classes = network.roi_head.boxes(pyramid, of_image(chosen.all, i))[0].argmax(dim=1)
        background = network.config.num_classes
        right.append(classes == torch.where(chosen.is_text, TEXT_CLASS, background))
    return 100 * torch.cat(right).float().mean().reshape(1)


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    arrays = kit.arrays(f"postprocess/{entry['input']}")
    kind = entry["args"]["text_repr_type"]
    found = []
    for mask, box in zip(arrays["masks"], arrays["bboxes"], strict=True):
        outline = mask_outline(mask, kind)
        if outline is not None:
            found.append(Boundary(outline, float(box[-1])))
    compare_boundaries(check, found, entry)


def _weighted_loss(prediction: str, errors: Callable[[Tensor, Arrays], Tensor]) -> LossCase:
    """A loss of MMDetection: weighted errors of the boxes over a given number.

    Args:
        prediction: its array.
        errors: (N,).
    """

    def compute(
        arrays: Arrays, entry: Entry, _: str
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        value = torch.from_numpy(arrays[prediction]).requires_grad_()
        weighted = errors(value, arrays) * torch.from_numpy(arrays["det_weight"])
        return {"pred": value}, {"loss": weighted.sum() / entry["avg_factor"]}

    return compute


def _classes(logits_NK: Tensor, arrays: Arrays) -> Tensor:
    return class_errors(logits_NK, torch.from_numpy(arrays["det_label"]))


def _scores(logits_N1: Tensor, arrays: Arrays) -> Tensor:
    is_text = torch.from_numpy(arrays["det_label"]) == TEXT_CLASS
    return score_errors(logits_N1[:, 0], is_text.float())


def _deltas(deltas_N4: Tensor, arrays: Arrays) -> Tensor:
    return delta_errors(deltas_N4, torch.from_numpy(arrays["det_boxt"]))


def _mask_loss(arrays: Arrays, _: Entry, __: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    logits = torch.from_numpy(arrays["det_mask"]).requires_grad_()
    masks = torch.from_numpy(arrays["det_maskt"])
    return {"pred": logits}, {"loss": score_errors(logits[:, TEXT_CLASS], masks).mean().reshape(1)}


MASK_RCNN_FAMILY = Family(
    model_type="OCRMaskRCNN",
    part_types={
        "backbone": ("mmdet.ResNet",),
        "neck": ("mmdet.FPN",),
        "rpn_head": ("RPNHead",),
        "roi_head": ("StandardRoIHead",),
    },
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={"OCRMaskRCNN.get_boundary": _boundaries},
    losses={
        "Mask R-CNN ce": _weighted_loss("det_cls", _classes),
        "Mask R-CNN sigmoid": _weighted_loss("det_sig", _scores),
        "Mask R-CNN l1": _weighted_loss("det_box", _deltas),
        "Mask R-CNN mask": _mask_loss,
    },
)
