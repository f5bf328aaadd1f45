"""Small models and photos for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving_models import drawn_image, encoded, write_small_bundle


@dataclass(frozen=True)
class Folders:
    """Model folders, and a folder with three photos (``a.png``, ``b.jpg``, ``c.bmp``)."""

    chain: Path
    detector: Path
    recognizer: Path
    extractor: Path
    photos: Path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("cli")
    photos = root / "photos"
    photos.mkdir()
    for seed, name in enumerate(("a.png", "b.jpg", "c.bmp")):
        (photos / name).write_bytes(encoded(drawn_image(seed), Path(name).suffix))
    for name, task in (
        ("chain", "ocr"), ("det", "detection"), ("rec", "recognition"), ("kie", "kie"),
    ):  # fmt: skip
        write_small_bundle(root / name, task)
    return Folders(root / "chain", root / "det", root / "rec", root / "kie", photos)


@pytest.fixture
def models(folders: Folders) -> list[str]:
    """Arguments of ``ocrserve read`` that choose the small models and the quickest start."""
    chosen = ["--det", str(folders.detector), "--recog", str(folders.recognizer)]
    return [*chosen, "--runtime", "torch"]
