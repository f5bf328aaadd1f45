"""The Python interface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ocr_models.ocr
import ocrserve
from ocr_models.errors import ConfigError, InputError
from ocr_models.images import ImageLimits
from ocrserve import OCR, OcrOptions, RuntimeOptions, TextDetector, TextRecognizer, load
from ocrserve.model_names import DEFAULT_FOLDERS, default_folder
from tests.cli.conftest import Folders
from tests.serving_models import drawn_image

TORCH = RuntimeOptions(kind="torch")


def test_public_names_are_sorted_and_there() -> None:
    # ruff's order for __all__: constants, classes, then the others, each sorted.
    groups = [[], [], []]  # type: list[list[str]]
    for name in ocrserve.__all__:
        groups[0 if name.isupper() else 1 if name[0].isupper() else 2].append(name)
    assert ocrserve.__all__ == [name for group in groups for name in sorted(group)]
    for name in ocrserve.__all__:
        assert getattr(ocrserve, name) is not None
    assert set(ocrserve.__all__) <= set(dir(ocrserve))


def test_import_is_lazy() -> None:
    code = "import sys, ocrserve; assert not {'torch', 'numpy', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'ORC'"):
        ocrserve.ORC  # noqa: B018


def test_every_kind_of_photo(folders: Folders) -> None:
    ocr = OCR(folders.chain, folders.chain, runtime=TORCH)
    path = folders.photos / "a.png"
    expected = ocr.read(path).to_json()
    assert expected["result"]
    assert ocr.read(str(path)).to_json() == expected
    assert ocr.read(path.read_bytes()).to_json() == expected
    assert ocr.read(drawn_image(0)).to_json() == expected


def test_limits(folders: Folders) -> None:
    ocr = OCR(folders.chain, folders.chain, runtime=TORCH, limits=ImageLimits(max_pixels=10))
    with pytest.raises(InputError, match="at most 10 are allowed"):
        ocr.read(folders.photos / "a.png")


@pytest.mark.parametrize(
    "photo", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_arrays_that_are_no_photos(folders: Folders, photo: np.ndarray) -> None:
    ocr = OCR(folders.chain, folders.chain, runtime=TORCH)
    with pytest.raises(InputError, match="uint8"):
        ocr.read(photo)


def test_load(folders: Folders) -> None:
    image = drawn_image(0)
    detector = load(folders.detector, runtime=TORCH)
    recognizer = load(str(folders.recognizer), runtime=TORCH)
    chain = load(folders.chain, runtime=TORCH, options=OcrOptions(max_crops=2))
    assert isinstance(detector, TextDetector)
    assert isinstance(recognizer, TextRecognizer)
    assert len(detector.predict([image])[0].boundaries) > 2
    assert isinstance(chain, ocr_models.ocr.OCR)
    assert len(chain.predict([image])[0].words) <= 2
    with pytest.raises(ConfigError, match="OcrOptions were given, but the model is for detection"):
        load(folders.detector, runtime=TORCH, options=OcrOptions())


def test_wrong_kinds_and_names(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a recognizer, but a detection model"):
        OCR(folders.detector, folders.detector, runtime=TORCH)
    with pytest.raises(ConfigError, match="is not a model folder"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="one path, or a config and a checkpoint"):
        load(("a", "b", "c"))
    with pytest.raises(ConfigError, match="Did you mean 'CRNN'"):
        load("CRNNN")


def test_default_models_are_there_or_their_lack_is_explained() -> None:
    if (DEFAULT_FOLDERS / "detector").is_dir():
        assert default_folder("detector").is_dir()
        assert default_folder("recognizer").is_dir()
        assert default_folder("extractor").is_dir()
    else:
        with pytest.raises(ConfigError, match="has no default detector"):
            default_folder("detector")
