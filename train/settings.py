"""What a config says about training, read once and checked before anything starts.

The keys are MMOCR's. Ours beside them: ``ema=dict(momentum=...)``, ``precision='bf16'``, and
``bucket_batches`` among the loader's settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ocr_models.errors import ConfigError

from .schedules import Schedule, schedule_from_config

Precision = Literal["float32", "bf16", "fp16"]

TOP_LEVEL_KEYS = (
    "model", "data", "optimizer", "optimizer_config", "lr_config", "runner", "total_epochs",
    "checkpoint_config", "evaluation", "log_config", "load_from", "resume_from", "seed", "fp16",
    "precision", "ema", "work_dir",
)  # fmt: skip
IGNORED_KEYS = (
    "dist_params", "log_level", "workflow", "cudnn_benchmark", "opencv_num_threads",
    "mp_start_method", "find_unused_parameters", "custom_hooks", "auto_scale_lr", "gpu_ids",
)  # fmt: skip
"""Keys of MMOCR configs that have no effect here."""


@dataclass(frozen=True)
class LoaderSettings:
    """How batches of one data set are made.

    Args:
        samples_per_gpu: batch size of one process.
        workers_per_gpu: processes that prepare batches; 0: none beside the training itself.
        drop_last: leave out the last, smaller batch of an epoch.
        shuffle: draw a new order in every epoch.
        persistent_workers: no effect: workers always live as long as the training.
        bucket_batches: so many batches are drawn together and sorted by width (text lines).
    """

    samples_per_gpu: int = 1
    workers_per_gpu: int = 0
    drop_last: bool = False
    shuffle: bool = True
    persistent_workers: bool = True
    bucket_batches: int = 1

    def __post_init__(self) -> None:
        for name in ("samples_per_gpu", "bucket_batches"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name} must be at least 1, got {getattr(self, name)}")
        if self.workers_per_gpu < 0:
            raise ConfigError(f"data.workers_per_gpu must not be negative: {self.workers_per_gpu}")


@dataclass(frozen=True)
class EvaluationSettings:
    """When and how to evaluate, and which checkpoint is the best.

    Args:
        interval: epochs (iterations) between evaluations.
        by_epoch: what ``interval`` counts.
        start: no evaluation before this epoch (iteration).
        metric: names for the task, e.g. ``("acc",)`` or ``("hmean-iou",)``.
        save_best: name of a result to keep the best checkpoint by, without prefix that of the mean
            over several data sets; ``"auto"``: the first one.
        rule: ``"greater"`` or ``"less"``.
        min_score_thr: detection: least score threshold of the sweep.
        max_score_thr: detection: greatest one.
        step: detection: between thresholds.
        metric_options: key information: ``dict(macro_f1=dict(ignores=[classes]))``.
    """

    interval: int = 1
    by_epoch: bool = True
    start: int = 0
    metric: tuple[str, ...] = ()
    save_best: str | None = None
    rule: str = "greater"
    min_score_thr: float = 0.3
    max_score_thr: float = 0.9
    step: float = 0.1
    metric_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise ConfigError(f"evaluation.interval must be at least 1, got {self.interval}")
        if self.rule not in ("greater", "less"):
            raise ConfigError(f"evaluation.rule must be 'greater' or 'less', got {self.rule!r}")


@dataclass(frozen=True)
class CheckpointSettings:
    """When to write checkpoints.

    Args:
        interval: epochs (iterations) between them; -1: only the last one.
        by_epoch: what ``interval`` counts.
        max_keep_ckpts: newest ones to keep; -1 keeps all.
        save_last: write one at the end whatever the interval is.
    """

    interval: int = 1
    by_epoch: bool = True
    max_keep_ckpts: int = -1
    save_last: bool = True

    def __post_init__(self) -> None:
        if self.interval < 1 and self.interval != -1:
            raise ConfigError(f"checkpoint_config.interval must be >= 1 or -1: {self.interval}")


@dataclass(frozen=True)
class TrainSettings:
    """Everything but the model and the data sets.

    Args:
        max_epochs: length of the training, or
        max_iters: the same in iterations.
        optimizer: MMOCR's dictionary.
        grad_clip: ``dict(max_norm=..., norm_type=2)``, or ``None``.
        schedule: of the learning rate.
        loader: of the training data.
        checkpoint: when to write.
        evaluation: when to evaluate; ``None``: never.
        log_interval: iterations between lines.
        tensorboard: write TensorBoard events when it is installed.
        precision: of forward and backward passes; weights stay float32.
        loss_scale: fp16: fixed factor, or ``None`` for one that adapts.
        ema_momentum: of the moving average of weights; ``None``: none.
        load_from: checkpoint whose weights to start from.
        resume_from: checkpoint to continue.
        seed: of everything random.
    """

    max_epochs: int | None
    max_iters: int | None
    optimizer: Mapping[str, Any]
    grad_clip: Mapping[str, Any] | None
    schedule: Schedule
    loader: LoaderSettings
    checkpoint: CheckpointSettings
    evaluation: EvaluationSettings | None
    log_interval: int = 50
    tensorboard: bool = True
    precision: Precision = "float32"
    loss_scale: float | None = None
    ema_momentum: float | None = None
    load_from: str | None = None
    resume_from: str | None = None
    seed: int | None = None


def read_settings(config: Mapping[str, Any]) -> TrainSettings:
    """Read the training keys of a resolved config.

    Raises:
        ConfigError: something is missing, unknown or out of range.
    """
    _check_spelling(config)
    for key in ("data", "optimizer"):
        if not isinstance(config.get(key), Mapping):
            raise ConfigError(f"the config needs a dictionary {key!r} for training")
    runner = _section(config, "runner")
    by_epoch = runner.get("type", "EpochBasedRunner") == "EpochBasedRunner"
    max_epochs, max_iters = _length(config, runner, by_epoch)
    optimizer_config = _section(config, "optimizer_config")
    _only(optimizer_config, "optimizer_config", ("type", "grad_clip", "loss_scale"))
    precision, loss_scale = _precision(config)
    ema = _section(config, "ema")
    _only(ema, "ema", ("momentum",))
    log_config = _section(config, "log_config")
    hooks = [hook.get("type") for hook in log_config.get("hooks", ())]
    return TrainSettings(
        max_epochs=max_epochs,
        max_iters=max_iters,
        optimizer=config["optimizer"],
        grad_clip=optimizer_config.get("grad_clip"),
        schedule=schedule_from_config(config.get("lr_config"), by_epoch=by_epoch),
        loader=loader_settings(config["data"], "train"),
        checkpoint=_checkpoint(config, by_epoch),
        evaluation=evaluation_settings(config, by_epoch=by_epoch),
        log_interval=int(log_config.get("interval", 50)),
        tensorboard=not hooks or "TensorboardLoggerHook" in hooks,
        precision=precision,
        loss_scale=loss_scale,
        ema_momentum=ema.get("momentum", 0.0002) if config.get("ema") is not None else None,
        load_from=config.get("load_from"),
        resume_from=config.get("resume_from"),
        seed=config.get("seed"),
    )


def loader_settings(data: Mapping[str, Any], split: str) -> LoaderSettings:
    """Settings of ``data``, overridden by those of ``data.{split}_dataloader``."""
    known = tuple(LoaderSettings.__dataclass_fields__)
    overrides = data.get(f"{split}_dataloader") or {}
    _only(overrides, f"data.{split}_dataloader", known)
    shared = {key: data[key] for key in known if key in data}
    others = {
        key
        for key in set(data) - set(known)
        if key not in ("train", "val", "test")
        and key not in ("train_dataloader", "val_dataloader", "test_dataloader")
    }
    if others:
        raise ConfigError(
            f"data does not read {', '.join(sorted(others))}; it reads train, val, test, "
            f"train_dataloader, val_dataloader, test_dataloader, {', '.join(known)}"
        )
    return LoaderSettings(**{**shared, **overrides})


def evaluation_settings(config: Mapping[str, Any], *, by_epoch: bool) -> EvaluationSettings | None:
    """The ``evaluation`` section; ``None`` when there is nothing to evaluate on or with."""
    section = _section(config, "evaluation")
    if not section or not config["data"].get("val"):
        return None
    known = tuple(EvaluationSettings.__dataclass_fields__)
    _only(section, "evaluation", (*known, "score_thr", "rank_list"))
    settings = {key: section[key] for key in known if section.get(key) is not None}
    metric = settings.get("metric", ())
    settings["metric"] = (metric,) if isinstance(metric, str) else tuple(metric)
    settings.setdefault("by_epoch", by_epoch)
    return EvaluationSettings(**settings)


def _checkpoint(config: Mapping[str, Any], by_epoch: bool) -> CheckpointSettings:
    section = {"by_epoch": by_epoch, **_section(config, "checkpoint_config")}
    known = tuple(CheckpointSettings.__dataclass_fields__)
    _only(section, "checkpoint_config", known)
    return CheckpointSettings(**section)


def _length(
    config: Mapping[str, Any], runner: Mapping[str, Any], by_epoch: bool
) -> tuple[int | None, int | None]:
    name = runner.get("type", "EpochBasedRunner")
    if name not in ("EpochBasedRunner", "IterBasedRunner"):
        raise ConfigError(
            f"runner.type is {name!r}; known: EpochBasedRunner (max_epochs), "
            "IterBasedRunner (max_iters)"
        )
    _only(runner, "runner", ("type", "max_epochs" if by_epoch else "max_iters"))
    length = runner.get("max_epochs", config.get("total_epochs")) if by_epoch else None
    iterations = None if by_epoch else runner.get("max_iters")
    value = length if by_epoch else iterations
    if not isinstance(value, int) or value < 1:
        wanted = "max_epochs" if by_epoch else "max_iters"
        raise ConfigError(f"runner.{wanted} must be a whole number above 0, got {value!r}")
    return length, iterations


def _precision(config: Mapping[str, Any]) -> tuple[Precision, float | None]:
    fp16 = config.get("fp16")
    precision = config.get("precision", "float32" if fp16 is None else "fp16")
    if precision not in ("float32", "bf16", "fp16"):
        raise ConfigError(f"precision is {precision!r}; known: 'float32', 'bf16', 'fp16'")
    scale = (fp16 or {}).get("loss_scale")
    if scale is None or scale == "dynamic" or isinstance(scale, Mapping):
        return precision, None
    return precision, float(scale)


def _section(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a dictionary, got {value!r}")
    return dict(value)


def _only(section: Mapping[str, Any], name: str, known: Sequence[str]) -> None:
    unknown = sorted(set(section) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")


def _check_spelling(config: Mapping[str, Any]) -> None:
    """Any name may be a helper variable of the config, but not a near miss of a key we read."""
    for key in config:
        if key in TOP_LEVEL_KEYS or key in IGNORED_KEYS:
            continue
        close = difflib.get_close_matches(key, TOP_LEVEL_KEYS, n=1, cutoff=0.85)
        if close and close[0] not in config:
            raise ConfigError(f"the config sets {key!r}, which nothing reads; {close[0]!r}?")
