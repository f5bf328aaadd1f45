"""``ocrserve read``: photos to text, JSON or annotated pictures."""

from __future__ import annotations

import argparse
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocr_models.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from ocr_models.predictors import ImagePredictor
    from ocr_models.results import PageResult

DESCRIPTION = """
Prints the text of each photo, with the default models unless others are named; with --kie also what
it says, one field per line. A photo that cannot be read is reported, the others are read, and the
exit code is 1. IMAGE is a file, a folder, a quoted pattern, or - for standard input.
"""
EXAMPLES = """\
  {prog} photo.jpg
  {prog} photos/ 'scans/*.png' --json > texts.jsonl
  {prog} photo.jpg --draw annotated/
  {prog} photo.jpg --det-config dbnet.py --det-ckpt dbnet.pth --recog work_dirs/crnn/latest.pth
  {prog} word.png --det None
  {prog} receipt.jpg --kie default --print-result --draw labelled.png
"""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
STANDARD_INPUT = "-"
NOTHING = "None"  # MMOCR's word for a part of the chain that is left out
PARTS = {"det": "detector", "recog": "recogniser", "kie": "extractor of key information"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, pattern or -")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--json",
        action="store_true",
        help="one line of JSON per photo: boxes, scores, texts",
    )
    output.add_argument(
        "--draw", "--output", type=Path, metavar="DIR", dest="draw",
        help="write annotated pictures to this folder (of one photo: to this .png or .jpg file)",
    )  # fmt: skip
    output.add_argument(
        "--export", type=Path, metavar="DIR", help="write one JSON file per photo to this folder"
    )
    output.add_argument(
        "--lines", "--merge", action="store_true", help="merge the words of a line into one result"
    )
    output.add_argument(
        "--min-score", type=float, default=0.0, metavar="S", help="leave out words below, 0..1"
    )
    output.add_argument(
        "--min-probability",
        type=float,
        default=0.0,
        metavar="P",
        help="the same by probability, which means the same with every recogniser, 0..1",
    )
    output.add_argument(
        "--print-result", action="store_true",
        help="print one line per word: scores, text, and the label that --kie gives it",
    )  # fmt: skip
    models = parser.add_argument_group("models")
    for option, what in PARTS.items():
        default = NOTHING if option == "kie" else "default"
        models.add_argument(
            f"--{option}", default=default, metavar="MODEL",
            help=f"{what}: a checkpoint of ours, a model folder, a name of 'ocrserve zoo', "
            f"'default', or None for none (default: {default})",
        )  # fmt: skip
        models.add_argument(
            f"--{option}-config", metavar="FILE", help=f"MMOCR config of the {what}"
        )
        models.add_argument(
            f"--{option}-ckpt", metavar="FILE",
            help=f"checkpoint of the {what}: one of ours, or of the model that --{option} or "
            f"--{option}-config names",
        )  # fmt: skip
    models.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, ...; default: a GPU if any"
    )
    models.add_argument(
        "--runtime", default="auto", metavar="NAME",
        help="auto (the default), torch, openvino or onnxruntime",
    )  # fmt: skip
    parser.add_argument(
        "--exif", action=argparse.BooleanOptionalAction, default=True,
        help="turn photos upright by their EXIF orientation (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--max-pixels", type=int, metavar="N", help="refuse larger photos; default: 50000000"
    )
    parser.set_defaults(
        option_hints={
            "--imshow": "use --draw DIR and open the picture",
            "--batch-mode": "results do not depend on batches, and batches are made anyway",
            "--config-dir": "name the config with --det-config or --recog-config",
            "--details": "--json always has boxes and scores",
        }
    )


def run(arguments: argparse.Namespace) -> int:
    """Reads all photos; exit code 1 when one of them could not be read."""
    photos, missing = _photos(arguments.images)
    for message in missing:
        _complain(message)
    if not photos:
        return 1
    draw_to_file = arguments.draw is not None and arguments.draw.suffix.lower() in SUFFIXES
    if draw_to_file and len(photos) > 1:
        arguments.usage_error(
            f"--draw {arguments.draw} is one file; give a folder for several photos"
        )
    for folder in (arguments.draw.parent if draw_to_file else arguments.draw, arguments.export):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    predictor = _predictor(arguments)
    failures = len(missing)
    names = _FileNames()
    for photo in _progress(photos):
        try:
            pixels = _pixels(photo, arguments)
            result = predictor.predict([pixels])[0]
        except InputError as error:
            failures += 1
            _complain(f"{photo}: {error}")
            if arguments.json:
                print(json.dumps({"image": photo, "error": error.to_json()}, ensure_ascii=False))
            continue
        stem = names.unused("stdin" if photo == STANDARD_INPUT else Path(photo).stem)
        if arguments.json:
            line = {"image": photo, **result.to_json()}
            print(json.dumps(line, ensure_ascii=False, allow_nan=False), flush=True)
        else:
            _show(photo, result, several=len(photos) > 1, words=arguments.print_result)
        if arguments.export is not None:
            text = json.dumps(result.to_json(), ensure_ascii=False, allow_nan=False)
            (arguments.export / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
        if arguments.draw is not None:
            target = arguments.draw if draw_to_file else arguments.draw / f"{stem}.png"
            _draw(target, pixels, result)
    return 1 if failures else 0


def _photos(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files that the words stand for, in order and once each, and complaints about the others."""
    found: dict[str, None] = {}
    complaints = []
    for word in words:
        path = Path(word)
        if word == STANDARD_INPUT or path.is_file():
            found[word] = None
        elif path.is_dir():
            files = [entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in SUFFIXES]
            found |= dict.fromkeys(map(str, files))
            if not files:
                complaints.append(f"{word}: no photos in this folder ({', '.join(SUFFIXES)})")
        elif matches := sorted(glob.glob(word, recursive=True)):
            found |= dict.fromkeys(match for match in matches if Path(match).is_file())
        else:
            complaints.append(f"{word}: no such file")
    return list(found), complaints


def _predictor(arguments: argparse.Namespace) -> ImagePredictor:
    from ocr_models.entities import EntityRecognizer
    from ocr_models.key_info import KeyInfoExtractor
    from ocr_models.ocr import OcrOptions
    from ocr_models.runtime import RuntimeOptions
    from ocrserve.api import make_predictor
    from ocrserve.model_names import ModelName, Role

    roles: dict[str, Role] = {"det": "detector", "recog": "recognizer", "kie": "extractor"}
    names: dict[Role, ModelName] = {}
    for option, role in roles.items():
        name, config, checkpoint = (
            getattr(arguments, f"{option}{suffix}") for suffix in ("", "_config", "_ckpt")
        )
        if config is not None and checkpoint is None:
            arguments.usage_error(f"--{option}-config needs --{option}-ckpt")
        is_named = name.lower() not in (NOTHING.lower(), "default")
        if checkpoint is not None:
            settings = config if config is not None else name if is_named else None
            names[role] = checkpoint if settings is None else (settings, checkpoint)
        elif is_named or name == "default":
            names[role] = name
    if not names:
        arguments.usage_error("--det None and --recog None leave nothing to do")
    if "extractor" in names and len(names) < 3:
        arguments.usage_error("--kie needs both a detector and a recogniser")
    options = None
    if len(names) >= 2:
        options = OcrOptions(
            min_text_score=arguments.min_score,
            min_text_probability=arguments.min_probability,
            merge_lines=arguments.lines,
        )
    elif arguments.lines or arguments.min_score or arguments.min_probability:
        arguments.usage_error(
            "--lines, --min-score and --min-probability need both a detector and a recogniser"
        )
    runtime = RuntimeOptions(kind=arguments.runtime, device=arguments.device)
    made = make_predictor(names, runtime=runtime, options=options)
    assert not isinstance(made, EntityRecognizer | KeyInfoExtractor), "no such role was given"
    return made


def _pixels(photo: str, arguments: argparse.Namespace) -> np.ndarray:
    from ocr_models.images import ImageLimits
    from ocrserve.api import to_pixels

    limits = ImageLimits()
    if arguments.max_pixels is not None:
        limits = ImageLimits(max_pixels=arguments.max_pixels)
    data = sys.stdin.buffer.read() if photo == STANDARD_INPUT else photo
    return to_pixels(data, limits, exif=arguments.exif)


def _show(photo: str, result: Any, *, several: bool, words: bool) -> None:
    from ocr_models.results import DetectionResult, PageResult

    if several:
        print(f"==> {photo} <==")
    if isinstance(result, DetectionResult):
        for boundary in result.boundaries:
            numbers = " ".join(f"{value:.1f}" for value in boundary.points.ravel())
            print(f"{boundary.score:.2f}  {numbers}")
    else:
        print(result.text)
    if isinstance(result, PageResult):
        _show_page(result, words)
    sys.stdout.flush()


def _show_page(page: PageResult, words: bool) -> None:
    """What the page says, and every word with its scores."""
    if page.info is not None:
        print()
        for field in page.info.fields:
            print(f"{field.score:.2f}  {field.key}: {field.value}")
    if not words:
        return
    print()
    for i, word in enumerate(page.words):
        label = f"{page.info.label_scores[i]:.2f}  {page.info.labels[i]}  " if page.info else ""
        print(f"{word.boundary.score:.2f}  {word.recognition.score:.2f}  {label}{word.text}")


def _draw(target: Path, pixels: np.ndarray, result: Any) -> None:
    import cv2

    from ocrserve.drawing import draw_result

    if not cv2.imwrite(str(target), draw_result(pixels, result)):
        raise OSError(0, "cannot write the picture", str(target))


def _progress(photos: Sequence[str]) -> Iterator[str]:
    """The photos, with a bar when people watch it and it does not mix with the texts."""
    from tqdm import tqdm

    hidden = len(photos) < 2 or sys.stdout.isatty() or not sys.stderr.isatty()
    yield from tqdm(photos, unit="photo", disable=hidden)


def _complain(message: str) -> None:
    print(f"ocrserve read: {message}", file=sys.stderr, flush=True)


class _FileNames:
    """Names for outputs: photos of the same name from different folders get a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unused(self, stem: str) -> str:
        """``stem``, or ``stem-2``, ``stem-3``, ... when it was given out before."""
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name)
        return name
