"""``frozen_stages`` and ``norm_eval`` as in mmdet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig
from ocrserve.train.frozen import FrozenParts
from ocrserve.train.optimizers import build_optimizer


def prepared(**backbone: Any) -> DBNet:
    """A small DBNet in training, with these settings of its backbone."""
    network = DBNet(DBNetConfig(ResNetConfig(18), neck_channels=16))
    parts = FrozenParts(network, {"backbone": {"type": "mmdet.ResNet", **backbone}})
    parts.freeze()
    network.train()
    parts.stay()
    return network


def test_frozen_stages_do_not_change() -> None:
    network = prepared(frozen_stages=1, norm_eval=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = build_optimizer({"type": "SGD", "lr": 0.1}, network)
    network(torch.randn(2, 3, 64, 64)).probability.mean().backward()
    optimizer.step()
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    frozen = ("backbone.conv1", "backbone.bn1", "backbone.layer1")
    assert not any(name.startswith(frozen) for name in changed)
    assert "backbone.layer2.0.conv1.weight" in changed
    assert "backbone.layer2.0.bn1.running_mean" in changed


@pytest.mark.parametrize(("settings", "kept"), [({}, True), ({"norm_eval": False}, False)])
def test_statistics_stay_by_default(settings: dict[str, Any], kept: bool) -> None:
    network = prepared(**settings)
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert all(norm.training != kept for norm in norms)
    assert all(norm.weight.requires_grad for norm in norms)
    assert network.bbox_head.training


def test_other_backbones_and_wrong_values() -> None:
    light = DBNet(DBNetConfig(LightResNetConfig(3, 8, (8, 16, 16, 24)), neck_channels=16)).train()
    FrozenParts(light, {"backbone": {"type": "LightResNet"}}).stay()
    assert all(module.training for module in light.modules())
    with pytest.raises(ConfigError, match=r"frozen_stages is 7; allowed are -1"):
        prepared(frozen_stages=7)
