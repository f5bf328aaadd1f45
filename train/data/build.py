"""From a config's data set to a ``Dataset``, by an explicit table of MMOCR's names."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ocr_models.errors import ConfigError

from ..augment.pipeline import Pipeline, build_pipeline
from ..augment.sample import Character, Sample
from .annotations import (
    AnnotationError,
    LineJsonParser,
    LineStrParser,
    Parser,
    Problems,
    Record,
    character_record,
    entity_record,
    lmdb_lines,
    parse_lines,
    read_coco,
    scene_record,
    text_lines,
    word_record,
)
from .datasets import (
    ConcatDataset,
    Dataset,
    FileDataset,
    RepeatDataset,
    SyntheticDataset,
    read_from_folder,
)
from .lmdb_files import read_value
from .pages import page_record

PARSERS: dict[str, type[Any]] = {"LineStrParser": LineStrParser, "LineJsonParser": LineJsonParser}
LOADERS = ("AnnFileLoader", "HardDiskLoader", "LmdbLoader")
Steps = Sequence[Mapping[str, Any]]
# What prepares a page's graph; the task does it as the test pipeline says, and compares them.
PAGE_STEPS = (
    "LoadAnnotations", "Resize", "ResizeNoImg", "RandomFlip", "Normalize", "Pad",
    "KIEFormatBundle", "Collect",
)  # fmt: skip
PAGE_IMAGE_STEPS = ("LoadImageFromFile", "LoadImageFromLMDB", "ColorJitter")


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
    context = _Context(training, seed)
    datasets = context.build(config, None)
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


class _Context:
    """What all data sets of one build share."""

    def __init__(self, training: bool, seed: int) -> None:
        self.training = training
        self.seed = seed
        self.notes: list[str] = []

    def build(self, config: Mapping[str, Any], pipeline: Steps | None) -> list[Dataset]:
        """The data sets of one entry; ``pipeline`` is for those that have none."""
        settings = dict(config)
        name = settings.pop("type", None)
        if name not in DATASETS:
            raise ConfigError(f"data set type {name!r} is not known; known: {', '.join(DATASETS)}")
        builder = DATASETS[name]
        known = list(inspect.signature(builder).parameters)[1:]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ConfigError(
                f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}"
            )
        if settings.get("pipeline") is None and "pipeline" in known and pipeline is not None:
            settings["pipeline"] = pipeline
        try:
            return builder(self, **settings)
        except TypeError as error:
            raise ConfigError(f"{name}: {error}") from error

    def steps(self, steps: Steps | None) -> Pipeline:
        """The pipeline of a leaf; in evaluation the predictor does all that is needed."""
        if not self.training:
            return Pipeline(())
        if not steps:
            raise ConfigError("a data set for training needs a pipeline")
        return build_pipeline(steps)

    def page_steps(self, steps: Steps | None) -> Pipeline:
        """The same for pages of key information, whose geometry stays as it is."""
        if not self.training:
            return Pipeline(())
        if not steps:
            raise ConfigError("a data set for training needs a pipeline")
        names = [step.get("type") for step in steps]
        unknown = [name for name in names if name not in (*PAGE_STEPS, *PAGE_IMAGE_STEPS)]
        if unknown:
            raise ConfigError(
                f"{unknown[0]} is not served in training on pages; known: "
                f"{', '.join((*PAGE_IMAGE_STEPS, *PAGE_STEPS))}"
            )
        return build_pipeline([step for step in steps if step["type"] in PAGE_IMAGE_STEPS])

    def note_problems(self, ann_file: Any, kept: Sequence[Record], problems: Problems) -> None:
        """Remember what was left out; nothing usable is an error."""
        if not kept:
            reason = f"; the first problem: {problems.messages[0]}" if problems.messages else ""
            raise AnnotationError(f"{ann_file}: no usable annotation{reason}")
        if problems.messages:
            count = len(problems.messages)
            self.notes.append(
                f"{ann_file}: left out {count} of {count + len(kept)} entries; "
                f"the first: {problems.messages[0]}"
            )


def _coco(
    context: _Context,
    ann_file: str,
    img_prefix: str = "",
    pipeline: Steps | None = None,
    data_root: str | None = None,
    test_mode: bool = False,
    filter_empty_gt: bool = True,
    select_first_k: int = -1,
    classes: Sequence[str] | None = None,
    ann_file_backend: str = "disk",
) -> list[Dataset]:
    """``IcdarDataset``: COCO-style json."""
    if ann_file_backend != "disk":
        raise ConfigError(f"ann_file_backend must be 'disk', got {ann_file_backend!r}")
    root = Path(data_root or "")
    records, problems = read_coco(root / ann_file, strict=not context.training)
    if select_first_k > 0:
        records = records[:select_first_k]
    if context.training and filter_empty_gt:
        records = [record for record in records if record.polygons or record.ignored]
    context.note_problems(ann_file, records, problems)
    read = partial(read_from_folder, root / img_prefix)
    return [FileDataset(records, read, context.steps(pipeline), problems)]


def _lines(
    context: _Context,
    to_record: Callable[[str, Mapping[str, Any]], Record],
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None,
    img_prefix: str,
    pages: bool = False,
) -> list[Dataset]:
    settings = dict(loader)
    name = settings.pop("type", None)
    if name not in LOADERS:
        raise ConfigError(f"loader type {name!r} is not known; known: {', '.join(LOADERS)}")
    parser = _parser(settings.pop("parser", {"type": "LineJsonParser"}))
    repeat = settings.pop("repeat", 1)
    backend = settings.pop("file_storage_backend", "disk")
    default_format = "lmdb" if name == "LmdbLoader" else "txt"
    file_format = settings.pop("file_format", default_format)
    settings.pop("ann_file", None)  # MMOCR fills it in from the data set
    if settings:
        raise ConfigError(
            f"{name} does not read {', '.join(sorted(settings))}; "
            "it reads parser, repeat, file_format, file_storage_backend"
        )
    if backend != "disk":
        raise ConfigError(
            f"file_storage_backend {backend!r} is not supported; copy the file here, use 'disk'"
        )
    if file_format not in ("txt", "lmdb"):
        raise ConfigError(f"file_format must be 'txt' or 'lmdb', got {file_format!r}")
    path = Path(ann_file)
    lines = lmdb_lines(path, parser) if file_format == "lmdb" else text_lines(path)
    records, problems = parse_lines(lines, parser, to_record, strict=not context.training)
    context.note_problems(ann_file, records, problems)
    steps = context.page_steps(pipeline) if pages else context.steps(pipeline)
    from_lmdb = any(step.get("type") == "LoadImageFromLMDB" for step in pipeline or ())
    read = partial(read_value if from_lmdb else read_from_folder, Path(img_prefix))
    dataset: Dataset = FileDataset(records, read, steps, problems)
    if repeat == 1:
        return [dataset]
    if repeat > 1 and repeat == int(repeat):
        return [RepeatDataset(dataset, int(repeat))]
    count = max(1, round(len(records) * repeat))
    chosen = [records[i % len(records)] for i in range(count)]
    return [FileDataset(chosen, read, steps, problems)]


def _parser(config: Mapping[str, Any]) -> Parser:
    settings = dict(config)
    name = settings.pop("type", None)
    if name not in PARSERS:
        raise ConfigError(f"parser type {name!r} is not known; known: {', '.join(PARSERS)}")
    try:
        parser: Parser = PARSERS[name](**settings)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from None
    return parser


def _words(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None = None,
    img_prefix: str = "",
    test_mode: bool = False,
) -> list[Dataset]:
    """``OCRDataset``: word crops."""
    return _lines(context, word_record, ann_file, loader, pipeline, img_prefix)


def _characters(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None = None,
    img_prefix: str = "",
    test_mode: bool = False,
) -> list[Dataset]:
    """``OCRSegDataset``: word crops with a box per character."""
    return _lines(context, character_record, ann_file, loader, pipeline, img_prefix)


def _scenes(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None = None,
    img_prefix: str = "",
    test_mode: bool = False,
) -> list[Dataset]:
    """``TextDetDataset``: pictures with polygons, one JSON object per line."""
    return _lines(context, scene_record, ann_file, loader, pipeline, img_prefix)


def _pages(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    dict_file: str,
    pipeline: Steps | None = None,
    img_prefix: str = "",
    norm: float = 10.0,
    directed: bool = False,
    test_mode: bool = False,
) -> list[Dataset]:
    """``KIEDataset``: pages whose words have classes; dictionary and norm belong to the model."""
    to_record = partial(page_record, openset=False, directed=directed)
    return _lines(context, to_record, ann_file, loader, pipeline, img_prefix, pages=True)


def _openset_pages(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    dict_file: str,
    pipeline: Steps | None = None,
    img_prefix: str = "",
    norm: float = 10.0,
    link_type: str = "one-to-one",
    edge_thr: float = 0.5,
    key_node_idx: int = 1,
    value_node_idx: int = 2,
    node_classes: int = 4,
    test_mode: bool = False,
) -> list[Dataset]:
    """``OpensetKIEDataset``: keys and values that are linked; links are settings of the model."""
    to_record = partial(page_record, openset=True, directed=False)
    return _lines(context, to_record, ann_file, loader, pipeline, img_prefix, pages=True)


def _entities(
    context: _Context,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None = None,
    img_prefix: str = "",
    test_mode: bool = False,
) -> list[Dataset]:
    """``NerDataset``: texts with named entities, one JSON object per line."""
    return _lines(context, entity_record, ann_file, loader, pipeline, img_prefix)


def _uniform_concat(
    context: _Context,
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
            built.extend(context.build(settings, steps))
    return built if separate_eval or context.training else [ConcatDataset(built)]


def _concat(
    context: _Context,
    datasets: Sequence[Mapping[str, Any]],
    separate_eval: bool = True,
    pipeline: Steps | None = None,
) -> list[Dataset]:
    """``ConcatDataset``."""
    built = [part for config in datasets for part in context.build(config, pipeline)]
    return built if separate_eval else [ConcatDataset(built)]


def _repeat(
    context: _Context, dataset: Mapping[str, Any], times: int, pipeline: Steps | None = None
) -> list[Dataset]:
    """``RepeatDataset``."""
    parts = context.build(dataset, pipeline)
    return [RepeatDataset(part, times) for part in parts]


def _synthetic_words(
    context: _Context,
    size: int,
    seed: int | None = None,
    split: str = "train",
    fonts: str = "all",
    renderer: Mapping[str, Any] | None = None,
    pipeline: Steps | None = None,
    test_mode: bool = False,
) -> list[Dataset]:
    """``SyntheticWords``: rendered word crops; ``size`` of them are an epoch."""
    from ..synth.fonts import find_fonts
    from ..synth.words import WordRenderConfig, WordRenderer

    _check_fonts(fonts, split)
    made = WordRenderer(
        find_fonts(source=fonts, split=split),  # type: ignore[arg-type]
        _dataclass_from(WordRenderConfig, renderer or {}, "renderer"),
    )
    return [_synthetic(context, made, _word_sample, size, seed, pipeline)]


def _synthetic_scenes(
    context: _Context,
    size: int,
    seed: int | None = None,
    split: str = "train",
    fonts: str = "all",
    renderer: Mapping[str, Any] | None = None,
    pipeline: Steps | None = None,
    test_mode: bool = False,
) -> list[Dataset]:
    """``SyntheticScenes``: rendered pictures; ``size`` of them are an epoch."""
    from ..synth.fonts import find_fonts
    from ..synth.scenes import SceneRenderConfig, SceneRenderer

    _check_fonts(fonts, split)
    made = SceneRenderer(
        find_fonts(source=fonts, split=split),  # type: ignore[arg-type]
        _dataclass_from(SceneRenderConfig, renderer or {}, "renderer"),
    )
    return [_synthetic(context, made, _scene_sample, size, seed, pipeline)]


def _check_fonts(fonts: str, split: str) -> None:
    if fonts not in ("pip", "debian", "all"):
        raise ConfigError(f"fonts must be 'pip', 'debian' or 'all', got {fonts!r}")
    if split not in ("train", "heldout", "all"):
        raise ConfigError(f"split must be 'train', 'heldout' or 'all', got {split!r}")


def _dataclass_from(cls: type[Any], settings: Mapping[str, Any], name: str) -> Any:
    """A frozen dataclass of a renderer from a config's dictionary, nested ones likewise."""
    known = {entry.name: entry for entry in dataclasses.fields(cls)}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")
    values: dict[str, Any] = {}
    for key, value in settings.items():
        default = known[key].default
        if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
            value = _dataclass_from(type(default), value, f"{name}.{key}")
        values[key] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def _synthetic(
    context: _Context,
    renderer: Any,
    to_sample: Callable[[str, Any], Sample],
    size: int,
    seed: int | None,
    pipeline: Steps | None,
) -> Dataset:
    if size < 1:
        raise ConfigError(f"size of a rendered data set must be at least 1, got {size}")
    return SyntheticDataset(
        renderer=renderer,
        to_sample=to_sample,
        size=size,
        seed=context.seed if seed is None else seed,
        fixed=not context.training,
        pipeline=context.steps(pipeline),
    )


def _word_sample(source: str, word: Any) -> Sample:
    # The renderer counts from the centre of the first pixel, samples from its corner.
    quads = np.asarray(word.char_polygons, np.float64) + 0.5
    characters = [Character(text, quad) for text, quad in zip(word.text, quads, strict=True)]
    return Sample(source=source, image=word.image, text=word.text, characters=characters)


def _scene_sample(source: str, scene: Any) -> Sample:
    return Sample(
        source=source,
        image=scene.image,
        polygons=[np.asarray(w.polygon, np.float64) for w in scene.words if not w.ignore],
        ignored=[np.asarray(w.polygon, np.float64) for w in scene.words if w.ignore],
    )


DATASETS: dict[str, Callable[..., list[Dataset]]] = {
    "OCRDataset": _words,
    "OCRSegDataset": _characters,
    "TextDetDataset": _scenes,
    "IcdarDataset": _coco,
    "KIEDataset": _pages,
    "OpensetKIEDataset": _openset_pages,
    "NerDataset": _entities,
    "UniformConcatDataset": _uniform_concat,
    "ConcatDataset": _concat,
    "RepeatDataset": _repeat,
    "SyntheticWords": _synthetic_words,
    "SyntheticScenes": _synthetic_scenes,
}
