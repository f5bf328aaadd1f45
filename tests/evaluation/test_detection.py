"""Detection metrics: equal to MMOCR's numbers, and their rules one by one."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from ocr_models.errors import ConfigError
from ocrserve.train.evaluation.detection import (
    DETECTION_METRICS,
    Hmean,
    HmeanIC13,
    HmeanIoU,
    ImageSample,
    eval_hmean,
    score_images,
    score_thresholds,
    sweep,
)
from ocrserve.train.evaluation.polygons import make_polygons, overlaps, repair

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics" / "metrics.json").read_text())
POLYGONS = GOLDEN["polygons"]
SAMPLES = [
    ImageSample(image["pred"], image["score"], image["gt"], image["ignored"])
    for image in GOLDEN["images"]
]
IC13 = {
    "default": HmeanIC13(),
    "loose": HmeanIC13(
        recall_thr=0.6, precision_thr=0.3, center_dist_thr=0.5, one_to_many_score=0.5
    ),
}


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def test_sweeps_are_complete() -> None:
    assert len(SAMPLES) == 5
    assert len(POLYGONS["points"]) == 13
    assert len(POLYGONS["pairs"]) == 91
    assert len(GOLDEN["eval_hmean"]) == 5
    assert sorted(GOLDEN["hmean_iou"]) == ["(0.5, 0.5)", "(0.7, 0.4)"]
    assert sorted(GOLDEN["hmean_ic13"]) == sorted(IC13)


# --- polygons ----------------------------------------------------------------------------------


def test_areas_equal_mmocr() -> None:
    raw = make_polygons(list(POLYGONS["points"].values()))
    for key, values in (
        ("area", shapely.area(raw)),
        ("repaired_area", shapely.area(repair(raw))),
        ("valid", shapely.is_valid(raw)),
    ):
        assert values.tolist() == pytest.approx(list(POLYGONS[key].values()), abs=1e-9), key


def test_overlaps_equal_mmocr() -> None:
    names = list(POLYGONS["points"])
    table = overlaps(list(POLYGONS["points"].values()), list(POLYGONS["points"].values()))
    for first, second, intersection, union, iou, *_ in POLYGONS["pairs"]:
        place = names.index(first), names.index(second)
        assert table.intersection[place] == pytest.approx(intersection, abs=1e-9)
        assert table.union[place] == pytest.approx(union, abs=1e-9)
        assert table.iou[place] == pytest.approx(iou, abs=1e-9)


def test_prefilter_loses_nothing() -> None:
    """Against every pair intersected without looking at bounding boxes."""
    generator = np.random.default_rng(0)
    sets = [
        [generator.uniform(0, 60, (count, 2)) + generator.uniform(0, 80, 2) for _ in range(40)]
        for count in (4, 7)
    ]
    table = overlaps(*sets)
    first, second = (repair(make_polygons(boundaries)) for boundaries in sets)
    expected = shapely.area(shapely.intersection(first[:, None], second[None, :]))
    np.testing.assert_allclose(table.intersection, expected, atol=1e-9)
    united = shapely.area(shapely.union(first[:, None], second[None, :]))
    np.testing.assert_allclose(table.union, united, atol=1e-6)
    assert (table.intersection > 0).mean() > 0.05
    assert (table.intersection == 0).mean() > 0.05


def test_no_polygons() -> None:
    assert overlaps([], []).iou.shape == (0, 0)
    assert overlaps([box(0, 0, 1, 1)], []).iou.shape == (1, 0)
    assert overlaps([], [box(0, 0, 1, 1)]).iou.shape == (0, 1)


@pytest.mark.parametrize("boundary", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7]])
def test_impossible_boundaries_are_refused(boundary: Sequence[float]) -> None:
    with pytest.raises(ValueError, match=f"a boundary has {len(boundary)} values"):
        make_polygons([boundary])


# --- metrics -----------------------------------------------------------------------------------


def assert_hmean(got: Hmean, expected: Mapping[str, float]) -> None:
    for key, value in expected.items():
        attribute = "num_recall" if key == "num_match" else key
        assert getattr(got, attribute) == pytest.approx(value, abs=1e-9), key


@pytest.mark.parametrize("setting", GOLDEN["hmean_iou"])
def test_hmean_iou_equals_mmocr(setting: str) -> None:
    iou_thr, precision_thr = ast.literal_eval(setting)
    whole, images = score_images(SAMPLES, HmeanIoU(iou_thr, precision_thr))
    assert_hmean(whole, GOLDEN["hmean_iou"][setting][0])
    for got, expected in zip(images, GOLDEN["hmean_iou"][setting][1], strict=True):
        assert_hmean(got, expected)


@pytest.mark.parametrize("setting", IC13)
def test_hmean_ic13_equals_mmocr(setting: str) -> None:
    whole, images = score_images(SAMPLES, IC13[setting])
    assert_hmean(whole, GOLDEN["hmean_ic13"][setting][0])
    for got, expected in zip(images, GOLDEN["hmean_ic13"][setting][1], strict=True):
        assert_hmean(got, expected)


@pytest.mark.parametrize("case", GOLDEN["eval_hmean"], ids=lambda case: str(case["args"]))
def test_sweep_equals_mmocr(case: dict[str, Any]) -> None:
    arguments = dict(case["args"])
    if "score_thr" in arguments:
        arguments["min_score_thr"] = arguments.pop("score_thr")
    assert score_thresholds(**arguments) == pytest.approx(case["thresholds"], abs=1e-12)
    assert eval_hmean(SAMPLES, **arguments) == pytest.approx(case["result"], abs=1e-9)


def test_first_best_threshold_wins() -> None:
    """Without predictions at the higher thresholds recall falls; equal outcomes keep the first."""
    truth = box(0, 0, 40, 20)
    sample = ImageSample([truth], [0.65], [truth])
    outcomes = sweep([sample], {"hmean-iou": HmeanIoU()}, score_thresholds())["hmean-iou"]
    assert [outcome.hmean for outcome in outcomes] == [1, 1, 1, 1, 0, 0, 0]


def test_predictions_in_ignored_text_do_not_count() -> None:
    sample = ImageSample(
        predictions=[box(0, 0, 40, 20), box(100, 0, 140, 20), box(130, 0, 170, 20)],
        scores=[1, 1, 1],
        truths=[box(0, 0, 40, 20)],
        ignored=[box(100, 0, 140, 20)],
    )
    for metric in DETECTION_METRICS.values():
        outcome, _ = score_images([sample], metric)
        assert (outcome.num_dets, outcome.recall, outcome.precision) == (2, 1, 0.5)


def test_ic13_pays_for_split_and_merged_words() -> None:
    parts = [box(0, 0, 32, 20), box(34, 0, 66, 20), box(68, 0, 100, 20)]
    split = ImageSample(parts, [1, 1, 1], [box(0, 0, 100, 20)])
    outcome, _ = score_images([split], HmeanIC13())
    assert (outcome.num_recall, outcome.num_precision) == pytest.approx((0.8, 2.4))
    merged = ImageSample([box(0, 0, 100, 20)], [1], parts)
    assert score_images([merged], HmeanIC13())[0] == Hmean(3, 1, 3.0, 1.0)
    assert score_images([split], HmeanIoU())[0].num_recall == 0


def test_ic13_takes_polygons_of_any_length() -> None:
    curve = [0, 0, 20, -5, 40, 0, 40, 20, 20, 15, 0, 20]
    outcome, _ = score_images([ImageSample([curve], [1], [curve])], HmeanIC13())
    assert outcome.hmean == 1


@pytest.mark.parametrize("metric", DETECTION_METRICS)
@pytest.mark.parametrize(
    ("predictions", "truths", "recall", "precision"),
    [([], [], 1, 1), ([box(0, 0, 9, 9)], [], 1, 0), ([], [box(0, 0, 9, 9)], 0, 0)],
)
def test_empty_images(
    metric: str, predictions: list[Any], truths: list[Any], recall: float, precision: float
) -> None:
    sample = ImageSample(predictions, [1.0] * len(predictions), truths)
    outcome, _ = score_images([sample], DETECTION_METRICS[metric])
    assert (outcome.recall, outcome.precision) == (recall, precision)


def test_an_empty_data_set() -> None:
    assert eval_hmean([])["hmean-iou:hmean"] == 1


@pytest.mark.parametrize(
    "arguments",
    [{"step": 0}, {"min_score_thr": 0.9, "max_score_thr": 0.3}, {"min_score_thr": -1}],
)
def test_impossible_thresholds_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        score_thresholds(**arguments)


def test_scores_and_predictions_belong_together() -> None:
    with pytest.raises(ValueError, match="1 predictions but 2 scores"):
        ImageSample([box(0, 0, 9, 9)], [0.5, 0.6], [])
