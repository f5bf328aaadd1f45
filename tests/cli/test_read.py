"""``ocrserve read`` with small models: what it prints and writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ocr_models.recognition.crnn import CRNN, CRNNConfig, VeryDeepVggConfig
from ocrserve import OCR, OcrOptions, RuntimeOptions
from ocrserve.cli import main
from tests.cli.conftest import Folders
from tests.serving_models import drawn_image, exif_rotated_jpeg

Capture = pytest.CaptureFixture[str]
RECOGNITION_KEYS = ["text", "score", "char_scores", "probability", "char_probabilities"]


def read_json(capsys: Capture) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_text_is_what_the_python_interface_says(
    folders: Folders, models: list[str], capsys: Capture
) -> None:
    photo = folders.photos / "a.png"
    assert main(["read", str(photo), *models]) == 0
    ocr = OCR(folders.detector, folders.recognizer, runtime=RuntimeOptions(kind="torch"))
    page = ocr.read(photo)
    assert len(page.words) > 1
    assert capsys.readouterr().out == page.text + "\n"


def test_several_photos_with_broken_ones_between(
    folders: Folders, models: list[str], capsys: Capture, tmp_path: Path
) -> None:
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes((folders.photos / "a.png").read_bytes()[:2000])
    not_a_photo = tmp_path / "notes.txt"
    not_a_photo.write_text("hello", encoding="utf-8")
    good = [str(folders.photos / name) for name in ("a.png", "b.jpg")]
    words = [good[0], str(truncated), str(not_a_photo), str(tmp_path / "missing.jpg"), good[1]]
    assert main(["read", *words, *models]) == 1
    captured = capsys.readouterr()
    headings = [line for line in captured.out.splitlines() if line.startswith("==> ")]
    assert headings == [f"==> {photo} <==" for photo in good]
    complaints = captured.err.splitlines()
    assert len(complaints) == 3
    assert all(line.startswith("ocrserve read: ") for line in complaints)
    assert "missing.jpg: no such file" in captured.err
    assert f"{truncated}: the PNG image is damaged" in captured.err
    assert f"{not_a_photo}: this is not an image file" in captured.err


def test_json_has_every_photo_and_the_reason_of_a_failure(
    folders: Folders, models: list[str], capsys: Capture, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    photo = str(folders.photos / "b.jpg")
    assert main(["read", str(empty), photo, "--json", *models]) == 1
    failed, answer = read_json(capsys)
    assert failed["image"] == str(empty)
    assert failed["error"]["type"] == "empty_image"  # type: ignore[index]
    assert list(answer) == ["image", "result", "width", "height"]
    assert (answer["image"], answer["width"], answer["height"]) == (photo, 480, 320)


def test_folders_and_patterns(folders: Folders, models: list[str], capsys: Capture) -> None:
    assert main(["read", str(folders.photos), "--json", *models]) == 0
    from_folder = read_json(capsys)
    assert [Path(str(page["image"])).name for page in from_folder] == ["a.png", "b.jpg", "c.bmp"]
    assert main(["read", str(folders.photos / "[ab].*"), "--json", *models]) == 0
    assert read_json(capsys) == from_folder[:2]


def test_a_folder_without_photos(tmp_path: Path, models: list[str], capsys: Capture) -> None:
    assert main(["read", str(tmp_path), *models]) == 1
    assert "no photos in this folder" in capsys.readouterr().err


def test_pictures_and_exports(
    folders: Folders, models: list[str], capsys: Capture, tmp_path: Path
) -> None:
    twin = tmp_path / "a.png"
    twin.write_bytes((folders.photos / "a.png").read_bytes())
    photos = [str(folders.photos / "a.png"), str(twin)]
    outputs = ["--draw", str(tmp_path / "drawn"), "--export", str(tmp_path / "json")]
    assert main(["read", *photos, *outputs, "--json", *models]) == 0
    first, second = read_json(capsys)
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a-2.png", "a.png"]
    drawn = cv2.imread(str(tmp_path / "drawn" / "a.png"))
    original = cv2.imread(photos[0])
    assert drawn is not None
    assert original is not None
    assert drawn.shape == original.shape
    assert np.any(drawn != original)
    exported = json.loads((tmp_path / "json" / "a.json").read_text(encoding="utf-8"))
    assert {"image": photos[0], **exported} == first
    assert second["result"] == first["result"]


def test_one_picture_with_a_name_of_its_own(
    folders: Folders, models: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "new" / "out.jpg"
    assert main(["read", str(folders.photos / "a.png"), "--output", str(target), *models]) == 0
    assert target.read_bytes()[:3] == b"\xff\xd8\xff"
    both = [str(folders.photos / "a.png"), str(folders.photos / "b.jpg")]
    assert main(["read", *both, "--draw", str(target), *models]) == 2


def test_detector_or_recognizer_alone(folders: Folders, capsys: Capture, tmp_path: Path) -> None:
    photo = str(folders.photos / "a.png")
    chain = ["--det", str(folders.chain), "--recog", str(folders.chain), "--runtime", "torch"]
    assert main(["read", photo, *chain, "--recog", "None"]) == 0
    boxes = capsys.readouterr().out.splitlines()
    assert len(boxes) > 1
    assert all(len(line.split()) == 9 for line in boxes)
    draw = ["--draw", str(tmp_path)]
    assert main(["read", photo, *chain, "--det", "None", "--json", *draw]) == 0
    (answer,) = read_json(capsys)
    assert list(answer) == ["image", *RECOGNITION_KEYS]
    assert (tmp_path / "a.png").is_file()
    assert main(["read", photo, *chain, "--det", "None", "--lines"]) == 2


def test_a_name_with_a_checkpoint_of_mmocr(
    folders: Folders, capsys: Capture, tmp_path: Path
) -> None:
    """The name brings the settings, the file the weights; case does not count."""
    checkpoint = tmp_path / "mmocr.pth"
    network = CRNN(CRNNConfig(VeryDeepVggConfig(1)))
    torch.save({"meta": {}, "state_dict": network.state_dict()}, checkpoint)
    words = ["read", str(folders.photos / "a.png"), "--det", "none", "--runtime", "torch"]
    assert main([*words, "--recog", "CRNN", "--recog-ckpt", str(checkpoint)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main([*words, "--recog-ckpt", str(checkpoint)]) == 1
    assert "does not say what model it is for" in capsys.readouterr().err


def test_lines_and_min_score(folders: Folders, models: list[str], capsys: Capture) -> None:
    photo = str(folders.photos / "a.png")
    assert main(["read", photo, "--json", "--merge", "--min-score", "0.02", *models]) == 0
    (answer,) = read_json(capsys)
    options = OcrOptions(min_text_score=0.02, merge_lines=True)
    ocr = OCR(
        folders.detector,
        folders.recognizer,
        options=options,
        runtime=RuntimeOptions(kind="torch"),
    )
    assert answer["result"] == ocr.read(photo).to_json()["result"]


def test_exif(folders: Folders, models: list[str], capsys: Capture, tmp_path: Path) -> None:
    photo = tmp_path / "turned.jpg"
    photo.write_bytes(exif_rotated_jpeg(drawn_image(3)))
    assert main(["read", str(photo), "--json", *models]) == 0
    (upright,) = read_json(capsys)
    assert main(["read", str(photo), "--json", "--no-exif", *models]) == 0
    (as_stored,) = read_json(capsys)
    assert (upright["width"], upright["height"]) == (as_stored["height"], as_stored["width"])


def test_limit_on_pixels(folders: Folders, models: list[str], capsys: Capture) -> None:
    assert main(["read", str(folders.photos / "a.png"), "--max-pixels", "1000", *models]) == 1
    assert "at most 1000 are allowed" in capsys.readouterr().err


def test_standard_input_and_a_reader_that_leaves(folders: Folders, models: list[str]) -> None:
    photo = (folders.photos / "a.png").read_bytes()
    command = [sys.executable, "-m", "ocrserve", "read", "-", "--json", *models]
    done = subprocess.run(command, input=photo, capture_output=True, check=True)
    assert json.loads(done.stdout)["image"] == "-"
    assert done.stderr == b""
    shell = f"{sys.executable} -m ocrserve read {folders.photos} {' '.join(models)} | head -n 1"
    left = subprocess.run(shell, shell=True, capture_output=True, check=True, text=True)
    assert left.stdout.startswith("==> ")
    assert left.stderr == ""


def test_key_information(
    folders: Folders, models: list[str], capsys: Capture, tmp_path: Path
) -> None:
    photo = str(folders.photos / "c.bmp")
    kie = ["--kie", str(folders.extractor)]
    assert main(["read", photo, *models]) == 0
    text = capsys.readouterr().out
    outputs = ["--draw", str(tmp_path / "drawn"), "--export", str(tmp_path / "json")]
    assert main(["read", photo, *models, *kie, "--print-result", *outputs]) == 0
    printed = capsys.readouterr().out
    page = json.loads((tmp_path / "json" / "c.json").read_text("utf-8"))
    assert list(page) == ["result", "edges", "fields", "width", "height"]
    fields = [f"{f['score']:.2f}  {f['key']}: {f['value']}" for f in page["fields"]]
    words = [
        f"{w['box_score']:.2f}  {w['text_score']:.2f}  {w['label_score']:.2f}  {w['label']}  "
        f"{w['text']}"
        for w in page["result"]
    ]
    assert len(words) > 1
    assert printed.splitlines() == [*text.splitlines(), "", *fields, "", *words]
    plain, labelled = cv2.imread(photo), cv2.imread(str(tmp_path / "drawn" / "c.png"))
    assert plain is not None
    assert labelled is not None
    assert np.any(plain != labelled)
    assert main(["read", photo, *models, *kie, "--recog", "None"]) == 2
    assert "--kie needs both a detector and a recogniser" in capsys.readouterr().err
    assert main(["read", photo, *models, "--kie", "default"]) == 0
    assert capsys.readouterr().out.startswith(text)
    ocr = OCR(
        folders.detector, folders.recognizer, folders.extractor,
        runtime=RuntimeOptions(kind="torch"),
    )  # fmt: skip
    assert json.loads(json.dumps(ocr.read(photo).to_json())) == page
