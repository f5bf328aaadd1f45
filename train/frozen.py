"""What a training leaves as it is in a backbone: mmdet's ``frozen_stages`` and ``norm_eval``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ocr_models.errors import ConfigError
from ocr_models.layers.resnet import ResNet


class FrozenParts:
    """What ``model.backbone`` says about a ResNet; nothing for other backbones.

    ``frozen_stages=N`` stops the learning of the stem and the first N stages (-1: of nothing).
    ``norm_eval`` keeps the statistics of all BatchNorms of the backbone, whose weights go on
    learning; as in mmdet that is the default.

    Args:
        network: in training.
        model: the ``model`` dictionary of its config.

    Raises:
        ConfigError: ``frozen_stages`` is not -1 to 4.
    """

    def __init__(self, network: nn.Module, model: Mapping[str, Any]) -> None:
        backbone = getattr(network, "backbone", None)
        section = model.get("backbone") or {}
        self._frozen: list[nn.Module] = []
        self._evaluated: list[nn.Module] = []
        if not isinstance(backbone, ResNet) or section.get("type") != "mmdet.ResNet":
            return
        stages = section.get("frozen_stages", -1)
        if stages not in range(-1, 5):
            raise ConfigError(
                f"model.backbone.frozen_stages is {stages!r}; allowed are -1 (nothing) to 4"
            )
        if stages >= 0:
            self._frozen = [backbone.conv1, backbone.bn1]
            self._frozen += [backbone.get_submodule(f"layer{i + 1}") for i in range(stages)]
        self._evaluated = list(self._frozen)
        if section.get("norm_eval", True):
            self._evaluated += [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]

    def freeze(self) -> None:
        """Take the frozen weights out of learning; before the optimizer is made."""
        for module in self._frozen:
            module.requires_grad_(False)

    def stay(self) -> None:
        """Put into evaluation mode what stays there; after each ``network.train()``."""
        for module in self._evaluated:
            module.eval()
