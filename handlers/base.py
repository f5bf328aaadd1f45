"""What every handler does; tasks differ in what a request carries and how a result is told.

TorchServe calls ``handle(None, context)`` once per worker, then ``handle(rows, context)`` with one
row per request of a batch. Three of its habits shape this file:

* an exception fails the whole batch, so ``handle`` never raises: a bad item gets its own status by
  ``set_response_status(idx=...)``, and after an unexpected failure the items are tried one by one;
* a dictionary is dumped with ``NaN`` and without a Content-Type, so answers are JSON bytes of ours;
* a worker is declared ready when ``initialize`` returns, so the first prediction is made there.
"""

from __future__ import annotations

import abc
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import cv2
import torch

from ocr_models.bundle import Bundle, load_predictor, read_bundle
from ocr_models.clock import StageClock
from ocr_models.errors import ConfigError, InputError
from ocr_models.images import ImageLimits, decode_image
from ocr_models.predictors import Predictor, Task

from . import metrics
from .bodies import image_bytes
from .cores import worker_threads
from .metrics import BatchMetrics
from .options import HandlerOptions, parse_options

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Handler(abc.ABC, Generic[Result]):
    """A worker's state: predictor, options, limits."""

    task: ClassVar[Task]

    def __init__(self) -> None:
        self._predictor: Predictor | None = None
        self._bundle: Bundle | None = None
        self._limits = ImageLimits()
        self.options = HandlerOptions()

    @abc.abstractmethod
    def answer(self, result: Result) -> dict[str, object]:
        """The JSON of one result."""

    @abc.abstractmethod
    def count(self, answer: Mapping[str, Any]) -> int:
        """How many words (boundaries, entities) an answer holds."""

    def decode(self, row: Mapping[str, Any], headers: Mapping[str, object]) -> Any:
        """What one request carries, as the predictor takes it: an image, unless a task differs.

        Raises:
            InputError: nothing usable.
        """
        return decode_image(image_bytes(row, headers, self._limits.max_bytes), self._limits)

    def limits(self) -> dict[str, object]:
        """Limits of one request, for people."""
        return {"max_bytes": self._limits.max_bytes, "max_pixels": self._limits.max_pixels}

    def initialize(self, context: Any) -> None:
        """Loads the model folder that the archive carries, and predicts once.

        Raises:
            OcrError: the model or the options are wrong; TorchServe reports it and stops retrying.
        """
        folder = Path(context.system_properties["model_dir"])
        serving = context.model_yaml_config or {}
        options = parse_options(serving.get("handler"), self.task)
        bundle = read_bundle(folder)
        if bundle.manifest.task != self.task:
            raise ConfigError(
                f"the archive holds a model for {bundle.manifest.task}, its handler is for "
                f"{self.task}; build the archive again with ocrserve convert"
            )
        threads = worker_threads(options.threads, serving.get("maxWorkers"))
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        device = worker_device(context.system_properties.get("gpu_id"))
        self.adopt(bundle, options, device=device, threads=threads).warm_up()

    def adopt(
        self, bundle: Bundle, options: HandlerOptions, *, device: str, threads: int
    ) -> Predictor:
        """Takes over a checked model folder and returns its predictor."""
        self.options = options
        self._bundle = bundle
        self._limits = options.image_limits(bundle.manifest.limits)
        self._predictor = load_predictor(
            bundle,
            options.runtime_options(device=device, threads=threads),
            options.ocr_options() if self.task == "ocr" else None,
            options.entity_options() if self.task == "ner" else None,
        )
        return self._predictor

    def handle(self, rows: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answers one batch: a JSON body per row, in order."""
        started = time.perf_counter()
        if len(rows) == 1 and context.get_request_header(0, "describe") == "True":
            return [self._success(context, 0, self.describe())]
        clock = StageClock()
        recorder = BatchMetrics(context)
        answers: list[bytes] = [b""] * len(rows)
        items: dict[int, Any] = {}
        for index, row in enumerate(rows):
            try:
                with clock.stage("decode"):
                    items[index] = self.decode(row, context.get_all_request_header(index))
            except InputError as error:
                answers[index] = self._refuse(context, index, error)
                recorder.count(metrics.REFUSED, 1, reason=error.kind)
            except Exception as error:
                answers[index] = self._fail(context, index, error)
                recorder.count(metrics.FAILED, 1)
        for index, result in zip(items, self._predict(list(items.values()), clock), strict=True):
            try:
                if isinstance(result, InputError):
                    answers[index] = self._refuse(context, index, result)
                    recorder.count(metrics.REFUSED, 1, reason=result.kind)
                    continue
                if isinstance(result, Exception):
                    raise result
                answer = self.answer(result)
                answers[index] = self._success(context, index, answer)
                recorder.count(metrics.IMAGES, 1)
                recorder.count(metrics.WORDS, self.count(answer))
            except Exception as error:
                answers[index] = self._fail(context, index, error)
                recorder.count(metrics.FAILED, 1)
        stages = clock.seconds if items else {"decode": clock.seconds["decode"]}
        recorder.observe(stages, time.perf_counter() - started)
        return answers

    def answer_to(self, body: bytes) -> dict[str, object]:
        """The answer to one raw body, without a server.

        Raises:
            InputError: it is not a good one.
        """
        (result,) = self._run([self.decode({"body": body}, {})], StageClock())
        return self.answer(result)

    def describe(self) -> dict[str, object]:
        """What ``GET /models/NAME?customized=true`` tells about this archive."""
        assert self._bundle is not None, "initialize() comes first"
        assert self._predictor is not None, "initialize() comes first"
        options = vars(self.options)
        return {
            **self._bundle.describe(),
            "limits": self.limits(),
            "options": {name: value for name, value in options.items() if value is not None},
            "threads": torch.get_num_threads(),
            "runtime": self._predictor.runtime_name,
        }

    def _predict(self, items: Sequence[Any], clock: StageClock) -> Sequence[Result | Exception]:
        """One result or exception per item; an item that fails does not fail its neighbours."""
        if not items:
            return []
        try:
            return self._run(items, clock)
        except Exception as error:
            if len(items) == 1:
                return [error]
            if not isinstance(error, InputError):
                logger.warning(
                    "a batch of %d items failed (%r); trying them one by one", len(items), error
                )
        return [result for item in items for result in self._predict([item], clock)]

    def _run(self, items: Sequence[Any], clock: StageClock) -> Sequence[Result]:
        assert self._predictor is not None, "initialize() comes first"
        results: Sequence[Any] = self._predictor.predict(items, clock=clock)
        if len(results) != len(items):
            raise RuntimeError(f"{len(items)} items gave {len(results)} results")
        return results

    def _success(self, context: Any, index: int, answer: Mapping[str, object]) -> bytes:
        body = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
        context.set_response_content_type(index, "application/json")
        return body

    def _refuse(self, context: Any, index: int, error: InputError) -> bytes:
        context.set_response_status(code=error.code, idx=index)
        return self._success(context, index, error.to_json())

    def _fail(self, context: Any, index: int, error: Exception) -> bytes:
        request = context.get_request_id(index)
        logger.error("request %s failed", request, exc_info=error)
        context.set_response_status(code=500, idx=index)
        message = (
            f"the server failed on this request; its log has the reason under request {request}"
        )
        body = {"code": 500, "type": "internal_error", "message": message}
        return self._success(context, index, body)


def worker_device(gpu_id: int | None) -> str:
    """TorchServe's GPU for this worker, when it gave one and torch can use it."""
    if gpu_id is not None and gpu_id >= 0 and torch.cuda.is_available():
        return f"cuda:{gpu_id}"
    return "cpu"
