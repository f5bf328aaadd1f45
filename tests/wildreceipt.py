"""A stand-in for WildReceipt: its folder, its classes, and a few drawn receipts."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import cv2
import numpy as np

KINDS = (
    "Store_name", "Store_addr", "Tel", "Date", "Time", "Prod_item", "Prod_quantity", "Prod_price",
    "Subtotal", "Tax", "Tips", "Total",
)  # fmt: skip
CLASSES = ("Ignore", *(f"{kind}_{part}" for kind in KINDS for part in ("value", "key")), "Others")
CHARACTERS = string.ascii_letters + string.digits + " .,:$-/#&'()*+%!?;=@_<>[]\"^|"

LISTS = {"dict_file": "dict.txt", "class_list": "class_list.txt"}
"""What configs call the files that ``write_lists`` writes."""


def write_lists(root: Path) -> Path:
    """``data/wildreceipt`` below ``root``, with the class list and a dictionary."""
    folder = root / "data" / "wildreceipt"
    folder.mkdir(parents=True)
    assert len(CHARACTERS) == len(set(CHARACTERS)) <= 91
    names = "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES))
    (folder / "class_list.txt").write_text(names, encoding="utf-8")
    (folder / "dict.txt").write_text("".join(f"{c}\n" for c in CHARACTERS), encoding="utf-8")
    return folder


def write_receipts(folder: Path, pages: int = 6) -> None:
    """``train.txt``, ``test.txt`` (the same pages) and their pictures."""
    (folder / "image_files").mkdir()
    lines = []
    for number in range(pages):
        image, words = receipt(number)
        name = f"image_files/{number}.png"
        assert cv2.imwrite(str(folder / name), image)
        height, width = image.shape[:2]
        page = {"file_name": name, "height": height, "width": width, "annotations": words}
        lines.append(json.dumps(page) + "\n")
    for name in ("train.txt", "test.txt"):
        (folder / name).write_text("".join(lines), encoding="utf-8")


def receipt(seed: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A picture, and its words in WildReceipt's format."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 180, 3), 245, np.uint8)
    words: list[dict[str, Any]] = []

    def write(text: str, x: int, y: int, label: str) -> None:
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
        left, top, right, bottom = x - 1, y - height - 1, x + width + 1, y + 2
        box = [left, top, right, top, right, bottom, left, bottom]
        words.append({"box": box, "text": text, "label": CLASSES.index(label)})

    write(str(rng.choice(["Corner Shop", "Old Mill", "Bakery"])), 30, 24, "Store_name_value")
    write("Date", 10, 54, "Date_key")
    write(f"{rng.integers(1, 29)}/{rng.integers(1, 13)}/2024", 80, 54, "Date_value")
    for row in range(int(rng.integers(1, 4))):
        write(str(rng.choice(["tea", "soup", "cake"])), 10, 84 + 24 * row, "Prod_item_value")
        write(f"{rng.uniform(1, 9):.2f}", 120, 84 + 24 * row, "Prod_price_value")
    write("TOTAL", 10, 174, "Total_key")
    write(f"${rng.uniform(10, 50):.2f}", 110, 174, "Total_value")
    write("thank you", 40, 214, "Others")
    return image, words
