"""Making training examples beside the training step that waits for them.

    python -m bench.targets [--threads 1] [--clock wall] [--write docs/benchmarks.md]

Each detector's own training pipeline (decoding, augmentation, target maps) runs over rendered
scenes of 1280 x 720 pixels; beside it stands one training step of its network with one image that
came out: forward, losses, backward and the optimizer's step. Workers prepare the next batch while
the network learns from the last one, so training waits only where one worker's pipeline takes
longer than the step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ocr_models.mmocr_config import load_config, merge_options
from ocrserve.train.augment.formatting import Collect, DBNetTargets
from ocrserve.train.augment.sample import Sample
from ocrserve.train.data.build import build_datasets
from ocrserve.train.data.datasets import Dataset
from ocrserve.train.optimizers import build_optimizer
from ocrserve.train.synth.export import export_scenes
from ocrserve.train.tasks import build_task
from ocrserve.train.tasks.detection import DetectionTask

from .detectors import DETECTORS, TEXTDET
from .document import markdown_table, replace_part
from .machine import describe_machine
from .page import page_image, page_words
from .predict import CLOCKS

PART = "targets"
SCENE_HW = (720, 1280)
SCENES = 4
PASSES = 3
"""How often the pipeline sees every scene."""
STEPS = 2
"""Training steps that are timed, after one that is not."""


def scenes_of(config: Mapping[str, Any], scenes: Path) -> Dataset:
    """The rendered scenes behind the config's own training pipeline."""
    options = {
        "data.train.datasets.0.ann_file": str(scenes),
        "data.train.datasets.0.img_prefix": str(scenes.parent / "imgs"),
    }
    changed = merge_options(config, options)
    (dataset,), _ = build_datasets(changed["data"]["train"], training=True, seed=0)
    return dataset


def run_pipeline(
    dataset: Dataset, clock: Callable[[], float]
) -> tuple[list[Sample], list[float], list[float]]:
    """Examples, and for each the seconds of its whole pipeline and of its target step."""
    samples, whole, targets = [], [], []
    for turn in range(PASSES + 1):
        for number in range(len(dataset)):
            rng = np.random.default_rng((turn, number))
            sample = dataset.sample(0, number)
            seconds, target_seconds = 0.0, 0.0
            for step in dataset.pipeline_of(number).steps:
                had_targets = sample.targets is not None
                begin = clock()
                step(sample, rng)
                spent = clock() - begin
                seconds += spent
                if sample.targets is not None and not had_targets:
                    target_seconds = spent
            if turn == 0:
                continue  # caches are cold
            samples.append(sample)
            whole.append(seconds)
            targets.append(target_seconds)
    return samples, whole, targets


def crowded_seconds(dataset: Dataset, clock: Callable[[], float]) -> float:
    """The target step alone on a page of 1280 x 720 pixels with 200 words."""
    words = page_words()
    image = page_image(words).astype(np.float32)
    times = []
    for _ in range(PASSES):
        for step in dataset.pipeline_of(0).steps:
            makes_targets = getattr(step, "draws_maps", False)
            if not (makes_targets or isinstance(step, DBNetTargets | Collect)):
                continue
            sample = Sample("page", image=image, polygons=list(words))
            begin = clock()
            step(sample, np.random.default_rng(0))
            if sample.targets is not None:
                times.append(clock() - begin)
    return min(times)


def step_seconds(
    task: DetectionTask,
    config: Mapping[str, Any],
    samples: Sequence[Sample],
    clock: Callable[[], float],
) -> float:
    """One training step with one image."""
    optimizer = build_optimizer(config["optimizer"], task.network)
    task.network.train()
    times = []
    for turn in range(STEPS + 1):
        batch = task.collate([samples[turn % len(samples)]])
        begin = clock()
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(task.losses(task.network, batch).values())).sum().backward()
        optimizer.step()
        times.append(clock() - begin)
    return statistics.median(times[1:])


def measure(name: str, scenes: Path, clock: Callable[[], float]) -> list[str]:
    """A row of the table."""
    config = load_config(TEXTDET / DETECTORS[name])
    task = build_task(config)
    assert isinstance(task, DetectionTask)
    dataset = scenes_of(config, scenes)
    samples, whole, targets = run_pipeline(dataset, clock)
    per_image = step_seconds(task, config, samples, clock)
    height, width = samples[0].pixels().shape[:2]
    pipeline = statistics.mean(whole)
    return [
        name,
        f"{width} x {height}",
        f"{statistics.mean(targets) * 1e3:.1f} ms",
        f"{crowded_seconds(dataset, clock) * 1e3:.0f} ms",
        f"{pipeline * 1e3:.0f} ms",
        f"{per_image * 1e3:.0f} ms",
        f"{pipeline / per_image:.1%}",
        f"{config['data']['workers_per_gpu'] / pipeline:.0f}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.targets", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DETECTORS))
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of PyTorch")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(DETECTORS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(DETECTORS)}")
    cv2.setNumThreads(0)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    header = [
        "detector", "example", "targets", "targets of 200 words", "whole pipeline",
        "training step per image", "pipeline / step", "images/s of the config's workers",
    ]  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scenes = export_scenes(
            Path(folder), split="train", count=SCENES, size=SCENE_HW, fonts="pip", seed=1
        )
        for name in options.names or DETECTORS:
            rows.append(measure(name, scenes, CLOCKS[options.clock]))
            print(" | ".join(rows[-1]), flush=True)
    note = "Times are processor time, not wall-clock time. " if options.clock == "cpu" else ""
    table = markdown_table(header, rows)
    text = f"{describe_machine()} {note}PyTorch threads: {options.threads}.\n\n{table}"
    print(text)
    if options.write is not None:
        replace_part(options.write, PART, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
