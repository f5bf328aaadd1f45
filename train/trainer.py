"""The training loop: from a config to checkpoints, for every task.

A run can be killed at any moment and continued: batches follow from (seed, iteration), everything
else that the next iteration depends on is in the checkpoint, and lines that the log has beyond the
checkpoint are dropped. The continued run computes the same numbers to the last bit on the same
machine with the same number of threads and processes.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map_only

from ocr_models.errors import ConfigError, OcrError
from ocr_models.spec import Spec

from . import checkpoints, distributed
from .data.build import build_datasets, mean_wanted
from .data.datasets import ConcatDataset, Dataset
from .data.loader import BatchPlan, endless_batches
from .logs import IntervalClock, RunLog
from .settings import TrainSettings, read_settings
from .state import TrainingState
from .stopping import StopRequest, listen_for_stop
from .tasks import Task, build_task
from .validation import check_metrics, evaluate_all

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MAX_BAD_STEPS = 50


class TrainingError(OcrError):
    """Training cannot go on."""


class TrainingStoppedError(OcrError):
    """A signal ended the run; ``latest.pth`` continues it."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run leaves behind.

    Args:
        iterations: done in the whole run.
        last_checkpoint: the final one.
        best_checkpoint: the one with the best result, if results were asked for.
        metrics: of the last evaluation.
    """

    iterations: int
    last_checkpoint: Path
    best_checkpoint: Path | None
    metrics: Mapping[str, float]


class _Losses(nn.Module):
    """A task's losses as a module, so that gradients can be averaged over processes."""

    def __init__(self, task: Task, precision: str) -> None:
        super().__init__()
        self.network = task.network
        self._task = task
        self._dtype = DTYPES[precision]

    def forward(self, batch: Any) -> dict[str, Tensor]:
        device = next(self.network.parameters()).device.type
        with torch.autocast(device, self._dtype, enabled=self._dtype != torch.float32):
            return self._task.losses(self.network, batch)


def run_training(
    config: Mapping[str, Any],
    work_dir: str | Path,
    *,
    resume: bool | str | Path = False,
    seed: int | None = None,
    device: str | None = None,
    spec: Spec | None = None,
    show_bar: bool | None = None,
) -> TrainingResult:
    """Train the model of a config.

    Several processes, started by ``torchrun``, train together; the first one writes.

    Args:
        config: a resolved config in MMOCR's dialect; ``settings.py`` lists the keys.
        work_dir: folder for checkpoints and logs; made when missing.
        resume: a checkpoint to continue; ``True``: the latest of ``work_dir``, or a new start when
            there is none. Overrides the config's ``resume_from``.
        seed: overrides the config's; 0 when neither says.
        device: e.g. ``"cpu"`` or ``"cuda:1"``; a GPU when there is one.
        spec: the model, instead of the one that the config describes.
        show_bar: draw a progress bar; ``None``: on a terminal.

    Raises:
        ConfigError: the config is wrong.
        TrainingError: the losses are not finite any more.
        TrainingStoppedError: SIGINT or SIGTERM came; a checkpoint was written first.
    """
    settings = read_settings(config)
    where = distributed.local_device(device)
    folder = Path(work_dir)
    with distributed.process_group(where):
        if distributed.is_main():
            folder.mkdir(parents=True, exist_ok=True)
            checkpoints.clean_unfinished(folder)
        distributed.barrier()
        source = _resume_source(settings, folder, resume)
        saved = checkpoints.read_checkpoint(source) if source else None
        if saved is not None:
            seed = int(saved["train_state"]["seed"])
        elif seed is None:
            seed = settings.seed or 0
        _seed_everything(seed)
        run = _Run(config, settings, folder, seed, where, build_task(config, spec))
        if saved is not None and source is not None:
            run.notes += run.state.restore(saved, source)
        else:
            run.notes += run.state.start()
            _seed_everything(seed + distributed.rank())  # dropout differs between processes
        return run.train(show_bar)


def _resume_source(settings: TrainSettings, folder: Path, resume: bool | str | Path) -> Path | None:
    if isinstance(resume, str | Path):
        return Path(resume)
    if resume:
        latest = folder / checkpoints.LATEST
        return latest if latest.exists() else None
    return Path(settings.resume_from) if settings.resume_from else None


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class _Run:
    """One training run: data, state, and the loop over them."""

    def __init__(
        self,
        config: Mapping[str, Any],
        settings: TrainSettings,
        folder: Path,
        seed: int,
        device: torch.device,
        task: Task,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.device = device
        self.task = task
        data = config["data"]
        if not isinstance(data.get("train"), Mapping):
            raise ConfigError("data.train is missing: it describes the training data")
        parts, self.notes = build_datasets(data["train"], training=True, seed=seed)
        self.dataset: Dataset = parts[0] if len(parts) == 1 else ConcatDataset(parts)
        self.validation: list[Dataset] = []
        self.show_mean: bool | None = None
        if settings.evaluation is not None:
            check_metrics(task, settings.evaluation.metric)
            self.validation, _ = build_datasets(data["val"], training=False, seed=seed)
            self.show_mean = mean_wanted(data["val"])
        self.plan = BatchPlan(
            length=len(self.dataset),
            batch_size=settings.loader.samples_per_gpu,
            chunk_batches=settings.loader.bucket_batches,
            seed=seed,
            shuffle=settings.loader.shuffle,
            drop_last=settings.loader.drop_last,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
        )
        self.total = settings.max_iters or (settings.max_epochs or 0) * self.plan.iterations
        self.state = TrainingState(config, settings, task, self.plan, seed, device)

    # --- the loop -------------------------------------------------------------------------

    def train(self, show_bar: bool | None) -> TrainingResult:
        """Run to the end."""
        log = None
        if distributed.is_main():
            log = RunLog(
                self.folder,
                resume_iteration=self.state.progress.iteration,
                tensorboard=self.settings.tensorboard,
                show_bar=show_bar,
                total=self.total,
            )
            for note in self.notes:
                log.say(note)
            log.say(
                f"{len(self.dataset)} examples, {self.plan.iterations} iterations per epoch, "
                f"{self.total} in all, on {distributed.world_size()} x {self.device}"
            )
        try:
            with listen_for_stop(distributed.world_size() == 1) as stop:
                return self._loop(log, stop)
        finally:
            if log is not None:
                log.close()

    def _loop(self, log: RunLog | None, stop: StopRequest) -> TrainingResult:
        cv2.setNumThreads(0)
        state, progress = self.state, self.state.progress
        state.network.train()
        state.frozen.stay()
        losses_of = self._parallel(_Losses(self.task, self.settings.precision))
        batches = self._batches(log)
        clock = IntervalClock()
        last = self.folder / checkpoints.LATEST
        while progress.iteration < self.total:
            rates = self._set_rates()
            try:
                batch = next(batches)
            except RuntimeError:
                if stop:  # the signal may have ended the loader's processes as well
                    self._stop(log, stop)
                raise
            clock.data_ready()
            self._step(losses_of, batch)
            progress.iteration += 1
            clock.step_done()
            done = progress.iteration
            finished = done == self.total
            if log is not None:
                log.advance()
            if done % self.settings.log_interval == 0 or finished:
                self._write_means(log, rates[0], clock)
            if self._evaluation_due(done, finished):
                self._evaluate(log)
                clock.restart()
            if stop and not finished:
                self._stop(log, stop)
            if self._checkpoint_due(done, finished):
                last = self._save(log)
                clock.restart()
        best = self.folder / progress.best_name if progress.best_name else None
        return TrainingResult(progress.iteration, last, best, progress.metrics)

    def _stop(self, log: RunLog | None, stop: StopRequest) -> NoReturn:
        path = self._save(log)
        raise TrainingStoppedError(
            f"stopped by {stop.name} after iteration {self.state.progress.iteration} of "
            f"{self.total}; {path} continues it"
        )

    def _batches(self, log: RunLog | None) -> Iterator[Any]:
        def on_skip(problems: list[str]) -> None:
            self.state.progress.skipped_examples += len(problems)
            if log is not None:
                total = self.state.progress.skipped_examples
                log.say(
                    f"skipped {len(problems)} unusable examples ({total} so far): {problems[0]}"
                )

        batches = endless_batches(
            self.dataset,
            self.plan,
            self.task,
            workers=self.settings.loader.workers_per_gpu,
            start_iteration=self.state.progress.iteration,
            on_skip=on_skip,
        )
        for batch in batches:
            yield tree_map_only(Tensor, self._to_device, batch)

    def _to_device(self, tensor: Tensor) -> Tensor:
        if tensor.dim() == 4:
            return tensor.to(self.device, memory_format=self.state.memory_format, non_blocking=True)
        return tensor.to(self.device, non_blocking=True)

    def _parallel(self, losses_of: _Losses) -> nn.Module:
        if distributed.world_size() == 1:
            return losses_of
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(losses_of, device_ids=devices)

    def _set_rates(self) -> list[float]:
        rates = [
            self.settings.schedule.lr(
                base,
                iteration=self.state.progress.iteration,
                iterations_per_epoch=self.plan.iterations,
                max_iterations=self.total,
            )
            for base in self.state.base_rates
        ]
        for group, rate in zip(self.state.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        return rates

    def _step(self, losses_of: nn.Module, batch: Any) -> None:
        """One update of the weights; a step with numbers that are not finite changes nothing."""
        state, progress = self.state, self.state.progress
        state.optimizer.zero_grad(set_to_none=True)
        losses = losses_of(batch)
        total = torch.stack([value for name, value in losses.items() if "loss" in name]).sum()
        state.scaler.scale(total).backward()
        state.scaler.unscale_(state.optimizer)
        clip = self.settings.grad_clip or {}
        norm = nn.utils.clip_grad_norm_(
            state.network.parameters(), clip.get("max_norm", math.inf), clip.get("norm_type", 2)
        )
        parts = torch.stack([*losses.values(), total]).detach().float()
        values = [*distributed.mean_over_ranks(parts).tolist(), float(norm)]
        names = [*losses, "loss", "grad_norm"]
        good = all(math.isfinite(value) for value in values)
        if good or state.scaler.is_enabled():  # the scaler leaves out infinite gradients itself
            state.scaler.step(state.optimizer)
            state.scaler.update()
        if good:
            progress.bad_steps = 0
            if state.average is not None:
                state.average.update(state.network)
            for name, value in zip(names, values, strict=True):
                progress.sums[name] = progress.sums.get(name, 0.0) + value
            progress.steps_in_sums += 1
            return
        progress.bad_steps += 1
        if progress.bad_steps >= MAX_BAD_STEPS:
            shown = ", ".join(f"{n} {v}" for n, v in zip(names, values, strict=True))
            raise TrainingError(
                f"{MAX_BAD_STEPS} iterations in a row were not finite ({shown}); "
                "lower the learning rate, or clip gradients by optimizer_config.grad_clip"
            )

    def _write_means(self, log: RunLog | None, rate: float, clock: IntervalClock) -> None:
        """One log line with the means since the last one."""
        progress = self.state.progress
        steps = max(1, progress.steps_in_sums)
        means = {name: value / steps for name, value in progress.sums.items()}
        progress.sums, progress.steps_in_sums = {}, 0
        if log is not None:
            values = {"lr": rate, **means, **clock.means()}
            log.write("train", self.state.epoch, progress.iteration, values)

    # --- evaluation and checkpoints -------------------------------------------------------

    def _due(self, done: int, interval: int, by_epoch: bool, start: int = 0) -> bool:
        if by_epoch:
            epoch, within = divmod(done, self.plan.iterations)
            return within == 0 and epoch % interval == 0 and epoch >= start
        return done % interval == 0 and done >= start

    def _evaluation_due(self, done: int, finished: bool) -> bool:
        settings = self.settings.evaluation
        if settings is None:
            return False
        return finished or self._due(done, settings.interval, settings.by_epoch, settings.start)

    def _checkpoint_due(self, done: int, finished: bool) -> bool:
        settings = self.settings.checkpoint
        if finished and settings.save_last:
            return True
        return settings.interval > 0 and self._due(done, settings.interval, settings.by_epoch)

    def _evaluate(self, log: RunLog | None) -> None:
        """Evaluate, and keep a checkpoint of its own when this is the best result so far."""
        settings, state = self.settings.evaluation, self.state
        assert settings is not None
        started = time.perf_counter()
        random_state = checkpoints.random_state()
        weights = state.weights_to_use()
        results = evaluate_all(
            self.task, weights, self.validation, settings, self.device, show_mean=self.show_mean
        )
        checkpoints.restore_random_state(random_state)
        state.progress.metrics = results
        if log is not None:
            values = {**results, "eval_time": time.perf_counter() - started}
            log.write("val", state.epoch, state.progress.iteration, values)
        if settings.save_best is None:
            return
        key = _best_key(settings.save_best, results)
        value, best = results[key], state.progress.best_value
        if best is not None and (value <= best if settings.rule == "greater" else value >= best):
            return
        path = self.folder / f"best_{key.removeprefix('0_').replace(':', '_')}.pth"
        state.progress.best_value, state.progress.best_name = value, path.name
        content = state.checkpoint()
        if log is not None:
            checkpoints.save_atomically(content, path)
            log.say(f"best {key} so far: {value:.4f} ({path.name})")

    def _save(self, log: RunLog | None) -> Path:
        iteration = self.state.progress.iteration
        whole_epoch = iteration % self.plan.iterations == 0
        kind = "epoch" if self.settings.checkpoint.by_epoch and whole_epoch else "iter"
        number = iteration // self.plan.iterations if kind == "epoch" else iteration
        path = self.folder / f"{kind}_{number}.pth"
        content = self.state.checkpoint()
        if log is not None:
            checkpoints.save_atomically(content, path)
            checkpoints.point_latest(path)
            keep = self.settings.checkpoint.max_keep_ckpts
            checkpoints.remove_old(self.folder, kind, newest=number, keep=keep)
        distributed.barrier()
        return path


def _best_key(wanted: str, results: Mapping[str, float]) -> str:
    if wanted == "auto":
        return next(iter(results))
    for key in (wanted, f"mean_{wanted}", f"0_{wanted}"):
        if key in results:
            return key
    raise ConfigError(
        f"evaluation.save_best is {wanted!r}; the evaluation gives {', '.join(results)}"
    )
