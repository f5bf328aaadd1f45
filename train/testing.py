"""Measuring a checkpoint on a config's test data: what ``ocrserve test`` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ocr_models.errors import ConfigError
from ocr_models.spec import Spec

from . import distributed
from .data.build import build_datasets, mean_wanted
from .settings import EvaluationSettings
from .tasks import build_task
from .validation import evaluate_all


def run_test(
    config: Mapping[str, Any],
    checkpoint: str | Path | Mapping[str, Tensor],
    metrics: Sequence[str] = (),
    *,
    device: str | None = None,
    min_score_thr: float = 0.3,
    max_score_thr: float = 0.9,
    step: float = 0.1,
    seed: int = 0,
    spec: Spec | None = None,
) -> dict[str, float]:
    """Evaluate a checkpoint on ``data.test`` (``data.val`` when there is none).

    Args:
        config: a resolved config in MMOCR's dialect.
        checkpoint: file, MMOCR's or ours, or its weights.
        metrics: ``hmean-iou`` or ``hmean-ic13`` for detectors, ``acc`` or one of its parts for
            recognisers, ``macro_f1`` or ``openset_f1`` for key information; empty: the task's
            usual one.
        device: e.g. ``"cpu"``; a GPU when there is one.
        min_score_thr: detection: least score threshold of the sweep.
        max_score_thr: detection: greatest one.
        step: detection: between thresholds.
        seed: of rendered data sets that have none.
        spec: the model, instead of the one that the config describes.

    Returns:
        ``{"0_hmean-iou:hmean": ...}``: results of data set 0, 1, ...; ``mean_...`` for several.

    Raises:
        ConfigError: the config is wrong, or a metric is not known.
        WeightsError: the checkpoint cannot be read or does not fit.
    """
    data = config.get("data") or {}
    section = data.get("test") or data.get("val")
    if not isinstance(section, Mapping):
        raise ConfigError("the config has neither data.test nor data.val")
    where = distributed.local_device(device)
    with distributed.process_group(where):
        datasets, _ = build_datasets(section, training=False, seed=seed)
        settings = EvaluationSettings(
            metric=tuple(metrics),
            min_score_thr=min_score_thr,
            max_score_thr=max_score_thr,
            step=step,
            metric_options=(config.get("evaluation") or {}).get("metric_options") or {},
        )
        task = build_task(config, spec)
        weights = checkpoint if isinstance(checkpoint, Mapping) else _weights(Path(checkpoint))
        return evaluate_all(
            task, weights, datasets, settings, where, show_mean=mean_wanted(section)
        )


def _weights(path: Path) -> Mapping[str, Tensor]:
    from ocr_models.weights import load_state_dict

    return load_state_dict(path)
