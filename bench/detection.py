"""The table of all text detectors: size, speed, agreement with MMOCR, and learning by heart.

    python -m tests.conformance DIR > kit.txt
    python -m bench.detection --kit kit.txt --write docs/models/detection.md

A page of 1280 x 720 pixels with 200 words goes through each config's own test pipeline. "Network"
is PyTorch's eager float32 forward of what the pipeline made of it. "Image to polygons" is what the
predictor does with its default runtime: preprocessing, network, post-processing; that works on
the maps that a perfect network would give for this page (``bench.page``), since weights by formula
find no words. ``--kit`` takes the lines of the conformance runner, and what was learnt by heart is
read from the json that ``bench.overfit`` writes, with a table of its own; either column stays empty
without its file. Times are kept in a json of their own: with ``--keep`` those that it has are not
measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from ocr_models.detection.families import FAMILIES
from ocr_models.preprocessing import detection_input
from ocr_models.runtime import RuntimeOptions, TwoStageRuntime, make_runtime
from ocr_models.spec import DetectorSpec

from . import overfit
from .detectors import TEXTDET, Detector, load_detector
from .document import markdown_table, replace_part
from .kit import kit_result
from .machine import describe_machine
from .models import ROOT
from .page import page_case, page_image, page_words
from .predict import CLOCKS

PART, OVERFIT_PART = "detection", "overfit"
SPEEDS = ROOT / "bench" / "results" / "speed_detection.json"
EXAMPLE_SIDE = 64
SHARED_CASES: Mapping[str, tuple[str, ...]] = {
    "dbnet": ("targets/dbnet", "postprocess/db_", "losses/db_", "losses/dice"),
    "dbnetpp": ("targets/dbnet", "postprocess/db_", "losses/db_", "losses/dice"),
    "panet": ("targets/panet", "postprocess/pan_", "losses/panet"),
    "psenet": ("targets/psenet", "postprocess/pse_", "losses/psenet"),
    "textsnake": ("targets/textsnake", "postprocess/textsnake", "losses/textsnake"),
    "fcenet": ("targets/fcenet", "postprocess/fcenet", "losses/fcenet"),
    "drrg": ("targets/drrg", "postprocess/drrg", "losses/drrg"),
    "maskrcnn": ("postprocess/maskrcnn", "losses/mmdet"),
}
"""By the folder of the config: cases of the kit that all its configs share; the others bear the
config's name."""


@dataclass(frozen=True)
class Speed:
    """Seconds of one page.

    Args:
        size: width x height of the network's input.
        eager: the network in PyTorch.
        preprocess: from pixels to the network's input.
        network: in the default runtime.
        postprocess: from maps to boundaries.
        runtime: name of the default runtime.
    """

    size: str
    eager: float
    preprocess: float
    network: float
    postprocess: float
    runtime: str

    @property
    def whole(self) -> float:
        """From pixels to boundaries."""
        return self.preprocess + self.network + self.postprocess


def measure(detector: Detector, threads: int, clock: Callable[[], float]) -> Speed:
    """The speed of one detector; every step runs once more before it is timed, but the longest."""
    spec, network = detector.spec, detector.network()
    family = FAMILIES[type(spec.network)]
    words = page_words()
    image = page_image(words)
    prepared = detection_input(image, spec.preprocessing)
    scaled = [word * prepared.scale_factor[:2] for word in words]
    input_hw = (prepared.tensor.shape[1], prepared.tensor.shape[2])
    case = page_case(spec, network, scaled, prepared.resized_shape, input_hw)
    options = RuntimeOptions(threads=threads)
    own = detector.network()  # runtimes rearrange the weights of theirs
    side = EXAMPLE_SIDE + spec.preprocessing.size_divisor % 32
    runtime = make_runtime(
        own, getattr(own, family.inference), options, (1, 3, side, side), traceable=family.traceable
    )
    tensor = prepared.tensor[None]

    def run_network() -> None:
        if case.second_stage is None:
            runtime(tensor)
        else:
            TwoStageRuntime(runtime, case.second_stage, options)(tensor, content=case.image_hw)

    steps: dict[str, Callable[[], Any]] = {
        "preprocess": lambda: detection_input(image, spec.preprocessing),
        "eager": lambda: case.run_eagerly(torch.from_numpy(tensor)),
        "network": run_network,
        "postprocess": case.postprocess,
    }
    seconds = {}
    with torch.inference_mode():
        for name, step in steps.items():
            if name != "eager":
                step()
            begin = clock()
            step()
            seconds[name] = clock() - begin
    return Speed(size=f"{input_hw[1]} x {input_hw[0]}", runtime=runtime.name, **seconds)


def learnt(results: Mapping[str, Any], config: str) -> str:
    """What ``bench.overfit`` found for a config."""
    for result in results.values():
        if result["config"] == config:
            return f"{result['hmean']:.3f} ({result['iterations']} steps)"
    return ""


def table(
    paths: Sequence[Path],
    lines: Sequence[str],
    results: Mapping[str, Any],
    speeds: Callable[[Path, Detector], Speed],
) -> str:
    """All configs, and under the table the runtimes that were used."""
    header = [
        "config", "parameters", "input", "network, eager", "image to polygons", "post-processing",
        "share", "kit", "by heart: hmean",
    ]  # fmt: skip
    rows, runtimes = [], set()
    known: dict[DetectorSpec, Speed] = {}
    for path in paths:
        detector = load_detector(path)
        if detector.spec not in known:  # configs of one model for several data sets
            known[detector.spec] = speeds(path.relative_to(TEXTDET), detector)
        speed = known[detector.spec]
        runtimes.add(speed.runtime)
        parameters = sum(p.numel() for p in detector.network().parameters())
        relative = path.relative_to(TEXTDET)
        row = [
            f"`{relative}`",
            f"{parameters / 1e6:.1f} M",
            speed.size,
            f"{speed.eager * 1e3:.0f} ms",
            f"{speed.whole * 1e3:.0f} ms",
            f"{speed.postprocess * 1e3:.0f} ms",
            f"{speed.postprocess / speed.whole:.1%}",
            kit_result(lines, path.stem, SHARED_CASES.get(path.parent.name, ())),
            learnt(results, str(relative)),
        ]
        print(" | ".join(row), flush=True)
        rows.append(row)
    return f"{markdown_table(header, rows)}\nDefault runtimes: {', '.join(sorted(runtimes))}.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="GLOB", help="configs, e.g. 'panet/*'")
    parser.add_argument("--kit", type=Path, metavar="FILE", help="output of tests.conformance")
    parser.add_argument("--speeds", type=Path, default=SPEEDS, metavar="FILE")
    parser.add_argument("--keep", action="store_true", help="measure only what FILE does not have")
    parser.add_argument("--overfit", type=Path, default=overfit.RESULTS, metavar="FILE")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    paths = [
        path for pattern in options.patterns or ["*/*.py"] for path in sorted(TEXTDET.glob(pattern))
    ]
    if not paths:
        parser.error(f"no config below {TEXTDET} matches")
    lines = options.kit.read_text(encoding="utf-8").splitlines() if options.kit else []
    results = json.loads(options.overfit.read_text()) if options.overfit.exists() else {}
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    note = " Times are processor time, not wall-clock time." if options.clock == "cpu" else ""
    stored: dict[str, Any] = {"machine": f"{describe_machine()}{note} Threads: {options.threads}."}
    if options.keep and options.speeds.exists():
        stored = json.loads(options.speeds.read_text(encoding="utf-8"))

    def speeds(name: Path, detector: Detector) -> Speed:
        if str(name) not in stored:
            measured = measure(detector, options.threads, CLOCKS[options.clock])
            stored[str(name)] = dataclasses.asdict(measured)
            options.speeds.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        return Speed(**stored[str(name)])

    content = table(paths, lines, results, speeds)
    text = f"{stored['machine']}\n\n{content}"
    print(text)
    if options.write is not None:
        replace_part(options.write, PART, text)
        replace_part(options.write, OVERFIT_PART, overfit.table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
