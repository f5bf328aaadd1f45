"""Data sets that are read from annotation files, under MMOCR's names for their arguments.

Every function here takes the context of the build and then what a config may say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ocr_models.errors import ConfigError

from ..augment.pipeline import Pipeline, build_pipeline
from .annotations import (
    LineJsonParser,
    LineStrParser,
    Parser,
    Record,
    lmdb_lines,
    parse_lines,
    read_coco,
    text_lines,
)
from .context import Context, Steps
from .datasets import Dataset, FileDataset, RepeatDataset, read_from_folder
from .lmdb_files import read_value
from .pages import page_record

PARSERS: dict[str, type[Any]] = {"LineStrParser": LineStrParser, "LineJsonParser": LineJsonParser}
LOADERS = ("AnnFileLoader", "HardDiskLoader", "LmdbLoader")
# What prepares a page's graph; the task does it as the test pipeline says, and compares them.
PAGE_STEPS = (
    "LoadAnnotations", "Resize", "ResizeNoImg", "RandomFlip", "Normalize", "Pad",
    "KIEFormatBundle", "Collect",
)  # fmt: skip
PAGE_IMAGE_STEPS = ("LoadImageFromFile", "LoadImageFromLMDB", "ColorJitter")
ToRecord = Callable[[str, Mapping[str, Any]], Record]


def coco(
    context: Context,
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


def of_lines(
    to_record: ToRecord,
    context: Context,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None = None,
    img_prefix: str = "",
    test_mode: bool = False,
) -> list[Dataset]:
    """A data set whose annotation file has an example per line.

    Args:
        to_record: makes the example of a line's values, e.g. ``word_record``.
        context: of the build.
        ann_file: MMOCR's argument, as those below.
        loader: how the lines are read.
        pipeline: training steps.
        img_prefix: folder of the pictures.
        test_mode: accepted as in MMOCR, where it changes nothing either.
    """
    return _lines(context, to_record, ann_file, loader, pipeline, img_prefix)


def pages(
    context: Context,
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
    return _lines(context, to_record, ann_file, loader, pipeline, img_prefix, _page_steps)


def openset_pages(
    context: Context,
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
    return _lines(context, to_record, ann_file, loader, pipeline, img_prefix, _page_steps)


def _lines(
    context: Context,
    to_record: ToRecord,
    ann_file: str,
    loader: Mapping[str, Any],
    pipeline: Steps | None,
    img_prefix: str,
    make_steps: Callable[[Context, Steps | None], Pipeline] = Context.steps,
) -> list[Dataset]:
    """The records of an annotation file, read as ``loader`` says."""
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
    steps = make_steps(context, pipeline)
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


def _page_steps(context: Context, steps: Steps | None) -> Pipeline:
    """The pipeline of pages of key information, whose geometry stays as it is."""
    if not context.training:
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
