"""Rendered receipts: exact boxes, sums that add up, links, splits, and the exported data set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.synth import FontFace, ReceiptConfig, ReceiptRenderer, find_fonts
from ocrserve.train.synth.export_receipts import (
    KEY,
    VALUE,
    closed_annotations,
    export_receipts,
    open_annotations,
)
from ocrserve.train.synth.fonts import FontError
from ocrserve.train.synth.lettering import Lettering
from ocrserve.train.synth.receipt_contents import ContentMaker, Money
from ocrserve.train.synth.receipt_layouts import LAYOUTS, layouts
from ocrserve.train.synth.receipt_page import (
    CLASSES,
    Cell,
    PageStyle,
    Row,
    joined,
    print_page,
)
from ocrserve.train.synth.receipt_paper import random_sheet
from ocrserve.train.synth.receipts import ORNATE_FAMILIES, PRINTER_FAMILIES, Receipt

FLAT = ReceiptConfig(tilt=0.0, clean=1.0, illegible_ratio=0.0)


@pytest.fixture(scope="module")
def renderer(pip_fonts: tuple[FontFace, ...]) -> ReceiptRenderer:
    return ReceiptRenderer(pip_fonts)


@pytest.fixture(scope="module")
def receipts(renderer: ReceiptRenderer) -> list[Receipt]:
    return [renderer.render(seed) for seed in range(40)]


def style(face: FontFace, columns: float = 20.0) -> PageStyle:
    return PageStyle(face, face, em_px=20.0, columns=columns)


def test_classes_are_wildreceipts() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 26
    assert (CLASSES[0], CLASSES[15], CLASSES[25]) == ("Ignore", "Prod_price_value", "Others")


def test_same_seed_same_receipt(renderer: ReceiptRenderer) -> None:
    one, two, other = (renderer.render(seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, two.image)
    assert [b.text for b in one.boxes] == [b.text for b in two.boxes]
    assert one.image.shape != other.image.shape or (one.image != other.image).any()


def test_boxes_lie_in_the_picture_and_are_upright(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        height, width = receipt.image.shape[:2]
        assert receipt.image.dtype == np.uint8
        assert len(receipt.boxes) >= 8
        for box in receipt.boxes:
            assert box.text.strip() == box.text != ""
            assert box.label in CLASSES
            assert (box.polygon > -1).all()
            assert (box.polygon < (width, height)).all()
            area = cv2.contourArea(box.polygon, oriented=True)
            assert area > 0, "clockwise on the screen"


@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_boxes_hold_the_ink_exactly(pip_fonts: tuple[FontFace, ...], tilt: float) -> None:
    """Black print on white paper: boxes moved by the sheet's map hold the ink that it moved."""
    rows = [
        Row((Cell("Shop"), Cell("12.50", at=1.0, align="right"))),
        Row((Cell("Hy-phen. and g", at=0.5, align="centre"),), size=1.5),
    ]
    page = print_page(rows, style(pip_fonts[0]), Lettering())
    for seed in range(4):
        rng = np.random.default_rng(seed)
        height, width = page.ink.shape
        sheet, wide, high = random_sheet(rng, width, height, tilt=tilt, form=False)
        photo, mask = sheet.warp(page.ink, wide, high)
        corners = np.concatenate([word.box[[0, 1, 2, 1, 2, 3, 0, 3]] for word in page.words])
        polygons = sheet.points(corners.reshape(-1, 2)).reshape(-1, 4, 2)
        inside = np.zeros_like(photo)
        for polygon in polygons:
            single = np.zeros_like(photo)
            cv2.fillPoly(single, [np.round(polygon).astype(np.int32)], (1,))
            assert photo[single > 0].mean() > 25, "a box without ink"
            inside |= single
        grown = cv2.dilate(inside, np.ones((3, 3), np.uint8))
        assert not ((photo > 100) & (grown == 0)).any()
        paper = sheet.points(np.array([[width / 2, height / 2]], np.float32))[0]
        assert mask[round(float(paper[1])), round(float(paper[0]))] == 255


def test_long_names_are_cut_and_wide_rows_stay_on_the_paper(
    pip_fonts: tuple[FontFace, ...],
) -> None:
    name = Cell("A very long name of an article that nobody needs", "Prod_item_value")
    price = Cell("$1,234.50", "Prod_price_value", 1.0, "right")
    wide = Cell("words " * 20 + "end", at=0.5, align="centre")
    page = print_page([Row((name, price)), Row((wide,))], style(pip_fonts[0]), Lettering())
    right = page.ink.shape[1]
    assert all(0 <= word.box[0] < word.box[2] <= right for word in page.words)
    assert " ".join(w.text for w in page.words if w.cell == 1) == "$1,234.50"
    printed = " ".join(w.text for w in page.words if w.cell == 0)
    assert name.text.startswith(printed)
    assert len(printed) < len(name.text)
    assert sum(word.cell == 2 for word in page.words) == 21


def test_words_and_segments(pip_fonts: tuple[FontFace, ...]) -> None:
    rows = [Row((Cell("Apple Pie"), Cell("9.50", at=1.0, align="right")))]
    page = print_page(rows, style(pip_fonts[0]), Lettering())
    assert [word.text for word in page.words] == ["Apple", "Pie", "9.50"]
    segments = joined(page.words, 20.0)
    assert [word.text for word in segments] == ["Apple Pie", "9.50"]
    assert segments[0].box[0] == page.words[0].box[0]
    assert segments[0].box[2] == page.words[1].box[2]
    assert len(joined(page.words, 0.0)) == 3


def test_units(pip_fonts: tuple[FontFace, ...]) -> None:
    made = {
        units: ReceiptRenderer(pip_fonts, config=ReceiptConfig(units=units)).render(3)
        for units in ("words", "segments")
    }
    assert not any(" " in box.text for box in made["words"].boxes)
    assert any(" " in box.text for box in made["segments"].boxes)
    assert " ".join(b.text for b in made["words"].boxes) == " ".join(
        b.text for b in made["segments"].boxes
    )


def test_sums_add_up() -> None:
    maker = ContentMaker(heldout=False)
    for seed in range(50):
        p = maker.purchase(np.random.default_rng(seed), "food", 1 + seed % 7)
        assert p.subtotal_cents == sum(item.cents for item in p.items)
        assert p.total_cents == p.subtotal_cents + p.tax_cents + p.tips_cents
        assert p.tendered_cents >= p.total_cents
        assert len(p.items) == 1 + seed % 7


@pytest.mark.parametrize(
    ("money", "cents", "text"),
    [
        (Money(), 1230, "12.30"),
        (Money("$"), 123456789, "$1,234,567.89"),
        (Money(after=" EUR", comma=True), 123405, "1.234,05 EUR"),
        (Money("$"), -5, "-$0.05"),
    ],
)
def test_money(money: Money, cents: int, text: str) -> None:
    assert money.text(cents) == text


def test_splits_share_no_layout_and_few_words() -> None:
    names = [layout.name for layout in LAYOUTS]
    assert len(names) == len(set(names)) == 11
    heldout = {layout.name for layout in layouts("heldout")}
    assert len(heldout) == 3
    assert heldout.isdisjoint(layout.name for layout in layouts("train"))
    goods = [
        {
            item.name.split()[-1]
            for seed in range(200)
            for item in ContentMaker(part)
            .purchase(np.random.default_rng(seed), "restaurant", 4)
            .items
        }
        for part in (False, True)
    ]
    assert goods[0].isdisjoint(goods[1])


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_layout_and_class_occurs(pip_fonts: tuple[FontFace, ...], split: str) -> None:
    fonts = find_fonts("pip", split)  # type: ignore[arg-type]
    made = ReceiptRenderer(fonts, split, FLAT)  # type: ignore[arg-type]
    labels: Counter[str] = Counter()
    for layout in layouts(split):  # type: ignore[arg-type]
        for seed in range(12):
            receipt = made.render(seed, layout.name)
            assert receipt.layout == layout.name
            labels.update({box.label for box in receipt.boxes})
            assert "Total_value" in {box.label for box in receipt.boxes}
    rare = {"Ignore", "Store_name_key", "Store_addr_key"}
    missing = set(CLASSES) - set(labels)
    assert missing <= (rare if split == "heldout" else {"Ignore"})


def test_links_join_keys_and_values_of_one_kind(receipts: list[Receipt]) -> None:
    pairs = 0
    for receipt in receipts:
        by_link: dict[int, set[str]] = {}
        for box in receipt.boxes:
            by_link.setdefault(box.link, set()).add(box.label)
        for labels in by_link.values():
            kinds = {label.rpartition("_")[0] for label in labels if label != "Ignore"}
            assert len(kinds) <= 1, labels
            pairs += len(labels - {"Ignore"}) == 2
    assert pairs > 100


def test_illegible_rows(pip_fonts: tuple[FontFace, ...]) -> None:
    config = ReceiptConfig(illegible_ratio=1.0)
    receipt = ReceiptRenderer(pip_fonts, config=config).render(1)
    assert 1 <= sum(box.label == "Ignore" for box in receipt.boxes) < len(receipt.boxes)


def test_annotations(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        closed, opened = closed_annotations(receipt.boxes), open_annotations(receipt.boxes)
        assert len(closed) == len(opened) == len(receipt.boxes)
        edges: dict[int, set[int]] = {}
        for box, one, other in zip(receipt.boxes, closed, opened, strict=True):
            assert CLASSES[one["label"]] == box.label
            assert len(one["box"]) == 8
            assert (other["label"] == KEY) == box.label.endswith("_key")
            assert (other["label"] == VALUE) == box.label.endswith("_value")
            edges.setdefault(other["edge"], set()).add(other["label"])
        counts = Counter(each["edge"] for each in opened)
        for edge, labels in edges.items():
            if not labels <= {KEY, VALUE}:
                assert counts[edge] == 1, "background and others have an edge of their own"


def test_exported_data_set(tmp_path: Path) -> None:
    paths = [
        export_receipts(tmp_path / name, split="heldout", count=3, seed=7, fonts="pip")
        for name in ("one", "two")
    ]
    for one, two in zip(*paths, strict=True):
        assert one.read_bytes() == two.read_bytes()
    closed, opened = paths[0]
    assert (closed.name, opened.name) == ("heldout.txt", "openset_heldout.txt")
    pages = [json.loads(line) for line in closed.read_text("utf-8").splitlines()]
    assert [page["file_name"] for page in pages] == [
        f"image_files/heldout_{seed:06d}.jpg" for seed in (7, 8, 9)
    ]
    for page in pages:
        image = cv2.imread(str(tmp_path / "one" / page["file_name"]))
        assert image is not None
        assert image.shape[:2] == (page["height"], page["width"])
        assert set(page["annotations"][0]) == {"box", "text", "label"}
    page = json.loads(opened.read_text("utf-8").splitlines()[0])
    assert set(page["annotations"][0]) == {"box", "text", "label", "edge"}
    lines = (tmp_path / "one" / "class_list.txt").read_text("utf-8").splitlines()
    assert lines[0] == "0 Ignore"
    assert len(lines) == 26
    assert len((tmp_path / "one" / "dict.txt").read_text("utf-8").splitlines()) == 94


def test_fonts_that_suit(pip_fonts: tuple[FontFace, ...]) -> None:
    ornate = [face for face in pip_fonts if face.family in ORNATE_FAMILIES]
    assert ornate
    with pytest.raises(FontError, match="none of the fonts"):
        ReceiptRenderer(ornate)
    assert not PRINTER_FAMILIES & ORNATE_FAMILIES


WRONG = [
    ({"units": "lines"}, "known: words, segments, mixed"),
    ({"em_px": (30.0, 20.0)}, "em_px"),
    ({"tilt": 1.5}, "tilt is 1.5"),
    ({"max_height_px": 10}, "at least 200"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_wrong_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReceiptConfig(**changes)  # type: ignore[arg-type]


def test_unknown_layout(renderer: ReceiptRenderer) -> None:
    with pytest.raises(ConfigError, match="no layout 'bistro' in this split; known: supermarket"):
        renderer.render(0, "bistro")
