"""Annotations of pages for key information, in WildReceipt's format.

One JSON object per line and page: ``file_name``, ``height``, ``width``, and ``annotations``, each
with ``box`` (four corners), ``text``, ``label`` (number of a class) and, in open-set data, ``edge``
(keys and values with the same number belong together).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .annotations import AnnotationError, Record, text_lines

BACKGROUND, KEY, VALUE, OTHERS = range(4)
"""Classes of open-set data."""
IGNORED, WILDRECEIPT_OTHERS = 0, 25
"""The first and the last class of closed-set data, where it is WildReceipt's."""


@dataclass(frozen=True, eq=False)
class PageTruth:
    """What is known about the N words of a page.

    Args:
        boxes: (N, 4, 2) corners in pixels of the page, in any order.
        texts: N.
        labels: (N,) numbers of classes.
        groups: (N,) words with equal numbers belong together.
        size: width and height of the page in pixels.
        directed: see ``objectives.sdmgr.targets_of``.
    """

    boxes: NDArray[np.float64]
    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    size: tuple[int, int]
    directed: bool = False


def page_record(source: str, values: Mapping[str, Any], *, openset: bool, directed: bool) -> Record:
    """A line of a data set for key information; raises ValueError when it is none."""
    file_name = values.get("file_name")
    if not isinstance(file_name, str):
        raise ValueError(f"file_name must be a string, got {file_name!r}")
    width, height = (_whole(values, key, "the page") for key in ("width", "height"))
    if min(width, height) < 1:
        raise ValueError(f"width and height must be at least 1, got {width} and {height}")
    words = values.get("annotations")
    if not isinstance(words, list):
        raise ValueError(f"annotations must be a list, got {words!r:.60}")
    boxes = np.zeros((len(words), 4, 2))
    for number, word in enumerate(words):
        box = np.asarray(word["box"], np.float64)
        if box.size != 8 or not np.isfinite(box).all():
            raise ValueError(f"box of word {number} must be four corners, got {word['box']!r:.80}")
        if not isinstance(word.get("text"), str):
            raise ValueError(f"word {number} has no text, but {word.get('text')!r:.40}")
        boxes[number] = box.reshape(4, 2)
    # Boxes drawn by hand leave the page now and then.
    boxes = boxes.clip(0, (width, height))
    labels = [_whole(word, "label", f"word {i}") for i, word in enumerate(words)]
    groups = [_whole(word, "edge", f"word {i}") if openset else word.get("edge", 0)
              for i, word in enumerate(words)]  # fmt: skip
    truth = PageTruth(
        boxes=boxes,
        texts=tuple(word["text"] for word in words),
        labels=np.array(labels, np.int64),
        groups=np.array(groups, np.int64),
        size=(width, height),
        directed=directed,
    )
    return Record(source, file_name, fields={"page": truth})


def to_openset(
    page: Mapping[str, Any], *, merge_background: bool = False, others: int = WILDRECEIPT_OTHERS
) -> dict[str, Any]:
    """A page of closed-set data as open-set data, by the rules of MMOCR's documentation.

    Keys and values of one kind are linked: all of them get one ``edge``. Every other word gets an
    ``edge`` of its own, and becomes background or others.

    Args:
        page: a line of the annotation file.
        merge_background: others become background, too.
        others: number of the last class. The classes are numbered as WildReceipt's: 0 is to be
            ignored, then come value and key of each kind in turn, then others.

    Raises:
        ValueError: a label is missing, or above ``others``.
    """
    words = []
    edge_of_kind: dict[int, int] = {}
    next_edge = 1
    for number, word in enumerate(page["annotations"]):
        label = _whole(word, "label", f"word {number}")
        if not 0 <= label <= others:
            raise ValueError(
                f"word {number} has label {label}; closed-set labels are 0 to {others}"
            )
        kind = (label + 1) // 2  # values have 1, 3, ..., their keys the number after
        known = edge_of_kind.get(kind)
        if label in (IGNORED, others) or known is None:
            edge = next_edge
            next_edge += 1
        else:
            edge = known
        if label == IGNORED:
            new = BACKGROUND
        elif label == others:
            new = BACKGROUND if merge_background else OTHERS
        else:
            new = VALUE if label % 2 else KEY
            edge_of_kind[kind] = edge
        words.append({**word, "label": new, "edge": edge})
    return {**page, "annotations": words}


def convert_to_openset(
    path: Path, *, merge_background: bool = False, others: int = WILDRECEIPT_OTHERS
) -> Iterator[str]:
    """The lines of an annotation file as open-set data; see ``to_openset``.

    Raises:
        ConfigError: ``others`` leaves no room for pairs of value and key.
        AnnotationError: a line is not one of WildReceipt's; the message names it.
    """
    if others < 3 or others % 2 == 0:
        raise ConfigError(
            f"others is {others}; value and key of each kind take two numbers from 1 on, so others "
            "is an odd number from 3 on"
        )
    for source, line in text_lines(path):
        try:
            page = json.loads(line)
            if not isinstance(page, dict) or not isinstance(page.get("annotations"), list):
                raise ValueError("expected an object with a list of annotations")
            made = to_openset(page, merge_background=merge_background, others=others)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise AnnotationError(f"{source}: {error}") from error
        yield json.dumps(made, ensure_ascii=False)


def _whole(values: Mapping[str, Any], key: str, owner: str) -> int:
    value = values.get(key)
    if type(value) is not int:
        raise ValueError(f"{owner}: {key} must be a whole number, got {value!r:.40}")
    return value
