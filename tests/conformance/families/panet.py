"""PANet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_models.detection.panet import PANet
from ocr_models.detection.panet_postprocess import PANPostprocessing, pan_boundaries
from ocr_models.spec import Spec
from ocrserve.train.objectives.panet import PANLoss, PANLossConfig

from ..check import Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments
from .text_kernels import compare_boundaries, compare_targets, drawn_targets, stored_targets


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, PANet)
    compare_forward(check, arrays, "backbone_last", network.backbone(images)[-1].numpy())
    maps = network(images)
    compare_forward(check, arrays, "head", torch.cat(maps, dim=1).numpy())


def _train_forward(
    network: nn.Module,
    _: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, PANet)
    maps = network(images)
    compare_flat(check, arrays, "head", torch.cat(maps, dim=1).detach().numpy())
    loss = PANLoss(PANLossConfig(**loss_arguments(model["bbox_head"]["loss"])))
    return loss(*maps, drawn_targets(entry, images, "PANetTargets"))


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    maps = kit.arrays(f"postprocess/{file}")[array]
    compare_boundaries(check, pan_boundaries(maps, PANPostprocessing(**entry["args"])), entry)


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    maps = torch.from_numpy(arrays["preds"]).requires_grad_()
    loss = PANLoss(PANLossConfig(**entry["args"]))
    return {"preds": maps}, loss(maps[:, :1], maps[:, 1:2], maps[:, 2:], stored_targets(arrays))


PANET_FAMILY = Family(
    model_type="PANet",
    part_types={"backbone": ("mmdet.ResNet",), "neck": ("FPEM_FFM",), "bbox_head": ("PANHead",)},
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={"PANPostprocessor": _boundaries},
    targets={"PANetTargets": compare_targets},
    losses={"PANLoss": _losses},
)
