"""The networks alone: every way to run them against PyTorch's bare eager float32 forward.

    python -m bench.predict [--threads 1 2] [--seconds 8] [--write docs/benchmarks.md]

The ways take turns, so that whatever else the machine does meets all of them; a ratio is the median
over the turns. ``--clock cpu`` counts processor time instead, which is steady on a busy machine and
means something for one thread only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ocr_models.detector import TextDetector
from ocr_models.ocr import OCR
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import PageResult
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, RecognizerSpec
from tests.conformance import formulas

from .document import markdown_table, replace_part
from .machine import describe_machine
from .models import SAMPLE_PHOTO, Model, load_model, photo
from .variants import BASE, COMPILED, WAYS, Call, Subject, available

PART = "predict"
LEAST_TURNS, MOST_TURNS = 2, 15
LEAST_SAMPLE_SECONDS = 0.05
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
RESULT_WAYS = {
    "torch float32": RuntimeOptions("torch", "cpu", "float32"),
    "torch bfloat16": RuntimeOptions("torch", "cpu", "bfloat16"),
    "ONNX Runtime float32": RuntimeOptions("onnxruntime", "cpu", "float32"),
    "OpenVINO float32": RuntimeOptions("openvino", "cpu", "float32"),
    "OpenVINO bfloat16": RuntimeOptions("openvino", "cpu", "bfloat16"),
}


@dataclass(frozen=True)
class Case:
    """A network and an input shape.

    Args:
        model: a name that ``bench.models`` knows.
        shape: B, C, H, W.
        compiled: whether torch.compile, which takes half a minute, is tried on it.
    """

    model: str
    shape: tuple[int, int, int, int]
    compiled: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.model}, {' x '.join(map(str, self.shape))}"


CASES = (
    Case("DBNet-R18", (1, 3, 736, 1280)),
    Case("light DBNet", (1, 3, 736, 1280), compiled=True),
    Case("CRNN", (1, 1, 32, 100)),
    Case("CRNN", (8, 1, 32, 100)),
    Case("light CRNN", (1, 1, 32, 100)),
    Case("light CRNN", (8, 1, 32, 100), compiled=True),
)


@dataclass(frozen=True)
class Measurement:
    """One way.

    Args:
        prepare_s: seconds from the loaded network to the end of the first run.
        seconds: one run, median over the turns.
        ratio: how many times faster than the base, median over the turns.
        largest: largest difference to the base's output, as a part of that output's spread.
        mean: mean difference, likewise.
    """

    prepare_s: float
    seconds: float
    ratio: float
    largest: float
    mean: float


def measure(
    case: Case, threads: int, seconds: float, clock: Callable[[], float]
) -> dict[str, Measurement]:
    """All ways of one case; those whose library is missing are left out."""
    model = load_model(case.model)
    is_detector = isinstance(model.spec, DetectorSpec)
    subject = Subject(
        make_network=model.network,
        path="probability" if is_detector else "logits",
        images=formulas.tensor(case.shape, 0),
        fixed_height=not is_detector,
        threads=threads,
    )
    torch.set_num_threads(threads)
    calls: dict[str, Call] = {}
    outputs: dict[str, np.ndarray] = {}
    prepare_s: dict[str, float] = {}
    for way, prepare in WAYS.items():
        if not available(way) or (way == COMPILED and not case.compiled):
            continue
        begin = clock()
        calls[way] = prepare(subject)
        outputs[way] = calls[way]().copy()
        prepare_s[way] = clock() - begin
    turns = _take_turns(calls, seconds, clock)
    base = outputs[BASE]
    return {
        way: Measurement(
            prepare_s[way],
            statistics.median(turns[way]),
            statistics.median(b / s for b, s in zip(turns[BASE], turns[way], strict=True)),
            float(np.abs(outputs[way] - base).max() / base.std()),
            float(np.abs(outputs[way] - base).mean() / base.std()),
        )
        for way in calls
    }


def _take_turns(
    calls: dict[str, Call], seconds: float, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of one run, per way and turn."""
    repeats = {}
    for way, call in calls.items():
        begin = clock()
        call()
        repeats[way] = max(1, round(LEAST_SAMPLE_SECONDS / max(clock() - begin, 1e-5)))
    turns: dict[str, list[float]] = {way: [] for way in calls}
    deadline = clock() + seconds
    while len(turns[BASE]) < LEAST_TURNS or (clock() < deadline and len(turns[BASE]) < MOST_TURNS):
        for way, call in calls.items():
            begin = clock()
            for _ in range(repeats[way]):
                call()
            turns[way].append((clock() - begin) / repeats[way])
    return turns


def table(case: Case, threads: Sequence[int], seconds: float, clock: str) -> str:
    """One case as a table."""
    measured = [measure(case, count, seconds, CLOCKS[clock]) for count in threads]
    header = ["way", "prepare"]
    for count in threads:
        header += [f"{count} thread{'s' if count > 1 else ''}", "faster"]
    header += ["largest difference", "mean difference"]
    rows = []
    for way, first in measured[0].items():
        row = [way, f"{first.prepare_s:.1f} s"]
        for each in measured:
            row += [f"{each[way].seconds * 1e3:.1f} ms", f"{each[way].ratio:.2f}x"]
        rows.append([*row, f"{first.largest:.1e}", f"{first.mean:.1e}"])
    return f"**{case.title}**\n\n{markdown_table(header, rows)}"


def results_table(path: Path) -> str:
    """Whether the default models read a photo alike in every way."""
    detector, recognizer = load_model("light DBNet"), load_model("light CRNN")
    if not (detector.trained and recognizer.trained):
        return "The package has no default weights here, so their results are not compared.\n"
    image = photo(path)
    pages = {
        way: _reader(detector, recognizer, options).predict([image])[0]
        for way, options in RESULT_WAYS.items()
        if available(way)
    }
    reference = next(iter(pages.values()))
    rows = [[way, *_compared(page, reference)] for way, page in pages.items()]
    header = ["way", "words", "equal texts", "largest corner shift", "largest score difference"]
    return markdown_table(header, rows)


def _reader(detector: Model, recognizer: Model, options: RuntimeOptions) -> OCR:
    assert isinstance(detector.spec, DetectorSpec)
    assert isinstance(recognizer.spec, RecognizerSpec)
    return OCR(
        TextDetector(detector.spec, detector.state_dict, options),
        TextRecognizer(recognizer.spec, recognizer.state_dict, options),
    )


def _compared(page: PageResult, reference: PageResult) -> list[str]:
    """Words of ``page`` beside those of ``reference`` whose boxes overlap them most."""
    equal, shift, score = 0, 0.0, 0.0
    for word in page.words if reference.words else ():
        corners = word.boundary.points
        other = min(
            reference.words,
            key=lambda each: float(np.abs(each.boundary.points.mean(0) - corners.mean(0)).sum()),
        )
        equal += word.text == other.text
        score = max(score, abs(word.recognition.score - other.recognition.score))
        if other.boundary.points.shape == corners.shape:
            shift = max(shift, float(np.abs(other.boundary.points - corners).max()))
    return [str(len(page.words)), str(equal), f"{shift:.2f} px", f"{score:.4f}"]


def report(
    threads: Sequence[int], seconds: float, clock: str, cases: Sequence[Case], path: Path
) -> Iterator[str]:
    """The parts of the document's part, one by one."""
    cv2.setNumThreads(1)
    yield describe_machine()
    if clock == "cpu":
        yield "Times are processor time, not wall-clock time."
    for case in cases:
        yield table(case, threads, seconds, clock)
    yield f"**Results of the default models on {path.name}**\n\n{results_table(path)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.predict", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--seconds", type=float, default=8.0, help="per case and thread count")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--models", nargs="+", choices=sorted({case.model for case in CASES}))
    parser.add_argument("--photo", type=Path, default=SAMPLE_PHOTO, help="to compare results on")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if not options.models or case.model in options.models]
    parts = []
    for part in report(options.threads, options.seconds, options.clock, cases, options.photo):
        parts.append(part.strip())
        print(f"{part.strip()}\n", flush=True)
    if options.write is not None:
        replace_part(options.write, PART, "\n\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
