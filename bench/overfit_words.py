"""Whether each recogniser learns 64 rendered words by heart, by its own config.

    python -m bench.overfit_words crnn_toy_dataset satrn_small
    python -m bench.overfit_words --all

Renders the words, runs ``ocrserve train`` with the config shortened by ``--cfg-options`` (other
data, no augmentation, fewer steps), then ``ocrserve test --eval acc`` on the same words, and writes
what came out to ``bench/results/overfit_recognition.json``. Both commands are printed as a user
would type them. A config whose result and weights are there is not run again without ``--again``; a
training that was stopped continues. ``OMP_NUM_THREADS`` holds for the trainings, too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ocr_models.codecs.charsets import DICT36
from ocr_models.codecs.segmentation import SegCodec, SegCodecConfig
from ocr_models.mmocr_config import load_config
from ocrserve.train.objectives.segocr import CharacterTargets, make_targets
from ocrserve.train.synth import WordRenderConfig, WordRenderer, WordSample, find_fonts

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs" / "textrecog"
RESULTS = Path(__file__).parent / "results" / "overfit_recognition.json"
WORD_LIST = ROOT / "train" / "synth" / "words.txt"
OURS_ALONE = "crnn_light_synthetic"
COUNT = 64
HEIGHT_PX = 64
"""Of SegOCR's input."""
UNPADDED: Mapping[str, Any] = {"keep_aspect_ratio": False, "min_width": 256, "max_width": 256}
"""SegOCR's targets say nothing about padding, and its tests have none; nor has this training."""
CHINESE_CHARACTERS = 11_377
"""As many as the dictionary of MMOCR's Chinese SAR has."""


@dataclass(frozen=True)
class Recipe:
    """How a config is shortened.

    Args:
        iterations: training steps, rounded up to whole epochs.
        batch_size: words per step.
        learning_rate: a tenth of it in the last fifth.
        optimizer: its name; Adam also where the config has Adadelta, which starts slowly.
        start: another config whose weights this one starts from, as far as they fit.
    """

    iterations: int = 300
    batch_size: int = 16
    learning_rate: float = 1e-3
    optimizer: str = "Adam"
    start: str | None = None


RECIPES: Mapping[str, Recipe] = {
    "crnn": Recipe(iterations=1500),
    "crnn_tps": Recipe(iterations=3000),
    "sar": Recipe(iterations=1120, batch_size=8, learning_rate=4e-4),
    # From a random start they know the 64 words by heart long before they look at the picture.
    "sar_r31_sequential": Recipe(350, 8, 3e-4, start="sar_r31_parallel_decoder_toy_dataset"),
    "robustscanner": Recipe(1024, 8, 3e-4, start="sar_r31_parallel_decoder_toy_dataset"),
    "seg": Recipe(iterations=900, batch_size=8),
    "nrtr": Recipe(iterations=256, learning_rate=3e-4),
    "satrn": Recipe(iterations=256, learning_rate=3e-4),
    "nrtr_r31": Recipe(iterations=1280, learning_rate=3e-4),
    "master": Recipe(iterations=1360, learning_rate=2e-4),
    "abinet_vision": Recipe(iterations=600, learning_rate=3e-4),
    # Its stages: what sees comes from the first, language model and fusion start at random.
    "abinet": Recipe(learning_rate=3e-4, start="abinet_vision_only_academic"),
}
"""By the beginning of a config's name, the longest first; others take the defaults.

Of both SARs and RobustScanner without their last steps, which took 32 words: see
``docs/models/recognition.md``.
"""

# What turns each random step off.
NOT_RANDOM: Mapping[str, Mapping[str, Any]] = {
    "RandomWrapper": {"p": 0},
    "RandomPaddingOCR": {"max_ratio": [0.0, 0.0, 0.0, 0.0]},
    "RandomRotateImageBox": {"min_angle": 0, "max_angle": 0},
    "RandomRotateTextDet": {"rotate_ratio": 0},
    "ColorJitter": {"brightness": 0, "contrast": 0, "saturation": 0},
    "FancyPCA": {"eig_val": [0, 0, 0]},
}


def recipe_of(name: str) -> Recipe:
    """The recipe of a config."""
    fitting = [beginning for beginning in RECIPES if name.startswith(beginning)]
    return RECIPES[max(fitting, key=len)] if fitting else Recipe()


# --- the words ---------------------------------------------------------------------------------


def write_words(folder: Path) -> None:
    """64 crops with their labels in all forms that the configs read, and a large dictionary.

    What is there stays, since another training may be reading it.
    """
    if (folder / "dictionary.txt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    words = word_list()
    chosen = [words[i] for i in rng.choice(len(words), COUNT, replace=False)]
    renderer = WordRenderer(find_fonts("pip"), WordRenderConfig(max_difficulty=0.3))
    labels, boxes = [], []
    for number, word in enumerate(chosen):
        seeds = range(number, 100 * COUNT, COUNT)
        drawings = (renderer.render(seed, word) for seed in seeds)
        drawn = next(drawing for drawing in drawings if separable(drawing))
        name = f"{number:02d}.png"
        assert cv2.imwrite(str(folder / name), drawn.image)
        labels.append({"filename": name, "text": word})
        quads = drawn.char_polygons.reshape(len(word), 8).round(2).tolist()
        characters = [
            {"char_text": character, "char_box": quad}
            for character, quad in zip(word, quads, strict=True)
        ]
        boxes.append({"file_name": name, "text": word, "annotations": characters})
    _write_lines(folder / "label.txt", [f"{line['filename']} {line['text']}" for line in labels])
    _write_lines(folder / "label.jsonl", map(json.dumps, labels))
    _write_lines(folder / "characters.jsonl", map(json.dumps, boxes))
    others = (chr(0x4E00 + number) for number in range(CHINESE_CHARACTERS - len(DICT36)))
    _write_lines(folder / "dictionary.txt", [*DICT36, *others])


def word_list() -> list[str]:
    """English words of 3 to 9 letters, in lower case."""
    words = WORD_LIST.read_text(encoding="utf-8").lower().split()
    return sorted({w for w in words if 3 <= len(w) <= 9 and w.isascii() and w.isalnum()})


def separable(word: WordSample) -> bool:
    """Whether the regions that SegOCR learns spell the word, also two pixels wider or narrower.

    They do not where two letters stand so close that their regions touch, or where one is so narrow
    that too little of it remains. The map drawn here has the size of the crops that SegOCR learns
    from; the network's own is half as fine.
    """
    height, width = word.image.shape[:2]
    scales = np.array([UNPADDED["max_width"] / width, HEIGHT_PX / height])
    quads = [scales * (quad.astype(np.float64) + 0.5) for quad in word.char_polygons]
    codec = SegCodec(SegCodecConfig(DICT36))
    (classes,) = codec.encode([word.text])
    size = HEIGHT_PX, UNPADDED["max_width"]
    drawn = make_targets(quads, classes.tolist(), [], *size, CharacterTargets(rectangles=False))
    maps = drawn.classes.astype(np.uint8)
    neighbours = np.ones((5, 5), np.uint8)
    variants = np.stack([maps, cv2.dilate(maps, neighbours), cv2.erode(maps, neighbours)])
    outputs = np.stack([variants, np.ones_like(variants)], axis=1).astype(np.float32)
    return all(read.text == word.text for read in codec.decode(outputs))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# --- the shortened config ----------------------------------------------------------------------


def options(config: Mapping[str, Any], words: Path, recipe: Recipe) -> tuple[list[str], int]:
    """``--cfg-options`` for training and testing on the words, and the number of steps."""
    data = config["data"]
    sets = len(data["train"]["datasets"])
    steps_per_epoch = math.ceil(COUNT * sets / recipe.batch_size)
    epochs = math.ceil(recipe.iterations / steps_per_epoch)
    values: dict[str, Any] = {
        "runner.max_epochs": epochs,
        "lr_config.step": [max(1, epochs * 4 // 5)],
        "optimizer.type": recipe.optimizer,
        "optimizer.lr": recipe.learning_rate,
        "precision": "bf16",
        "checkpoint_config.interval": math.ceil(epochs / 4),
        "checkpoint_config.max_keep_ckpts": 1,
        "log_config.interval": 20,
        "data.samples_per_gpu": recipe.batch_size,
        "data.workers_per_gpu": 0,
        **_data_values(data, words),
        **_pipeline_values(data["train"]["pipeline"], data["test"]["pipeline"]),
    }
    if "dict_file" in config["model"]["label_convertor"]:
        values["model.label_convertor.dict_file"] = words / "dictionary.txt"
    return [f"{key}={_written(value)}" for key, value in values.items()], epochs * steps_per_epoch


def _data_values(data: Mapping[str, Any], words: Path) -> dict[str, Any]:
    """All data sets of the config hold the words."""
    values: dict[str, Any] = {}
    for split in ("train", "test"):
        for number, dataset in enumerate(data[split]["datasets"]):
            key = f"data.{split}.datasets.{number}"
            as_json = dataset["loader"]["parser"]["type"] == "LineJsonParser"
            file = "label.jsonl" if as_json else "label.txt"
            if dataset["type"] == "OCRSegDataset":
                file = "characters.jsonl"
            values |= {f"{key}.img_prefix": words, f"{key}.ann_file": words / file}
            if dataset["loader"].get("file_format", "txt") != "txt":
                values[f"{key}.loader.file_format"] = "txt"
            if dataset["loader"]["repeat"] != 1:
                values[f"{key}.loader.repeat"] = 1
    return values


def _pipeline_values(train: Sequence[Any], test: Sequence[Any]) -> dict[str, Any]:
    """No randomness in training, and in testing crops of the size that they had there.

    Some configs train on other shapes than they test on. That many words teach both, 64 do not.
    """
    values: dict[str, Any] = {}
    for number, step in enumerate(train):
        changes = NOT_RANDOM.get(step["type"], {})
        values |= {f"data.train.pipeline.{number}.{key}": changes[key] for key in changes}
    if any(step["type"] == "NormalizeOCR" for step in train):
        # NormalizeOCR leaves channels in the order of files; testing must not turn them into RGB.
        values |= {
            f"data.test.pipeline.{number}.to_rgb": False
            for number, step in enumerate(test)
            if step["type"] == "Normalize"
        }
    place, trained = next(_resizing(train, "data.train.pipeline"))
    if any(step["type"] == "OCRSegTargets" for step in train):
        trained = {**trained, **UNPADDED}
        values |= {f"{place}.{key}": UNPADDED[key] for key in UNPADDED}
    place, tested = next(_resizing(test, "data.test.pipeline"))
    default = {"width_downsample_ratio": 1 / 16}
    wanted, present = {**default, **trained}, {**default, **tested}
    differing = [key for key in wanted if present.get(key) != wanted[key]]
    return values | {f"{place}.{key}": wanted[key] for key in differing}


def _resizing(steps: Sequence[Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(key within the config, step) of every ``ResizeOCR``, those inside other steps, too."""
    for number, step in enumerate(steps):
        here = f"{place}.{number}"
        if step["type"] == "ResizeOCR":
            yield here, step
        yield from _resizing(step.get("transforms", ()), f"{here}.transforms")


def _written(value: Any) -> str:
    return str(value).replace(" ", "")


# --- running -----------------------------------------------------------------------------------


def measure(path: Path, recipe: Recipe, folder: Path, device: str | None) -> dict[str, Any]:
    """Train and test one config; the entry for the results."""
    words = folder / "words"
    write_words(words)
    changes, iterations = options(load_config(path), words, recipe)
    if recipe.start is not None:
        changes.append(f"load_from={weights_of(recipe.start, folder)}")
    work_dir = folder / path.stem
    shown = path.relative_to(ROOT) if Path.cwd() == ROOT else path
    end = ["--device", device] if device else []
    train = ["train", str(shown), "--work-dir", str(work_dir), "--seed", "0", "--no-validate"]
    train += ["--resume", *end, "--cfg-options", *changes]
    out = work_dir / "results.json"
    test = [
        "test",
        str(shown),
        str(weights_of(path.stem, folder)),
        "--eval",
        "acc",
        "--out",
        str(out),
    ]
    test += [*end, "--cfg-options", *(c for c in changes if c.startswith(("data.test.", "model.")))]
    started = time.monotonic()
    for command in (train, test):
        print(f"$ ocrserve {shlex.join(command)}", flush=True)
        subprocess.run([sys.executable, "-m", "ocrserve", *command], check=True)
    scores = json.loads(out.read_text(encoding="utf-8"))
    return {
        "config": path.relative_to(ROOT).as_posix(),
        "train": f"ocrserve {shlex.join(train)}",
        "test": f"ocrserve {shlex.join(test)}",
        "iterations": iterations,
        "batch_size": recipe.batch_size,
        "optimizer": recipe.optimizer,
        "learning_rate": recipe.learning_rate,
        "start": recipe.start,
        "seconds": round(time.monotonic() - started),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "word_acc": scores.get("mean_word_acc", scores["0_word_acc"]),
        "one_minus_ned": scores.get("mean_1-N.E.D", scores["0_1-N.E.D"]),
    }


def stored() -> dict[str, Any]:
    """The results so far, by config."""
    if not RESULTS.exists():
        return {}
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def in_order(names: Iterable[str], folder: Path) -> list[str]:
    """The configs, each behind the one that it starts from, should that not be trained yet."""
    ordered: list[str] = []
    for name in names:
        start = recipe_of(name).start
        needed = start is not None and not weights_of(start, folder).exists()
        ordered += [start, name] if needed and start is not None else [name]
    return list(dict.fromkeys(ordered))


def weights_of(name: str, folder: Path) -> Path:
    """Where the training of a config leaves its weights."""
    return folder / name / "latest.pth"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when a word was not learnt."""
    configs = {path.stem: path for path in sorted(CONFIGS.glob("*/*.py"))}
    del configs[OURS_ALONE]
    parser = argparse.ArgumentParser(prog="python -m bench.overfit_words")
    parser.add_argument("config", nargs="*", metavar="NAME", help=f"of {', '.join(configs)}")
    parser.add_argument("--all", action="store_true", help="every recogniser of MMOCR")
    parser.add_argument("--again", action="store_true", help="also what was measured already")
    parser.add_argument("--iterations", type=int, metavar="N", help="training steps")
    parser.add_argument("--batch-size", type=int, metavar="N")
    parser.add_argument("--learning-rate", type=float, metavar="X")
    parser.add_argument("--optimizer", metavar="NAME")
    parser.add_argument("--device", help="default: a GPU if there is one")
    parser.add_argument(
        "--folder", type=Path, default=Path("work_dirs/overfit_words"), metavar="DIR"
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.config) - set(configs))
    if unknown or not (chosen.config or chosen.all):
        parser.error(f"no such config: {', '.join(unknown)}" if unknown else "name a config")
    fields = Recipe.__dataclass_fields__
    given = {key: value for key, value in vars(chosen).items() if key in fields and value}
    failed = []
    for name in in_order(configs if chosen.all else chosen.config, chosen.folder):
        entry = stored().get(name)
        if entry is None or chosen.again or not weights_of(name, chosen.folder).exists():
            recipe = replace(recipe_of(name), **given)
            entry = measure(configs[name], recipe, chosen.folder, chosen.device)
            RESULTS.parent.mkdir(exist_ok=True)
            content = json.dumps({**stored(), name: entry}, indent=1, sort_keys=True)
            RESULTS.write_text(content + "\n", encoding="utf-8")
        print(f"{name}: word accuracy {entry['word_acc']:.4f} after {entry['iterations']} steps")
        failed += [name] * (entry["word_acc"] < 1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
