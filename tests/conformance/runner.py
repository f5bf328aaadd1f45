"""Running cases and reporting them, one line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from . import (
    codecs,
    config,
    e2e,
    forward,
    geometry,
    losses,
    metrics,
    models,
    postprocess,
    preprocess,
    targets,
    train_forward,
)
from .check import Check
from .kit import Case, Kit, KitError

FOLDERS: Mapping[str, ModuleType] = {
    "models": models,
    "forward": forward,
    "preprocess": preprocess,
    "targets": targets,
    "postprocess": postprocess,
    "losses": losses,
    "train_forward": train_forward,
    "codecs": codecs,
    "e2e": e2e,
    "metrics": metrics,
    "geometry": geometry,
    "config": config,
}

Status = Literal["ok", "DIFFERS", "not-yet"]


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Args:
        status: the first word of its line.
        name: ``folder/case``.
        difference: the largest difference, measured against what was allowed there.
        allowed: that allowance.
        reason: where the difference is, or why nothing could be compared; empty if all is well.
    """

    status: Status
    name: str
    difference: float = math.nan
    allowed: float = math.nan
    reason: str = ""

    def line(self) -> str:
        """``status folder/case difference allowed``, and the reason."""
        numbers = "- -" if self.status == "not-yet" else f"{self.difference:.3g} {self.allowed:.3g}"
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.status:<7} {self.name} {numbers}{reason}"


def run(root: Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Outcome]:
    """Every case of a kit whose ``folder/case`` is wanted, in the order of `FOLDERS`."""
    kit = Kit(root)
    for folder, module in FOLDERS.items():
        cases: Iterator[Case] = module.cases(kit)
        while True:
            try:
                case = next(cases, None)
            except Exception as error:  # any damage to an index is a finding, not a crash
                yield _broken(f"{folder}/index", error)
                break
            if case is None:
                break
            name = f"{folder}/{case.name}".replace(" ", "_")
            if wanted(name):
                yield _outcome(name, case)


def _outcome(name: str, case: Case) -> Outcome:
    check = Check()
    try:
        if not case.covered():
            return Outcome("not-yet", name)
        case.compare(check)
    except Exception as error:  # a case that cannot be compared differs, whatever the reason
        return _broken(name, error)
    if not check.comparisons:
        return Outcome("DIFFERS", name, math.inf, 0, "nothing was compared")
    if check.ok:
        return Outcome("ok", name, check.difference, check.allowed)
    return Outcome("DIFFERS", name, check.difference, check.allowed, check.what)


def _broken(name: str, error: Exception) -> Outcome:
    first_line = (str(error).splitlines() or [""])[0]
    kind = "" if isinstance(error, KitError) else f"{type(error).__name__}: "
    return Outcome("DIFFERS", name, math.inf, 0, f"{kind}{first_line:.200}")
