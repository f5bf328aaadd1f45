"""Handlers without a server: batches, bad items, failures, options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ocr_models.bundle import load_predictor, read_bundle
from ocr_models.clock import StageClock
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.images import decode_image
from ocr_models.ocr import OcrOptions
from ocr_models.predictors import IMAGE_TASKS, Task
from ocr_models.results import RecognitionResult
from ocr_models.runtime import RuntimeOptions
from ocrserve.archives.isolated import WorkerContext
from ocrserve.archives.verify import HANDLERS, compare_answers
from ocrserve.handlers.base import Handler
from ocrserve.handlers.cores import available_cores, worker_threads
from ocrserve.handlers.recognition import RecognitionHandler
from tests.serving_models import SAMPLE_TEXTS, drawn_image, encoded, write_small_bundle

OPTIONS = {"threads": 1, "runtime": "torch", "precision": "float32", "max_bytes": 300_000}
RECOGNITION_KEYS = ["text", "score", "char_scores", "probability", "char_probabilities"]
GOOD = [encoded(drawn_image(seed)) for seed in range(3)]
COMMON: tuple[Task, ...] = (*IMAGE_TASKS, "ner")  # test_kie_handler.py has kie
TEXTS = [text.encode() for text in SAMPLE_TEXTS[:3]]


def options_of(task: Task) -> dict[str, object]:
    """The options that mean something for the task."""
    return {k: v for k, v in OPTIONS.items() if task != "ner" or k != "max_bytes"}


class Harness:
    """A handler in its model folder, called like TorchServe calls it."""

    def __init__(self, folder: Path, handler: Handler, options: dict[str, object]) -> None:
        self.folder = folder
        (folder / "MAR-INF").mkdir(exist_ok=True)
        manifest = {"model": {"configFile": "model-config.yaml"}}
        (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
        (folder / "model-config.yaml").write_text(yaml.safe_dump({"handler": options}))
        self.handler = handler
        handler.initialize(WorkerContext(folder, []))

    def ask(self, *bodies: bytes, headers: dict[str, str] | None = None) -> list[tuple[int, Any]]:
        """Status and parsed body of each answer."""
        context = WorkerContext(self.folder, [headers or {}] * len(bodies))
        answers = self.handler.handle([{"body": bytearray(b)} for b in bodies], context)
        assert set(context.content_types) == {"application/json"}
        return [
            (status, json.loads(answer, parse_constant=_no_constants))
            for status, answer in zip(context.statuses, answers, strict=True)
        ]


def assert_same(answer: tuple[int, Any], expected: tuple[int, Any]) -> None:
    """Equal, up to the rounding of a matrix product that has more rows in a batch."""
    assert answer[0] == expected[0]
    assert compare_answers(answer[1], expected[1], 1e-4)[1] == []


def _no_constants(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    root = tmp_path_factory.mktemp("models")
    for task in COMMON:
        write_small_bundle(root / task, task)
    return {task: root / task for task in COMMON}


@pytest.mark.parametrize("task", COMMON)
def test_answers_are_the_predictors(task: Task, folders: dict[Task, Path]) -> None:
    bodies = TEXTS if task == "ner" else GOOD
    harness = Harness(folders[task], HANDLERS[task](), options_of(task))
    predictor: Any = load_predictor(
        read_bundle(folders[task]), RuntimeOptions("torch", "cpu", "float32", 1)
    )
    items: list[Any] = [b.decode() if task == "ner" else decode_image(b) for b in bodies]
    expected = [r.to_json() for r in predictor.predict(items)]
    answers = harness.ask(*bodies)
    assert [status for status, _ in answers] == [200, 200, 200]
    assert [body for _, body in answers] == json.loads(json.dumps(expected))
    for body, answer in zip(bodies, answers, strict=True):
        assert_same(harness.ask(body)[0], answer)


def test_bad_items_leave_their_neighbours_alone(folders: dict[Task, Path]) -> None:
    harness = Harness(folders["ocr"], HANDLERS["ocr"](), OPTIONS)
    alone = [harness.ask(image)[0] for image in GOOD]
    truncated = GOOD[0][: len(GOOD[0]) // 2]
    batch = [GOOD[0], b"", GOOD[1], b"no image", truncated, bytes(300_001), GOOD[2]]
    answers = harness.ask(*batch)
    assert [status for status, _ in answers] == [200, 400, 200, 415, 422, 413, 200]
    for i, expected in zip((0, 2, 6), alone, strict=True):
        assert_same(answers[i], expected)
    for status, body in (answers[i] for i in (1, 3, 4, 5)):
        assert list(body) == ["code", "type", "message"]
        assert body["code"] == status


def test_only_the_poison_item_fails(folders: dict[Task, Path]) -> None:
    class Fragile(RecognitionHandler):
        """Runs out of something on pictures of one width, as a real runtime may."""

        def _run(
            self, images: Sequence[np.ndarray], clock: StageClock
        ) -> Sequence[RecognitionResult]:
            if any(image.shape[1] == 123 for image in images):
                raise RuntimeError("out of something")
            return super()._run(images, clock)

    harness = Harness(folders["recognition"], Fragile(), OPTIONS)
    poison = encoded(drawn_image(7, width=123))
    answers = harness.ask(GOOD[0], poison, GOOD[1])
    assert [status for status, _ in answers] == [200, 500, 200]
    assert_same(answers[0], harness.ask(GOOD[0])[0])
    assert answers[1][1]["type"] == "internal_error"
    assert "out of something" not in answers[1][1]["message"], "internals stay in the log"


def test_an_answer_that_is_no_json_fails_alone(folders: dict[Task, Path]) -> None:
    class Broken(RecognitionHandler):
        def answer(self, result: RecognitionResult) -> dict[str, object]:
            body = super().answer(result)
            return body | {"score": float("nan")} if self.broken else body

        broken = False

    handler = Broken()
    harness = Harness(folders["recognition"], handler, OPTIONS)
    handler.broken = True
    assert harness.ask(GOOD[0])[0][0] == 500
    handler.broken = False
    assert harness.ask(GOOD[0])[0][0] == 200


def test_details_and_scores(folders: dict[Task, Path]) -> None:
    plain = Harness(folders["ocr"], HANDLERS["ocr"](), OPTIONS).ask(GOOD[2])[0][1]
    scores = sorted(word["text_score"] for word in plain["result"])
    assert len(scores) >= 3
    chosen = {"details": True, "min_score": scores[1], "max_crops": 1000}
    kept = Harness(folders["ocr"], HANDLERS["ocr"](), OPTIONS | chosen).ask(GOOD[2])[0][1]
    assert len(kept["result"]) == len(scores) - 1
    assert kept["text"].split() == [w for word in kept["result"] for w in word["text"].split()]
    assert sorted(i for line in kept["lines"] for i in line) == list(range(len(kept["result"])))
    few = Harness(folders["ocr"], HANDLERS["ocr"](), OPTIONS | {"max_crops": 2}).ask(GOOD[2])[0][1]
    assert len(few["result"]) == 2

    detection = Harness(folders["detection"], HANDLERS["detection"](), OPTIONS)
    boxes = detection.ask(GOOD[2])[0][1]["boundary_result"]
    best = max(box[-1] for box in boxes)
    strict = OPTIONS | {"min_score": best, "details": True}
    answer = Harness(folders["detection"], HANDLERS["detection"](), strict).ask(GOOD[2])[0][1]
    assert answer == {
        "boundary_result": [box for box in boxes if box[-1] >= best],
        "width": 480,
        "height": 320,
    }

    turned = OPTIONS | {"details": True}
    word = Harness(folders["recognition"], HANDLERS["recognition"](), turned).ask(GOOD[0])[0][1]
    assert list(word) == [*RECOGNITION_KEYS, "rotation"]


def test_describe(folders: dict[Task, Path]) -> None:
    options = OPTIONS | {"max_pixels": 1_000_000}
    harness = Harness(folders["ocr"], HANDLERS["ocr"](), options)
    status, card = harness.ask(b"", headers={"describe": "True"})[0]
    assert status == 200
    assert card["task"] == "ocr"
    assert card["models"]["recognizer"]["charset_size"] == 90
    assert len(card["models"]["detector"]["sha256"]) == 64
    assert card["limits"] == {"max_bytes": 300_000, "max_pixels": 1_000_000}
    assert card["threads"] == 1
    assert "torch" in card["runtime"]
    assert harness.ask(GOOD[0], headers={"describe": "False"})[0][0] == 200


def test_initialize_refuses_what_does_not_fit(folders: dict[Task, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a model for detection, its handler is for ocr"):
        Harness(folders["detection"], HANDLERS["ocr"](), OPTIONS)
    with pytest.raises(ConfigError, match="Did you mean 'threads'"):
        Harness(folders["detection"], HANDLERS["detection"](), {"thread": 1})
    with pytest.raises(ConfigError, match=r"not a model folder: it has no model\.json"):
        Harness(tmp_path, HANDLERS["ocr"](), OPTIONS)
    damaged = tmp_path / "damaged"
    weights = write_small_bundle(damaged, "recognition").weights_path("recognizer")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(WeightsError, match="sha256"):
        Harness(damaged, HANDLERS["recognition"](), OPTIONS)


def test_chain_options_reach_the_chain() -> None:
    from ocrserve.handlers.options import parse_options

    section = {"min_score": 0.25, "min_box_score": 0.5, "max_crops": 7, "merge_lines": True}
    assert parse_options(section, "ocr").ocr_options() == OcrOptions(
        min_box_score=0.5, min_text_score=0.25, max_crops=7, merge_lines=True
    )
    assert parse_options(None, "ocr").ocr_options() == OcrOptions()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert worker_threads(5, 1) == 5
    assert worker_threads(None, 1) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert worker_threads(None, 1) == available_cores()
    assert worker_threads(None, 10_000) == 1
    assert worker_threads(None, "two") == available_cores()
