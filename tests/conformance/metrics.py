"""``metrics/``: polygons, detection and recognition metrics."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import shapely

from ocrserve.train.evaluation.detection import (
    DetectionMetric,
    Hmean,
    HmeanIC13,
    HmeanIoU,
    ImageSample,
    ImageTable,
    eval_hmean,
    score_images,
    score_thresholds,
)
from ocrserve.train.evaluation.polygons import make_polygons, overlaps, repair
from ocrserve.train.evaluation.recognition import count_matches, eval_ocr_metric

from . import landed
from .check import Check
from .kit import Case, Kit, not_yet

ALLOWED = 1e-6
Images = Sequence[Mapping[str, Any]]

# The settings behind the names that the index gives to hmean-ic13's two runs.
IC13_SETTINGS: Mapping[str, HmeanIC13] = {
    "default": HmeanIC13(),
    "loose": HmeanIC13(
        precision_thr=0.3, recall_thr=0.6, center_dist_thr=0.5, one_to_many_score=0.5
    ),
}


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``metrics/metrics.json``."""
    index = kit.json("metrics/metrics.json")
    images = index.get("images", [])
    for kind, body in index.items():
        if kind in ("images", "f1_macro"):  # inputs of other cases, and a remark
            continue
        if kind not in landed.METRICS:
            count = len(body) if isinstance(body, list) else 1
            yield from (not_yet(f"{kind}/{i}") for i in range(count))
        elif kind == "polygons":
            yield Case("polygons/properties", partial(_polygon_properties, body))
            yield Case("polygons/pairs", partial(_polygon_pairs, body))
        elif kind in ("hmean_iou", "hmean_ic13"):
            for setting, expected in body.items():
                name = f"{kind}/{setting.replace(' ', '')}"
                yield Case(name, partial(_hmean, kind, setting, images, expected))
        else:
            compare = {"ignore_pred": _ignored, "eval_hmean": _best_hmean, "ocr": _ocr}[kind]
            for i, entry in enumerate(body):
                yield Case(f"{kind}/{i}", partial(compare, images, entry))


def _samples(images: Images) -> list[ImageSample]:
    return [ImageSample(i["pred"], i["score"], i["gt"], i["ignored"]) for i in images]


def _hmean(kind: str, setting: str, images: Images, expected: Sequence[Any], check: Check) -> None:
    metric: DetectionMetric
    if kind == "hmean_iou":
        iou_thr, precision_thr = ast.literal_eval(setting)
        metric = HmeanIoU(iou_thr=iou_thr, precision_thr=precision_thr)
    else:
        metric = IC13_SETTINGS[setting]
    whole, single = score_images(_samples(images), metric)
    _compare_hmean(check, "all", whole, expected[0])
    check.equal("images", len(single), len(expected[1]))
    for i, (outcome, values) in enumerate(zip(single, expected[1], strict=False)):
        _compare_hmean(check, f"image {i}", outcome, values)


def _compare_hmean(check: Check, what: str, got: Hmean, expected: Mapping[str, float]) -> None:
    for key, value in expected.items():
        attribute = "num_recall" if key == "num_match" else key
        check.number(f"{what} {key}", getattr(got, attribute), value, ALLOWED)


def _best_hmean(images: Images, entry: Mapping[str, Any], check: Check) -> None:
    arguments = dict(entry["args"])
    if "score_thr" in arguments:  # MMOCR's old name of the lower bound
        arguments["min_score_thr"] = arguments.pop("score_thr")
    check.array("thresholds", score_thresholds(**arguments), entry["thresholds"], ALLOWED)
    got = eval_hmean(_samples(images), **arguments)
    check.structure("result", got, entry["result"], ALLOWED)


def _ignored(images: Images, entry: Mapping[str, Any], check: Check) -> None:
    """The cases are about the first image."""
    table = ImageTable(_samples(images)[0])
    everything = np.ones(len(table.scores), bool)
    counted = table.counted_predictions(everything, entry["precision_thr"])
    check.equal("ignored", np.flatnonzero(~counted), entry["ignored_pred_index"])


def _ocr(_: Images, entry: Mapping[str, Any], check: Check) -> None:
    texts = entry["pred"], entry["gt"]
    check.structure("acc", eval_ocr_metric(*texts), entry["acc"], ALLOWED)
    check.structure("counts", asdict(count_matches(*texts)), entry["counts"], ALLOWED)
    for key in ("single", "pair"):
        if key in entry:
            got = eval_ocr_metric(*texts, metric=list(entry[key]))
            check.structure(key, got, entry[key], ALLOWED)


def _polygon_properties(body: Mapping[str, Any], check: Check) -> None:
    points: Mapping[str, list[float]] = body["points"]
    raw = make_polygons(list(points.values()))
    for key, values in (
        ("area", shapely.area(raw)),
        ("repaired_area", shapely.area(repair(raw))),
        ("valid", shapely.is_valid(raw)),
    ):
        check.structure(key, dict(zip(points, values, strict=True)), body[key], ALLOWED)


def _polygon_pairs(body: Mapping[str, Any], check: Check) -> None:
    points: Mapping[str, list[float]] = body["points"]
    names = list(points)
    table = overlaps(list(points.values()), list(points.values()))
    valid = shapely.is_valid(make_polygons(list(points.values())))
    for first, second, *expected in body["pairs"]:
        a, b = names.index(first), names.index(second)
        inside, union, iou = (
            float(matrix[a, b]) for matrix in (table.intersection, table.union, table.iou)
        )
        both_valid = bool(valid[a] and valid[b])
        # The last three are MMOCR's results for "what to return when ..." arguments.
        variants = [iou if union else 1]
        variants += [inside, union] if both_valid else [0, -1]
        check.array(f"{first}-{second}", [inside, union, iou, *variants], expected, ALLOWED)
