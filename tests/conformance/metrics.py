"""``metrics/``: polygons, metrics of detection, recognition, key information and entities."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import shapely

from ocr_models.codecs.ner import Span
from ocr_models.kie.links import LinkSettings, find_links
from ocrserve.train.data.annotations import entity_record
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
from ocrserve.train.evaluation.entities import eval_ner_f1
from ocrserve.train.evaluation.key_info import (
    OpensetPage,
    f1_of_classes,
    macro_f1,
    openset_f1,
    true_links,
)
from ocrserve.train.evaluation.polygons import make_polygons, overlaps, repair
from ocrserve.train.evaluation.recognition import count_matches, eval_ocr_metric

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
        if kind == "polygons":
            yield Case("polygons/properties", partial(_polygon_properties, body))
            yield Case("polygons/pairs", partial(_polygon_pairs, body))
        elif kind in ("hmean_iou", "hmean_ic13"):
            for setting, expected in body.items():
                name = f"{kind}/{setting.replace(' ', '')}"
                yield Case(name, partial(_hmean, kind, setting, images, expected))
        elif kind in COMPARISONS:
            for i, entry in enumerate(body):
                inputs = with_inputs(body, entry)
                yield Case(f"{kind}/{i}", partial(COMPARISONS[kind], images, inputs))
        else:
            count = len(body) if isinstance(body, list) else 1
            yield from (not_yet(f"{kind}/{i}") for i in range(count))


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


def with_inputs(body: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry whose inputs may be said to be those of the first."""
    if entry.get("inputs") != "same as first":
        return entry
    return {**entry, "inputs": body[0]["inputs"]}


def _macro_f1(_: Images, entry: Mapping[str, Any], check: Check) -> None:
    classes = np.argmax(entry["preds"], axis=1)
    count = len(entry["preds"][0])
    scores = f1_of_classes(classes, np.array(entry["gts"]), count)
    kept = np.delete(scores, entry["ignores"])
    check.array("f1", kept, entry["f1"], ALLOWED)
    got = macro_f1(classes, np.array(entry["gts"]), count, entry["ignores"])
    check.number("macro f1", got, float(np.mean(entry["f1"])), ALLOWED)


def _openset(_: Images, entry: Mapping[str, Any], check: Check) -> None:
    settings = LinkSettings(entry["link_type"], entry["edge_thr"])
    pages = []
    for i, page in enumerate(entry["inputs"]):
        classes = np.argmax(page["nodes"], axis=1)
        links = find_links(classes, np.array(page["edge_prob"]), settings)
        labels = np.array([a["label"] for a in page["annotations"]])
        edges = np.array([a["edge"] for a in page["annotations"]])
        truth = true_links(labels, edges, settings)
        pages.append(OpensetPage(classes, links, labels, truth))
        check.equal(f"labels {i}", classes, entry["pred_labels"][i])
        check.equal(f"pairs {i}", [(n.key, n.value) for n in links], entry["pred_pairs"][i])
        check.array(f"scores {i}", [n.score for n in links], entry["pairs_conf"][i], ALLOWED)
        check.equal(f"true pairs {i}", truth, entry["gt_pairs"][i])
    check.structure("result", openset_f1(pages, settings), entry["result"], ALLOWED)


def _entities(_: Images, entry: Mapping[str, Any], check: Check) -> None:
    records = [entity_record("metrics/ner", {"label": {}, **each}) for each in _with_text(entry)]
    scores = eval_ner_f1(
        [[Span(*span) for span in spans] for spans in entry["pred"]],
        [record.fields["entities"] for record in records],
        [each["text"] for each in entry["gt"]],
    )
    got = {
        label: {"precision": each.precision, "recall": each.recall, "f1-score": each.f1}
        for label, each in scores.items()
    }
    check.structure("result", got, entry["result"], ALLOWED)


def _with_text(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The true entities; our reader refuses empty texts, which MMOCR's metric takes."""
    return [{**each, "text": each["text"] or "-"} for each in entry["gt"]]


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


COMPARISONS: Mapping[str, Callable[[Images, Any, Check], None]] = {
    "ignore_pred": _ignored,
    "eval_hmean": _best_hmean,
    "ocr": _ocr,
    "f1": _macro_f1,
    "openset": _openset,
    "ner": _entities,
}
"""Of lists of cases, by kind."""
