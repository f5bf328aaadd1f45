"""Annotation files in MMOCR's formats, and what happens to broken lines and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.augment.sample import Sample, SampleError
from ocrserve.train.data.annotations import AnnotationError, LineStrParser
from ocrserve.train.data.build import build_datasets
from ocrserve.train.data.datasets import Dataset, prepared_sample

LOAD = [{"type": "LoadImageFromFile"}]
QUAD = [10, 5, 50, 8, 49, 20, 9, 18]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        cv2.imwrite(
            str(tmp_path / f"{number}.png"), np.full((30, 60 + number, 3), number, np.uint8)
        )
    return tmp_path


def build(config: dict[str, Any], *, training: bool = True) -> list[Dataset]:
    return build_datasets(config, training=training, seed=0)[0]


def no_check(sample: Sample) -> None:
    """Every sample will do."""


def coco(folder: Path, *, broken: bool = False) -> Path:
    annotations = [
        {
            "image_id": 7,
            "iscrowd": 0,
            "category_id": 1,
            "bbox": [10, 5, 41, 16],
            "segmentation": [QUAD],
        },
        {
            "image_id": 7,
            "iscrowd": 1,
            "category_id": 1,
            "bbox": [0, 0, 5, 5],
            "segmentation": [[0, 0, 5, 0, 5, 5, 0, 5]],
        },
        {"image_id": 8, "iscrowd": 0, "category_id": 1, "bbox": [1, 2, 10, 20]},
    ]
    if broken:
        annotations.append(
            {"image_id": 9, "iscrowd": 0, "bbox": [0, 0, 1, 1], "segmentation": [[1, 2, 3]]}
        )
    images = [
        {"id": 7 + i, "file_name": f"{i}.png", "height": 30, "width": 60 + i} for i in range(3)
    ]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_coco(folder: Path) -> None:
    config = {
        "type": "IcdarDataset",
        "ann_file": str(coco(folder)),
        "img_prefix": str(folder),
        "pipeline": LOAD,
    }
    (trained,) = build(config)
    assert len(trained) == 2  # the third image has no text
    sample = trained.sample(0, 0)
    assert sample.polygons[0].tolist() == [[10, 5], [50, 8], [49, 20], [9, 18]]
    assert len(sample.ignored) == 1
    assert trained.sample(0, 1).polygons[0].tolist() == [[1, 2], [11, 2], [11, 22], [1, 22]]
    (evaluated,) = build(config, training=False)
    assert len(evaluated) == 3
    prepared, skipped = prepared_sample(trained, no_check, seed=0, epoch=0, number=1)
    assert prepared.pixels().shape == (30, 61, 3)
    assert skipped == []


def test_a_broken_coco_image_is_left_out_of_training_and_stops_evaluation(folder: Path) -> None:
    path = coco(folder, broken=True)
    config = {
        "type": "IcdarDataset",
        "ann_file": str(path),
        "img_prefix": str(folder),
        "pipeline": LOAD,
    }
    datasets, notes = build_datasets(config, training=True, seed=0)
    assert len(datasets[0]) == 2
    assert "left out 1 of 3" in notes[0]
    assert "image 9" in notes[0]
    with pytest.raises(AnnotationError, match=r"instances\.json: image 9.*3 pairs"):
        build(config, training=False)


def test_line_json_scenes(folder: Path) -> None:
    path = folder / "scenes.txt"
    line = {
        "file_name": "0.png",
        "height": 30,
        "width": 60,
        "annotations": [
            {"iscrowd": 0, "category_id": 1, "bbox": [1, 1, 1, 1], "segmentation": [QUAD]}
        ],
    }
    path.write_text(json.dumps(line) + "\n")
    config = {
        "type": "TextDetDataset",
        "ann_file": str(path),
        "img_prefix": str(folder),
        "loader": {
            "type": "AnnFileLoader",
            "repeat": 4,
            "parser": {
                "type": "LineJsonParser",
                "keys": ["file_name", "height", "width", "annotations"],
            },
        },
        "pipeline": LOAD,
    }
    (dataset,) = build(config)
    assert len(dataset) == 4
    assert dataset.sample(0, 3).polygons[0].shape == (4, 2)


def words(folder: Path, text: str, parser: dict[str, Any], **settings: Any) -> dict[str, Any]:
    path = folder / "label.txt"
    path.write_text(text, encoding="utf-8")
    return {
        "type": "OCRDataset",
        "ann_file": str(path),
        "img_prefix": str(folder),
        "loader": dict(type="HardDiskLoader", parser=parser, **settings),
        "pipeline": LOAD,
    }


@pytest.mark.parametrize(
    ("text", "parser"),
    [
        ("0.png GRAND\n1.png café\n", {"type": "LineStrParser"}),
        (
            "\ufeff0.png\tx\tGRAND\r\n\r\n1.png\tx\tcafé\r\n",
            {
                "type": "LineStrParser",
                "keys": ["filename", "text"],
                "keys_idx": [0, 2],
                "separator": "\t",
            },
        ),
        (
            '{"filename": "0.png", "text": "GRAND"}\n{"filename": "1.png", "text": "café"}\n',
            {"type": "LineJsonParser", "keys": ["filename", "text"]},
        ),
    ],
)
def test_word_lines(folder: Path, text: str, parser: dict[str, Any]) -> None:
    (dataset,) = build(words(folder, text, parser))
    assert [dataset.sample(0, i).text for i in range(len(dataset))] == ["GRAND", "café"]


def test_broken_lines_name_file_and_line(folder: Path) -> None:
    config = words(folder, "0.png GRAND\nnothing\n1.png b\n", {"type": "LineStrParser"})
    datasets, notes = build_datasets(config, training=True, seed=0)
    assert len(datasets[0]) == 2
    assert "left out 1 of 3" in notes[0]
    assert "label.txt:2" in notes[0]
    with pytest.raises(AnnotationError, match=r"label\.txt:2: 1 columns"):
        build(config, training=False)
    config = words(folder, '{"filename": "0.png"}\n{"text"\n', {"type": "LineJsonParser"})
    with pytest.raises(AnnotationError, match=r"label\.txt:1: no text"):
        build(config, training=False)
    with pytest.raises(AnnotationError, match="no usable annotation"):
        build(config)


def test_a_broken_image_is_replaced_in_training(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"not an image")
    config = words(folder, "0.png a\n1.png b\nmissing.png c\n", {"type": "LineStrParser"})
    (dataset,) = build(config)
    sample, skipped = prepared_sample(dataset, no_check, seed=0, epoch=0, number=1)
    assert sample.text == "a"
    assert "label.txt:2" in skipped[0]
    assert "label.txt:3" in skipped[1]
    with pytest.raises(SampleError, match="2 examples in a row"):
        prepared_sample(dataset, no_check, seed=0, epoch=0, number=1, tries=2)


def test_repeat_and_fractions(folder: Path) -> None:
    text = "".join(f"{i % 4}.png {i}\n" for i in range(10))
    assert len(build(words(folder, text, {"type": "LineStrParser"}, repeat=3))[0]) == 30
    assert len(build(words(folder, text, {"type": "LineStrParser"}, repeat=0.5))[0]) == 5


def test_wrappers(folder: Path) -> None:
    part = words(folder, "0.png a\n1.png b\n", {"type": "LineStrParser"})
    bare = {**part, "pipeline": None}
    grey = [{"type": "LoadImageFromFile", "color_type": "grayscale"}]
    built = build(
        {"type": "UniformConcatDataset", "datasets": [[bare, part], bare], "pipeline": [grey, LOAD]}
    )
    assert [len(dataset) for dataset in built] == [2, 2, 2]
    shapes = [
        prepared_sample(dataset, no_check, seed=0, epoch=0, number=0)[0].pixels().ndim
        for dataset in built
    ]
    assert shapes == [2, 3, 3]
    forced = build(
        {"type": "UniformConcatDataset", "datasets": [part], "pipeline": grey, "force_apply": True}
    )
    prepared, _ = prepared_sample(forced[0], no_check, seed=0, epoch=0, number=0)
    assert prepared.pixels().ndim == 2
    (repeated,) = build({"type": "RepeatDataset", "times": 3, "dataset": part})
    assert [repeated.sample(0, i).text for i in range(6)] == list("ababab")
    together = build(
        {"type": "ConcatDataset", "datasets": [part, part], "separate_eval": False}, training=False
    )
    assert [together[0].sample(0, i).text for i in range(4)] == list("abab")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "Synthtext"}, "Synthtext.*known: OCRDataset"),
        ({"ann_path": "x"}, "does not read ann_path"),
        ({"ann_file": "/nowhere/label.txt"}, "cannot read the annotation file /nowhere"),
        ({"loader": {"type": "Loader"}}, "loader type 'Loader'"),
        ({"loader": {"type": "AnnFileLoader", "file_storage_backend": "petrel"}}, "petrel"),
        ({"loader": {"type": "AnnFileLoader", "parser": {"type": "X"}}}, "parser type 'X'"),
        ({"pipeline": None}, "needs a pipeline"),
    ],
)
def test_mistakes(folder: Path, change: dict[str, Any], message: str) -> None:
    config = words(folder, "0.png a\n", {"type": "LineStrParser"})
    with pytest.raises((ConfigError, AnnotationError), match=message):
        build({**config, **change})


def test_parser_checks_itself() -> None:
    with pytest.raises(ConfigError, match="3 keys, but 2 keys_idx"):
        LineStrParser(keys=("a", "b", "c"), keys_idx=(0, 1))
