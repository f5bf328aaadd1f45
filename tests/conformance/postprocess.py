"""``postprocess/``: from a network's maps to boundaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ocr_models.detection.db_postprocess import (
    DBPostprocessing,
    db_boundaries,
    expand_polygon,
    mean_inside,
)
from ocr_models.geometry import rescale, to_original
from ocr_models.results import Boundary

from . import boundaries, landed
from .check import EXACT, Check
from .kit import Case, Kit

ALLOWED_SCORE = 1e-6
Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``postprocess/cases.json``."""
    for name, entry in kit.json("postprocess/cases.json").items():
        yield Case(name, partial(_compare, kit, entry), partial(_covered, entry))


def _covered(entry: Entry) -> bool:
    return entry["type"] in landed.POSTPROCESSORS


def _compare(kit: Kit, entry: Entry, check: Check) -> None:
    COMPARISONS[entry["type"]](kit, entry, check)


def _db(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    probability = kit.arrays(f"postprocess/{file}")[array]
    got = db_boundaries(probability, DBPostprocessing(**entry["args"]))
    boundaries.compare(check, "boundaries", boundaries.flat(got), entry["boundaries"])


def _unclip(_: Kit, entry: Entry, check: Check) -> None:
    for i, case in enumerate(entry["cases"]):
        got = expand_polygon(np.array(case["polygon"]), case["ratio"])
        check.equal(f"rings of polygon {i}", len(got), len(case["expanded"]))
        for ring, expected in zip(got, case["expanded"], strict=False):
            check.array(f"polygon {i}", ring, expected, EXACT)


def _box_score(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(":")
    bitmap = kit.arrays(f"postprocess/{file}")[array].astype(np.float32)
    for i, case in enumerate(entry["cases"]):
        got = mean_inside(bitmap, np.array(case["box"]))
        check.number(f"box {i}", got, case["score"], ALLOWED_SCORE)


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


COMPARISONS: Mapping[str, Callable[[Kit, Entry, Check], None]] = {
    "DBPostprocessor": _db,
    "polygon expansion": _unclip,
    "mean of the score map inside a polygon": _box_score,
    "resize_boundary": _resize,
}
