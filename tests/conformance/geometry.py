"""``geometry/``: vertex orders, crops, outlines, Bezier curves, text lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ocr_models.geometry import (
    bezier_polygon,
    bounding_quad,
    instance_outline,
    on_same_line,
    order_polygon,
    order_vertices,
    padded_crop,
    rectified_crop,
    stitch_lines,
)

from .check import EXACT, Check
from .kit import Case, Kit, not_yet

ALLOWED = 1e-6
Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``geometry/geometry.json``."""
    for kind, entries in kit.json("geometry/geometry.json").items():
        for number, entry in enumerate(entries):
            name = f"{kind}/{number}"
            if kind in COMPARISONS:
                yield Case(name, partial(COMPARISONS[kind], kit, number, entry))
            else:
                yield not_yet(name)


def _sort_vertex8(_: Kit, __: int, entry: Entry, check: Check) -> None:
    check.array("sorted", order_vertices(entry["points"]).ravel(), entry["sorted"], ALLOWED)


def _sort_vertex(_: Kit, __: int, entry: Entry, check: Check) -> None:
    points = np.stack([entry["x"], entry["y"]], axis=1)
    check.array("sorted", order_vertices(points).T, entry["sorted"], ALLOWED)


def _sort_points(_: Kit, __: int, entry: Entry, check: Check) -> None:
    check.array("sorted", order_polygon(entry["points"]), entry["sorted"], ALLOWED)


def _stitch(_: Kit, __: int, entry: Entry, check: Check) -> None:
    boxes = entry["boxes"]
    lines = stitch_lines(
        [box["box"] for box in boxes], entry["max_x_dist"], entry["min_y_overlap_ratio"]
    )
    got = []
    for line in lines:
        text = " ".join(boxes[i]["text"] for i in line)
        outline = bounding_quad([boxes[i]["box"] for i in line]).ravel().tolist()
        # A lone box stays as it is where MMOCR has nothing to stitch.
        got.append({"text": text, "box": boxes[0]["box"] if len(boxes) == 1 else outline})
    check.structure("lines", got, entry["result"], ALLOWED)


def _same_line(_: Kit, __: int, entry: Entry, check: Check) -> None:
    for ratio, expected in entry["results"].items():
        value = None if ratio == "None" else float(ratio)
        check.equal(f"ratio {ratio}", on_same_line(entry["a"], entry["b"], value), expected)


def _bezier(_: Kit, __: int, entry: Entry, check: Check) -> None:
    got = bezier_polygon(entry["control"], entry["num_sample"])
    check.array("points", got, entry["result"], ALLOWED)


def _crops(kit: Kit, number: int, entry: Entry, check: Check) -> None:
    arrays = kit.arrays("geometry/crops.npz")
    image, box = arrays["image"], entry["box"]
    for key, array_name, got in (
        ("crop", f"crop{number}", padded_crop(image, box)),
        ("crop2", f"crop2_{number}", padded_crop(image, box, *entry["crop2_ratios"])),
        ("warp", f"warp{number}", rectified_crop(image, box)),
    ):
        check.equal(f"{key} shape", got.shape, entry[f"{key}_shape"])
        check.array(key, got, arrays[array_name], EXACT)


def _outline(kit: Kit, _: int, entry: Entry, check: Check) -> None:
    if "points" in entry:
        pixels = np.array(entry["points"])
    else:
        mask = kit.arrays("geometry/masks.npz")[f"mask{entry['mask']}"]
        pixels = np.argwhere(mask)[:, ::-1]
    outline = instance_outline(pixels, entry["type"], entry.get("min_width", -1))
    expected = entry["result"]
    if outline is None or expected is None:
        check.equal("outline", outline, expected)
        return
    score = [] if entry["score"] is None else [entry["score"]]  # simply appended by MMOCR
    check.array("outline", [*outline.ravel(), *score], expected, ALLOWED)


COMPARISONS: Mapping[str, Callable[[Kit, int, Entry, Check], None]] = {
    "sort_vertex8": _sort_vertex8,
    "sort_vertex": _sort_vertex,
    "sort_points": _sort_points,
    "stitch": _stitch,
    "same_line": _same_line,
    "bezier": _bezier,
    "crops": _crops,
    "points2boundary": _outline,
}
