"""``postprocess/``: from a network's maps to boundaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ocr_models.geometry import rescale, to_original
from ocr_models.results import Boundary

from . import boundaries
from .check import Check
from .families import POSTPROCESS
from .kit import Case, Kit

Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``postprocess/cases.json``."""
    for name, entry in kit.json("postprocess/cases.json").items():
        yield Case(name, partial(_compare, kit, entry), partial(_covered, entry))


def _covered(entry: Entry) -> bool:
    return entry["type"] in COMPARISONS


def _compare(kit: Kit, entry: Entry, check: Check) -> None:
    COMPARISONS[entry["type"]](kit, entry, check)


def _resize(_: Kit, entry: Entry, check: Check) -> None:
    original = [
        Boundary(np.reshape(values[:-1], (-1, 2)).astype(np.float64), values[-1])
        for values in entry["boundaries"]
    ]
    factor = np.array(entry["scale_factor"], np.float32)
    scaled = boundaries.flat(rescale(original, factor))
    check.structure("result", scaled, entry["result"], 1e-6)
    for ratio, expected in entry["head_rescale"].items():
        got = boundaries.flat(to_original(original, factor, float(ratio)))
        check.structure(f"downsampled by {ratio}", got, expected, 1e-6)


COMPARISONS = {**POSTPROCESS, "resize_boundary": _resize}
