"""``losses/``: losses and the sums of their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .check import Check, numeric
from .families import LOSSES
from .kit import Case, Kit

ALLOWED_LOSS = 1e-4
ALLOWED_GRADIENT = 1e-3


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``losses/cases.json``."""
    for name, stored in kit.json("losses/cases.json").items():
        entry = {"name": name, **stored}
        yield Case(name, partial(_compare, kit, entry), partial(_covered, entry))


def _covered(entry: Mapping[str, Any]) -> bool:
    return entry["type"] in LOSSES


def _compare(kit: Kit, entry: Mapping[str, Any], check: Check) -> None:
    file, _, remark = entry["input"].partition(" ")
    arrays = kit.arrays(f"losses/{file.partition(':')[0]}")
    inputs, losses = LOSSES[entry["type"]](arrays, entry, remark)
    compare_losses(check, losses, entry["losses"])
    torch.stack([loss.sum() for loss in losses.values()]).sum().backward()
    for name, value in inputs.items():
        # None where a prediction has no part in the losses, as the kit stores it too.
        gradient = torch.zeros(()) if value.grad is None else value.grad
        # A sum that cancels is as exact as the terms that went into it.
        expected = {key: numeric(entry[key][name] or 0.0) for key in ("grad_abs_sum", "grad_sum")}
        scale = max(abs(expected["grad_abs_sum"]), 1e-3)
        for key, got in (
            ("grad_abs_sum", gradient.abs().sum()),
            ("grad_sum", gradient.sum()),
        ):
            check.number(f"{key} {name}", float(got), expected[key], ALLOWED_GRADIENT, scale)


def compare_losses(check: Check, losses: Mapping[str, Tensor], expected: Mapping[str, Any]) -> None:
    """Named losses, scalars or one per sample."""
    check.equal("names of losses", sorted(losses), sorted(expected))
    for name in losses.keys() & expected.keys():
        wanted = np.array(numeric(expected[name]), np.float64)
        finite = np.abs(wanted[np.isfinite(wanted)])
        scale = max(float(finite.max(initial=0)), 1e-3)
        check.array(name, losses[name].detach().numpy(), wanted, ALLOWED_LOSS, scale)
