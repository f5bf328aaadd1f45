"""Optimizers by the names and arguments of PyTorch, as MMOCR's configs write them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ocr_models.errors import ConfigError

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "Adadelta": torch.optim.Adadelta,
    "Adagrad": torch.optim.Adagrad,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "RMSprop": torch.optim.RMSprop,
    "ASGD": torch.optim.ASGD,
}
PARAMWISE_KEYS = ("norm_decay_mult", "bias_decay_mult", "bias_lr_mult")


def build_optimizer(config: Mapping[str, Any], network: nn.Module) -> torch.optim.Optimizer:
    """Make an optimizer for the trainable parameters of ``network``.

    Args:
        config: ``dict(type="SGD", lr=..., ...)``; with ``paramwise_cfg`` the weight decay of norm
            layers and biases, and the rate of biases, can be scaled.

    Raises:
        ConfigError: unknown optimizer or argument.
    """
    settings = dict(config)
    name = settings.pop("type", None)
    if name not in OPTIMIZERS:
        raise ConfigError(f"optimizer.type is {name!r}; known: {', '.join(OPTIMIZERS)}")
    paramwise = dict(settings.pop("paramwise_cfg", None) or {})
    unknown = sorted(set(paramwise) - set(PARAMWISE_KEYS))
    if unknown:
        raise ConfigError(
            f"optimizer.paramwise_cfg does not read {', '.join(unknown)}; "
            f"it reads {', '.join(PARAMWISE_KEYS)}"
        )
    known = [key for key in inspect.signature(OPTIMIZERS[name]).parameters if key != "params"]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")
    if "lr" not in settings:
        raise ConfigError("optimizer needs lr, the base learning rate")
    for key, value in settings.items():
        if isinstance(value, list):
            settings[key] = tuple(value)
    try:
        return OPTIMIZERS[name](_groups(network, settings, paramwise), **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer {name}: {error}") from error


def _groups(
    network: nn.Module, settings: Mapping[str, Any], paramwise: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Parameter groups with equal settings, in the network's order."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    norms = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            rate, decay = 1.0, 1.0
            if isinstance(module, norms):
                decay = paramwise.get("norm_decay_mult", 1.0)
            elif name.startswith("bias"):
                decay = paramwise.get("bias_decay_mult", 1.0)
                rate = paramwise.get("bias_lr_mult", 1.0)
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings["lr"] * rate,
            **({"weight_decay": settings.get("weight_decay", 0) * decay} if decay != 1 else {}),
        }
        for (rate, decay), parameters in groups.items()
    ]
