"""Annotation files in MMOCR's formats.

* COCO-style json (``instances_*.json``): ``images`` and ``annotations`` with ``segmentation``.
* line-json txt: one JSON object per line and image, with ``file_name`` and ``annotations``.
* line-json txt of word crops: ``annotations`` with ``char_text`` and ``char_box`` instead.
* label txt: columns by a separator, file name and text.
* label jsonl: one JSON object per line, ``filename`` and ``text``.
* entities: one JSON object per line, ``text`` and ``label``: category -> text of the entity -> list
  of [first, last] character.
* lmdb: the same line formats as values, or pictures and texts, see ``lmdb_lines``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_models.codecs.ner import Span
from ocr_models.errors import ConfigError, OcrError

from ..augment.sample import Character


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
        characters: where its characters are, in pixels of the image.
        fields: further columns, as read.
    """

    source: str
    file_name: str
    polygons: tuple[NDArray[np.float64], ...] = ()
    ignored: tuple[NDArray[np.float64], ...] = ()
    text: str = ""
    characters: tuple[Character, ...] = ()
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

    def line(self, file_name: str, text: str) -> str:
        """A line that gives these two."""
        columns = [""] * (max(self.keys_idx) + 1)
        for key, position in zip(self.keys, self.keys_idx, strict=True):
            columns[position] = text if key == "text" else file_name
        return self.separator.join(columns)


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
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not JSON ({error}): {_shortened(line)}") from None
        missing = [key for key in self.keys if not isinstance(values, dict) or key not in values]
        if missing:
            raise ValueError(f"no {', '.join(missing)} in {_shortened(line)}")
        return {key: values[key] for key in self.keys}

    def line(self, file_name: str, text: str) -> str:
        """A line that gives these two."""
        return json.dumps({"filename": file_name, "text": text}, ensure_ascii=False)


Parser = LineStrParser | LineJsonParser


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(source, line) of every line with content in a UTF-8 file."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip("\r\n")
            if line.strip():
                yield f"{path}:{number}", line


def lmdb_lines(path: Path, parser: Parser) -> Iterator[tuple[str, str]]:
    """(source, line) of every entry of an lmdb annotation, as ``parser`` reads them.

    Three kinds are known, by their keys:

    * ``image-000000001``, ``label-000000001`` and so on: pictures and their bare texts, as academic
      data sets and MMOCR's ``lmdb_converter`` have them; the image's key is its file name;
    * ``label-000000001`` alone: lines of a label file;
    * ``0``, ``1`` and so on: the same, as older versions of MMOCR wrote them.

    Lines may be JSON or file name, blank and text, whichever the parser expects.
    """
    from .lmdb_files import open_lmdb

    with open_lmdb(path).begin(buffers=False) as transaction:
        total = transaction.get(b"num-samples") or transaction.get(b"total_number")
        if total is None:
            raise AnnotationError(f"{path}: the lmdb has neither num-samples nor total_number")
        numbered = transaction.get(b"label-000000001") is not None
        with_images = transaction.get(b"image-000000001") is not None
        for number in range(int(total.decode())):
            key = f"label-{number + 1:09d}" if numbered else str(number)
            value = transaction.get(key.encode())
            if value is None:
                raise AnnotationError(f"{path}: entry {key} of {total.decode()} is missing")
            line = value.decode("utf-8").rstrip("\r\n")
            if numbered and with_images:
                line = parser.line(f"image-{number + 1:09d}", line)
            elif isinstance(parser, LineJsonParser) and not line.startswith("{"):
                line = parser.line(*line.split(" ", 1)) if " " in line else line
            yield f"{path}:{key}", line


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
        except (ValueError, TypeError, KeyError, AttributeError) as error:
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


def character_record(source: str, values: Mapping[str, Any]) -> Record:
    """A line of a recognition data set that knows where the characters are.

    A ``char_box`` is a quadrangle (8 numbers), or an upright box: left, top, right, bottom, or
    left, top, width, height where ``char_box_type`` is ``"xywh"``. Without ``text`` the line says
    what its characters do.
    """
    annotations = values.get("annotations")
    if not isinstance(annotations, list) or not annotations:
        raise ValueError("annotations must be a list of at least one character")
    characters = tuple(_character(annotation) for annotation in annotations)
    text = values.get("text", "".join(character.text for character in characters))
    rest = {key: value for key, value in values.items() if key != "annotations"}
    return replace(word_record(source, {**rest, "text": text}), characters=characters)


def _character(annotation: Mapping[str, Any]) -> Character:
    text, box = annotation["char_text"], np.asarray(annotation["char_box"], np.float64)
    if not isinstance(text, str) or len(text) != 1:
        raise ValueError(f"char_text must be one character, got {text!r}")
    if box.shape not in ((4,), (8,)) or not np.isfinite(box).all():
        raise ValueError(f"char_box needs 4 or 8 numbers, got {annotation['char_box']!r}")
    if box.shape == (4,):
        kind = annotation.get("char_box_type", "xyxy")
        if kind not in ("xyxy", "xywh"):
            raise ValueError(f"char_box_type must be 'xyxy' or 'xywh', got {kind!r}")
        left, top, right, bottom = box
        if kind == "xywh":
            right, bottom = left + right, top + bottom
        box = np.array([left, top, right, top, right, bottom, left, bottom])
    return Character(text, box.reshape(4, 2))


def scene_record(source: str, values: Mapping[str, Any]) -> Record:
    """A line of a detection data set."""
    file_name = values.get("file_name", values.get("filename"))
    if not isinstance(file_name, str):
        raise ValueError(f"file_name must be a string, got {file_name!r}")
    polygons, ignored = _outlines(values.get("annotations", []))
    return Record(source, file_name, polygons, ignored)


def entity_record(source: str, values: Mapping[str, Any]) -> Record:
    """A line of a data set for entity recognition; ``fields["entities"]`` holds ``Span``s."""
    text, label = values.get("text"), values.get("label", {})
    if not isinstance(text, str) or not text:
        raise ValueError(f"text must be a string with at least one character, got {text!r:.80}")
    spans = []
    for category, by_text in label.items():
        for places in by_text.values():
            for start, end in places:
                if type(start) is not int or type(end) is not int or not 0 <= start <= end:
                    raise ValueError(f"{category} from {start!r} to {end!r} is no part of a text")
                spans.append(Span(category, start, end))
    return Record(source, file_name="", text=text, fields={"entities": tuple(spans)})


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
        except RecursionError as error:
            raise AnnotationError(f"{path}: not JSON: {error}") from None
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
