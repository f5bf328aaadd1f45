"""Word crops whose characters move along, from annotation and renderer to the maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.augment.moves import rectangle
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Character, Sample, SampleError
from ocrserve.train.data.annotations import AnnotationError
from ocrserve.train.data.build import build_datasets
from ocrserve.train.data.datasets import Dataset

CODEC = {"type": "SegConvertor", "dict_type": "DICT36", "lower": True}
TARGETS = {"type": "OCRSegTargets", "label_convertor": CODEC, "box_type": "char_quads"}


def marked(width: int = 120, height: int = 40) -> Sample:
    """White bars on black, each of them a character."""
    image = np.zeros((height, width, 3), np.uint8)
    characters = []
    for number, text in enumerate("aB3z"):
        left, right = 10 + 28 * number, 26 + 28 * number
        image[10:30, left:right] = 255
        characters.append(Character(text, rectangle(left, 10, right, 30)))
    return Sample("marked", image=image, text="aB3z", characters=characters)


def run(step: dict[str, Any], seed: int = 0, sample: Sample | None = None) -> Sample:
    return build_pipeline([step])(sample or marked(), np.random.default_rng(seed))


def brightness(sample: Sample) -> list[float]:
    """Mean grey level inside each character's quadrangle."""
    found = []
    for character in sample.characters:
        mask = np.zeros(sample.pixels().shape[:2], np.uint8)
        centre = character.quad.mean(axis=0)
        inner = centre + 0.7 * (character.quad - centre)  # off the blurred edges
        cv2.fillConvexPoly(mask, np.rint(inner - 0.5).astype(np.int32), (1,))
        found.append(float(sample.pixels()[mask > 0].mean()))
    return found


# --- steps -------------------------------------------------------------------------------------

STEPS: list[dict[str, Any]] = [
    {"type": "RandomPaddingOCR", "max_ratio": [0.15, 0.2, 0.15, 0.2], "box_type": "char_quads"},
    {"type": "RandomRotateImageBox", "min_angle": -17, "max_angle": 17},
    {"type": "ResizeOCR", "height": 64, "min_width": 64, "max_width": 256},
    {"type": "ResizeOCR", "height": 32, "max_width": 100, "keep_aspect_ratio": False},
    {"type": "RandomRotateTextDet", "rotate_ratio": 1.0, "max_angle": 8},
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["type"])
def test_characters_stay_on_their_ink(step: dict[str, Any]) -> None:
    moved = 0
    for seed in range(6):
        sample = run(step, seed)
        assert [character.text for character in sample.characters] == list("aB3z")
        assert min(brightness(sample)) > 225
        before = marked().characters[0].quad
        moved += not np.allclose(sample.characters[0].quad, before)
    assert moved == 6


def test_padding_repeats_the_edge() -> None:
    sample = marked()
    assert sample.image is not None
    sample.image[:, -1] = 77
    step = {"type": "RandomPaddingOCR", "max_ratio": [0.0, 0.0, 0.5, 0.5]}
    wider = run(step, 1, sample).pixels()
    assert wider.shape[0] > 40
    assert wider.shape[1] > 120
    assert (wider[:, 120:] == 77).all()
    assert (wider[40:, :10] == 0).all()


def test_a_turn_loses_the_characters_that_it_cuts() -> None:
    step = {"type": "RandomRotateImageBox", "min_angle": 17, "max_angle": 17}
    sample = run(step)
    # By 17 degrees anticlockwise the first sinks by 13 px and the last rises, out of 40 px.
    assert [character.text for character in sample.characters] == ["a", "B", "3", "z"]
    low = marked()
    low.move_polygons(np.array([[1.0, 0, 0], [0, 1, 8]]))
    assert [character.text for character in run(step, sample=low).characters] == ["B", "3", "z"]


def test_a_turn_stops_at_the_diagonal() -> None:
    step = {"type": "RandomRotateImageBox", "min_angle": 80, "max_angle": 80}
    sample = run(step, sample=marked(height=40))
    view = sample.pending_view()
    turned = np.degrees(np.arctan2(-view.matrix[1, 0], view.matrix[0, 0]))
    assert turned == pytest.approx(np.degrees(np.arctan2(40, 120)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "RandomPaddingOCR", "box_type": "quads"}, "box_type is 'quads'; known: char_r"),
        ({"type": "RandomPaddingOCR", "max_ratio": [0.1, 0.1]}, "needs four numbers"),
        ({"type": "RandomRotateImageBox", "box_type": None}, "box_type is None"),
        ({"type": "RandomRotateImageBox", "min_angle": 5, "max_angle": 1}, "min_angle 5 is above"),
        ({**TARGETS, "box_type": "rects"}, "box_type is 'rects'"),
        ({"type": "OCRSegTargets"}, "label_convertor"),
        ({**TARGETS, "label_convertor": {"type": "CTCConvertor"}}, "Known: SegConvertor"),
    ],
)
def test_mistakes_are_told(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_pipeline([step])
    assert message in str(caught.value)


# --- maps --------------------------------------------------------------------------------------


def test_maps_follow_the_last_turn() -> None:
    """The maps are drawn once all geometry is decided, and padding turns with the crop."""
    steps = [
        {"type": "ResizeOCR", "height": 64, "min_width": 64, "max_width": 256},
        TARGETS,
        {"type": "RandomRotateTextDet", "rotate_ratio": 1.0, "max_angle": 8},
    ]
    sample = build_pipeline(steps)(marked(), np.random.default_rng(3))
    maps = sample.targets
    assert maps.classes.shape == sample.pixels().shape[:2] == (64, 256)
    inked = (maps.classes > 0) & (maps.classes != 255)
    assert sample.pixels()[inked].mean() > 250
    assert set(np.unique(maps.classes[inked])) == {11, 12, 4, 36}  # a, b, 3, z
    left_edge = [int(np.argmin(row)) for row in maps.valid]  # of the padding, slanted now
    assert max(left_edge) - min(left_edge) > 4
    assert abs(left_edge[32] - 192) < 8


def test_a_character_without_a_class_is_told() -> None:
    step = {**TARGETS, "label_convertor": {"type": "SegConvertor", "with_unknown": False}}
    with pytest.raises(SampleError, match="marked: the character 'B'"):
        run(step)


# --- where characters come from ----------------------------------------------------------------


def build(folder: Path, lines: list[Any], *, training: bool = True) -> list[Dataset]:
    (folder / "label.txt").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    config = {
        "type": "OCRSegDataset",
        "ann_file": str(folder / "label.txt"),
        "img_prefix": str(folder),
        "loader": {
            "type": "AnnFileLoader",
            "parser": {"type": "LineJsonParser", "keys": ["file_name", "annotations", "text"]},
        },
        "pipeline": [{"type": "LoadImageFromFile"}],
    }
    return build_datasets(config, training=training, seed=0)[0]


def test_annotations(tmp_path: Path) -> None:
    line = {
        "file_name": "0.png",
        "text": "abc",
        "annotations": [
            {"char_text": "a", "char_box": [1, 2, 9, 3, 8, 20, 0, 19]},
            {"char_text": "b", "char_box": [10, 2, 18, 20]},
            {"char_text": "c", "char_box": [20, 2, 8, 18], "char_box_type": "xywh"},
        ],
    }
    sample = build(tmp_path, [line])[0].sample(0, 0)
    assert sample.text == "abc"
    assert [character.text for character in sample.characters] == ["a", "b", "c"]
    assert [character.quad.tolist() for character in sample.characters] == [
        [[1, 2], [9, 3], [8, 20], [0, 19]],
        [[10, 2], [18, 2], [18, 20], [10, 20]],
        [[20, 2], [28, 2], [28, 20], [20, 20]],
    ]


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([], "at least one character"),
        ([{"char_text": "ab", "char_box": [0, 0, 1, 1]}], "char_text must be one character"),
        ([{"char_text": "a", "char_box": [0, 0, 1]}], "needs 4 or 8 numbers"),
        ([{"char_text": "a", "char_box": [0, 0, 1, float("nan")]}], "needs 4 or 8 numbers"),
        (
            [{"char_text": "a", "char_box": [0, 0, 1, 1], "char_box_type": "xyx"}],
            "'xyxy' or 'xywh', got 'xyx'",
        ),
        ([{"char_text": "a"}], "char_box"),
        (None, "at least one character"),
    ],
)
def test_broken_annotations(annotations: Any, message: str, tmp_path: Path) -> None:
    line = {"file_name": "0.png", "text": "a", "annotations": annotations}
    with pytest.raises(AnnotationError, match=r"label\.txt:1: ") as caught:
        build(tmp_path, [line], training=False)
    assert message in str(caught.value)


def test_rendered_words_know_their_characters() -> None:
    config = {
        "type": "SyntheticWords",
        "size": 12,
        "fonts": "pip",
        "renderer": {"max_difficulty": 0.0, "cut_ratio": 0.0, "clutter_ratio": 0.0},
        "pipeline": [{"type": "LoadImageFromFile"}],
    }
    (dataset,) = build_datasets(config, training=False, seed=4)[0]
    contrasts = []
    for number in range(len(dataset)):
        sample = dataset.sample(0, number)
        assert [character.text for character in sample.characters] == list(sample.text)
        width, height = sample.size()
        quads = np.stack([character.quad for character in sample.characters])
        assert quads.min() > -2
        assert (quads.reshape(-1, 2).max(axis=0) < (width + 2, height + 2)).all()
        grey = cv2.cvtColor(sample.stored(), cv2.COLOR_BGR2GRAY).astype(np.float64)
        inside = np.zeros(grey.shape, np.uint8)
        for quad in quads:
            cv2.fillConvexPoly(inside, np.rint(quad - 0.5).astype(np.int32), (1,))
        assert 0 < inside.mean() < 1
        # Ink lies inside: grey levels vary there, and hardly outside.
        contrasts.append(grey[inside > 0].std() / max(grey[inside == 0].std(), 1.0))
    assert np.median(contrasts) > 3
