"""The table of all text recognisers: size, speed, decoding, agreement with MMOCR, and learning.

    python -m bench.overfit_words --all
    python -m tests.conformance DIR > kit.txt
    python -m bench.recognition --kit kit.txt --write docs/models/recognition.md

Crops of rendered words go through each config's own test pipeline. "Time per crop" is the whole
predictor with its default runtime. "Decoding" compares the product's way to write characters with
the plain one (``bench.plain_decoding``): the same network, eager float32, 32 crops at once, the
encoder's output given; "whole network" is the same with the encoder. Weights are those that
``bench.overfit_words`` trained, so that words end by themselves; where it left none, the cells of
both stay empty, and times are of weights by formula, whose texts run to the greatest length.
``--equal N`` also reads N other rendered words both ways and counts texts and scores that differ.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.codecs.families import build_codec
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import recognition_inputs
from ocr_models.recognition.families import FAMILIES, build_network
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import RecognitionResult
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec
from ocr_models.weights import load_checkpoint, load_into
from ocrserve.train.synth import WordRenderConfig, WordRenderer, find_fonts
from tests.conformance import formulas

from .document import markdown_table, replace_part
from .kit import kit_result
from .machine import describe_machine
from .models import ROOT
from .overfit_words import CHINESE_CHARACTERS, CONFIGS, OURS_ALONE, RESULTS, word_list
from .plain_decoding import PLAIN
from .predict import CLOCKS

PART = "recognition"
TURNS = 2
BATCH = 32
ALLOWED_SCORE = 1e-4


@dataclass(frozen=True)
class Subject:
    """A recogniser that is measured.

    Args:
        spec: what it is.
        network: in evaluation mode, float32.
        trained: whether its weights are more than numbers by formula.
    """

    spec: RecognizerSpec
    network: nn.Module
    trained: bool


@dataclass(frozen=True)
class Decoding:
    """How much faster the product writes texts than the plain way.

    Args:
        loop: of the decoder alone.
        whole: with the encoder.
        steps: characters of the longest text, its end included.
        shortest: characters of the shortest text, its end included.
        share: of the time for 32 crops of the longest text what 32 of the shortest take.
    """

    loop: float
    whole: float
    steps: int
    shortest: int
    share: float


def load_subject(path: Path, checkpoint: Path) -> Subject:
    """The recogniser of a config, with the weights of ``checkpoint`` if that exists."""
    with tempfile.TemporaryDirectory() as folder:
        dictionary = Path(folder) / "dictionary.txt"  # MMOCR's Chinese one is not part of it
        characters = (chr(0x4E00 + number) for number in range(CHINESE_CHARACTERS))
        dictionary.write_text("".join(f"{c}\n" for c in characters), encoding="utf-8")
        config = load_config(path)
        if "dict_file" in config["model"]["label_convertor"]:
            config["model"]["label_convertor"]["dict_file"] = str(dictionary)
        spec = model_from_mmocr(config)
    assert isinstance(spec, RecognizerSpec), "configs/textrecog holds recognisers"
    network = build_network(spec.network)
    if checkpoint.is_file():
        load_into(network, load_checkpoint(checkpoint).state_dict, source=str(checkpoint))
    else:
        formulas.fill(network, 7)
    return Subject(spec, network.eval().requires_grad_(False), checkpoint.is_file())


def word_crops(count: int, seed: int) -> list[np.ndarray]:
    """Rendered words of 3 to 9 letters, six on average; BGR."""
    rng = np.random.default_rng(seed)
    words = word_list()
    renderer = WordRenderer(find_fonts("pip"), WordRenderConfig(max_difficulty=0.3))
    return [renderer.render(seed + i, words[rng.integers(len(words))]).image for i in range(count)]


def learnt_crops(folder: Path) -> list[np.ndarray]:
    """The first words that ``bench.overfit_words`` trains on."""
    files = sorted((folder / "words").glob("*.png"))[:BATCH]
    return [np.asarray(cv2.imread(str(file)), np.uint8) for file in files]


def tensors(subject: Subject, crops: Sequence[np.ndarray]) -> tuple[Tensor, list[float]]:
    """Crops as the network's input, padded to the widest, and their valid ratios."""
    prepared = [recognition_inputs(crop, subject.spec.preprocessing)[-1] for crop in crops]
    width = max(one.tensor.shape[2] for one in prepared)
    fill = [one.tensor[:, :1, -1:] for one in prepared]
    stacked = np.stack(
        [
            np.concatenate(
                [
                    one.tensor,
                    np.broadcast_to(last, (*one.tensor.shape[:2], width - one.tensor.shape[2])),
                ],
                axis=2,
            )
            for one, last in zip(prepared, fill, strict=True)
        ]
    )
    ratios = [one.valid_ratio * one.tensor.shape[2] / width for one in prepared]
    return torch.from_numpy(stacked), ratios


def encoder_of(subject: Subject, images: Tensor, ratios: Tensor) -> tuple[Tensor, ...]:
    """What decoding begins with."""
    family = FAMILIES[type(subject.spec.network)]
    inputs = (images, ratios) if family.masked else (images,)
    encoded = getattr(subject.network, family.encode)(*inputs)
    return encoded if isinstance(encoded, tuple) else (encoded,)


def measure_decoding(
    subject: Subject, crops: Sequence[np.ndarray], clock: Callable[[], float]
) -> Decoding:
    """The product's decoding against the plain one; they take turns."""
    family = FAMILIES[type(subject.spec.network)]
    assert family.decode is not None, "only recognisers that write character by character"
    decode: Callable[..., Tensor] = getattr(subject.network, family.decode)
    plain = PLAIN[type(subject.spec.network)]
    images, ratio_list = tensors(subject, crops)
    ratios = torch.tensor(ratio_list)
    seconds: dict[str, list[float]] = {"encode": [], "fast": [], "plain": []}
    for _ in range(TURNS):
        begin = clock()
        encoded = encoder_of(subject, images, ratios)
        seconds["encode"].append(clock() - begin)
        begin = clock()
        outputs = decode(encoded, ratios)
        seconds["fast"].append(clock() - begin)
        begin = clock()
        plain(subject.network, encoded, ratios)
        seconds["plain"].append(clock() - begin)
    encode, fast, slow = (statistics.median(values) for values in seconds.values())
    read = build_codec(subject.spec.codec).decode(outputs.numpy(), ratio_list)
    steps = [1 + len(result.char_scores) for result in read]
    short, long = min(steps), max(steps)
    times: dict[int, list[float]] = {short: [], long: []}
    for _ in range(TURNS):
        for length in (short, long):
            line = steps.index(length)
            same = tuple(part[line : line + 1].expand_as(part).contiguous() for part in encoded)
            begin = clock()
            decode(same, ratios[line : line + 1].expand_as(ratios))
            times[length].append(clock() - begin)
    share = statistics.median(times[short]) / statistics.median(times[long])
    return Decoding(slow / fast, (encode + slow) / (encode + fast), long, short, share)


def count_differences(subject: Subject, crops: Sequence[np.ndarray]) -> tuple[int, float]:
    """Texts that the two ways read differently, and the largest difference of a score."""
    family = FAMILIES[type(subject.spec.network)]
    assert family.decode is not None, "only recognisers that write character by character"
    codec = build_codec(subject.spec.codec)
    different, largest = 0, 0.0
    for start in range(0, len(crops), BATCH):
        images, ratios = tensors(subject, crops[start : start + BATCH])
        encoded = encoder_of(subject, images, torch.tensor(ratios))
        read: list[list[RecognitionResult]] = []
        for write in (
            getattr(subject.network, family.decode),
            lambda *inputs: PLAIN[type(subject.spec.network)](subject.network, *inputs),
        ):
            outputs = write(encoded, torch.tensor(ratios)).numpy()
            read.append(codec.decode(outputs, ratios, probabilities=family.probabilities))
        for fast, plain in zip(*read, strict=True):
            different += fast.text != plain.text
            if fast.text == plain.text:
                gaps = np.subtract(fast.char_probabilities, plain.char_probabilities)
                largest = max(largest, float(np.abs(gaps).max(initial=0)))
    return different, largest


def measure_speed(
    subject: Subject, crops: Sequence[np.ndarray], threads: int, clock: Callable[[], float]
) -> tuple[float, float, str]:
    """Seconds per crop alone and in a batch of 32, and the runtime's name."""
    recognizer = TextRecognizer(
        subject.spec, subject.network.state_dict(), RuntimeOptions(threads=threads)
    )
    alone, together = [], []
    for _ in range(TURNS + 1):
        begin = clock()
        for crop in crops[:8]:
            recognizer.predict([crop])
        alone.append((clock() - begin) / len(crops[:8]))
        begin = clock()
        recognizer.predict(crops)
        together.append((clock() - begin) / len(crops))
    return (
        statistics.median(alone[1:]),
        statistics.median(together[1:]),
        recognizer.runtime_name,
    )


def learnt(results: Mapping[str, Any], name: str) -> str:
    """What ``bench.overfit_words`` found for a config."""
    if name not in results:
        return ""
    entry = results[name]
    start = f" from `{entry['start']}`" if entry.get("start") else ""
    return f"{entry['word_acc']:.3f} ({entry['iterations']} steps{start})"


def table(paths: Sequence[Path], options: argparse.Namespace, clock: Callable[[], float]) -> str:
    """All configs, and under the table the runtimes that were used."""
    header = [
        "config", "parameters", "crop alone", "of 32 crops", "decoding", "whole network", "steps",
        "shortest word", "kit", "by heart: words",
    ]  # fmt: skip
    lines = options.kit.read_text(encoding="utf-8").splitlines() if options.kit else []
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    crops = learnt_crops(options.folder) or word_crops(BATCH, 0)
    rows, runtimes = [], set()
    for path in paths:
        # Weights of a training that was not finished are not those that the words are known by.
        name = path.stem if path.stem in results else "none"
        subject = load_subject(path, options.folder / name / "latest.pth")
        alone, together, runtime = measure_speed(subject, crops, options.threads, clock)
        runtimes.add(runtime)
        loop = whole = steps = shortest = ""
        if subject.trained and FAMILIES[type(subject.spec.network)].decode:
            with torch.inference_mode():
                found = measure_decoding(subject, crops, clock)
            loop, whole, steps = f"{found.loop:.1f}x", f"{found.whole:.1f}x", str(found.steps)
            shortest = f"{found.share:.2f} ({found.shortest} steps)"
        parameters = sum(p.numel() for p in subject.network.parameters())
        row = [
            f"`{path.relative_to(CONFIGS)}`",
            f"{parameters / 1e6:.1f} M",
            f"{alone * 1e3:.1f} ms",
            f"{together * 1e3:.1f} ms",
            loop,
            whole,
            steps,
            shortest,
            kit_result(lines, path.stem),
            learnt(results, path.stem),
        ]
        print(" | ".join(row), flush=True)
        rows.append(row)
    return f"{markdown_table(header, rows)}\nDefault runtimes: {', '.join(sorted(runtimes))}.\n"


def compare(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Read other words both ways; returns 1 when a text or a score differs."""
    crops = word_crops(options.equal, 500_000)
    failed = False
    for path in paths:
        subject = load_subject(path, options.folder / path.stem / "latest.pth")
        if not subject.trained or not FAMILIES[type(subject.spec.network)].decode:
            continue
        with torch.inference_mode():
            different, largest = count_differences(subject, crops)
        print(
            f"{path.stem}: {len(crops)} words, {different} texts differ, largest difference of a "
            f"character's probability {largest:.1e}",
            flush=True,
        )
        failed |= different > 0 or largest > ALLOWED_SCORE
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.recognition", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="GLOB", help="configs, e.g. 'sar/*'")
    parser.add_argument("--kit", type=Path, metavar="FILE", help="output of tests.conformance")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "work_dirs/overfit_words", metavar="DIR",
        help="where bench.overfit_words left its weights",
    )  # fmt: skip
    parser.add_argument("--equal", type=int, metavar="N", help="compare both ways on N words")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    found = [path for glob in options.patterns or ["*/*.py"] for path in CONFIGS.glob(glob)]
    paths = [path for path in sorted(found) if path.stem != OURS_ALONE]
    if not paths:
        parser.error(f"no config below {CONFIGS} matches")
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    if options.equal:
        return compare(paths, options)
    content = table(paths, options, CLOCKS[options.clock])
    note = "Times are processor time, not wall-clock time. " if options.clock == "cpu" else ""
    text = f"{describe_machine()} {note}Threads: {options.threads}.\n\n{content}"
    print(text)
    if options.write is not None:
        replace_part(options.write, PART, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
