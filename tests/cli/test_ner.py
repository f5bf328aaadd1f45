"""``ocrserve ner``, and archives of entity recognisers by the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError
from ocr_models.ocr import OcrOptions
from ocrserve import load
from ocrserve.cli import main
from tests.serving_models import SAMPLE_TEXTS, write_small_bundle

CHINESE = SAMPLE_TEXTS[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ner") / "model"
    write_small_bundle(folder, "ner")
    return folder


def test_texts(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recognizer = load(model)
    assert isinstance(recognizer, EntityRecognizer)
    expected = recognizer.predict([CHINESE])[0]
    assert main(["ner", CHINESE, "a", "--model", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"==> {CHINESE} <=="
    assert lines[1:-1] == [f"{e.label}\t{e.start}-{e.end}\t{e.text}" for e in expected.entities]
    assert lines[-1] == "==> a <=="


def test_standard_input_json_and_bad_texts(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CHINESE}\n\n{'x' * 31}\n"))
    assert main(["ner", "-", "--json", "--model", str(model)]) == 1
    output = capsys.readouterr()
    good, bad = map(json.loads, output.out.splitlines())
    assert good["text"] == CHINESE
    assert set(good["entities"][0]) == {"label", "start", "end", "text"}
    assert bad["error"]["type"] == "text_too_long"
    assert "at most 30 are allowed" in output.err
    assert main(["ner", "x" * 31, "--model", str(model), "--long-text", "windows"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ner", "a"], "name the model"),
        (["ner", "a", "--config", "c.py"], "go together"),
        (["ner", "a", "--model", "m", "--config", "c", "--checkpoint", "k"], "name the model"),
    ],
)
def test_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_other_kinds(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small_bundle(tmp_path / "det", "detection")
    assert main(["ner", "a", "--model", str(tmp_path / "det")]) == 1
    assert "is not an entity recognizer, but a detection model" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="OcrOptions were given, but the model is for ner"):
        load(model, options=OcrOptions())
    windows = load(model, options=EntityOptions("windows"))
    assert isinstance(windows, EntityRecognizer)
    assert windows.max_characters == 100_000


def test_archive(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--output-folder", str(tmp_path), "--model-name", "ner"]
    options = ["--option", "long_text=windows", "--option", "threads=1"]
    assert main(["convert", str(model), *store, *options]) == 0
    assert "(ner, " in capsys.readouterr().out
    text = tmp_path / "text.txt"
    text.write_text(CHINESE * 3, encoding="utf-8")
    assert main(["verify", str(tmp_path / "ner.mar"), "--describe", "--image", str(text)]) == 0
    output = capsys.readouterr().out
    assert '"max_characters": 100000' in output
    assert '"vocabulary_size": ' in output
    assert "text.txt: equal, largest difference 0" in output
    assert main(["verify", str(tmp_path / "ner.mar")]) == 0
    assert capsys.readouterr().out.count(": equal, ") == 3
