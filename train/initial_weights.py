"""Weights that a training starts from: a whole checkpoint, or a backbone trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError
from ocr_models.weights import load_state_dict


def start_from(network: nn.Module, source: str) -> list[str]:
    """Put the weights of a checkpoint into ``network``, as far as names and shapes fit.

    Args:
        network: changed in place.
        source: file, MMOCR's or ours (``load_from``).

    Returns:
        Notes on what has no counterpart and keeps its random start.

    Raises:
        ConfigError: nothing fits.
    """
    left = _load_fitting(network, load_state_dict(source))
    total = len(network.state_dict())
    if len(left) == total:
        raise ConfigError(f"load_from {source}: none of its weights fit this network")
    if not left:
        return []
    return [
        f"load_from {source}: {len(left)} of {total} weights have no counterpart and start at "
        f"random: {', '.join(left[:5])}{', ...' if len(left) > 5 else ''}"
    ]


def start_backbone(network: nn.Module, model: Mapping[str, Any]) -> list[str]:
    """Follow ``model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...)``.

    ``torchvision://NAME`` is taken from PyTorch's download cache when it is there; nothing is
    downloaded.

    Returns:
        A note when the backbone starts at random although the config names a checkpoint.

    Raises:
        ConfigError: the named file does not fit the backbone.
    """
    section = (model.get("backbone") or {}).get("init_cfg") or {}
    checkpoint = section.get("checkpoint") if section.get("type") == "Pretrained" else None
    if checkpoint is None:
        return []
    path = _local_file(checkpoint)
    if path is None:
        return [
            f"the backbone starts at random: {checkpoint} is not on this machine; download it into "
            f"{_cache()}, or name a file in model.backbone.init_cfg.checkpoint"
        ]
    backbone = network.get_submodule("backbone")
    left = [
        name
        for name in _load_fitting(backbone, load_state_dict(path))
        # Offsets of deformable convolutions start at zero; weights trained elsewhere have none.
        if "num_batches" not in name and "conv_offset" not in name
    ]
    if left:
        raise ConfigError(
            f"{path} does not fit the backbone: {len(left)} weights have no counterpart, "
            f"e.g. {', '.join(left[:5])}"
        )
    return []


def _load_fitting(module: nn.Module, given: Mapping[str, Tensor]) -> list[str]:
    """Names of the module's weights that ``given`` has no counterpart for."""
    own = module.state_dict()
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and own[name].shape == value.shape
    }
    module.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


def _local_file(checkpoint: str) -> Path | None:
    if checkpoint.startswith("torchvision://"):
        name = checkpoint.removeprefix("torchvision://")
        return next(iter(sorted(_cache().glob(f"{name}-*.pth"))), None)
    if "://" in checkpoint:
        cached = _cache() / checkpoint.rsplit("/", 1)[-1]
        return cached if cached.is_file() else None
    return Path(checkpoint) if Path(checkpoint).is_file() else None


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"
