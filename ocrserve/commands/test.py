"""``ocrserve test``: the quality of a checkpoint on a config's test data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ocr_models.errors import ConfigError

DESCRIPTION = """
Measures a checkpoint on data.test of a config, with MMOCR's metrics: hmean-iou and hmean-ic13 for
detectors, acc or one of its parts (word_acc, word_acc_ignore_case, word_acc_ignore_case_symbol,
char_recall, char_precision, one_minus_ned) for recognisers, macro_f1 (of closed sets) or openset_f1
for key information, f1-score for entity recognition.
"""
EXAMPLES = """\
  {prog} configs/textdet/dbnet/dbnet_light_fpnc_synthetic.py work_dirs/db/latest.pth \\
      --eval hmean-iou
  {prog} my_config.py crnn.pth --eval acc --out results.json
  {prog} my_config.py default --eval word_acc_ignore_case one_minus_ned
  {prog} configs/kie/sdmgr/sdmgr_unet16_60e_wildreceipt.py sdmgr.pth --eval macro_f1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="config file")
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="checkpoint file, model folder, or 'default'"
    )
    parser.add_argument(
        "--eval", nargs="+", default=[], metavar="METRIC", help="default: the task's usual one"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON, too")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="changes to the config"
    )
    parser.add_argument(
        "--eval-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="of the detection sweep: min_score_thr, max_score_thr, step",
    )  # fmt: skip
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, ...; default: a GPU if there is one"
    )
    parser.add_argument(
        "--launcher", choices=("none", "pytorch"), default="none", help=argparse.SUPPRESS
    )
    parser.add_argument("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(
        option_hints={
            "--options": "use --eval-options",
            "--show": "use 'ocrserve read --draw DIR'",
            "--show-dir": "use 'ocrserve read --draw DIR'",
            "--fuse-conv-bn": "networks are always prepared for speed",
        }
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the results, one per line."""
    if arguments.out is not None and arguments.out.suffix != ".json":
        arguments.usage_error(f"--out writes JSON; got {arguments.out}, expected a name.json")

    from ocr_models.mmocr_config import load_config, parse_cli_options
    from ocrserve.train import distributed
    from ocrserve.train.testing import run_test

    config = load_config(arguments.config, parse_cli_options(arguments.cfg_options))
    checkpoint, spec = _model(arguments.checkpoint, config)
    results = run_test(
        config,
        checkpoint,
        arguments.eval,
        device=arguments.device,
        spec=spec,
        **_sweep(parse_cli_options(arguments.eval_options)),
    )
    if distributed.is_main():
        for name, value in results.items():
            print(f"{name}: {value:.4f}")
        if arguments.out is not None:
            text = json.dumps(results, indent=1, allow_nan=False)
            arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _model(name: str, config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Weights and, where they bring their own architecture, the spec."""
    from ocr_models.from_mmocr import model_from_mmocr
    from ocr_models.predictors import ROLES
    from ocrserve.archives.build import load_models
    from ocrserve.model_names import DEFAULT, Role, model_sources

    if name != DEFAULT and not Path(name).is_dir():
        return model_sources(name)[0].weights, None
    role = cast(Role, ROLES[type(model_from_mmocr(config))])
    models = load_models(model_sources(name, role)).by_role
    if role not in models:
        raise ConfigError(f"the config is for a {role.replace('_', ' ')}, but {name} holds none")
    spec, weights = models[role]
    return weights, spec


def _sweep(options: Mapping[str, Any]) -> dict[str, float]:
    known = ("min_score_thr", "max_score_thr", "step")
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"--eval-options {key}: known are {', '.join(known)}")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigError(f"--eval-options {key}={value}: expected a number")
    return dict(options)
