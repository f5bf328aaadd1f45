"""Recognition data in MMOCR's formats: lmdb of every kind, and what the configs name."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.sample import Sample
from ocrserve.train.data import lmdb_files
from ocrserve.train.data.annotations import AnnotationError
from ocrserve.train.data.build import DATASETS, build_datasets
from ocrserve.train.data.datasets import Dataset, prepared_sample

CONFIGS = Path(__file__).parents[2] / "configs"
HAS_LMDB = importlib.util.find_spec("lmdb") is not None
Entries = Mapping[str, bytes]
Write = Callable[[Path, Entries], None]

JSON_PARSER = {"type": "LineJsonParser", "keys": ["filename", "text"]}
STR_PARSER = {
    "type": "LineStrParser", "keys": ["filename", "text"], "keys_idx": [0, 1], "separator": " ",
}  # fmt: skip
SPACED_PARSER = {
    "type": "LineStrParser", "keys": ["text", "filename"], "keys_idx": [2, 0], "separator": "\t",
}  # fmt: skip


class Stored:
    """The part of an lmdb environment that is used, in memory."""

    def __init__(self, entries: Entries) -> None:
        self.entries = {key.encode(): value for key, value in entries.items()}

    @contextmanager
    def begin(self, *, buffers: bool) -> Iterator[Stored]:
        assert not buffers
        yield self

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)


@pytest.fixture(params=["in memory", *(["lmdb"] if HAS_LMDB else [])])
def write(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes an lmdb: a real one where the package is installed, and one in memory anyway."""
    if request.param == "lmdb":
        return write_lmdb
    stored: dict[Path, Stored] = {}

    def open_stored(path: Path) -> Stored:
        return stored[path]

    monkeypatch.setattr(lmdb_files, "open_lmdb", open_stored)
    return lambda path, entries: stored.update({path: Stored(entries)})


def write_lmdb(path: Path, entries: Entries) -> None:
    import lmdb

    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as t:
        for key, value in entries.items():
            t.put(key.encode(), value)


def png(grey: int, width: int = 60) -> bytes:
    done, data = cv2.imencode(".png", np.full((30, width, 3), grey, np.uint8))
    assert done
    return data.tobytes()


def dataset_of(path: Path, parser: Mapping[str, Any], **settings: Any) -> Dataset:
    config = {
        "type": "OCRDataset",
        "ann_file": str(path),
        "img_prefix": str(path),
        "loader": {"type": "AnnFileLoader", "file_format": "lmdb", "parser": dict(parser)},
        "pipeline": [{"type": "LoadImageFromFile"}],
        **settings,
    }
    datasets, _ = build_datasets(config, training=True, seed=0)
    (dataset,) = datasets
    return dataset


def texts(dataset: Dataset) -> list[str]:
    return [dataset.sample(0, number).text for number in range(len(dataset))]


def no_check(sample: Sample) -> None:
    """Every sample will do."""


TEXT_LINES = ["0.png GRAND", "1.png café"]
JSON_LINES = [
    '{"filename": "0.png", "text": "GRAND"}',
    '{"filename": "1.png", "text": "a cup of tea"}',
]
# Number of examples, key of the first label, lines, parser, texts read.
LABEL_ONLY: list[tuple[str, str, list[str], dict[str, Any], list[str]]] = [
    ("num-samples", "label-000000001", TEXT_LINES, STR_PARSER, ["GRAND", "café"]),
    ("num-samples", "label-000000001", TEXT_LINES, JSON_PARSER, ["GRAND", "café"]),
    ("num-samples", "label-000000001", JSON_LINES, JSON_PARSER, ["GRAND", "a cup of tea"]),
    ("total_number", "label-000000001", JSON_LINES, JSON_PARSER, ["GRAND", "a cup of tea"]),
    ("total_number", "0", TEXT_LINES, STR_PARSER, ["GRAND", "café"]),
    ("total_number", "0", TEXT_LINES, JSON_PARSER, ["GRAND", "café"]),
    ("total_number", "0", [line + "\n" for line in JSON_LINES], JSON_PARSER,
     ["GRAND", "a cup of tea"]),
]  # fmt: skip


def test_number_of_label_formats() -> None:
    assert len(LABEL_ONLY) == 7


@pytest.mark.parametrize(("total", "first", "lines", "parser", "expected"), LABEL_ONLY)
def test_lmdb_of_labels(
    total: str,
    first: str,
    lines: list[str],
    parser: dict[str, Any],
    expected: list[str],
    write: Write,
    tmp_path: Path,
) -> None:
    keys = [first, "1" if first == "0" else "label-000000002"]
    entries = {key: line.encode() for key, line in zip(keys, lines, strict=True)}
    write(tmp_path / "label.lmdb", {total: b"2", **entries})
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(png(100 + number))
    dataset = dataset_of(tmp_path / "label.lmdb", parser, img_prefix=str(tmp_path))
    assert texts(dataset) == expected
    sample, skipped = prepared_sample(dataset, no_check, seed=0, epoch=0, number=1)
    assert (int(sample.pixels()[0, 0, 0]), skipped) == (101, [])


@pytest.mark.parametrize("parser", [JSON_PARSER, STR_PARSER, SPACED_PARSER])
@pytest.mark.parametrize("total", ["num-samples", "total_number"])
def test_lmdb_of_pictures_and_texts(
    parser: dict[str, Any], total: str, write: Write, tmp_path: Path
) -> None:
    words = ["GRAND", "café"] if parser is STR_PARSER else ["GRAND", "a cup of tea"]
    entries = {total: b"2"}
    for number, word in enumerate(words, start=1):
        entries |= {f"image-{number:09d}": png(number), f"label-{number:09d}": word.encode()}
    write(tmp_path / "mixed", entries)
    dataset = dataset_of(tmp_path / "mixed", parser, pipeline=[{"type": "LoadImageFromLMDB"}])
    assert texts(dataset) == words
    prepared, skipped = prepared_sample(dataset, no_check, seed=0, epoch=0, number=1)
    assert (int(prepared.pixels()[0, 0, 0]), skipped) == (2, [])


def test_lmdb_with_gaps(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "a", {"label-000000001": b"x"})
    with pytest.raises(AnnotationError, match="neither num-samples nor total_number"):
        dataset_of(tmp_path / "a", JSON_PARSER)
    write(tmp_path / "b", {"num-samples": b"2", "label-000000001": b"0.png a"})
    with pytest.raises(AnnotationError, match="entry label-000000002 of 2 is missing"):
        dataset_of(tmp_path / "b", JSON_PARSER)


def test_lmdb_without_the_package_or_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open" if HAS_LMDB else "pip install lmdb"):
        dataset_of(tmp_path / "nowhere", JSON_PARSER)


# --- what the configs name ---------------------------------------------------------------------


def leaves(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The data sets inside a wrapper."""
    if "datasets" not in config:
        return [config]
    return [leaf for part in config["datasets"] for leaf in leaves(part)]


def named_data_sets(path: Path) -> set[str]:
    data = load_config(path)["data"]
    return {leaf["type"] for split in ("train", "test") for leaf in leaves(data[split])}


RECOGNITION = [
    path
    for path in sorted((CONFIGS / "textrecog").glob("*/*.py"))
    if path.stem != "crnn_light_synthetic" and named_data_sets(path) <= set(DATASETS)
]


def test_number_of_configs() -> None:
    assert len(RECOGNITION) >= 18


def make_data(leaf: Mapping[str, Any], write: Write) -> None:
    """Four words in the form and at the place that a config names."""
    Path(leaf["img_prefix"]).mkdir(parents=True, exist_ok=True)
    Path(leaf["ann_file"]).parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(4):
        name, text = f"{number}.png", f"w{number}"
        (Path(leaf["img_prefix"]) / name).write_bytes(png(40 * number, 70 + 9 * number))
        box = [2, 2, 30, 2, 30, 28, 2, 28]
        chars = [{"char_text": c, "char_box": box} for c in text]
        if leaf["loader"]["parser"]["type"] == "LineStrParser":
            lines.append(f"{name} {text}")
        else:
            both_names = {"filename": name, "file_name": name}
            lines.append(json.dumps({**both_names, "text": text, "annotations": chars}))
    if leaf["loader"].get("file_format") == "lmdb":
        entries = {f"label-{n:09d}": line.encode() for n, line in enumerate(lines, start=1)}
        write(Path(leaf["ann_file"]), {"num-samples": b"4", **entries})
    else:
        Path(leaf["ann_file"]).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("path", RECOGNITION, ids=lambda path: path.stem)
def test_data_sets_of_the_configs(
    path: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = load_config(path)["data"]
    for split in ("train", "test"):
        for leaf in leaves(data[split]):
            make_data(leaf, write)
    trained, notes = build_datasets(data["train"], training=True, seed=0)
    assert notes == []
    repeats = [leaf["loader"]["repeat"] for leaf in leaves(data["train"])]
    assert [len(dataset) for dataset in trained] == [4 * repeat for repeat in repeats]
    for dataset in trained:
        sample, skipped = prepared_sample(dataset, no_check, seed=0, epoch=0, number=3)
        assert skipped == []
        assert sample.text == "w3"
        assert sample.pixels().dtype == np.float32
    tested, _ = build_datasets(data["test"], training=False, seed=0)
    assert [texts(dataset) for dataset in tested] == [["w0", "w1", "w2", "w3"]] * len(tested)
    assert len(tested) == len(leaves(data["test"]))
