"""``ocrserve ner``: the named entities of texts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ocr_models.errors import InputError

if TYPE_CHECKING:
    from ocr_models.entities import EntityRecognizer
    from ocr_models.results import EntityResult

DESCRIPTION = """
Prints the entities of each text, one per line: category, first and last character (counted from 0),
and the entity. A text that cannot be read is reported, the others are read, and the exit code is 1.
TEXT is a text, or - for standard input with one text per line. No model comes with the package.
"""
EXAMPLES = """\
  {prog} '彭小军是北京的作家' --model work_dirs/ner/latest.pth
  {prog} 'Ann Lee met Bob in Rome' --config my_config.py --checkpoint ner.pth --json
  {prog} - --model model_folder --long-text windows
"""

STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a text, or - for standard input")
    parser.add_argument(
        "--model", metavar="MODEL", help="a checkpoint of ours, a model folder, or a known name"
    )
    parser.add_argument("--config", metavar="FILE", help="MMOCR config of the checkpoint")
    parser.add_argument("--checkpoint", "--ckpt", metavar="FILE", help="with --config")
    parser.add_argument("--json", action="store_true", help="one line of JSON per text")
    parser.add_argument(
        "--long-text", choices=("refuse", "windows"), default="refuse",
        help="texts longer than the model reads at once: refuse them (the default), or read them "
        "in overlapping windows",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, ...; default: a GPU if any"
    )


def run(arguments: argparse.Namespace) -> int:
    """Reads all texts; exit code 1 when one of them could not be read."""
    if bool(arguments.config) != bool(arguments.checkpoint):
        arguments.usage_error("--config and --checkpoint go together")
    if bool(arguments.model) == bool(arguments.config):
        arguments.usage_error("name the model: --model MODEL, or --config FILE --checkpoint FILE")
    recognizer = _recognizer(arguments)
    failures = 0
    for text in _texts(arguments.texts):
        try:
            result = recognizer.predict([text])[0]
        except InputError as error:
            failures += 1
            print(f"ocrserve ner: {_shortened(text)}: {error}", file=sys.stderr, flush=True)
            if arguments.json:
                print(json.dumps({"text": text, "error": error.to_json()}, ensure_ascii=False))
            continue
        _show(text, result, several=len(arguments.texts) > 1, as_json=arguments.json)
    return 1 if failures else 0


def _recognizer(arguments: argparse.Namespace) -> EntityRecognizer:
    from ocr_models.entities import EntityOptions, EntityRecognizer
    from ocr_models.runtime import RuntimeOptions
    from ocrserve.api import make_predictor

    made = make_predictor(
        {"entity_recognizer": arguments.model or (arguments.config, arguments.checkpoint)},
        runtime=RuntimeOptions(device=arguments.device),
        options=EntityOptions(long_text=arguments.long_text),
    )
    assert isinstance(made, EntityRecognizer), "it was given that role"
    return made


def _texts(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == STANDARD_INPUT:
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield word


def _show(text: str, result: EntityResult, *, several: bool, as_json: bool) -> None:
    if as_json:
        line = {"text": text, **result.to_json()}
        print(json.dumps(line, ensure_ascii=False, allow_nan=False), flush=True)
        return
    if several:
        print(f"==> {_shortened(text)} <==")
    for entity in result.entities:
        print(f"{entity.label}\t{entity.start}-{entity.end}\t{entity.text}")
    sys.stdout.flush()


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
