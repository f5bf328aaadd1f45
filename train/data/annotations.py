"""Annotation files in MMOCR's formats.

* COCO-style json (``instances_*.json``): ``images`` and ``annotations`` with ``segmentation``.
* line-json txt: one JSON object per line and image, with ``file_name`` and ``annotations``.
* label txt: columns by a separator, file name and text.
* label jsonl: one JSON object per line, ``filename`` and ``text``.
* lmdb: the same line formats as values under the keys ``0 .. total_number - 1``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError, OcrError


class AnnotationError(OcrError):
    """A line of an annotation file cannot be used; the message names file and line."""


@dataclass(frozen=True, eq=False)
class Record:
    """What the annotation says about one image.

    Args:
        source: file and line (or image id), for messages.
        file_name: of the image, relative to the data set's image folder.
        polygons: text to learn, (K, 2) x, y in pixels of the image.
        ignored: text that does not count.
        text: what a crop says.
        fields: further columns, as read.
    """

    source: str
    file_name: str
    polygons: tuple[NDArray[np.float64], ...] = ()
    ignored: tuple[NDArray[np.float64], ...] = ()
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problems:
    """Lines that were left out."""

    messages: list[str] = field(default_factory=list)

    def add(self, error: Exception) -> None:
        """Remember one."""
        self.messages.append(str(error))


@dataclass(frozen=True)
class LineStrParser:
    """Columns of a line.

    Args:
        keys: names of the columns.
        keys_idx: their positions.
        separator: between columns.
    """

    keys: Sequence[str] = ("filename", "text")
    keys_idx: Sequence[int] = (0, 1)
    separator: str = " "

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.keys_idx):
            raise ConfigError(
                f"LineStrParser: {len(self.keys)} keys, but {len(self.keys_idx)} keys_idx"
            )

    def __call__(self, line: str) -> dict[str, Any]:
        """Raises ValueError when the line is too short."""
        columns = line.split(self.separator)
        if len(columns) <= max(self.keys_idx):
            raise ValueError(
                f"{len(columns)} columns by separator {self.separator!r}, "
                f"but {max(self.keys_idx) + 1} are needed: {_shortened(line)}"
            )
        return {key: columns[i] for key, i in zip(self.keys, self.keys_idx, strict=True)}


@dataclass(frozen=True)
class LineJsonParser:
    """A JSON object per line.

    Args:
        keys: which entries are needed.
    """

    keys: Sequence[str] = ("filename", "text")

    def __call__(self, line: str) -> dict[str, Any]:
        """Raises ValueError when the line is no such object."""
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON ({error}): {_shortened(line)}") from None
        missing = [key for key in self.keys if not isinstance(values, dict) or key not in values]
        if missing:
            raise ValueError(f"no {', '.join(missing)} in {_shortened(line)}")
        return {key: values[key] for key in self.keys}


Parser = LineStrParser | LineJsonParser


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(source, line) of every line with content in a UTF-8 file."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip("\r\n")
            if line.strip():
                yield f"{path}:{number}", line


def lmdb_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(source, line) of every entry of an lmdb annotation."""
    from .lmdb_files import open_lmdb

    with open_lmdb(path).begin(buffers=False) as transaction:
        total = transaction.get(b"total_number") or transaction.get(b"num-samples")
        if total is None:
            raise AnnotationError(f"{path}: the lmdb has no total_number")
        for number in range(int(total.decode())):
            line = transaction.get(str(number).encode())
            if line is None:
                raise AnnotationError(f"{path}: entry {number} of {total.decode()} is missing")
            yield f"{path}:{number}", line.decode("utf-8")


def parse_lines(
    lines: Iterable[tuple[str, str]],
    parser: Parser,
    to_record: Callable[[str, Mapping[str, Any]], Record],
    *,
    strict: bool,
) -> tuple[list[Record], Problems]:
    """Read lines into records.

    Args:
        lines: (source, line) each.
        parser: splits a line.
        to_record: makes a record of (source, parsed line); raises ValueError when it cannot.
        strict: raise at the first bad line instead of leaving it out.
    """
    records, problems = [], Problems()
    for source, line in lines:
        try:
            records.append(to_record(source, parser(line)))
        except (ValueError, TypeError, KeyError) as error:
            problem = AnnotationError(f"{source}: {error}")
            if strict:
                raise problem from error
            problems.add(problem)
    return records, problems


def word_record(source: str, values: Mapping[str, Any]) -> Record:
    """A line of a recognition data set."""
    file_name, text = values.get("filename", values.get("file_name")), values.get("text")
    if not isinstance(file_name, str) or not isinstance(text, str):
        raise ValueError(f"filename and text must be strings, got {file_name!r} and {text!r}")
    extra = {
        key: value for key, value in values.items() if key not in ("filename", "file_name", "text")
    }
    return Record(source, file_name, text=text, fields=extra)


def scene_record(source: str, values: Mapping[str, Any]) -> Record:
    """A line of a detection data set."""
    file_name = values.get("file_name", values.get("filename"))
    if not isinstance(file_name, str):
        raise ValueError(f"file_name must be a string, got {file_name!r}")
    polygons, ignored = _outlines(values.get("annotations", []))
    return Record(source, file_name, polygons, ignored)


def read_coco(path: Path, *, strict: bool) -> tuple[list[Record], Problems]:
    """Read a COCO-style json, images in the file's order.

    Raises:
        AnnotationError: not such a file; with ``strict`` also for any image with a bad annotation.
    """
    with _open(path) as file:
        try:
            content = json.load(file)
        except json.JSONDecodeError as error:
            raise AnnotationError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(content, dict) or "images" not in content or "annotations" not in content:
        raise AnnotationError(f"{path}: a COCO-style json has images and annotations")
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    records, problems = [], Problems()
    for image in content["images"]:
        source = f"{path}: image {image.get('id')}"
        try:
            file_name = image.get("file_name", image.get("filename"))
            if not isinstance(file_name, str):
                raise ValueError("no file_name")
            polygons, ignored = _outlines(by_image.get(image.get("id"), []))
            records.append(Record(f"{source} ({file_name})", file_name, polygons, ignored))
        except (ValueError, TypeError, KeyError) as error:
            problem = AnnotationError(f"{source}: {error}")
            if strict:
                raise problem from error
            problems.add(problem)
    return records, problems


def _outlines(
    annotations: Sequence[Mapping[str, Any]],
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """Polygons to learn, and those to ignore (``iscrowd``)."""
    polygons: list[NDArray[np.float64]] = []
    ignored: list[NDArray[np.float64]] = []
    for annotation in annotations:
        if annotation.get("ignore"):
            continue
        segmentation = annotation.get("segmentation")
        if not segmentation:
            x, y, width, height = annotation["bbox"]
            segmentation = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        points = np.asarray(segmentation[0], np.float64)
        if points.ndim != 1 or points.size % 2 or points.size < 6:
            raise ValueError(f"a polygon needs at least 3 pairs x, y; got {segmentation[0]!r}")
        if not np.isfinite(points).all():
            raise ValueError(f"a polygon has coordinates that are not finite: {segmentation[0]!r}")
        (ignored if annotation.get("iscrowd") else polygons).append(points.reshape(-1, 2))
    return tuple(polygons), tuple(ignored)


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"cannot read the annotation file {path}: {error}") from None


def _shortened(line: str, limit: int = 80) -> str:
    return repr(line if len(line) <= limit else line[:limit] + "...")
