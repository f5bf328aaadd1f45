"""``train_forward/``: what training sees of every network, and the gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch

from . import formulas, networks
from .check import Check
from .families import FAMILIES
from .kit import Case, Kit, KitError
from .losses import ALLOWED_GRADIENT, compare_losses

Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``train_forward/index.json``."""
    index = kit.json("train_forward/index.json")
    for name in index:
        yield Case(name, partial(_compare, kit, index, name), partial(networks.covered, kit, name))


def _compare(kit: Kit, index: Mapping[str, Entry], name: str, check: Check) -> None:
    stored = name
    while "same_as" in index[stored]:
        stored = index[stored]["same_as"]
        if stored == name or stored not in index:
            raise KitError(f"same_as of {name} leads nowhere")
    # Settings of targets are in none of the kit's files; our config of that name has them.
    entry = {**index[stored], "config": kit.model(stored)["config"]}
    arrays = kit.arrays(f"train_forward/{stored}.npz")
    described = networks.spec(kit, name, with_pipeline=False)
    network = networks.filled_network(described, entry.get("fill_seed", kit.seed))
    source = entry["input"]
    images = torch.from_numpy(formulas.tensor(source["shape"], source["seed"]))
    model = kit.model(name)["model"]
    with networks.one_thread():
        train_forward = FAMILIES[model["type"]].train_forward
        losses = train_forward(network, described, images, model, entry, arrays, check)
        # A loss of several values, one per level, counts by their mean in the kit. What is logged
        # beside the losses has another name.
        total = torch.stack([loss.mean() for name, loss in losses.items() if "loss" in name]).sum()
        total.backward()
    compare_losses(check, losses, entry["losses"])
    logged = {name: loss.mean() for name, loss in losses.items()}
    compare_losses(check, {**logged, "loss": total}, entry["loss_log"])
    for key, expected in entry["grad_abs_sum"].items():
        gradient = network.get_parameter(key).grad
        assert gradient is not None
        check.relative(
            f"gradient of {key}", float(gradient.abs().sum()), expected, ALLOWED_GRADIENT
        )
