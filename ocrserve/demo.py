"""``make demo``: the sample photo through TorchServe and back.

Makes the three default archives in ``model_store/`` (again only when something in them has
changed), starts TorchServe with two workers, sends the sample photo over HTTP, prints its text,
writes the annotated picture ``demo_out/sample.png``, and stops TorchServe.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ocr_models.errors import OcrError
from ocr_models.geometry import text_lines
from ocr_models.images import read_image
from ocr_models.results import Boundary, PageResult, RecognitionResult, Word
from ocrserve.archives.build import build_archive
from ocrserve.archives.verify import post
from ocrserve.cli import describe
from ocrserve.drawing import draw_result
from ocrserve.model_names import DEFAULT, ROLES, default_folder, model_sources
from ocrserve.server import Server, ServerError, ServerOptions, local_options

SAMPLE = Path(__file__).parent / "assets" / "sample.jpg"
WORKERS = 2
RECEIPT = "demo.json"  # in the model store: what the archives there were made from


def main(model_store: Path = Path("model_store"), output: Path = Path("demo_out")) -> int:
    """Runs the demonstration; returns the exit code."""
    try:
        _demonstrate(model_store, output)
    except (OcrError, OSError) as error:
        print(f"demo: {describe(error)}", file=sys.stderr)
        return 1
    return 0


def _demonstrate(model_store: Path, output: Path) -> None:
    started = time.perf_counter()
    print(make_archives(model_store))
    options = ServerOptions(model_store, models=("ocr",), workers=WORKERS)
    with Server(local_options(options)) as server:
        url = f"{server.inference_url}/predictions/ocr"
        print(f"TorchServe answers with {WORKERS} workers")
        print(f"$ curl -T {SAMPLE.name} {url}")
        sent = time.perf_counter()
        status, body = post(url, SAMPLE.read_bytes(), {})
        seconds = time.perf_counter() - sent
    if status != 200:
        raise ServerError(f"the sample photo was answered with {status}: {body[:500]!r}")
    page = page_from_json(json.loads(body))
    print(f"{len(page.words)} words in {seconds:.2f} s:\n")
    print(page.text)
    output.mkdir(parents=True, exist_ok=True)
    picture = output / "sample.png"
    if not cv2.imwrite(str(picture), draw_result(read_image(SAMPLE), page)):
        raise OSError(0, "cannot write the picture", str(picture))
    total = time.perf_counter() - started
    print(f"\nannotated picture: {picture}   (all in {total:.0f} s, TorchServe is stopped)")


def make_archives(model_store: Path) -> str:
    """Makes the default archives, or keeps those that are there and still right; says which."""
    models = {
        "detection": model_sources(DEFAULT, "detector"),
        "recognition": model_sources(DEFAULT, "recognizer"),
        "ocr": model_sources(DEFAULT),
    }
    archives = {name: model_store / f"{name}.mar" for name in models}
    receipt = model_store / RECEIPT
    inputs = _inputs_digest()
    if receipt.is_file() and all(path.is_file() for path in archives.values()):
        now = {"inputs": inputs, **{name: _digest(path) for name, path in archives.items()}}
        if json.loads(receipt.read_text(encoding="utf-8")) == now:
            return f"archives in {model_store}/ are up to date: {', '.join(archives)}"
    for name, sources in models.items():
        build_archive(sources, model_store, model_name=name, force=True)
    made = {"inputs": inputs, **{name: _digest(path) for name, path in archives.items()}}
    receipt.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return f"made archives in {model_store}/: {', '.join(archives)}"


def page_from_json(answer: Mapping[str, Any]) -> PageResult:
    """A chain's answer as the result that it was made from."""
    words = tuple(
        Word(
            Boundary(np.reshape(entry["box"], (-1, 2)), entry["box_score"]),
            RecognitionResult(
                entry["text"],
                entry["text_score"],
                tuple(entry["char_scores"]),
                tuple(entry["char_probabilities"]),
            ),
        )
        for entry in answer["result"]
    )
    lines = tuple(map(tuple, text_lines([word.boundary.points for word in words])))
    return PageResult(words, lines, width=answer["width"], height=answer["height"])


def _inputs_digest() -> str:
    """Hash of all code and weights that go into the archives."""
    packages = ("ocr_models", "ocrserve.handlers", "ocrserve.archives")
    folders = [Path(str(files(package))) for package in packages]
    folders += [default_folder(role) for role in ROLES]
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(folder)} {_digest(path)}\n".encode())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
