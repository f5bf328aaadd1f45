"""What PANet and PSENet share: target maps of kernels, and boundaries read off labelled pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from ocr_models.mmocr_config import load_config
from ocr_models.results import Boundary
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.augment.targets_kernels import PANetTargets
from ocrserve.train.objectives.text_kernels import KernelMaps

from .. import boundaries
from ..check import EXACT, Check
from ..kit import Arrays
from .family import Entry

CONFIGS = Path(__file__).parents[3] / "configs"


def target_step(settings: Entry) -> PANetTargets:
    """The pipeline's step of these settings."""
    step = build_pipeline([settings]).steps[0]
    assert isinstance(step, PANetTargets)
    return step


def draw(step: PANetTargets, content: Entry, height: int, width: int) -> KernelMaps:
    """The maps of one scene."""
    sample = Sample("scene", image=np.zeros((height, width, 3), np.float32))
    sample.polygons = [np.reshape(polygon, (-1, 2)) for polygon in content["polygons"]]
    sample.ignored = [np.reshape(polygon, (-1, 2)) for polygon in content["ignored"]]
    step(sample, np.random.default_rng(0))
    assert isinstance(sample.targets, KernelMaps)
    return sample.targets


def compare_targets(setting: Entry, scene: Entry, expected: Arrays, check: Check) -> None:
    """Cases of ``targets/``."""
    maps = draw(target_step(setting), scene, *scene["img_hw"])
    check.array("gt_kernels", maps.kernels, expected["gt_kernels"], EXACT)
    check.array("gt_mask", maps.mask[None], expected["gt_mask"], EXACT)


def stored_targets(arrays: Arrays) -> KernelMaps:
    """Targets of ``losses/``."""
    return KernelMaps(
        torch.from_numpy(arrays["gt_kernels"]), torch.from_numpy(arrays["gt_mask"][:, 0])
    )


def drawn_targets(entry: Entry, images: Tensor, type_name: str) -> KernelMaps:
    """Targets of ``train_forward/``, by the target step of our config of the same name."""
    config = load_config(CONFIGS / entry["config"])
    settings = next(
        step for step in config["data"]["train"]["pipeline"] if step["type"] == type_name
    )
    one = partial(draw, target_step(settings), height=images.shape[2], width=images.shape[3])
    maps: KernelMaps = default_collate([one(entry[f"image{i}"]) for i in range(len(images))])
    return maps


def compare_boundaries(check: Check, got: Sequence[Boundary], entry: Entry) -> None:
    """Cases of ``postprocess/``: MMOCR's polygons run anticlockwise from the same vertex."""
    if entry["args"]["text_repr_type"] == "poly":
        got = [Boundary(np.roll(b.points[::-1], 1, axis=0), b.score) for b in got]
    boundaries.compare(check, "boundaries", boundaries.flat(got), entry["boundaries"])
