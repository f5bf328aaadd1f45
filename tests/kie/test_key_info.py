"""The predictor: pages in, labels and fields out."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

from ocr_models.clock import StageClock
from ocr_models.errors import ConfigError, InputError, WeightsError
from ocr_models.key_info import KeyInfoExtractor, KiePage
from ocr_models.kie.links import LinkSettings
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import KieSpec, from_json_dict, to_json_dict
from tests.serving_models import sample_page, small_extractor

PLAIN = RuntimeOptions("torch", "cpu", "float32", 1)


def extractor(**kind: bool) -> KeyInfoExtractor:
    return KeyInfoExtractor(*small_extractor(**kind), PLAIN)  # type: ignore[arg-type]


def test_open_set() -> None:
    page = sample_page(8)
    result = extractor().predict([page])[0]
    assert len(result.labels) == 12
    assert {"key", "value", "background"} <= set(result.labels)
    assert result.links
    for link, field in zip(result.links, result.fields, strict=True):
        assert (result.labels[link.key], result.labels[link.value]) == ("key", "value")
        assert (field.key, field.value) == (page.texts[link.key], page.texts[link.value])
        assert 0.5 < link.score == field.score <= 1
    answer = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(answer) == ["result", "edges", "fields"]
    assert list(answer["result"][0]) == ["box", "text", "label", "label_score"]
    assert answer["result"][3]["box"] == pytest.approx(page.boxes[3])
    assert answer["edges"][0] == vars(result.links[0])


def test_closed_set() -> None:
    result = extractor(openset=False).predict([sample_page(2)])[0]
    assert result.links is None
    assert {field.key for field in result.fields} <= {"Total", "Date"}
    assert list(result.to_json()) == ["result", "fields"]


@pytest.mark.parametrize("visual", [True, False])
@pytest.mark.parametrize("count", [0, 1, 400])
def test_any_number_of_words(visual: bool, count: int) -> None:
    result = extractor(visual=visual).predict([sample_page(0, count)])[0]
    assert len(result.labels) == len(result.label_scores) == len(result.boxes) == count
    if count < 2:
        assert result.links == ()


def test_pages_do_not_see_each_other() -> None:
    pages = [sample_page(seed, count) for seed, count in ((1, 5), (2, 0), (3, 12))]
    model = extractor()
    together = [result.to_json() for result in model.predict(pages)]
    assert together == [model.predict([page])[0].to_json() for page in pages]
    assert together == [result.to_json() for result in model.predict([p[:3] for p in pages])]


def test_pages_without_an_image() -> None:
    page = sample_page(4)
    model = extractor(visual=False)
    seen = model.predict([page])[0]
    sized = model.predict([page._replace(image=None, size=(480, 320))])[0]
    assert seen.to_json() == sized.to_json()
    # Without a size the words themselves span the page.
    unsized = page._replace(image=None)
    ends = np.ceil(np.array(page.boxes).reshape(-1, 2).max(0)).astype(int)
    spanned = page._replace(image=None, size=(int(ends[0]), int(ends[1])))
    assert model.predict([unsized])[0].to_json() == model.predict([spanned])[0].to_json()
    with pytest.raises(InputError, match="needs the image") as caught:
        extractor().predict([unsized])
    assert (caught.value.code, caught.value.kind) == (422, "missing_image")


def test_bad_boxes_are_refused() -> None:
    page = sample_page(0, 2)
    outside = page._replace(boxes=[page.boxes[0], [900, 9, 950, 9, 950, 30, 900, 30]])
    with pytest.raises(InputError, match="box 1 is not within the page, which is 480 x 320"):
        extractor().predict([outside])
    with pytest.raises(InputError, match="2 boxes came with 1 texts"):
        extractor().predict([page._replace(texts=["one"])])


def test_corners_in_any_order() -> None:
    page = sample_page(5)
    turned = [np.roll(np.array(box).reshape(4, 2), i, axis=0) for i, box in enumerate(page.boxes)]
    model = extractor()
    one, other = model.predict([page])[0], model.predict([page._replace(boxes=turned)])[0]
    assert one.label_scores == other.label_scores


def test_stages_are_timed_and_warm_up_works() -> None:
    clock = StageClock()
    model = extractor()
    model.warm_up()
    model.predict([sample_page(0)], clock=clock)
    assert all(clock.seconds[name] > 0 for name in ("preprocess", "network", "postprocess"))
    assert model.runtime_name.count("torch") == 2
    assert extractor(visual=False).runtime_name.count("torch") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # OpenVINO traces in ways that PyTorch calls deprecated
@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is optional")
def test_other_runtimes_agree() -> None:
    spec, state = small_extractor()
    expected = extractor().predict([sample_page(3)])[0]
    options = RuntimeOptions("openvino", "cpu", "float32", 1)
    got = KeyInfoExtractor(spec, state, options).predict([sample_page(3)])[0]
    assert got.labels == expected.labels
    assert np.allclose(got.label_scores, expected.label_scores, atol=1e-3)


def test_json_round_trip() -> None:
    for kind in ({}, {"visual": False}, {"openset": False}):
        spec = small_extractor(**kind)[0]  # type: ignore[arg-type]
        assert from_json_dict(KieSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


def test_specs_are_checked() -> None:
    spec, state = small_extractor()
    page = DetectionPreprocessing(image_scale=(256, 128), size_divisor=8)
    for change, message in (
        ({"class_names": ("a",)}, "4 classes, but 1 have names"),
        ({"characters": spec.characters * 2}, "the network knows 91; take the one"),
        ({"links": LinkSettings(value_class=4)}, "class 4 of 0 to 3"),
        ({"preprocessing": replace(spec.preprocessing, page=page)}, "needs multiples of 16"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(spec, **change)  # type: ignore[arg-type]
    with pytest.raises(WeightsError):
        KeyInfoExtractor(spec, {k: v for k, v in state.items() if "fusion" not in k}, PLAIN)


def test_a_page_is_a_plain_tuple() -> None:
    box = [10, 10, 60, 10, 60, 30, 10, 30]
    model = extractor(visual=False)
    assert model.predict([(None, [box], ["a"])])[0].to_json() == (
        model.predict([KiePage(None, [box], ["a"])])[0].to_json()
    )
