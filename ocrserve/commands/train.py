"""``ocrserve train``: a model from a config."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DESCRIPTION = """
Trains the model of a config in MMOCR's dialect. Checkpoints, a log of JSON lines and TensorBoard
events go to the work directory. A run that was stopped anywhere continues with --resume as if it
had not been. Start several processes with torchrun.
"""
EXAMPLES = """\
  {prog} configs/textrecog/crnn/crnn_light_synthetic.py --work-dir work_dirs/crnn
  {prog} configs/textrecog/crnn/crnn_light_synthetic.py --work-dir work_dirs/crnn --resume
  {prog} my_config.py --load-from crnn.pth --cfg-options optimizer.lr=1e-4 runner.max_epochs=2
  torchrun --nproc-per-node 2 -m ocrserve train my_config.py --work-dir work_dirs/two
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="config file")
    parser.add_argument(
        "--work-dir", type=Path, metavar="DIR",
        help="where everything is written; default: work_dirs/ and the config's name",
    )  # fmt: skip
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--resume", action="store_true",
        help="continue with the latest checkpoint of the work directory, if there is one",
    )  # fmt: skip
    start.add_argument(
        "--resume-from", type=Path, metavar="CHECKPOINT", help="continue with this checkpoint"
    )
    start.add_argument(
        "--load-from", type=Path, metavar="CHECKPOINT",
        help="start with these weights, as far as they fit, from the first step",
    )  # fmt: skip
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="changes to the config, e.g. optimizer.lr=1e-4 data.samples_per_gpu=8",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random")
    parser.add_argument(
        "--no-validate", action="store_true", help="do not evaluate during the training"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, ...; default: a GPU if there is one"
    )
    parser.add_argument(
        "--deterministic", action="store_true",
        help="only operations that give the same numbers every time, also where slower",
    )  # fmt: skip
    parser.add_argument(
        "--launcher", choices=("none", "pytorch"), default="none", help=argparse.SUPPRESS
    )
    parser.add_argument("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(
        option_hints={
            "--options": "use --cfg-options",
            "--gpus": "start several processes with torchrun --nproc-per-node N -m ocrserve train",
            "--gpu-ids": "choose GPUs with CUDA_VISIBLE_DEVICES",
        }
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains, and says where the results are."""
    if arguments.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    import torch

    from ocr_models.mmocr_config import load_config, parse_cli_options
    from ocrserve.train import distributed
    from ocrserve.train.trainer import run_training

    torch.use_deterministic_algorithms(arguments.deterministic)
    config = load_config(arguments.config, parse_cli_options(arguments.cfg_options))
    if arguments.load_from is not None:
        config["load_from"] = str(arguments.load_from)
    if arguments.no_validate:
        config.pop("evaluation", None)
    work_dir = arguments.work_dir or config.get("work_dir")
    work_dir = Path(work_dir or Path("work_dirs") / arguments.config.stem)
    result = run_training(
        config,
        work_dir,
        resume=arguments.resume_from or arguments.resume,
        seed=arguments.seed,
        device=arguments.device,
    )
    if distributed.is_main():
        print(f"last checkpoint: {result.last_checkpoint}")
        if result.best_checkpoint is not None:
            print(f"best checkpoint: {result.best_checkpoint}")
        for name, value in result.metrics.items():
            print(f"{name}: {value:.4f}")
    return 0
