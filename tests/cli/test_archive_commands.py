"""``ocrserve convert``, ``verify`` and ``serve`` with small models."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from ocr_models.bundle import read_bundle
from ocr_models.weights import read_safetensors
from ocrserve.archives.package import extract_archive
from ocrserve.cli import main, mmocr2torchserve
from tests.cli.conftest import Folders

Capture = pytest.CaptureFixture[str]
CRNN_CONFIG = """
model = dict(
    type='CRNNNet', preprocessor=None,
    backbone=dict(type='VeryDeepVgg', leaky_relu=False, input_channels=1),
    encoder=None,
    decoder=dict(type='CRNNDecoder', in_channels=512, rnn_flag=True),
    loss=dict(type='CTCLoss'),
    label_convertor=dict(type='CTCConvertor', dict_type='DICT36', with_unknown=False, lower=True),
    pretrained=None)
img_norm_cfg = dict(mean=[127], std=[127])
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='ResizeOCR', height=32, min_width=100, max_width=100, keep_aspect_ratio=False),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img'],
         meta_keys=['filename', 'ori_shape', 'resize_shape', 'img_shape', 'valid_ratio']),
]
data = dict(test=dict(pipeline=test_pipeline))
"""


def opened(archive: Path, folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    """The server's manifest and the settings of an archive."""
    manifest = extract_archive(archive, folder)
    settings = yaml.safe_load((folder / "model-config.yaml").read_text(encoding="utf-8"))
    return manifest["model"], settings  # type: ignore[return-value]


def test_a_chain_with_settings(folders: Folders, tmp_path: Path, capsys: Capture) -> None:
    given = tmp_path / "given.yaml"
    given.write_text("maxBatchDelay: 7\nhandler: {details: true}\n", encoding="utf-8")
    words = ["convert", "--det", str(folders.detector), "--recog", str(folders.recognizer)]
    words += ["--output-folder", str(tmp_path), "--model-name", "both", "--model-version", "2.1"]
    words += ["--workers", "3", "--batch-size", "4", "--option", "min_score=0.25"]
    words += ["--option", "responseTimeout=60", "--model-config", str(given)]
    assert main(words) == 0
    assert re.fullmatch(r".*both\.mar  \(ocr, \d+\.\d MB\)\n", capsys.readouterr().out)
    model, settings = opened(tmp_path / "both.mar", tmp_path / "opened")
    assert (model["modelName"], model["modelVersion"]) == ("both", "2.1")
    expected = {"minWorkers": 3, "maxWorkers": 3, "batchSize": 4, "maxBatchDelay": 7}
    assert expected.items() <= settings.items()
    assert settings["responseTimeout"] == 60
    assert settings["handler"] == {"min_score": 0.25, "details": True}


def test_an_mmocr_config_and_checkpoint(tmp_path: Path, capsys: Capture) -> None:
    from ocr_models.from_mmocr import model_from_mmocr
    from ocr_models.mmocr_config import load_config
    from ocr_models.recognition.families import build_network
    from ocr_models.spec import RecognizerSpec

    config = tmp_path / "crnn.py"
    config.write_text(CRNN_CONFIG, encoding="utf-8")
    spec = model_from_mmocr(load_config(config))
    assert isinstance(spec, RecognizerSpec)
    state = build_network(spec.network).state_dict()
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, tmp_path / "weights.pth")
    words = [str(config), str(tmp_path / "weights.pth"), "--output-folder", str(tmp_path)]
    assert mmocr2torchserve(words) == 0
    assert "weights.mar  (recognition," in capsys.readouterr().out
    assert mmocr2torchserve(words) == 1
    assert "weights.mar exists" in capsys.readouterr().err
    assert mmocr2torchserve([*words, "-f"]) == 0

    opened(tmp_path / "weights.mar", tmp_path / "opened")
    bundle = read_bundle(tmp_path / "opened")
    packed = read_safetensors(bundle.weights_path("recognizer"))
    assert len(packed) == len(state) > 20
    assert all(torch.equal(packed[name], value) for name, value in state.items())

    changed = ["--cfg-options", "model.decoder.in_channels=256", "-f"]
    assert mmocr2torchserve([*words, *changed]) == 1
    assert "mmocr2torchserve: " in capsys.readouterr().err


def test_verify(folders: Folders, tmp_path: Path, capsys: Capture) -> None:
    words = ["convert", str(folders.recognizer), "--output-folder", str(tmp_path)]
    assert main([*words, "--model-name", "words", "--option", "runtime=torch"]) == 0
    archive = tmp_path / "words.mar"
    capsys.readouterr()
    image = str(folders.photos / "a.png")
    assert main(["verify", str(archive), "--image", image, "--describe"]) == 0
    out = capsys.readouterr().out
    assert '"task": "recognition"' in out
    assert "a.png: equal, largest difference 0\n" in out
    assert out.endswith(f"{archive}: ok\n")
    damaged = archive.read_bytes().replace(b"model.json", b"model.JSON")
    archive.write_bytes(damaged)
    assert main(["verify", str(archive)]) == 1
    assert "words.mar" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.server
def test_serve_until_interrupted(folders: Folders, tmp_path: Path, capsys: Capture) -> None:
    words = ["convert", str(folders.recognizer), "--output-folder", str(tmp_path)]
    assert main([*words, "--model-name", "words", "--option", "runtime=torch"]) == 0
    ports = ["--port", "0", "--management-port", "0", "--metrics-port", "0"]
    command = [sys.executable, "-m", "ocrserve", "serve", "--model-store", str(tmp_path), *ports]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--models", "all", "--no-tokens"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as serving:
        try:
            assert serving.stdout is not None
            first = serving.stdout.readline()
            url = first.removeprefix("words: ").strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/predictions/words", url), first
            image = str(folders.photos / "b.jpg")
            store = ["--model-store", str(tmp_path)]
            assert main(["verify", "--server", url, "--image", image, *store]) == 0
            assert f"{url}: ok" in capsys.readouterr().out
        finally:
            serving.send_signal(signal.SIGINT)
        rest = serving.stdout.read()
        assert serving.wait(60) == 0
    assert rest.splitlines()[-1] == "stopped"
