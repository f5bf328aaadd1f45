"""A real TorchServe: answers, bad items, formats, scaling, crashes, metrics."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import struct
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.predictors import IMAGE_TASKS, Task
from ocrserve.archives.verify import VerificationError, compare_answers, post, verify_server
from ocrserve.handlers.bodies import FORM_FIELDS
from ocrserve.server import Server, ServerError
from tests.serving.conftest import MAX_BYTES, Store
from tests.serving_models import drawn_image, encoded, exif_rotated_jpeg, image_files

pytestmark = pytest.mark.server

IMAGES = [encoded(drawn_image(seed, width=300 + 20 * (seed % 5))) for seed in range(20)]
RAW = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
BOUNDARY = "x-ocr-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(**fields: bytes) -> bytes:
    """A multipart body."""
    body = b""
    for name, content in fields.items():
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n'
        )
        body += head.encode() + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def ask(
    server: Server, task: str, body: bytes, headers: Mapping[str, str] = RAW
) -> tuple[int, Any]:
    """Status and parsed body of one prediction."""
    status, answer = post(f"{server.inference_url}/predictions/{task}", body, headers)
    return status, json.loads(answer)


def metric(server: Server, name: str, **labels: str) -> float:
    """Sum of a metric over the series that have these labels."""
    with urllib.request.urlopen(server.metrics_url, timeout=30) as answer:
        text = answer.read().decode()
    total = 0.0
    for found, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
        if all(f'{label}="{wanted}"' in found for label, wanted in labels.items()):
            total += float(value)
    return total


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def expected(store: Store) -> dict[Task, list[dict[str, object]]]:
    """What the local predictor says about IMAGES."""
    return {task: [store.local[task].answer(image) for image in IMAGES] for task in IMAGE_TASKS}


@pytest.mark.parametrize("task", IMAGE_TASKS)
def test_one_by_one(server: Server, expected: dict[Task, list[Any]], task: Task) -> None:
    assert len(IMAGES) == 20
    for image, wanted in zip(IMAGES, expected[task], strict=True):
        status, answer = ask(server, task, image)
        assert status == 200
        assert compare_answers(answer, wanted, 1e-4)[1] == []
    sizes = [len(str(answer)) for answer in expected[task]]
    assert len(set(sizes)) > 5, "the images are told apart"


@pytest.mark.parametrize("task", IMAGE_TASKS)
def test_eight_in_parallel(server: Server, expected: dict[Task, list[Any]], task: Task) -> None:
    batches = metric(server, "ocr_batch_seconds_count", ModelName=task)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: ask(server, task, image), IMAGES))
    for (status, answer), wanted in zip(answers, expected[task], strict=True):
        assert status == 200
        assert compare_answers(answer, wanted, 1e-4)[1] == []
    batches = metric(server, "ocr_batch_seconds_count", ModelName=task) - batches
    assert 3 <= batches <= 10, "20 requests came as batches"


GOOD_BODIES = {
    "raw": (IMAGES[0], RAW),
    "raw with its type": (IMAGES[0], {"Content-Type": "image/png"}),
    **{f"form {name}": (form(**{name: IMAGES[0]}), FORM) for name in FORM_FIELDS},
    "json": (json.dumps({"data": base64.b64encode(IMAGES[0]).decode()}).encode(), JSON),
    "json image": (json.dumps({"image": base64.b64encode(IMAGES[0]).decode()}).encode(), JSON),
    "json b64": (json.dumps({"b64": base64.b64encode(IMAGES[0]).decode()}).encode(), JSON),
    "json data url": (
        json.dumps(
            {"data": "data:image/png;base64," + base64.b64encode(IMAGES[0]).decode()}
        ).encode(),
        JSON,
    ),
}


@pytest.mark.parametrize("name", GOOD_BODIES)
def test_bodies(server: Server, expected: dict[Task, list[Any]], name: str) -> None:
    body, headers = GOOD_BODIES[name]
    status, answer = ask(server, "detection", body, headers)
    assert status == 200
    assert compare_answers(answer, expected["detection"][0], 1e-4)[1] == []


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds no pixels."""
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    body = chunk(b"IHDR", data) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


JPEG = encoded(drawn_image(3), ".jpg")
BAD_BODIES: dict[str, tuple[bytes, dict[str, str], set[int], str]] = {
    "not an image": (b"hello, is this an image?", RAW, {415}, "unsupported_image_format"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], RAW, {422}, "undecodable_image"),
    "truncated png": (IMAGES[1][: len(IMAGES[1]) // 2], RAW, {422}, "undecodable_image"),
    "empty": (b"", RAW, {400}, "empty_image"),
    "no pixels": (png_header(0, 100), RAW, {422}, "undecodable_image"),
    "too many pixels": (png_header(10_000, 5_001), RAW, {413}, "too_many_pixels"),
    "too many bytes": (bytes(MAX_BYTES + 1), RAW, {413}, "too_many_bytes"),
    "wrong field": (form(picture=IMAGES[0]), FORM, {400}, "unknown_field"),
    "two fields": (form(data=IMAGES[0], image=IMAGES[0]), FORM, {400}, "several_images"),
    "wrong key": (b'{"picture": "AAAA"}', JSON, {400}, "wrong_json"),
    "list": (b'[{"data": "AAAA"}]', JSON, {400}, "wrong_json"),
    "bad base64": (b'{"data": "AA*A"}', JSON, {400}, "invalid_base64"),
    "not json": (b'{"data": ', JSON, {400}, "invalid_json"),
    "urlencoded": (
        b"data=abc",
        {"Content-Type": "application/x-www-form-urlencoded"},
        {415},
        "unsupported_media_type",
    ),
    "text": (b"SGVsbG8=", {"Content-Type": "text/plain"}, {415}, "unsupported_media_type"),
}


def test_bad_items_in_batches_with_good_ones(
    server: Server, expected: dict[Task, list[Any]]
) -> None:
    assert len(BAD_BODIES) == 15
    refused = metric(server, "ocr_refused_total", ModelName="ocr")
    pids = worker_pids(server, "ocr")
    names = list(BAD_BODIES)
    with ThreadPoolExecutor(8) as pool:
        jobs: list[tuple[int | str, Future[tuple[int, Any]]]] = []
        for i, name in enumerate(names):
            body, headers, *_ = BAD_BODIES[name]
            jobs.append((name, pool.submit(ask, server, "ocr", body, headers)))
            jobs.append((i, pool.submit(ask, server, "ocr", IMAGES[i])))
        answers = [(key, job.result()) for key, job in jobs]
    for key, (status, answer) in answers:
        if isinstance(key, int):
            assert status == 200
            assert compare_answers(answer, expected["ocr"][key], 1e-4)[1] == []
            continue
        _, _, codes, kind = BAD_BODIES[key]
        assert status in codes, (key, answer)
        assert list(answer) == ["code", "type", "message"], key
        assert (answer["code"], answer["type"]) == (status, kind), key
    assert worker_pids(server, "ocr") == pids, "the worker lived on"
    now = metric(server, "ocr_refused_total", ModelName="ocr")
    assert now - refused == len(BAD_BODIES)
    assert metric(server, "ocr_refused_total", Reason="too_many_pixels") >= 1


@pytest.mark.parametrize("name", image_files())
def test_formats(server: Server, store: Store, name: str) -> None:
    data = image_files()[name]
    status, answer = ask(server, "ocr", data)
    assert status == 200, answer
    assert (answer["width"], answer["height"]) == (480, 320)
    assert compare_answers(answer, store.local["ocr"].answer(data), 1e-4)[1] == []


def test_exif_rotation_is_applied(server: Server, store: Store) -> None:
    image = drawn_image(2)
    status, answer = ask(server, "ocr", exif_rotated_jpeg(image))
    assert status == 200
    assert (answer["width"], answer["height"]) == (480, 320)
    stored = cv2.imdecode(np.frombuffer(exif_rotated_jpeg(image), np.uint8), cv2.IMREAD_COLOR)
    assert stored.shape == image.shape, "OpenCV turns it upright as well"
    upright = store.local["ocr"].answer(encoded(stored))
    found, wanted = ([w["box"] for w in a["result"]] for a in (answer, upright))
    assert found
    assert np.abs(np.subtract(found, wanted)).max() < 3.0, (
        "the same places, but for JPEG's rounding"
    )


def test_verify_server(server: Server, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(IMAGES[5])
    report = verify_server(server.inference_url, [path], store.folder / "recognition.mar")
    assert report.ok
    other = verify_server(
        f"{server.inference_url}/predictions/recognition", [path], store.folder / "detection.mar"
    )
    assert not other.ok


def test_model_card(server: Server) -> None:
    described = server.manage("GET", "/models/ocr?customized=true")[0]
    card = described["customizedMetadata"]
    assert card["task"] == "ocr"
    assert card["models"]["recognizer"]["charset_size"] == 90
    assert card["limits"] == {"max_bytes": MAX_BYTES, "max_pixels": 50_000_000}
    assert described["batchSize"] == 8
    assert described["maxBatchDelay"] == 100


def test_metrics(server: Server) -> None:
    words, images = (metric(server, f"ocr_{n}_total", ModelName="ocr") for n in ("words", "images"))
    status, answer = ask(server, "ocr", IMAGES[2])
    assert status == 200
    assert metric(server, "ocr_words_total", ModelName="ocr") - words == len(answer["result"])
    assert metric(server, "ocr_images_total", ModelName="ocr") - images == 1
    stages = ("decode", "preprocess", "network", "postprocess")
    spent = {s: metric(server, f"ocr_{s}_seconds_sum", ModelName="ocr") for s in stages}
    whole = metric(server, "ocr_batch_seconds_sum", ModelName="ocr")
    assert all(value > 0 for value in spent.values())
    assert 0.7 * whole < sum(spent.values()) <= whole, "the stages are all there is"


def worker_pids(server: Server, model: str) -> set[int]:
    workers = server.manage("GET", f"/models/{model}")[0]["workers"]
    return {worker["pid"] for worker in workers if worker["status"] == "READY"}


def test_scaling_under_load(server: Server, expected: dict[Task, list[Any]]) -> None:
    """Every request is answered; TorchServe may lose one that a stopping worker has just taken.

    It then keeps the connection open and says nothing, so a client needs a timeout and asks again.
    """
    stop = threading.Event()
    lost: list[int] = []

    def ask_until_answered(i: int) -> tuple[int, Any]:
        try:
            return ask(server, "recognition", IMAGES[i])
        except VerificationError:
            lost.append(i)
            return ask(server, "recognition", IMAGES[i])

    def keep_asking(start: int) -> list[tuple[int, int, Any]]:
        answers = []
        for i in range(start, 100_000):
            if stop.is_set():
                break
            status, answer = ask_until_answered(i % 20)
            answers.append((i % 20, status, answer))
        return answers

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(keep_asking, start) for start in range(4)]
        try:
            time.sleep(1.0)
            server.scale("recognition", 2)
            wait_until(lambda: len(worker_pids(server, "recognition")) == 2)
            time.sleep(2.0)
            server.scale("recognition", 1)
            wait_until(lambda: len(worker_pids(server, "recognition")) == 1)
            time.sleep(1.0)
        finally:
            stop.set()
    answers = [answer for job in jobs for answer in job.result()]
    assert len(answers) > 50
    assert len(lost) <= 4  # at most what the four clients had in flight when a worker stopped
    assert {status for _, status, _ in answers} == {200}
    for index, _, answer in answers:
        assert compare_answers(answer, expected["recognition"][index], 1e-4)[1] == []


def test_killed_worker_comes_back(server: Server, expected: dict[Task, list[Any]]) -> None:
    (before,) = worker_pids(server, "recognition")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: worker_pids(server, "recognition") - {before} != set())
    assert ask(server, "recognition", IMAGES[0]) == (200, expected["recognition"][0])


def test_register_and_unregister(server: Server, store: Store) -> None:
    with pytest.raises(ServerError, match="404"):
        server.manage("GET", "/models/none")
    server.manage("DELETE", "/models/detection")
    assert ask(server, "detection", IMAGES[0])[0] == 404
    server.manage("POST", "/models?url=detection.mar&initial_workers=1&synchronous=true")
    assert ask(server, "detection", IMAGES[0])[0] == 200
    outside = Path(__file__).as_uri()
    with pytest.raises(ServerError, match="does not match any allowed URL"):
        server.manage("POST", f"/models?url={outside}")
