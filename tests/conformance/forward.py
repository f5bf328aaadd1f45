"""``forward/``: outputs of every network in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from . import formulas, networks
from .check import Check
from .families import FAMILIES
from .kit import Case, Kit, KitError

ALLOWED_INPUT_SUM = 1e-6


def cases(kit: Kit) -> Iterator[Case]:
    """One case per config that ``models/`` or ``forward/`` names."""
    names = {*kit.stems("models", ".json.gz"), *kit.stems("forward", ".npz")}
    if not names:
        raise KitError("forward/ holds no NAME.npz")
    for name in sorted(names):
        yield Case(name, partial(_compare, kit, name), partial(networks.covered, kit, name))


def _compare(kit: Kit, name: str, check: Check) -> None:
    arrays = kit.arrays(f"forward/{name}.npz")
    described = networks.spec(kit, name, with_pipeline=False)
    network = networks.filled_network(described, int(arrays["fill_seed"]))
    images = np.zeros(0, np.float32)  # where the inputs are no image, they are stored
    if "input__shape" in arrays:
        images = formulas.tensor(arrays["input__shape"].tolist(), int(arrays["input_seed"]))
        total = float(images.astype(np.float64).sum())
        check.relative("input sum", total, float(arrays["input__sum"]), ALLOWED_INPUT_SUM)
    family = FAMILIES[kit.model(name)["model"]["type"]]
    with torch.inference_mode(), networks.one_thread():
        family.forward(network, described, torch.from_numpy(images), arrays, check)
