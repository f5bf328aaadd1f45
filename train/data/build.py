"""From a config's data set to a ``Dataset``, by an explicit table of MMOCR's names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ocr_models.errors import ConfigError

from .annotations import character_record, entity_record, scene_record, word_record
from .context import Context, Steps
from .datasets import ConcatDataset, Dataset, RepeatDataset
from .files import coco, of_lines, openset_pages, pages
from .rendered import synthetic_scenes, synthetic_words


def build_datasets(
    config: Mapping[str, Any], *, training: bool, seed: int
) -> tuple[list[Dataset], list[str]]:
    """Read ``data.train``, ``data.val`` or ``data.test``.

    Args:
        config: one data set, or a wrapper of several.
        training: broken lines are left out; otherwise they are errors.
        seed: of the training; rendered data sets without a seed of their own take it.

    Returns:
        The data sets, kept apart so that each can be evaluated, and notes on what was left out.
    """
    context = Context(training, seed)
    datasets = _build(context, config, None)
    if not datasets or any(len(dataset) == 0 for dataset in datasets):
        raise ConfigError(f"a data set is empty: {config.get('type')}")
    return datasets, context.notes


def mean_wanted(config: Mapping[str, Any]) -> bool | None:
    """Whether ``data.val`` or ``data.test`` asks for the mean over its data sets.

    Returns:
        ``show_mean_scores`` of a ``UniformConcatDataset``; None (MMOCR's ``"auto"``): where there
        are several.
    """
    wanted = config.get("show_mean_scores", "auto")
    if wanted not in (True, False, "auto"):
        raise ConfigError(f"show_mean_scores must be True, False or 'auto', got {wanted!r}")
    return None if wanted == "auto" else bool(wanted)


def _build(context: Context, config: Mapping[str, Any], pipeline: Steps | None) -> list[Dataset]:
    """The data sets of one entry; ``pipeline`` is for those that have none."""
    settings = dict(config)
    name = settings.pop("type", None)
    if name not in DATASETS:
        raise ConfigError(f"data set type {name!r} is not known; known: {', '.join(DATASETS)}")
    builder = DATASETS[name]
    known = list(inspect.signature(builder).parameters)[1:]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")
    if settings.get("pipeline") is None and "pipeline" in known and pipeline is not None:
        settings["pipeline"] = pipeline
    try:
        return builder(context, **settings)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error


def _uniform_concat(
    context: Context,
    datasets: Sequence[Any],
    pipeline: Sequence[Any] | None = None,
    force_apply: bool = False,
    separate_eval: bool = True,
    show_mean_scores: bool | str = "auto",
    test_mode: bool = False,
) -> list[Dataset]:
    """``UniformConcatDataset``: lists of data sets, each list with one pipeline."""
    groups = [group if isinstance(group, list | tuple) else [group] for group in datasets]
    if pipeline and isinstance(pipeline[0], list | tuple):
        if len(pipeline) != len(groups):
            raise ConfigError(
                f"UniformConcatDataset: {len(groups)} data sets, but {len(pipeline)} pipelines"
            )
        pipelines: list[Steps | None] = list(pipeline)
    else:
        pipelines = [pipeline] * len(groups)
    built: list[Dataset] = []
    for group, steps in zip(groups, pipelines, strict=True):
        for config in group:
            settings = {**config, "pipeline": None} if force_apply and steps else config
            built.extend(_build(context, settings, steps))
    return built if separate_eval or context.training else [ConcatDataset(built)]


def _concat(
    context: Context,
    datasets: Sequence[Mapping[str, Any]],
    separate_eval: bool = True,
    pipeline: Steps | None = None,
) -> list[Dataset]:
    """``ConcatDataset``."""
    built = [part for config in datasets for part in _build(context, config, pipeline)]
    return built if separate_eval else [ConcatDataset(built)]


def _repeat(
    context: Context, dataset: Mapping[str, Any], times: int, pipeline: Steps | None = None
) -> list[Dataset]:
    """``RepeatDataset``."""
    parts = _build(context, dataset, pipeline)
    return [RepeatDataset(part, times) for part in parts]


DATASETS: dict[str, Callable[..., list[Dataset]]] = {
    "OCRDataset": partial(of_lines, word_record),
    "OCRSegDataset": partial(of_lines, character_record),
    "TextDetDataset": partial(of_lines, scene_record),
    "IcdarDataset": coco,
    "KIEDataset": pages,
    "OpensetKIEDataset": openset_pages,
    "NerDataset": partial(of_lines, entity_record),
    "UniformConcatDataset": _uniform_concat,
    "ConcatDataset": _concat,
    "RepeatDataset": _repeat,
    "SyntheticWords": synthetic_words,
    "SyntheticScenes": synthetic_scenes,
}
