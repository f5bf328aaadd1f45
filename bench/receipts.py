"""How well the default extractor labels receipts: with perfect words, and with words as read.

    python -m bench.receipts FOLDER [--kie MODEL] [--split heldout] [--pages N]
    python -m bench.receipts FOLDER --split train --pages N --write FILE
    python -m bench.receipts FOLDER --split train --write FILE --swap

FOLDER is what ``python -m ocrserve.train.synth.export_receipts`` writes. Perfect words are boxes
and texts of the annotations. Words as read are those of the default detector and recogniser; each
has the class of the annotated box that it shares the largest area with, if at least half of it lies
on annotated boxes. Other read words are false alarms of whatever class they get. An annotated box
counts as missed when no read word belongs to it, and no other read word of its class covers half of
it (readers join words). Boxes of class Ignore count for nothing.

``--write`` labels nothing: it writes the pages as read with those classes, in WildReceipt's format,
words on no box being class Others. With ``--swap`` it writes the annotated pages with what is above
and what is below some line of each changing places: training data for models that do not see the
picture, which would otherwise learn by heart in which order shops print things.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPoint

from ocr_models.key_info import KeyInfoExtractor, KiePage
from ocrserve import OCR
from ocrserve.train.evaluation.key_info import f1_of_classes
from ocrserve.train.synth.receipt_page import CLASS_NUMBERS, CLASSES

OTHERS, IGNORE = CLASS_NUMBERS["Others"], CLASS_NUMBERS["Ignore"]
NONE = len(CLASSES)
"""Class of what is not there, in counts."""
MIN_INSIDE = 0.5
MIN_ROW_RATIO = 0.6
"""Of a word's height, the distance of two rows."""
VALUES = [number for number, name in enumerate(CLASSES) if name.endswith("_value")]
"""The classes that MMOCR averages over."""


class Page(NamedTuple):
    """N words: boxes (N, 4, 2), texts, classes (``NONE`` where a read word is on no box)."""

    boxes: NDArray[np.float64]
    texts: list[str]
    classes: NDArray[np.int64]
    size: tuple[int, int]


class ReadPage(NamedTuple):
    """A page as read, and the classes of annotated boxes that were not found."""

    page: Page
    missed: NDArray[np.int64]


def annotated(line: dict[str, Any]) -> Page:
    """The perfect words of one line of the annotations."""
    words = line["annotations"]
    boxes = np.array([word["box"] for word in words], np.float64).reshape(-1, 4, 2)
    classes = np.array([word["label"] for word in words], np.int64)
    size = line["width"], line["height"]
    return Page(boxes, [word["text"] for word in words], classes, size)


def as_read(ocr: OCR, photo: Path, truth: Page) -> ReadPage:
    """What the reader makes of a page, with the classes of the truth."""
    words = ocr.read(photo).words
    corners = [word.boundary.points for word in words]
    boxes = np.array(corners, np.float64).reshape(-1, 4, 2)
    classes, missed = match(boxes, truth)
    page = Page(boxes, [word.text for word in words], classes, truth.size)
    return ReadPage(page, missed)


def match(boxes_N42: NDArray[np.float64], truth: Page) -> tuple[NDArray[np.int64], NDArray]:
    """Classes of N read boxes, and those of the annotated boxes that are missed; see the top."""
    read = [MultiPoint(box).convex_hull for box in boxes_N42]
    wanted = [MultiPoint(box).convex_hull for box in truth.boxes]
    shared_NM = np.array([[a.intersection(b).area for b in wanted] for a in read])
    shared_NM = shared_NM.reshape(len(read), len(wanted))
    read_N = np.array([shape.area for shape in read]).clip(min=1e-6)
    wanted_M = np.array([shape.area for shape in wanted]).clip(min=1e-6)
    classes = np.full(len(read), NONE)
    belongs_NM = np.zeros(shared_NM.shape, bool)
    if wanted:
        best = shared_NM.argmax(axis=1)
        # A word that was read together with its neighbours lies on several boxes.
        on_paper = shared_NM.sum(axis=1) >= MIN_INSIDE * read_N
        classes = np.where(on_paper, truth.classes[best], NONE)
        belongs_NM[np.arange(len(read)), best] = on_paper
    covers_NM = shared_NM >= MIN_INSIDE * wanted_M
    found_M = (belongs_NM | (covers_NM & (classes[:, None] == truth.classes))).any(axis=0)
    return classes, truth.classes[~found_M]


def labelled(extractor: KeyInfoExtractor, page: Page) -> NDArray[np.int64]:
    """The classes that the extractor gives."""
    result = extractor.predict([KiePage(None, list(page.boxes), page.texts, page.size)])[0]
    return np.array(result.classes, np.int64)


def scores(
    predicted: Sequence[NDArray[np.int64]], truth: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], list[int]]:
    """F1 of every class, and the classes that occur, without Ignore."""
    true_P = np.concatenate(truth)
    # Illegible words say nothing that could be wrong or missed.
    counted = true_P != IGNORE
    f1 = f1_of_classes(np.concatenate(predicted)[counted], true_P[counted], len(CLASSES) + 1)
    return f1, sorted(set(true_P[counted].tolist()) - {NONE})


def pages_of(folder: Path, split: str, count: int | None) -> Iterator[tuple[dict[str, Any], Page]]:
    """Lines of the annotations and their words."""
    with (folder / f"{split}.txt").open(encoding="utf-8") as lines:
        for number, text in enumerate(lines):
            if count is not None and number >= count:
                return
            line = json.loads(text)
            yield line, annotated(line)


def write_as_read(folder: Path, split: str, count: int | None, target: Path) -> None:
    """Writes the pages as read; see the top."""
    ocr = OCR()
    with target.open("w", encoding="utf-8") as out:
        for line, truth in pages_of(folder, split, count):
            page = as_read(ocr, folder / line["file_name"], truth).page
            words = [
                {"box": box.ravel().round(2).tolist(), "text": text, "label": label}
                for box, text, label in zip(
                    page.boxes,
                    page.texts,
                    np.where(page.classes == NONE, OTHERS, page.classes).tolist(),
                    strict=True,
                )
            ]
            print(json.dumps({**line, "annotations": words}), file=out, flush=True)


def swapped(line: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The page with its upper and its lower part exchanged; pages of one row stay as they are."""
    boxes = annotated(line).boxes
    if not len(boxes):
        return line
    centres = boxes[:, :, 1].mean(axis=1)
    heights = np.ptp(boxes[:, :, 1], axis=1)
    ordered = np.sort(centres)
    (breaks,) = np.nonzero(np.diff(ordered) > MIN_ROW_RATIO * np.median(heights))
    if not len(breaks):
        return line
    cut = rng.choice(breaks)
    below = centres > (ordered[cut] + ordered[cut + 1]) / 2
    top, bottom = boxes[:, :, 1].min(), boxes[:, :, 1].max()
    line_y = (boxes[~below, :, 1].max() + boxes[below, :, 1].min()) / 2
    boxes[below, :, 1] += top - line_y
    boxes[~below, :, 1] += bottom - line_y
    words = [
        {**word, "box": box.ravel().round(2).tolist()}
        for word, box in zip(line["annotations"], boxes, strict=True)
    ]
    return {**line, "annotations": words}


def write_swapped(folder: Path, split: str, count: int | None, target: Path) -> None:
    """Writes the pages with their parts exchanged; see the top."""
    rng = np.random.default_rng(0)
    with target.open("w", encoding="utf-8") as out:
        for line, _ in pages_of(folder, split, count):
            print(json.dumps(swapped(line, rng)), file=out)


def main() -> None:
    """Prints a table with a row per class and the means below."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kie", nargs="+", default=["default"], metavar="MODEL")
    parser.add_argument("--split", choices=("heldout", "train", "train_read"), default="heldout")
    parser.add_argument("--pages", type=int, help="only the first N")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--swap", action="store_true")
    options = parser.parse_args()
    if options.swap and options.write is None:
        parser.error("--swap needs --write FILE")
    if options.write is not None:
        write = write_swapped if options.swap else write_as_read
        write(options.folder, options.split, options.pages, options.write)
        return
    ocr = OCR(kie=options.kie)
    extractor = ocr.predictor.extractor
    assert extractor is not None, "it was given one"
    perfect: tuple[list, list] = [], []
    read: tuple[list, list] = [], []
    for line, truth in pages_of(options.folder, options.split, options.pages):
        perfect[0].append(labelled(extractor, truth))
        perfect[1].append(truth.classes)
        page, missed = as_read(ocr, options.folder / line["file_name"], truth)
        read[0].extend([labelled(extractor, page), np.full(len(missed), NONE)])
        read[1].extend([page.classes, missed])
    (with_perfect, occurring), (with_read, _) = scores(*perfect), scores(*read)
    print(f"{len(perfect[0])} pages, {sum(map(len, perfect[1]))} annotated boxes\n")
    print("| class | perfect words | words as read |\n|--|--|--|")
    rows = [(CLASSES[number], [number]) for number in occurring]
    values = [number for number in VALUES if number in occurring]
    rows += [("macro F1, classes that occur", occurring), ("macro F1, values only", values)]
    for name, numbers in rows:
        print(f"| {name} | {with_perfect[numbers].mean():.3f} | {with_read[numbers].mean():.3f} |")


if __name__ == "__main__":
    main()
