"""Configs read for training: every config of ours, defaults, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.optimizers import build_optimizer
from ocrserve.train.settings import loader_settings, read_settings
from ocrserve.train.tasks import build_task
from tests.stand_in_files import with_stand_in_files

CONFIGS = Path(__file__).parents[2] / "configs"
MODELS = sorted(
    path for path in CONFIGS.glob("*/*/*.py") if path.parts[-3] in ("textdet", "textrecog")
)
MINIMAL: dict[str, Any] = {
    "data": {"samples_per_gpu": 4, "train": {"type": "OCRDataset"}},
    "optimizer": {"type": "SGD", "lr": 0.1},
    "runner": {"type": "EpochBasedRunner", "max_epochs": 3},
}


def training_pipelines(dataset: Any) -> list[list[dict[str, Any]]]:
    """The pipelines of a data set and of those that it wraps."""
    if isinstance(dataset, list | tuple):
        return [steps for part in dataset for steps in training_pipelines(part)]
    inner = dataset.get("datasets", dataset.get("dataset", ()))
    own = [dataset["pipeline"]] if dataset.get("pipeline") else []
    return own + training_pipelines(inner if isinstance(inner, list | tuple) else [inner])


def test_the_sweep_finds_our_configs() -> None:
    assert len(MODELS) >= 23


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_our_configs_can_be_trained(path: Path, tmp_path: Path) -> None:
    config = with_stand_in_files(load_config(path), tmp_path)
    settings = read_settings(config)
    assert settings.max_epochs or settings.max_iters
    pipelines = training_pipelines(config["data"]["train"])
    assert pipelines
    for steps in pipelines:
        assert len(build_pipeline(steps).steps) == len(steps)
    task = build_task(config)
    assert build_optimizer(settings.optimizer, task.network).param_groups


def test_defaults() -> None:
    settings = read_settings(MINIMAL)
    assert settings.max_epochs == 3
    assert settings.evaluation is None
    assert settings.checkpoint.interval == 1
    assert settings.schedule.policy == "fixed"
    assert settings.ema_momentum is None
    assert settings.precision == "float32"
    assert read_settings(MINIMAL | {"fp16": {"loss_scale": 512.0}}).loss_scale == 512
    assert read_settings(MINIMAL | {"fp16": {"loss_scale": "dynamic"}}).precision == "fp16"


def test_loader_settings_are_shared_and_overridden() -> None:
    data = {
        "samples_per_gpu": 8,
        "workers_per_gpu": 4,
        "train_dataloader": {"samples_per_gpu": 10, "drop_last": True},
    }
    train, val = loader_settings(data, "train"), loader_settings(data, "val")
    assert (train.samples_per_gpu, train.workers_per_gpu, train.drop_last) == (10, 4, True)
    assert (val.samples_per_gpu, val.drop_last) == (8, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": None}, "needs a dictionary 'optimizer'"),
        ({"runner": {"type": "EpochBasedRunner"}}, "max_epochs must be a whole number"),
        ({"runner": {"type": "IterBasedRunner", "max_epochs": 3}}, "does not read max_epochs"),
        ({"runner": {"type": "Runner"}}, "runner.type is 'Runner'"),
        ({"evaluatoin": {"interval": 1}}, "'evaluation'"),
        ({"data": {"sample_per_gpu": 3}}, "data does not read sample_per_gpu"),
        ({"data": {"samples_per_gpu": 0}}, "at least 1"),
        ({"precision": "int8"}, "int8"),
        ({"ema": {"decay": 0.1}}, "ema does not read decay"),
        ({"checkpoint_config": {"interval": 0}}, "interval"),
        ({"lr_config": {"policy": "poly", "step": 3}}, "does not read step"),
    ],
)
def test_mistakes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(MINIMAL | change)


def test_optimizer_groups_and_mistakes() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    config = {
        "type": "AdamW",
        "lr": 0.1,
        "betas": [0.9, 0.99],
        "weight_decay": 0.5,
        "paramwise_cfg": {"norm_decay_mult": 0.0, "bias_lr_mult": 2.0, "bias_decay_mult": 0.0},
    }
    groups = build_optimizer(config, network).param_groups
    assert [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups] == [
        (1, 0.1, 0.5),
        (1, 0.2, 0.0),
        (2, 0.1, 0.0),
    ]
    assert isinstance(
        build_optimizer({"type": "Adadelta", "lr": 1.0}, network), torch.optim.Adadelta
    )
    for change, message in (
        ({"type": "Lion"}, "Lion"),
        ({"momentun": 0.9}, "does not read momentun"),
        ({"lr": -1.0}, "Invalid learning rate"),
        ({"paramwise_cfg": {"custom_keys": {}}}, "does not read custom_keys"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_optimizer({"type": "SGD", "lr": 0.1} | change, network)
    with pytest.raises(ConfigError, match="needs lr"):
        build_optimizer({"type": "SGD"}, network)
