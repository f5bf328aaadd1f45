"""Words found in photos with known text, by our default models and by other engines.

    python -m bench.street_photos FOLDER [--engines ocrserve rapidocr tesseract]

FOLDER holds ``imgs/**/NAME.jpg`` and ``annotations/**/gt_NAME.txt`` as ICDAR 2015 has them: one
line ``x1,y1,...,x4,y4,text`` per word, ``###`` where nobody could read it. Texts are compared per
photo as bags of words, case folded, lines split at spaces; unreadable words count for nothing.
Engines that are not installed are left out: ``pip install rapidocr-onnxruntime``,
``apt-get install tesseract-ocr``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

Reader = Callable[[Path], str]


def truth(annotation: Path) -> Counter[str]:
    """The readable words of one photo."""
    lines = annotation.read_text(encoding="utf-8-sig").splitlines()
    texts = [line.split(",", 8)[8] for line in lines if line.count(",") >= 8]
    return words(" ".join(text for text in texts if text != "###"))


def words(text: str) -> Counter[str]:
    """Case-folded words of a text."""
    return Counter(text.casefold().split())


def read_with_ocrserve() -> Reader:
    """The default models."""
    from ocrserve import OCR

    ocr = OCR()
    return lambda photo: ocr.read(photo).text


def read_with_rapidocr() -> Reader:
    """RapidOCR with the models in its package."""
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR()
    return lambda photo: " ".join(line[1] for line in engine(str(photo))[0] or [])


def read_with_tesseract() -> Reader:
    """The ``tesseract`` command with its defaults."""

    def read(photo: Path) -> str:
        command = ["tesseract", str(photo), "-"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return read


ENGINES: dict[str, tuple[Callable[[], Reader], Callable[[], bool]]] = {
    "ocrserve": (read_with_ocrserve, lambda: find_spec("ocrserve") is not None),
    "rapidocr": (read_with_rapidocr, lambda: find_spec("rapidocr_onnxruntime") is not None),
    "tesseract": (read_with_tesseract, lambda: shutil.which("tesseract") is not None),
}


def main() -> None:
    """Prints one table row per engine."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engines", nargs="+", choices=sorted(ENGINES), default=list(ENGINES))
    options = parser.parse_args()
    photos = sorted(options.folder.glob("imgs/**/*.jpg"))
    notes = {path.stem: path for path in options.folder.glob("annotations/**/gt_*.txt")}
    pairs = [(photo, notes[f"gt_{photo.stem}"]) for photo in photos if f"gt_{photo.stem}" in notes]
    if not pairs:
        parser.error(f"{options.folder} holds no imgs/**/NAME.jpg with annotations/**/gt_NAME.txt")
    print(f"{len(pairs)} photos, {sum(truth(note).total() for _, note in pairs)} words\n")
    print("| engine | recall | precision | F1 |\n|--|--|--|--|")
    for name in options.engines:
        make, installed = ENGINES[name]
        if not installed():
            print(f"| {name} | not installed | | |")
            continue
        read = make()
        found = wanted = given = 0
        for photo, note in pairs:
            expected, got = truth(note), words(read(photo))
            found += (expected & got).total()
            wanted += expected.total()
            given += got.total()
        recall, precision = found / max(1, wanted), found / max(1, given)
        f1 = 2 * found / max(1, wanted + given)
        print(f"| {name} | {recall:.2f} | {precision:.2f} | {f1:.2f} |")


if __name__ == "__main__":
    main()
