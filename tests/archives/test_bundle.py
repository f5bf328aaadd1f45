"""Model folders: written, read back, and refused when anything is off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ocr_models.bundle import load_predictor, read_bundle, write_bundle
from ocr_models.detector import TextDetector
from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError, OcrError, WeightsError
from ocr_models.images import ImageLimits
from ocr_models.key_info import KeyInfoExtractor
from ocr_models.ocr import OCR, OcrOptions
from ocr_models.predictors import TASKS, Predictor, Task
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from tests.serving_models import (
    CREATED_BY,
    SAMPLE_TEXTS,
    drawn_image,
    sample_page,
    small_detector,
    small_extractor,
    small_recognizer,
    write_small_bundle,
)

FAST = RuntimeOptions("torch", "cpu", "float32", 1)
PREDICTORS: dict[Task, type[Predictor]] = {
    "detection": TextDetector,
    "recognition": TextRecognizer,
    "ocr": OCR,
    "kie": KeyInfoExtractor,
    "ner": EntityRecognizer,
}
ITEMS: dict[Task, Any] = {"kie": sample_page(2), "ner": SAMPLE_TEXTS[0]}
"""What predictors take; the others take images."""


@pytest.mark.parametrize("task", TASKS)
def test_round_trip(task: Task, tmp_path: Path) -> None:
    written = write_small_bundle(tmp_path, task)
    bundle = read_bundle(tmp_path)
    assert bundle == written
    assert bundle.manifest.task == task
    predictor = load_predictor(bundle, FAST)
    assert type(predictor) is PREDICTORS[task]
    assert len(predictor.predict([ITEMS.get(task, drawn_image(2))])) == 1


def test_predicts_like_the_models_it_was_made_of(tmp_path: Path) -> None:
    direct = OCR(
        TextDetector(*small_detector(), FAST), TextRecognizer(*small_recognizer(), FAST)
    ).predict([drawn_image(2)])[0]
    chain = load_predictor(write_small_bundle(tmp_path, "ocr"), FAST)
    assert isinstance(chain, OCR)
    loaded = chain.predict([drawn_image(2)])[0]
    assert len(direct.words) >= 3
    assert loaded.to_json() == direct.to_json()


def test_the_chain_labels_its_words(tmp_path: Path) -> None:
    chain = load_predictor(write_small_bundle(tmp_path, "receipts"), FAST)
    assert isinstance(chain, OCR)
    image = drawn_image(2)
    page = chain.predict([image])[0]
    plain = OCR(chain.detector, chain.recognizer).predict([image])[0]
    assert [word.to_json() for word in page.words] == [word.to_json() for word in plain.words]
    boxes = [word.boundary.points.clip(0, (480, 320)) for word in page.words]
    extractor = KeyInfoExtractor(*small_extractor(), FAST)
    alone = extractor.predict([(image, boxes, [word.text for word in page.words])])[0]
    assert len(alone.labels) >= 3
    answer = page.to_json()
    assert [word["label"] for word in answer["result"]] == list(alone.labels)  # type: ignore[attr-defined]
    assert {key: answer[key] for key in ("edges", "fields")} == alone.page_json()
    blank = chain.predict([image * 0 + 255])[0].to_json()
    assert blank == {"result": [], "edges": [], "fields": [], "width": 480, "height": 320}


def test_an_extractor_stands_alone_or_completes_a_chain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got detector and extractor"):
        write_bundle(
            tmp_path, created_by=CREATED_BY, detector=small_detector(), extractor=small_extractor()
        )


def test_same_models_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_small_bundle(tmp_path / name, "ocr")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["detector.safetensors", "model.json", "recognizer.safetensors"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_limits_and_parameters_are_kept(tmp_path: Path) -> None:
    spec, state = small_recognizer()
    limits = ImageLimits(max_bytes=1234, max_pixels=5678)
    write_bundle(tmp_path, created_by=CREATED_BY, recognizer=(spec, state), limits=limits)
    bundle = read_bundle(tmp_path)
    assert bundle.manifest.limits == limits
    trained = TextRecognizer(spec, state, FAST)
    described = bundle.describe()
    assert described["limits"] == {"max_bytes": 1234, "max_pixels": 5678}
    models: Any = described["models"]
    learned = [v for k, v in state.items() if "running" not in k and "tracked" not in k]
    assert models["recognizer"]["parameters"] == sum(v.numel() for v in learned)
    assert models["recognizer"]["network"] == type(trained.spec.network).__name__[:-6]


def _set(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(values)


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.pop(key)


def _nested(manifest: dict[str, Any]) -> None:
    manifest["recognizer"]["spec"]["codec"]["charsett"] = "abc"


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer format": (_set(format=2), r"has format 2, this version reads format 1"),
    "no format": (_drop("format"), r"has format None"),
    "unknown key": (_set(extra=1), r"unknown key 'extra'"),
    "missing key": (_drop("limits"), r"missing limits"),
    "unknown nested key": (_nested, r"recognizer\.spec\.codec: unknown key 'charsett'.*'charset'"),
    "wrong task": (_set(task="ocr"), r"task is 'ocr', but the models in it make 'recognition'"),
    "unknown task": (_set(task="vqa"), r"task: got 'vqa'"),
    "no models": (_set(recognizer=None), r"got none"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_manifest_is_refused(name: str, tmp_path: Path) -> None:
    change, message = CHANGES[name]
    write_small_bundle(tmp_path, "recognition")
    path = tmp_path / "model.json"
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_bundle(tmp_path)


def test_detector_where_a_recognizer_belongs(tmp_path: Path) -> None:
    write_small_bundle(tmp_path, "ocr")
    path = tmp_path / "model.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["recognizer"]["spec"] = manifest["detector"]["spec"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ConfigError, match="recognizer: the spec is that of a detector"):
        read_bundle(tmp_path)


def test_broken_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it has no model\.json"):
        read_bundle(tmp_path / "nowhere")
    bundle = write_small_bundle(tmp_path, "recognition")
    weights = bundle.weights_path("recognizer")
    good = weights.read_bytes()
    weights.write_bytes(good[:-4] + b"\0\0\0\1")
    with pytest.raises(WeightsError, match="damaged or belongs to another model"):
        read_bundle(tmp_path)
    assert read_bundle(tmp_path, check_hashes=False) == bundle
    weights.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        read_bundle(tmp_path)
    for text in ("{", "[" * 100_000):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ConfigError, match="is not JSON"):
            read_bundle(tmp_path)


def test_nothing_to_write_and_weights_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got none"):
        write_bundle(tmp_path, created_by=CREATED_BY)
    spec, state = small_recognizer()
    fewer = dict(list(state.items())[1:])
    bundle = write_bundle(tmp_path, created_by=CREATED_BY, recognizer=(spec, fewer))
    with pytest.raises(WeightsError):
        load_predictor(bundle, FAST)
    wrong = {name: torch.zeros(3) for name in state}
    with pytest.raises(OcrError):
        load_predictor(
            write_bundle(tmp_path, created_by=CREATED_BY, recognizer=(spec, wrong)), FAST
        )


def test_chain_options_need_a_chain(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path, "detection")
    with pytest.raises(ConfigError, match="holds a detection model only"):
        load_predictor(bundle, FAST, OcrOptions())
    with pytest.raises(ConfigError, match="holds a model for detection"):
        load_predictor(bundle, FAST, entities=EntityOptions())


@pytest.mark.parametrize("role", ["extractor", "entity_recognizer"])
def test_folders_from_before_a_role(role: str, tmp_path: Path) -> None:
    written = write_small_bundle(tmp_path, "detection")
    path = tmp_path / "model.json"
    manifest = json.loads(path.read_text("utf-8"))
    assert manifest.pop(role, "missing") is None
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert read_bundle(tmp_path) == written
