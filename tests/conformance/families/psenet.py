"""PSENet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_models.detection.psenet import PSENet
from ocr_models.detection.psenet_postprocess import PSEPostprocessing, pse_boundaries
from ocr_models.spec import Spec
from ocrserve.train.objectives.psenet import PSELoss, PSELossConfig

from ..check import Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments
from .text_kernels import compare_boundaries, compare_targets, drawn_targets, stored_targets


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, PSENet)
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
    assert isinstance(network, PSENet)
    maps = network(images)
    compare_flat(check, arrays, "head", torch.cat(maps, dim=1).detach().numpy())
    loss = PSELoss(PSELossConfig(**loss_arguments(model["bbox_head"]["loss"])))
    return loss(*maps, drawn_targets(entry, images, "PSENetTargets"))


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    logits = kit.arrays(f"postprocess/{file}")[array]
    compare_boundaries(check, pse_boundaries(logits, PSEPostprocessing(**entry["args"])), entry)


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    maps = torch.from_numpy(arrays["preds"]).requires_grad_()
    loss = PSELoss(PSELossConfig(**entry["args"]))
    return {"preds": maps}, loss(maps[:, :1], maps[:, 1:], stored_targets(arrays))


PSENET_FAMILY = Family(
    model_type="PSENet",
    part_types={"backbone": ("mmdet.ResNet",), "neck": ("FPNF",), "bbox_head": ("PSEHead",)},
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={"PSEPostprocessor": _boundaries},
    targets={"PSENetTargets": compare_targets},
    losses={"PSELoss": _losses},
)
