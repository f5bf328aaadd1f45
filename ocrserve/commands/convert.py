"""``ocrserve convert``: models to one ``.mar`` archive; also installed as ``mmocr2torchserve``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocr_models.errors import ConfigError

if TYPE_CHECKING:
    from ocr_models.predictors import Task
    from ocrserve.archives.build import ModelSource
    from ocrserve.archives.model_config import ModelConfig

DESCRIPTION = """
One model makes an archive of its own task (detection, recognition, kie or ner); a detector and a
recogniser make a chain that answers with texts, and with an extractor of key information also with
labels and fields. A model is 'default' (the weights of this package), a model folder, one of our
checkpoints, a name of 'ocrserve zoo', or an MMOCR config and its checkpoint. The archive needs no
ocrserve where it runs.
"""
EXAMPLES = """\
  {prog} default --output-folder model_store --model-name ocr
  {prog} --det default --output-folder model_store --model-name detection
  {prog} dbnet_r18_fpnc_1200e_icdar2015.py dbnet.pth --output-folder model_store --model-name dbnet
  {prog} DB_r18 --download --output-folder model_store
  {prog} --det default --recog default --kie default --output-folder model_store \\
      --model-name receipts
  {prog} --det dbnet.py dbnet.pth --recog crnn.pth --output-folder model_store --model-name ocr \\
      --workers 2 --option min_score=0.5 --option merge_lines=true
"""

PARTS = {
    "--det": "detector",
    "--recog": "recogniser",
    "--kie": "extractor of key information",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument(
        "model", nargs="*", metavar="MODEL", help="CONFIG CHECKPOINT, or a model without a config"
    )
    for option, what in PARTS.items():
        parser.add_argument(
            option, nargs="+", metavar="MODEL", help=f"{what} of a chain: likewise one or two words"
        )
    parser.add_argument("--output-folder", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--model-name", metavar="NAME", help="name of the file and of the model in TorchServe; "
        "default: the checkpoint's name",
    )  # fmt: skip
    parser.add_argument("--model-version", default="1.0", metavar="V", help="default: 1.0")
    parser.add_argument(
        "--download", action="store_true",
        help="fetch the published checkpoint of a model of 'ocrserve zoo' when it is not here",
    )  # fmt: skip
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing archive")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (minWorkers and maxWorkers)"
    )
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="requests that a worker answers at once"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE",
        help="any setting or handler option of docs/serving.md, e.g. maxBatchDelay=20 or "
        "min_score=0.5; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--model-config", type=Path, metavar="FILE", help="a model-config.yaml to start from"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="changes to the config of a single model",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Builds the archive and says where it is."""
    if bool(arguments.model) == bool(arguments.det or arguments.recog or arguments.kie):
        arguments.usage_error("give a MODEL, or --det, --recog and perhaps --kie")
    for words in (arguments.model, arguments.det, arguments.recog, arguments.kie):
        if words and len(words) > 2:
            arguments.usage_error(f"a model is one or two words; got {' '.join(words)}")

    from ocrserve.archives.build import build_archive, load_models

    sources = _sources(arguments)
    task = load_models(sources).task
    path = build_archive(
        sources,
        arguments.output_folder,
        model_name=arguments.model_name or sources[0].weights.stem,
        model_version=arguments.model_version,
        model_config=_settings(arguments, task),
        force=arguments.force,
    )
    print(f"{path}  ({task}, {path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _sources(arguments: argparse.Namespace) -> list[ModelSource]:
    from ocr_models.mmocr_config import parse_cli_options
    from ocrserve.model_names import model_sources

    options = parse_cli_options(arguments.cfg_options)
    if arguments.model:
        return model_sources(arguments.model, options=options, download=arguments.download)
    if options:
        arguments.usage_error("--cfg-options goes with a single CONFIG CHECKPOINT")
    sources = []
    if arguments.det:
        sources += model_sources(arguments.det, "detector", download=arguments.download)
    if arguments.recog:
        sources += model_sources(arguments.recog, "recognizer", download=arguments.download)
    if arguments.kie:
        sources += model_sources(arguments.kie, "extractor", download=arguments.download)
    return sources


def _settings(arguments: argparse.Namespace, task: Task) -> ModelConfig:
    """The archive's ``model-config.yaml``: the file given, then the options over it."""
    import yaml

    from ocrserve.archives.model_config import (
        HANDLER_SECTION,
        load_model_config,
        parse_model_config,
    )

    data: dict[str, Any] = {}
    if arguments.model_config is not None:
        checked = load_model_config(arguments.model_config, task)
        data = yaml.safe_load(checked.to_yaml())
    if arguments.workers is not None:
        data |= {"minWorkers": arguments.workers, "maxWorkers": arguments.workers}
    if arguments.batch_size is not None:
        data["batchSize"] = arguments.batch_size
    handler = dict(data.get(HANDLER_SECTION) or {})
    for key, value in parse_options(arguments.option).items():
        # TorchServe's keys are in camelCase, the handlers' options in snake_case.
        target = data if any(letter.isupper() for letter in key) else handler
        target[key] = value
    if handler:
        data[HANDLER_SECTION] = handler
    return parse_model_config(data, task, source="--option")


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as a dictionary, values read as YAML; raises ``ConfigError``."""
    import yaml

    options = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not (key and separator):
            raise ConfigError(f"--option {word}: expected KEY=VALUE, e.g. min_score=0.5")
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--option {word}: {text!r} is not a value: {error}") from error
    return options
