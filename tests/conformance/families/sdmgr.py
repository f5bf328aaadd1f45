"""SDMG-R."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_models.kie.sdmgr import SDMGR, PageGraph, SDMGROutput
from ocr_models.spec import Spec
from ocrserve.train.objectives.sdmgr import SDMGRLoss, SDMGRLossConfig

from ..check import Check
from ..kit import Arrays, KitError, compare_forward
from .family import Entry, Family


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, SDMGR)
    page = PageGraph(*(torch.from_numpy(arrays[name]) for name in ("relations", "texts", "boxes")))
    output = network(images, [page])
    compare_forward(check, arrays, "nodes", output.nodes.softmax(dim=1).numpy())
    compare_forward(check, arrays, "edges", output.edges.softmax(dim=1).numpy())


def _train_forward(
    network: nn.Module,
    described: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    raise KitError("train_forward/ is not known to hold SDMG-R")


def _losses(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    inputs = {
        name: torch.from_numpy(arrays[f"sdmgr_{name}"]).requires_grad_()
        for name in ("nodes", "edges")
    }
    targets = [torch.from_numpy(arrays[f"sdmgr_gt{i}"]) for i in range(2)]
    output = SDMGROutput(inputs["nodes"], inputs["edges"])
    losses = SDMGRLoss(SDMGRLossConfig(**entry["args"]))(output, targets)
    # MMOCR logs accuracies as lists of one.
    named = {k: v.reshape(1) if k.startswith("acc") else v for k, v in losses.items()}
    return inputs, named


SDMGR_FAMILY = Family(
    model_type="SDMGR",
    part_types={"backbone": ("UNet",), "neck": (None,), "bbox_head": ("SDMGRHead",)},
    without={"bbox_head": ("bidirectional",)},
    pipeline=[
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "Resize", "img_scale": (1024, 512), "keep_ratio": True},
        {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "to_rgb": True},
        {"type": "Pad", "size_divisor": 32},
        {"type": "KIEFormatBundle"},
        {"type": "Collect", "keys": ["img"]},
    ],
    forward=_forward,
    train_forward=_train_forward,
    losses={"SDMGRLoss": _losses},
)
