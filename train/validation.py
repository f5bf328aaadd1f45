"""Evaluating a task on its data sets, with MMOCR's names for the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ocr_models.errors import ConfigError

from .data.datasets import Dataset
from .settings import EvaluationSettings
from .tasks import Task


def evaluate_all(
    task: Task,
    state_dict: Mapping[str, Tensor],
    datasets: Sequence[Dataset],
    settings: EvaluationSettings,
    device: torch.device,
    *,
    show_mean: bool | None = None,
) -> dict[str, float]:
    """Evaluate on every data set.

    Args:
        task: kind of model.
        state_dict: its weights.
        datasets: one after the other.
        settings: metrics and score thresholds.
        device: where to compute.
        show_mean: add the mean over the data sets; None: where there are several.

    Returns:
        ``{"0_word_acc": ...}``: results of data set 0, 1, ..., and their means ``mean_...``, in
        which every data set counts the same.

    Raises:
        ConfigError: a metric that the task does not have.
    """
    settings = replace(settings, metric=check_metrics(task, settings.metric))
    results: dict[str, float] = {}
    for number, dataset in enumerate(datasets):
        scores = task.evaluate(state_dict, dataset, settings, device)
        results |= {f"{number}_{name}": float(value) for name, value in scores.items()}
    if len(datasets) > 1 if show_mean is None else show_mean:
        names = [name.removeprefix("0_") for name in results if name.startswith("0_")]
        for name in names:
            values = [results[f"{number}_{name}"] for number in range(len(datasets))]
            results[f"mean_{name}"] = sum(values) / len(values)
    return results


def check_metrics(task: Task, metrics: Sequence[str]) -> tuple[str, ...]:
    """``metrics``, or the task's own choice when there are none.

    Raises:
        ConfigError: a metric that the task does not have.
    """
    unknown = sorted(set(metrics) - set(task.metrics))
    if unknown:
        raise ConfigError(
            f"metric {', '.join(unknown)} is not known for this model; "
            f"known: {', '.join(task.metrics)}"
        )
    return tuple(metrics) or task.metrics[:1]
