"""Every detector takes a training step on pictures without text, or with none that is learnable."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from bench.overfit import CASES, SIDE_PX
from ocr_models.detection.families import FAMILIES
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.mmocr_config import load_config, parse_cli_options
from ocr_models.spec import DetectorSpec
from ocrserve.train.augment.pipeline import Pipeline, build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.tasks import build_task
from ocrserve.train.tasks.detection import DetectionTask
from tests.test_from_mmocr import CONFIGS as CONFIG_FOLDER

SIDE = 128
WORD = np.array([[20.0, 40], [100, 44], [98, 74], [18, 70]])
POINT = np.full((4, 2), 60.0)
SCENES: dict[str, tuple[list[Any], list[Any]]] = {
    "text": ([WORD], []),
    "no text": ([], []),
    "only ignored text": ([], [WORD]),
    "a point beside text": ([WORD, POINT], [POINT]),
    "crosses itself": ([WORD[[0, 2, 1, 3]]], []),
    "far outside": ([WORD + 5000], []),
}


@cache
def trained(name: str) -> tuple[DetectionTask, Pipeline]:
    """A detector's own losses and pipeline, for small pictures and with a small backbone."""
    case = CASES[name]
    options = [
        option.replace(str(SIDE_PX), str(SIDE)).replace(str(SIDE_PX - 20), str(SIDE - 20))
        for option in case.options
        if option.startswith("data.train.pipeline")
    ]
    if name == "Mask R-CNN":
        options += [f"model.train_cfg.rpn_proposal.{key}=40" for key in ("nms_pre", "max_per_img")]
    config = load_config(CONFIG_FOLDER / "textdet" / case.config, parse_cli_options(options))
    spec = model_from_mmocr(config)
    assert isinstance(spec, DetectorSpec)
    network = dataclasses.replace(spec.network, backbone=ResNetConfig(18))  # type: ignore[call-arg]
    torch.manual_seed(0)
    task = build_task(config, dataclasses.replace(spec, network=network))
    assert isinstance(task, DetectionTask)
    return task, build_pipeline(config["data"]["train"]["pipeline"])


def test_every_family_is_there() -> None:
    kinds = {type(trained(name)[0].spec.network) for name in CASES}
    assert kinds == set(FAMILIES)
    assert len(SCENES) == 6


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_stay_finite(name: str, scene: str) -> None:
    task, pipeline = trained(name)
    polygons, ignored = SCENES[scene]
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    sample = Sample(scene, image=image, polygons=list(polygons), ignored=list(ignored))
    batch = task.collate([pipeline(sample, rng)])
    task.network.train()
    task.network.zero_grad()
    losses = task.losses(task.network, batch)
    assert losses
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
    torch.stack(list(losses.values())).sum().backward()
    gradients = [p.grad for p in task.network.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    if scene == "text":
        assert sum(losses.values()) > 0
