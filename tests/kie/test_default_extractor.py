"""The default extractor, and how it is measured."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.receipts import IGNORE, NONE, Page, match, scores, swapped
from ocr_models.bundle import read_bundle
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import KieSpec
from ocrserve import OCR
from ocrserve.cli import main
from ocrserve.model_names import default_folder, model_sources
from ocrserve.train.synth.fonts import PRINTABLE
from ocrserve.train.synth.receipt_page import CLASSES


def test_it_is_small_and_knows_the_classes_of_wildreceipt() -> None:
    folder = default_folder("extractor")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    bundle = read_bundle(folder)
    assert bundle.manifest.task == "kie"
    assert bundle.manifest.extractor is not None
    spec = bundle.manifest.extractor.spec
    assert isinstance(spec, KieSpec)
    assert spec.class_names == CLASSES
    assert spec.characters == tuple(PRINTABLE)
    assert not spec.network.visual
    assert spec.links is None


def test_default_alone_still_means_a_chain_without_labels() -> None:
    assert [source.weights.name for source in model_sources("default")] == [
        "detector",
        "recognizer",
    ]
    assert [source.weights.name for source in model_sources("default", "extractor")] == [
        "extractor"
    ]


def test_a_chain_of_the_three_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ["--det", "default", "--recog", "default", "--kie", "default"]
    words = ["convert", *parts, "--output-folder", str(tmp_path), "--model-name", "receipts"]
    assert main(words) == 0
    assert "receipts.mar  (ocr, " in capsys.readouterr().out


def test_the_sample_receipt() -> None:
    photo = resources.files("ocrserve") / "assets" / "sample_receipt.jpg"
    ocr = OCR(kie="default", runtime=RuntimeOptions("torch", "cpu", "float32"))
    info = ocr.read(photo.read_bytes()).info
    assert info is not None
    fields = [(field.key, field.value) for field in info.fields]
    # The shop's name has a comma too many, and some sums a space; these are right.
    assert set(fields) >= {
        ("Date", "12-16-09"),
        ("Time", "06:55"),
        ("Total", "$66.41"),
        ("Tel", "229 415 0036"),
        ("Prod_item", "Burger"),
        ("Prod_item", "Cappuccino"),
        ("Prod_item", "Mini Cola"),
        ("Store_addr", "SINGAPORE"),
    }
    (name,) = (value for key, value in fields if key == "Store_name")
    assert name.startswith("Clark ")
    assert name.endswith(" Sons Steak House")
    assert [key for key, _ in fields].count("Total") == 1


def box(left: float, right: float, top: float = 0.0) -> list[list[float]]:
    return [[left, top], [right, top], [right, top + 10], [left, top + 10]]


def page(*boxes: list[list[float]], classes: list[int]) -> Page:
    corners = np.array(boxes, np.float64).reshape(-1, 4, 2)
    return Page(corners, [""] * len(boxes), np.array(classes, np.int64), (200, 100))


def test_read_words_get_the_class_of_the_box_they_lie_on() -> None:
    truth = page(box(0, 50), box(60, 80), box(0, 50, 20), box(60, 80, 20), classes=[1, 2, 3, 4])
    read = np.array(
        [
            box(0, 20), box(25, 50),  # one box in two words
            box(75, 120),  # hardly on a box
            box(0, 80, 20),  # two boxes of different classes in one word
        ]
    )  # fmt: skip
    classes, missed = match(read, truth)
    assert classes.tolist() == [1, 1, NONE, 3]
    assert missed.tolist() == [2, 4]
    same = page(box(0, 50, 20), box(60, 80, 20), classes=[3, 3])
    assert match(read[3:], same)[1].tolist() == []
    assert match(read[:0], same)[1].tolist() == [3, 3]
    classes, missed = match(read, page(classes=[]))
    assert classes.tolist() == [NONE] * 4
    assert missed.tolist() == []


def test_missed_words_and_words_on_nothing_lower_the_scores() -> None:
    truth = [np.array([1, 1, 1, NONE, IGNORE])]
    predicted = [np.array([1, 1, NONE, 1, 1])]
    f1, occurring = scores(predicted, truth)
    assert occurring == [1]
    assert f1[1] == pytest.approx(2 / 3)


def test_exchanged_parts_keep_their_rows_and_stay_within_the_page() -> None:
    words: list[dict[str, Any]] = [
        {"box": np.ravel(box(left, left + 40, top)).tolist(), "text": f"{left} {top}", "label": 1}
        for top in (10, 30, 50) for left in (0, 50)
    ]  # fmt: skip
    line: dict[str, Any] = {"file_name": "a.jpg", "width": 100, "height": 70, "annotations": words}
    cuts = set()
    for seed in range(20):
        made = swapped(line, np.random.default_rng(seed))
        assert {**made, "annotations": words} == line
        tops = [word["box"][1] for word in made["annotations"]]
        assert tops[::2] == tops[1::2]
        assert [word["box"][::2] for word in made["annotations"]] == [w["box"][::2] for w in words]
        cuts.add(tuple(tops[::2]))
    assert cuts == {(45, 15, 35), (25, 45, 15)}  # of pages whose rows end at 60
    for few in ([], words[:2]):
        alone = {**line, "annotations": few}
        assert swapped(alone, np.random.default_rng(0)) == alone
