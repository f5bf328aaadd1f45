"""Proves that an archive, or a server that runs it, answers like the local predictor.

The archive is unpacked, its hashes are checked, and its handler is run in a fresh process that
cannot see ocrserve. The predictor runs here, from the same model folder. Both must agree number by
number.
"""

from __future__ import annotations

import base64
import http.client
import json
import math
import os
import subprocess
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import cv2
import numpy as np

from ocr_models.bundle import Bundle, read_bundle
from ocr_models.errors import ConfigError, OcrError
from ocr_models.predictors import Task
from ocrserve.handlers.base import Handler
from ocrserve.handlers.cores import worker_threads
from ocrserve.handlers.detection import DetectionHandler
from ocrserve.handlers.kie import KieHandler
from ocrserve.handlers.ner import NerHandler
from ocrserve.handlers.ocr import OCRHandler
from ocrserve.handlers.recognition import RecognitionHandler

from . import model_config
from .model_config import ModelConfig, load_model_config
from .package import extract_archive

HANDLERS: dict[Task, type[Handler]] = {
    "detection": DetectionHandler,
    "recognition": RecognitionHandler,
    "ocr": OCRHandler,
    "kie": KieHandler,
    "ner": NerHandler,
}
SAMPLE_TEXTS = (
    "Ann Lee met Bob in Rome.",
    "The 3 offices of Nord & Sons are in Oslo, Bergen and New York City.",
    "a",
)
PROCESS_TIMEOUT_S = 600.0
REQUEST_TIMEOUT_S = 120.0


class VerificationError(OcrError):
    """An archive or a server does not do what it should."""


@dataclass(frozen=True)
class Comparison:
    """One image (or text).

    Args:
        image: file name.
        largest_difference: between any two numbers; 0.0 when all are equal.
        differences: what differs by more than the tolerance, readable, at most a few.
    """

    image: str
    largest_difference: float
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Outcome of a verification.

    Args:
        subject: archive or URL.
        describe: what the archive or the server tells about itself.
        comparisons: one per image.
    """

    subject: str
    describe: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        """Whether all answers agree."""
        return not any(comparison.differences for comparison in self.comparisons)


@dataclass(frozen=True)
class LocalModel:
    """The local side of a comparison: the same model and options, without a server."""

    handler: Handler
    bundle: Bundle
    model_name: str
    max_workers: int

    def answer(self, body: bytes) -> dict[str, object]:
        """What a server should answer to a raw body, which must be a good one."""
        answer = self.handler.answer_to(body)
        return json.loads(json.dumps(answer, allow_nan=False))


def verify_archive(path: Path, images: Sequence[Path] = (), *, tolerance: float = 1e-4) -> Report:
    """Checks an archive from its hashes to its answers.

    Args:
        path: a ``.mar`` file made by ``ocrserve convert``.
        images: files to try it on: images, requests as JSON (kie), texts (ner); a few drawn words
            or short texts when none are given.
        tolerance: largest difference between numbers that counts as equal, in pixels or scores.

    Raises:
        ConfigError, WeightsError: not an archive, damaged, or its settings are wrong.
        VerificationError: its handler does not start or does not behave.
    """
    with tempfile.TemporaryDirectory(prefix="ocrserve-verify-") as scratch:
        folder = Path(scratch) / "archive"
        folder.mkdir()
        local = _open_archive(path, folder)
        if not images:
            images = write_samples(Path(scratch), local)
        outcome = _run_isolated(folder, images, threads=_threads(local))
        _check_manners(outcome, len(images))
        comparisons = []
        for image, answer, in_batch in zip(
            images, outcome["answers"], outcome["batch"][1:], strict=True
        ):
            expected = local.answer(image.read_bytes())
            alone = compare_answers(_body(image, answer), expected, tolerance)
            together = compare_answers(_body(image, in_batch), expected, tolerance)
            worst = max(alone[0], together[0])
            problems = [*alone[1], *(f"in a batch: {problem}" for problem in together[1])]
            comparisons.append(Comparison(image.name, worst, tuple(problems[:10])))
        return Report(str(path), outcome["describe"], tuple(comparisons))


def verify_server(
    url: str,
    images: Sequence[Path],
    model: Path,
    *,
    headers: Mapping[str, str] | None = None,
    tolerance: float = 1e-4,
) -> Report:
    """Compares the answers of a running server with the local predictor's.

    Args:
        url: ``http://host:8080`` or the full ``.../predictions/NAME``.
        images: files to send.
        model: the archive that the server runs, or a model folder (which has no handler options).
        headers: for every request, e.g. ``{"Authorization": "Bearer ..."}``.
        tolerance: as for :func:`verify_archive`.

    Raises:
        ConfigError, WeightsError: ``model`` is not usable.
        VerificationError: the server cannot be reached or refuses an image.
    """
    if not images:
        raise ConfigError("give at least one image to compare on")
    with tempfile.TemporaryDirectory(prefix="ocrserve-verify-") as scratch:
        local = open_model(model, Path(scratch))
        target = prediction_url(url, local.model_name)
        comparisons = []
        for image in images:
            status, body = post(target, image.read_bytes(), headers or {})
            if status != 200:
                raise VerificationError(f"{target} answered {image} with {status}: {body[:500]!r}")
            answer = {"status": status, "body": body.decode(), "content_type": "application/json"}
            worst, problems = compare_answers(
                _body(image, answer), local.answer(image.read_bytes()), tolerance
            )
            comparisons.append(Comparison(image.name, worst, tuple(problems[:10])))
        return Report(target, local.bundle.describe(), tuple(comparisons))


def open_model(model: Path, scratch: Path) -> LocalModel:
    """An archive (unpacked below ``scratch``) or a model folder, ready to predict here."""
    if model.is_dir():
        bundle = read_bundle(model)
        config = model_config.default_model_config(bundle.manifest.task)
        return _local_model(bundle, config, model.name)
    folder = scratch / "archive"
    folder.mkdir()
    return _open_archive(model, folder)


def compare_answers(
    actual: object, expected: object, tolerance: float, path: str = "answer"
) -> tuple[float, list[str]]:
    """Largest difference between numbers, and everything that differs, of two JSON values."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        if list(actual) != list(expected):
            return 0.0, [f"{path} has the keys {list(actual)}, expected {list(expected)}"]
        pairs = [(f"{path}.{key}", actual[key], expected[key]) for key in expected]
    elif isinstance(actual, list) and isinstance(expected, list):
        if len(actual) != len(expected):
            return 0.0, [f"{path} has {len(actual)} entries, expected {len(expected)}"]
        both = zip(actual, expected, strict=True)
        pairs = [(f"{path}[{i}]", one, other) for i, (one, other) in enumerate(both)]
    elif _is_number(actual) and _is_number(expected):
        difference = abs(actual - expected)
        if difference <= tolerance:
            return difference, []
        return difference, [f"{path} is {actual}, expected {expected}"]
    else:
        return 0.0, [] if actual == expected else [f"{path} is {actual!r}, expected {expected!r}"]
    worst, problems = 0.0, []
    for name, one, other in pairs:
        difference, found = compare_answers(one, other, tolerance, name)
        worst = max(worst, difference)
        problems += found
    return worst, problems


def write_samples(folder: Path, local: LocalModel) -> list[Path]:
    """Files that a model of this kind can answer to."""
    task = local.bundle.manifest.task
    if task == "kie":
        return [write_sample_page(image) for image in write_sample_images(folder)]
    if task != "ner":
        return write_sample_images(folder)
    longest = int(str(local.handler.limits()["max_characters"]))
    paths = [folder / f"sample-{i}.txt" for i in range(len(SAMPLE_TEXTS))]
    for path, text in zip(paths, SAMPLE_TEXTS, strict=True):
        path.write_text(text[:longest], encoding="utf-8")
    return paths


def write_sample_images(folder: Path) -> list[Path]:
    """Three drawn images: two words on white, one on grey, a small crop."""
    paths = []
    for i, (text, size, paper) in enumerate(
        [("HELLO 42", (640, 360), 255), ("ocr serve", (481, 233), 180), ("word", (150, 44), 230)]
    ):
        width, height = size
        image = np.full((height, width, 3), paper, np.uint8)
        scale = height / 90
        cv2.putText(
            image, text, (width // 16, height * 2 // 3), cv2.FONT_HERSHEY_SIMPLEX, scale * 0.9,
            (20, 30, 40), max(1, round(scale * 2)), cv2.LINE_AA,
        )  # fmt: skip
        path = folder / f"sample-{i}.png"
        cv2.imwrite(str(path), image)
        paths.append(path)
    return paths


def write_sample_page(image: Path) -> Path:
    """A request about two words of a picture, beside it."""
    page = {
        "image": base64.b64encode(image.read_bytes()).decode(),
        "words": [
            {"box": [5, 6, 60, 6, 60, 20, 5, 20], "text": "Total"},
            {"box": [80, 8, 140, 6, 140, 30, 80, 30], "text": "12.50"},
        ],
    }
    path = image.with_suffix(".json")
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def prediction_url(url: str, model_name: str) -> str:
    """``url`` itself when it has a path, else that of the model's predictions."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{url!r} is not an HTTP address; give e.g. http://127.0.0.1:8080")
    if parts.path.strip("/"):
        return parts.geturl()
    return f"{parts.scheme}://{parts.netloc}/predictions/{model_name}"


def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Sends one image; status and body of the answer, whatever the status.

    Raises:
        VerificationError: the server cannot be reached or closes the connection.
    """
    sent = {"Content-Type": "application/octet-stream", **headers}
    request = urllib.request.Request(url, data=body, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        raise VerificationError(f"no answer from {url}: {error}") from error


def _open_archive(path: Path, folder: Path) -> LocalModel:
    manifest = extract_archive(path, folder)
    described = manifest.get("model")
    if not isinstance(described, dict) or not isinstance(described.get("modelName"), str):
        raise ConfigError(f"{path}: its manifest names no model")
    bundle = read_bundle(folder)
    config = load_model_config(folder / model_config.FILE_NAME, bundle.manifest.task)
    return _local_model(bundle, config, described["modelName"])


def _local_model(bundle: Bundle, config: ModelConfig, model_name: str) -> LocalModel:
    handler = HANDLERS[bundle.manifest.task]()
    threads = worker_threads(config.handler.threads, config.max_workers)
    handler.adopt(bundle, config.handler, device="cpu", threads=threads)
    return LocalModel(handler, bundle, model_name, config.max_workers)


def _threads(local: LocalModel) -> int:
    return worker_threads(local.handler.options.threads, local.max_workers)


def _run_isolated(folder: Path, images: Sequence[Path], threads: int) -> dict[str, Any]:
    script = Path(__file__).with_name("isolated.py")
    request = {
        "folder": str(folder),
        "paths": [str(folder), *_library_paths()],
        "images": [str(image.resolve()) for image in images],
    }
    command = [sys.executable, "-I", "-S", str(script)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=PROCESS_TIMEOUT_S,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationError(
            f"the archive did not answer within {PROCESS_TIMEOUT_S:.0f} s"
        ) from error
    if done.returncode != 0:
        raise VerificationError(
            "the archive does not run on its own; its process said:\n" + done.stderr[-3000:]
        )
    return json.loads(done.stdout)


def _library_paths() -> list[str]:
    """The standard library and the folders of installed packages, as plain paths.

    Plain paths run no ``.pth`` files, so editable installs of anything are out of sight.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [sysconfig.get_path(name) for name in names]
    dynamic = [path for path in sys.path if path.endswith("lib-dynload")]
    return list(dict.fromkeys([*paths[:2], *dynamic, *paths[2:]]))


def _check_manners(outcome: Mapping[str, Any], image_count: int) -> None:
    if outcome["modules"]:
        raise VerificationError(
            f"the archive used code from outside of it: {', '.join(outcome['modules'][:5])}"
        )
    bad, *good = outcome["batch"]
    if not 400 <= bad["status"] < 500:
        raise VerificationError(f"a request that is no image was answered with {bad['status']}")
    if len(good) != image_count:
        raise VerificationError(f"{image_count} images gave {len(good)} answers")


def _body(image: Path, answer: Mapping[str, Any]) -> object:
    if answer["status"] != 200 or answer["content_type"] != "application/json":
        raise VerificationError(
            f"{image.name} was answered with {answer['status']} {answer['content_type']}: "
            f"{answer['body'][:500]}"
        )
    return json.loads(answer["body"])


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
