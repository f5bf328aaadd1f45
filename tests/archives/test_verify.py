"""Verification: an archive in a process without ocrserve, and the comparison itself."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ocr_models.bundle import load_predictor, write_bundle
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.errors import ConfigError
from ocr_models.ocr import OCR
from ocr_models.runtime import RuntimeOptions
from ocrserve.archives.build import ModelSource, build_archive
from ocrserve.archives.model_config import parse_model_config
from ocrserve.archives.verify import (
    VerificationError,
    compare_answers,
    prediction_url,
    verify_archive,
    verify_server,
)
from tests.serving_models import (
    CREATED_BY,
    drawn_image,
    encoded,
    small_detector,
    small_recognizer,
    write_small_bundle,
)

HANDLER = {"handler": {"threads": 1, "runtime": "torch", "precision": "float32"}}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verify")
    write_small_bundle(root / "models", "ocr")
    settings = parse_model_config(HANDLER, "ocr")
    source = ModelSource(root / "models")
    return build_archive([source], root, model_name="chain", model_config=settings)


def test_archive_runs_without_ocrserve(archive: Path, tmp_path: Path) -> None:
    images = []
    for seed in range(3):
        images.append(tmp_path / f"{seed}.png")
        images[-1].write_bytes(encoded(drawn_image(seed)))
    report = verify_archive(archive, images)
    assert report.ok
    assert [c.image for c in report.comparisons] == ["0.png", "1.png", "2.png"]
    assert max(c.largest_difference for c in report.comparisons) <= 1e-4
    assert report.describe["task"] == "ocr"


def test_a_chain_with_a_detector_of_polygons(tmp_path: Path) -> None:
    spec, weights = small_detector()
    spec = replace(spec, postprocessing=DBPostprocessing("poly", mask_thr=0.5))
    models = write_bundle(
        tmp_path / "models",
        created_by=CREATED_BY,
        detector=(spec, weights),
        recognizer=small_recognizer(),
    )
    settings = parse_model_config(HANDLER, "ocr")
    archive = build_archive(
        [ModelSource(tmp_path / "models")], tmp_path, model_name="curved", model_config=settings
    )
    picture = tmp_path / "picture.png"
    picture.write_bytes(encoded(drawn_image(0)))
    assert verify_archive(archive, [picture]).ok
    chain = load_predictor(models, RuntimeOptions("torch"))
    assert isinstance(chain, OCR)
    (page,) = chain.predict([drawn_image(0)])
    assert max(len(word.boundary.points) for word in page.words) > 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # OpenVINO traces in ways that PyTorch calls deprecated
def test_default_runtime_and_sample_images(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "models", "recognition")
    archive = build_archive([ModelSource(tmp_path / "models")], tmp_path, model_name="word")
    report = verify_archive(archive)
    assert report.ok
    assert len(report.comparisons) == 3
    available = "openvino" if importlib.util.find_spec("openvino") else "torch"
    assert report.describe["runtime"].startswith(available)


def test_archive_of_key_information(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "models", "kie")
    settings = parse_model_config(HANDLER, "kie")
    archive = build_archive(
        [ModelSource(tmp_path / "models")], tmp_path, model_name="kie", model_config=settings
    )
    report = verify_archive(archive)
    assert report.ok
    assert [c.image for c in report.comparisons] == [f"sample-{i}.json" for i in range(3)]
    assert report.describe["models"]["extractor"]["network"] == "SDMGR"


def _with_file(archive: Path, target: Path, name: str, text: str) -> Path:
    """A copy of an archive with one file changed and its hash along with it."""
    with zipfile.ZipFile(archive) as opened:
        files = {entry: opened.read(entry) for entry in opened.namelist()}
    files[name] = text.encode()
    hashes = json.loads(files["MAR-INF/FILES.json"])
    hashes[name] = hashlib.sha256(files[name]).hexdigest()
    files["MAR-INF/FILES.json"] = json.dumps(hashes).encode()
    with zipfile.ZipFile(target, "w") as written:
        for entry, data in files.items():
            written.writestr(entry, data)
    return target


def test_archive_that_needs_ocrserve_is_found_out(archive: Path, tmp_path: Path) -> None:
    text = "from handlers.ocr import handle\nimport ocrserve\n"
    path = _with_file(archive, tmp_path / "needy.mar", "handler.py", text)
    with pytest.raises(VerificationError, match="ocrserve is not to be used by an archive"):
        verify_archive(path)


def test_different_answers_are_found_out(archive: Path, tmp_path: Path) -> None:
    text = (
        "import json\nfrom handlers import ocr\n\n"
        "def handle(data, context):\n"
        "    answers = ocr.handle(data, context)\n"
        "    if data is None:\n        return None\n"
        "    parsed = [json.loads(a) for a in answers]\n"
        "    [p.update(width=p['width'] + 1) for p in parsed if 'width' in p]\n"
        "    return [json.dumps(p).encode() for p in parsed]\n"
    )
    report = verify_archive(_with_file(archive, tmp_path / "off.mar", "handler.py", text))
    assert not report.ok
    assert report.comparisons[0].largest_difference == 1.0
    assert "answer.width is 641, expected 640" in report.comparisons[0].differences


COMPARED = [
    ({"a": 1.0}, {"a": 1.0}, 0.0, 0),
    ({"a": 1.0}, {"a": 1.00005}, 5e-5, 0),
    ({"a": 1.0}, {"a": 1.5}, 0.5, 1),
    ({"a": 1.0}, {"b": 1.0}, 0.0, 1),
    ({"a": [1, 2]}, {"a": [1, 2, 3]}, 0.0, 1),
    ({"a": "x"}, {"a": "y"}, 0.0, 1),
    ({"a": 1}, {"a": True}, 0.0, 0),
    ({"a": None}, {"a": 0}, 0.0, 1),
    ([[1, 2], [3, 4]], [[1, 3], [3, 6]], 2.0, 2),
]


@pytest.mark.parametrize(("one", "other", "worst", "problems"), COMPARED)
def test_comparison(one: object, other: object, worst: float, problems: int) -> None:
    largest, found = compare_answers(one, other, 1e-4)
    assert largest == pytest.approx(worst, abs=1e-9)
    assert len(found) == problems


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8080", "http://host:8080/predictions/m"),
        ("http://host:8080/", "http://host:8080/predictions/m"),
        ("host:8080", "http://host:8080/predictions/m"),
        ("https://host/v1/predictions/x", "https://host/v1/predictions/x"),
    ],
)
def test_prediction_url(url: str, expected: str) -> None:
    assert prediction_url(url, "m") == expected


def test_unreachable_server_and_no_images(archive: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(encoded(drawn_image(0)))
    with pytest.raises(ConfigError, match="at least one image"):
        verify_server("http://127.0.0.1:9", [], archive)
    with pytest.raises(VerificationError, match="no answer from"):
        verify_server("http://127.0.0.1:9", [image], archive)
    with pytest.raises(ConfigError, match="is not an HTTP address"):
        prediction_url("ftp://host", "m")
