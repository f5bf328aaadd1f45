"""Everything that the next iteration depends on: what a checkpoint holds and brings back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.mmocr_config import dump_config
from ocr_models.runtime import cpu_has_bfloat16
from ocr_models.spec import to_json_dict

from . import checkpoints, distributed, initial_weights
from .data.loader import BatchPlan
from .ema import WeightAverage
from .fresh_weights import draw_fresh
from .frozen import FrozenParts
from .optimizers import build_optimizer
from .settings import TrainSettings
from .tasks import Task


@dataclass
class Progress:
    """Where the run is.

    Args:
        iteration: finished iterations.
        sums: of losses and gradient norms since the last log line.
        steps_in_sums: how many iterations these sums hold.
        bad_steps: iterations in a row whose numbers were not finite.
        skipped_examples: examples that could not be used, in this process.
        metrics: of the last evaluation.
        best_value: best result so far, if results are compared.
        best_name: file name of its checkpoint.
    """

    iteration: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    steps_in_sums: int = 0
    bad_steps: int = 0
    skipped_examples: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    best_value: float | None = None
    best_name: str | None = None


class TrainingState:
    """Network, moving average, optimizer, gradient scaler and progress of a run.

    Args:
        config: as the user gave it; kept in checkpoints.
        settings: read from it.
        task: kind of model.
        plan: order of the batches.
        seed: of the run.
        device: where to train.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        settings: TrainSettings,
        task: Task,
        plan: BatchPlan,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.settings = settings
        self.task = task
        self.plan = plan
        self.seed = seed
        self.progress = Progress()
        self.network = task.network.to(device=device)
        self.memory_format = best_memory_format(self.network)
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.frozen = FrozenParts(self.network, config.get("model") or {})
        self.frozen.freeze()
        self.average = (
            WeightAverage(self.network, settings.ema_momentum)
            if settings.ema_momentum is not None
            else None
        )
        self.optimizer = build_optimizer(settings.optimizer, self.network)
        self.base_rates: list[float] = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(
            device.type,
            enabled=settings.precision == "fp16",
            init_scale=settings.loss_scale or 65536.0,
            growth_interval=2000 if settings.loss_scale is None else 2**31 - 1,
        )

    @property
    def epoch(self) -> int:
        """1-based number of the epoch that the last finished iteration belongs to."""
        return (self.progress.iteration - 1) // self.plan.iterations + 1

    def weights_to_use(self) -> Mapping[str, Tensor]:
        """The moving average when there is one, else the weights."""
        network = self.average.network if self.average is not None else self.network
        return network.state_dict()

    def start(self) -> list[str]:
        """Begin at iteration 0 from the weights that the config names; returns notes."""
        draw_fresh(self.network)
        model = self.config.get("model") or {}
        notes = initial_weights.start(self.network, model, self.settings.load_from or None)
        if self.average is not None:
            self.average.network.load_state_dict(self.network.state_dict())
        return [*notes, *self._slow_precision()]

    def restore(self, saved: Mapping[str, Any], source: Path) -> list[str]:
        """Continue exactly where a checkpoint was written; returns notes."""
        state = saved["train_state"]
        self.network.load_state_dict(state["network"] or saved["state_dict"])
        if self.average is not None:
            self.average.network.load_state_dict(saved["state_dict"])
            self.average.updates = state["average_updates"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        notes = [f"continues {source} after iteration {self.progress.iteration}"]
        if state["plan"] != self._shared_plan():
            notes.append(
                f"{source} was written with other data or batch settings; the continued run sees "
                f"its examples in another order (then {state['plan']}, now {self._shared_plan()})"
            )
        if len(state["random"]) == distributed.world_size():
            checkpoints.restore_random_state(state["random"][distributed.rank()])
        return notes

    def _slow_precision(self) -> list[str]:
        on_cpu = next(self.network.parameters()).device.type == "cpu"
        if self.settings.precision != "bf16" or not on_cpu or cpu_has_bfloat16():
            return []
        return [
            "precision is 'bf16', but this processor has no instructions for it and will take many "
            "times as long; use --cfg-options precision=float32"
        ]

    def checkpoint(self) -> dict[str, Any]:
        """What ``restore`` needs and predictors read; called in all processes."""
        random_states = distributed.gather_objects(checkpoints.random_state())
        return {
            "meta": {
                "epoch": self.progress.iteration // self.plan.iterations,
                "iter": self.progress.iteration,
                "config": dump_config(self.config),
                "spec": json.dumps(to_json_dict(self.task.spec)),
                "metrics": dict(self.progress.metrics),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "ocrserve_version": _version(),
            },
            "state_dict": dict(self.weights_to_use()),
            "optimizer": self.optimizer.state_dict(),
            "train_state": {
                "network": self.network.state_dict() if self.average is not None else None,
                "average_updates": self.average.updates if self.average is not None else 0,
                "scaler": self.scaler.state_dict(),
                "progress": asdict(self.progress),
                "plan": self._shared_plan(),
                "seed": self.seed,
                "random": random_states,
            },
        }

    def _shared_plan(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self.plan).items() if key != "rank"}


def best_memory_format(network: nn.Module) -> torch.memory_format:
    """Channels last, which convolves faster, unless it crashes.

    On CPUs with AVX-512, PyTorch 2.13 corrupts its heap in the float32 backward pass of a strided
    1x1 convolution of fewer than 16 channels in this format.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1):
            continue
        if module.stride != (1, 1) and module.in_channels < 16:
            return torch.contiguous_format
    return torch.channels_last


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ocrserve")
    except PackageNotFoundError:
        return "unknown"
