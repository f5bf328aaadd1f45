"""From boxes and texts to the graph of a page, equal to MMOCR 0.6.1's ``KIEDataset``.

Shapes: N words, T characters of the longest text, relations (N, N, 5): from word i to word j the
distance of their left edges and of their top edges, each over ``norm_px``; width over height of i;
height of j over height of i; width of j over height of i.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ocr_models.errors import ConfigError, InputError
from ocr_models.preprocessing import DetectionPreprocessing, keep_ratio_size

from .sdmgr import PADDING

MAX_OUTSIDE_RATIO = 0.02
"""How far a corner may lie outside of its page, over the page's longer side: OCR engines round, and
outlines are widened. Such corners are moved to the edge."""

_MAX_PAGE_PX = 1_000_000  # of pages whose size nobody knows


@dataclass(frozen=True)
class KiePreprocessing:
    """How a page becomes a graph.

    Args:
        page: how the picture is resized and normalised; models without a visual branch use only
            its ``image_scale`` and ``keep_ratio``, since relations are measured at that size.
        norm_px: pixels of the sent page that count as one in relations of place.
    """

    page: DetectionPreprocessing = field(
        default_factory=lambda: DetectionPreprocessing(image_scale=(1024, 512))
    )
    norm_px: float = 10.0

    def __post_init__(self) -> None:
        if self.norm_px <= 0:
            raise ConfigError(f"norm_px is {self.norm_px}; it must be above 0")

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a page of this size gets, pixels."""
        if self.page.keep_ratio:
            return keep_ratio_size(width, height, self.page.image_scale)
        return self.page.image_scale


def read_characters(path: str | Path) -> tuple[str, ...]:
    """The characters of a dictionary file (MMOCR's ``dict_file``), one per line.

    The index of a character is the number of its line, from 1. An empty line takes a number, too.

    Raises:
        ConfigError: the file cannot be read, or a line has several characters.
    """
    lines = read_lines(path, "dictionary file", "dict_file")
    for number, line in enumerate(lines, start=1):
        if len(line) > 1:
            raise ConfigError(f"{path}, line {number}: expected one character, got {line!r:.40}")
    return tuple(lines)


def read_lines(path: str | Path, what: str, key: str) -> list[str]:
    """Lines of a UTF-8 file that a config names under ``key``, without their ends."""
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read the {what} {path} that the config names as {key}: {error.strerror}; it "
            "comes with the data set that the model was trained on, and the model is of no use "
            "without it"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} {path} is not UTF-8: {error}") from error
    lines = content.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def character_indices(characters: Sequence[str]) -> Mapping[str, int]:
    """Index by character; of a character that is given twice the last one counts, as in MMOCR."""
    return {character: i for i, character in enumerate(characters, start=1) if character}


def encode_texts(texts: Sequence[str], index_of: Mapping[str, int]) -> NDArray[np.int64]:
    """Character indices of texts; unknown characters are left out.

    Args:
        texts: N.
        index_of: from ``character_indices``.

    Returns:
        (N, T), filled up with ``PADDING`` on the right.
    """
    rows = [[index_of[c] for c in text if c in index_of] for text in texts]
    lengths = np.array([len(row) for row in rows], np.int64)
    encoded = np.full((len(rows), lengths.max(initial=0)), PADDING, np.int64)
    filled = np.arange(encoded.shape[1]) < lengths[:, None]
    encoded[filled] = np.fromiter(chain.from_iterable(rows), np.int64, lengths.sum())
    return encoded


def order_corners(quads_N42: ArrayLike) -> NDArray[np.float64]:
    """Corners clockwise, each box beginning with the one nearest its own top left (MMOCR's
    ``sort_vertex``), for many boxes at once: (N, 4, 2) -> (N, 4, 2)."""
    quads = np.asarray(quads_N42, np.float64).reshape(-1, 4, 2)
    from_centre = quads - quads.mean(axis=1, keepdims=True)
    angle = np.arctan2(from_centre[..., 1], from_centre[..., 0])
    order = np.argsort(angle, axis=1, kind="stable")
    clockwise = np.take_along_axis(quads, order[..., None], axis=1)
    from_corner = clockwise - quads.min(axis=1, keepdims=True)
    start = np.argmin((from_corner**2).sum(axis=2), axis=1)
    turned = (np.arange(4) + start[:, None]) % 4
    return np.take_along_axis(clockwise, turned[..., None], axis=1)


def corner_boxes(quads_N42: ArrayLike) -> NDArray[np.float32]:
    """(N, 4): x and y of each box's first and third corner, in whole pixels."""
    corners = order_corners(quads_N42).astype(np.int32)
    return corners[:, [0, 2]].reshape(-1, 4).astype(np.float32)


def relations_of(boxes_N4: NDArray[np.float32], norm_px: float) -> NDArray[np.float32]:
    """(N, 4) -> (N, N, 5), see the top of this file.

    Args:
        boxes_N4: left, top, right, bottom in whole pixels of the page as it was sent.
        norm_px: see ``KiePreprocessing``.
    """
    left, top, right, bottom = boxes_N4.astype(np.float64).T
    width, height = np.maximum(right - left + 1, 1), np.maximum(bottom - top + 1, 1)
    relations = np.empty((len(boxes_N4), len(boxes_N4), 5), np.float32)
    relations[..., 0] = (left - left[:, None]) / norm_px
    relations[..., 1] = (top - top[:, None]) / norm_px
    relations[..., 2] = (width / height)[:, None]
    relations[..., 3] = height / height[:, None]
    relations[..., 4] = width / height[:, None]
    return relations


def resize_relations(
    relations_NN5: NDArray[np.float32], scale_x: float, scale_y: float
) -> NDArray[np.float32]:
    """Relations of a page whose width and height were multiplied (MMOCR's ``KIEFormatBundle``)."""
    ratio = scale_x / scale_y
    return relations_NN5 * np.array([scale_x, scale_y, ratio, 1, ratio], np.float32)


def check_quads(
    boxes: Sequence[ArrayLike], texts: Sequence[str], size: tuple[int, int] | None
) -> NDArray[np.float64]:
    """The boxes of a page as (N, 4, 2), if they can be used.

    Args:
        boxes: four corners each, (4, 2) or flat.
        texts: one per box.
        size: width and height of the page, pixels; None when nobody knows.

    Raises:
        InputError: 422 with a type for each reason; the message names the box.
    """
    if len(boxes) != len(texts):
        raise InputError(
            422,
            "missing_text",
            f"{len(boxes)} boxes came with {len(texts)} texts; every box has one",
        )
    quads = np.zeros((len(boxes), 4, 2))
    for number, (box, text) in enumerate(zip(boxes, texts, strict=True)):
        if not isinstance(text, str):
            raise InputError(
                422, "missing_text", f"box {number} has no text, but {text!r:.40}; '' is allowed"
            )
        try:
            points = np.asarray(box, np.float64)
        except (TypeError, ValueError, OverflowError):
            points = np.zeros(0)
        if points.size != 8 or not np.isfinite(points).all():
            raise InputError(
                422,
                "wrong_box",
                f"box {number} must be four corners, [x1, y1, x2, y2, x3, y3, x4, y4]; "
                f"got {_shown(box)}",
            )
        quads[number] = points.reshape(4, 2)
    if not len(quads):
        return quads
    limit = np.array(size if size is not None else (_MAX_PAGE_PX, _MAX_PAGE_PX), np.float64)
    slack = MAX_OUTSIDE_RATIO * max(size) if size is not None else 0.0
    outside = ((quads < -slack) | (quads > limit + slack)).any(axis=(1, 2))
    if outside.any():
        number = int(outside.argmax())
        page = f"the page, which is {limit[0]:.0f} x {limit[1]:.0f} pixels"
        if size is None:
            page = f"0 to {_MAX_PAGE_PX} pixels"
        raise InputError(
            422, "box_outside_page", f"box {number} is not within {page}: {_shown(boxes[number])}"
        )
    return quads.clip(0, limit)


def _shown(box: object) -> str:
    return f"{box.tolist() if isinstance(box, np.ndarray) else box!r:.80}"
