"""TextSnake."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ocr_models.detection.textsnake import TextSnake
from ocr_models.detection.textsnake_postprocess import (
    TextSnakePostprocessing,
    textsnake_boundaries,
)
from ocr_models.spec import Spec
from ocrserve.train.objectives.textsnake import (
    TextSnakeLoss,
    TextSnakeLossConfig,
    TextSnakeTargetMaps,
)

from .. import boundaries
from ..check import EXACT, Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments
from .target_steps import draw, settings_of

# In the order of ``TextSnakeTargetMaps``, with the allowed difference.
TARGET_MAPS = {
    "gt_text_mask": EXACT,
    "gt_center_region_mask": EXACT,
    "gt_mask": EXACT,
    "gt_radius_map": 1e-4,
    "gt_sin_map": 1e-4,
    "gt_cos_map": 1e-4,
}
# MMOCR merges disks in the order of their scores, by a sort that leaves the order of equal ones to
# numpy's version and the processor. The kit's maps hold few different values, so that many disks
# are equal, and which come first moves an outline by a pixel or two. A boundary is right when some
# order of equal disks gives it; noise that is too small for anything else draws the orders.
ORDERS = 400
LOGIT_NOISE = 1e-4


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, TextSnake)
    compare_forward(check, arrays, "backbone_last", network.backbone(images)[-1].numpy())
    compare_forward(check, arrays, "head", network.maps(images).numpy())


def _train_forward(
    network: nn.Module,
    _: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, TextSnake)
    maps = torch.stack(network(images), dim=1)
    compare_flat(check, arrays, "head", maps.detach().numpy())
    settings = settings_of(entry["config"], "TextSnakeTargets")
    targets = default_collate(
        [draw(settings, entry[f"image{i}"], *images.shape[-2:]) for i in range(len(images))]
    )
    loss = TextSnakeLoss(TextSnakeLossConfig(**loss_arguments(model["bbox_head"]["loss"])))
    return loss(maps, targets)


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    settings = {k: v for k, v in entry["args"].items() if k != "min_text_region_confidence"}
    config = TextSnakePostprocessing(**settings)
    maps, expected = kit.arrays(f"postprocess/{file}")[array], entry["boundaries"]
    chosen = boundaries.flat(textsnake_boundaries(maps, config))
    generator = np.random.default_rng(0)
    for _ in range(ORDERS):
        differing = [
            i
            for i, (ours, theirs) in enumerate(zip(chosen, expected, strict=False))
            if boundaries.unmatched([ours], [theirs])
        ]
        if not differing:
            break
        noisy = maps.copy()
        noisy[1] += generator.uniform(0, LOGIT_NOISE, noisy[1].shape)
        others = boundaries.flat(textsnake_boundaries(noisy, config))
        check.equal("boundaries after noise", len(others), len(chosen))
        for i in differing:
            chosen[i] = others[i]
    boundaries.compare(check, "boundaries", chosen, expected)


def _targets(setting: Entry, scene: Entry, expected: Arrays, check: Check) -> None:
    maps = draw(setting, scene, *scene["img_hw"])
    for (name, allowed), got in zip(TARGET_MAPS.items(), maps, strict=True):
        check.array(name, got[None], expected[name], allowed)


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    maps = torch.from_numpy(arrays["preds"]).requires_grad_()
    targets = TextSnakeTargetMaps(*(torch.from_numpy(arrays[name][:, 0]) for name in TARGET_MAPS))
    return {"preds": maps}, TextSnakeLoss(TextSnakeLossConfig(**entry["args"]))(maps, targets)


TEXTSNAKE_FAMILY = Family(
    model_type="TextSnake",
    part_types={
        "backbone": ("mmdet.ResNet",),
        "neck": ("FPN_UNet",),
        "bbox_head": ("TextSnakeHead",),
    },
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={"TextSnakePostprocessor": _boundaries},
    targets={"TextSnakeTargets": _targets},
    losses={"TextSnakeLoss": _losses},
)
