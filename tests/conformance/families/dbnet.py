"""DBNet."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ocr_models.detection.db_postprocess import (
    DBPostprocessing,
    db_boundaries,
    expand_polygon,
    mean_inside,
)
from ocr_models.detection.dbnet import DBNet
from ocr_models.spec import Spec
from ocrserve.train.objectives.dbnet import (
    DBLoss,
    DBLossConfig,
    DBNetTargets,
    DBTargetMaps,
    dice_loss,
    make_targets,
)

from .. import boundaries
from ..check import EXACT, Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments

ALLOWED_SCORE = 1e-6
ALLOWED_TARGET = 1e-4
WHOLE_NUMBER_MAPS = ("gt_shrink", "gt_shrink_mask", "gt_thr_mask")


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, DBNet)
    levels = network.backbone(images)
    compare_forward(check, arrays, "backbone_last", levels[-1].numpy())
    maps = torch.cat(network(images), dim=1).numpy()
    # Our head gives its three maps in either mode, so both stored outputs are this one.
    for name in ("head", "head_train"):
        compare_forward(check, arrays, name, maps)


def _train_forward(
    network: nn.Module,
    _: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, DBNet)
    maps = network(images)
    compare_flat(check, arrays, "head", torch.cat(maps, dim=1).detach().numpy())
    height, width = images.shape[-2:]
    targets = default_collate(
        [
            make_targets(content["polygons"], content["ignored"], height, width)
            for content in (entry[f"image{i}"] for i in range(len(images)))
        ]
    )
    loss = DBLoss(DBLossConfig(**loss_arguments(model["bbox_head"]["loss"])))
    return loss(*maps, targets)


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    probability = kit.arrays(f"postprocess/{file}")[array]
    got = db_boundaries(probability, DBPostprocessing(**entry["args"]))
    boundaries.compare(check, "boundaries", boundaries.flat(got), entry["boundaries"])


def _unclip(_: Kit, entry: Entry, check: Check) -> None:
    for i, case in enumerate(entry["cases"]):
        got = expand_polygon(np.array(case["polygon"]), case["ratio"])
        check.equal(f"rings of polygon {i}", len(got), len(case["expanded"]))
        for ring, expected in zip(got, case["expanded"], strict=False):
            check.array(f"polygon {i}", ring, expected, EXACT)


def _box_score(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    bitmap = kit.arrays(f"postprocess/{file}")[array].astype(np.float32)
    for i, case in enumerate(entry["cases"]):
        got = mean_inside(bitmap, np.array(case["box"]))
        check.number(f"box {i}", got, case["score"], ALLOWED_SCORE)


def _targets(setting: Entry, scene: Entry, expected: Arrays, check: Check) -> None:
    config = DBNetTargets(**loss_arguments(setting))
    height, width = scene["img_hw"]
    maps = make_targets(scene["polygons"], scene["ignored"], height, width, config)
    names = ("gt_shrink", "gt_shrink_mask", "gt_thr", "gt_thr_mask")
    for name, got in zip(names, maps, strict=True):
        allowed = EXACT if name in WHOLE_NUMBER_MAPS else ALLOWED_TARGET
        check.array(name, got[None], expected[name], allowed)


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    predictions = torch.from_numpy(arrays["preds"]).requires_grad_()
    targets = DBTargetMaps(
        *(
            torch.from_numpy(arrays[key][:, 0])
            for key in ("gt_shrink", "gt_shrink_mask", "gt_thr", "gt_thr_mask")
        )
    )
    loss = DBLoss(DBLossConfig(**entry["args"]))
    return {"preds": predictions}, loss(*predictions.unbind(1), targets)


def _dice_loss(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    prediction = torch.from_numpy(arrays["dice_pred"]).requires_grad_()
    target, mask = (torch.from_numpy(arrays[f"dice_{name}"]) for name in ("target", "mask"))
    if entry["name"].endswith("_nomask"):
        mask = torch.ones_like(mask)
    return {"pred": prediction}, {"loss": dice_loss(prediction, target, mask, DBLossConfig().eps)}


DBNET_FAMILY = Family(
    model_type="DBNet",
    part_types={"backbone": ("mmdet.ResNet",), "neck": ("FPNC",), "bbox_head": ("DBHead",)},
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={
        "DBPostprocessor": _boundaries,
        "polygon expansion": _unclip,
        "mean of the score map inside a polygon": _box_score,
    },
    targets={"DBNetTargets": _targets},
    losses={"DBLoss": _losses, "DiceLoss": _dice_loss},
)
