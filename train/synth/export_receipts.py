"""Writes rendered receipts as a data set in WildReceipt's format: pictures, line-json, class list.

    python -m ocrserve.train.synth.export_receipts data/receipts --split train --count 2000

writes ``image_files/``, ``train.txt`` (closed set: a class for every box), ``openset_train.txt``
(open set: background, key, value or other, and an edge number), ``class_list.txt``, ``dict.txt``.
Boxes with the same edge number are linked where one is a key and the other a value; background and
others have a number of their own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import cv2

from ..progress import progress
from .fonts import PRINTABLE, find_fonts
from .receipt_page import CLASS_NUMBERS, CLASSES
from .receipts import ReceiptBox, ReceiptConfig, ReceiptRenderer, Split, Units

JPEG_QUALITY = 92
BACKGROUND, KEY, VALUE, OTHER = range(4)
"""Labels of the open set."""


def export_receipts(
    folder: Path,
    *,
    split: Split,
    count: int,
    seed: int = 0,
    fonts: str = "all",
    units: Units = "mixed",
    processes: int = 1,
) -> tuple[Path, Path]:
    """Renders ``count`` receipts into ``folder``; the same arguments give the same data set.

    Args:
        folder: made when missing.
        split: layouts, words and fonts: ``"train"`` or ``"heldout"``.
        count: number of receipts.
        seed: of the first one; the next ones count up.
        fonts: ``"all"``, ``"debian"`` or ``"pip"``.
        units: what a box is put around, see ``receipts``.
        processes: that draw at the same time.

    Returns:
        Paths of the closed-set and the open-set annotations.
    """
    (folder / "image_files").mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, folder, split, fonts, units)
    closed, opened = [], []
    # Fresh processes: OpenCV's threads do not survive being forked.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        seeds = range(seed, seed + count)
        drawn = pool.map(draw, seeds, chunksize=8) if processes > 1 else map(draw, seeds)
        for page, boxes in progress(drawn, total=count, label=split):
            closed.append({**page, "annotations": closed_annotations(boxes)})
            opened.append({**page, "annotations": open_annotations(boxes)})
    _write_lines(folder / "class_list.txt", (f"{i} {name}" for i, name in enumerate(CLASSES)))
    _write_lines(folder / "dict.txt", iter(PRINTABLE))
    paths = folder / f"{split}.txt", folder / f"openset_{split}.txt"
    for path, pages in zip(paths, (closed, opened), strict=True):
        _write_lines(path, (json.dumps(page) for page in pages))
    return paths


def closed_annotations(boxes: Sequence[ReceiptBox]) -> list[dict[str, Any]]:
    """``box`` (8 numbers, clockwise), ``text`` and ``label`` (number of the class)."""
    return [{**_box_and_text(box), "label": CLASS_NUMBERS[box.label]} for box in boxes]


def open_annotations(boxes: Sequence[ReceiptBox]) -> list[dict[str, Any]]:
    """``box``, ``text``, ``label`` (0 background, 1 key, 2 value, 3 other) and ``edge``."""
    numbers = itertools.count()
    by_link: dict[int, int] = {}
    annotations = []
    for box in boxes:
        label = _open_label(box.label)
        if label in (KEY, VALUE):
            if box.link not in by_link:
                by_link[box.link] = next(numbers)
            edge = by_link[box.link]
        else:
            edge = next(numbers)
        annotations.append({**_box_and_text(box), "label": label, "edge": edge})
    return annotations


def _open_label(label: str) -> int:
    if label == "Ignore":
        return BACKGROUND
    if label.endswith("_key"):
        return KEY
    return VALUE if label.endswith("_value") else OTHER


def _box_and_text(box: ReceiptBox) -> dict[str, Any]:
    return {"box": box.polygon.astype(float).round(2).ravel().tolist(), "text": box.text}


def _draw(
    folder: Path, split: Split, fonts: str, units: Units, seed: int
) -> tuple[dict[str, Any], tuple[ReceiptBox, ...]]:
    receipt = _renderer(split, fonts, units).render(seed)
    name = f"image_files/{split}_{seed:06d}.jpg"
    cv2.imwrite(str(folder / name), receipt.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    height, width = receipt.image.shape[:2]
    return {"file_name": name, "height": height, "width": width}, receipt.boxes


@lru_cache(maxsize=1)
def _renderer(split: Split, fonts: str, units: Units) -> ReceiptRenderer:
    """One per process: it caches glyphs and textures."""
    cv2.setNumThreads(1)
    return ReceiptRenderer(find_fonts(fonts, split), split, ReceiptConfig(units=units))  # type: ignore[arg-type]


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(unfinished, path)


def main(arguments: list[str] | None = None) -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(
        prog="python -m ocrserve.train.synth.export_receipts",
        description=__doc__.split("\n", 1)[0],
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=get_args(Split), required=True)
    parser.add_argument("--count", type=int, required=True, help="number of receipts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fonts", choices=("all", "debian", "pip"), default="all")
    parser.add_argument("--units", choices=get_args(Units), default="mixed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count must be at least 1, got {options.count}")
    for path in export_receipts(
        options.folder,
        split=options.split,
        count=options.count,
        seed=options.seed,
        fonts=options.fonts,
        units=options.units,
        processes=options.processes,
    ):
        print(path)


if __name__ == "__main__":
    main()
