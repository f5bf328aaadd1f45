"""Preprocessing against MMOCR's own tensors, for every detection and recognition test pipeline."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError, InputError
from ocr_models.preprocessing import (
    DetectionInput,
    DetectionPreprocessing,
    RecognitionInput,
    RecognitionPreprocessing,
    detection_input,
    keep_ratio_size,
    recognition_inputs,
    recognition_width,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "preprocess"
ENTRIES = [
    entry
    for entry in json.loads((GOLDEN / "index.json").read_text())
    if entry["task"] in ("textdet", "textrecog")
]
CASES = [
    pytest.param(entry, number, id=f"{Path(entry['file']).stem}-{number}")
    for entry in ENTRIES
    for number in range(len(entry["cases"]))
]


def config_of(entry: dict[str, Any]) -> DetectionPreprocessing | RecognitionPreprocessing:
    """Our config for one of MMOCR's pipelines."""
    steps: dict[str, dict[str, Any]] = {}
    for step in entry["pipeline"]:
        for inner in step.get("transforms", [step]):
            steps[inner["type"]] = {**step, **inner}
    unit_range = "NormalizeOCR" in steps
    normalise = steps["NormalizeOCR" if unit_range else "Normalize"]
    mean, std = tuple(map(float, normalise["mean"])), tuple(map(float, normalise["std"]))
    if entry["task"] == "textdet":
        return DetectionPreprocessing(
            image_scale=tuple(steps["Resize"]["img_scale"]),
            keep_ratio=steps["Resize"]["keep_ratio"],
            mean=mean,
            std=std,
            to_rgb=normalise["to_rgb"],
            size_divisor=steps.get("Pad", {}).get("size_divisor", 0),
        )
    resize = steps["ResizeOCR"]
    grey = steps["LoadImageFromFile"].get("color_type") == "grayscale"
    return RecognitionPreprocessing(
        height=resize["height"],
        min_width=resize["min_width"],
        max_width=resize["max_width"],
        keep_aspect_ratio=resize["keep_aspect_ratio"],
        width_downsample_ratio=resize.get("width_downsample_ratio", 1 / 16),
        color="gray" if grey else "bgr" if unit_range else "rgb",
        mean=mean,
        std=std,
        unit_range=unit_range,
        rotate_degrees=tuple(resize.get("rotate_degrees", ())),
    )


def test_the_sweep_covers_all_pipelines() -> None:
    assert len(ENTRIES) == 20
    assert len(CASES) == 58


@pytest.mark.parametrize(("entry", "number"), CASES)
def test_tensors_equal_mmocr(entry: dict[str, Any], number: int) -> None:
    case = entry["cases"][number]
    with np.load(GOLDEN / "inputs.npz") as inputs, np.load(GOLDEN / entry["file"]) as arrays:
        image = inputs["h{}_w{}_seed{}".format(*case["size"], case["image_seed"])]
        golden = dict(arrays)
    config = config_of(entry)
    results: list[DetectionInput | RecognitionInput]
    if isinstance(config, DetectionPreprocessing):
        results = [detection_input(image, config)]
    else:
        results = list(recognition_inputs(image, config))
    assert len(results) == case["variants"]

    for variant, (result, meta) in enumerate(zip(results, case["metas"], strict=True)):
        key, tensor = f"{number}_{variant}", result.tensor
        step = int(golden[f"{key}_step"])
        assert tensor.shape == tuple(golden[f"{key}_shape"])
        assert tensor.dtype == np.float32
        for part, name in (
            (tensor[:, ::step, ::step], "sample"),
            (tensor[:, -1, ::step], "lastrow"),
            (tensor[:, ::step, -1], "lastcol"),
        ):
            np.testing.assert_allclose(part, golden[f"{key}_{name}"], rtol=0, atol=1e-5)
        exact = tensor.astype(np.float64)
        stats = [exact.mean(), exact.std(), np.abs(exact).sum()]
        np.testing.assert_allclose(stats, golden[f"{key}_stats"], rtol=1e-5, atol=1e-5)

        if isinstance(result, DetectionInput):
            assert result.scale_factor.tolist() == meta["scale_factor"]
            assert list(result.resized_shape) == meta["img_shape"][:2]
            assert list(result.padded_shape) == meta["pad_shape"][:2]
        else:
            assert list(result.resize_shape) == meta["resize_shape"][:2]
            assert result.valid_ratio == meta.get("valid_ratio", result.valid_ratio)


def test_detection_resize_is_opencvs_to_the_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (45, 77, 3), np.uint8)
    config = DetectionPreprocessing(
        image_scale=(200, 100), mean=(0, 0, 0), std=(1, 1, 1), to_rgb=False, size_divisor=0
    )
    result = detection_input(image, config)
    width, height = keep_ratio_size(77, 45, (200, 100))
    expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(result.tensor, expected.transpose(2, 0, 1))


def test_detection_exact_size_ignores_the_ratio() -> None:
    image = np.zeros((50, 200, 3), np.uint8)
    config = DetectionPreprocessing(image_scale=(100, 60), keep_ratio=False, size_divisor=32)
    result = detection_input(image, config)
    assert result.resized_shape == (60, 100)
    assert result.padded_shape == (64, 128)
    np.testing.assert_allclose(result.scale_factor, [0.5, 1.2, 0.5, 1.2])
    assert not result.tensor[:, 60:].any()
    assert not result.tensor[:, :, 100:].any()


def test_detection_leaves_the_image_alone() -> None:
    image = np.full((30, 40, 3), 7, np.uint8)
    detection_input(image, DetectionPreprocessing(image_scale=(40, 30)))
    assert (image == 7).all()


@pytest.mark.parametrize(
    ("width", "height", "scale", "expected"),
    [
        (411, 237, (1333, 736), (1276, 736)),
        (60, 190, (736, 1333), (421, 1333)),
        (1280, 720, (1333, 736), (1308, 736)),
        (10_000, 1, (1333, 736), (1333, 1)),  # MMOCR fails here, at height 0
    ],
)
def test_keep_ratio_size(
    width: int, height: int, scale: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert keep_ratio_size(width, height, scale) == expected


@pytest.mark.parametrize(
    ("width", "expected"),
    [(16, 32), (40, 32), (41, 48), (56, 64), (72, 64), (100, 96)],
    ids=lambda value: str(value),
)
def test_recognition_widths_round_half_to_even(width: int, expected: int) -> None:
    assert recognition_width(32, width, RecognitionPreprocessing(min_width=32)) == (expected, 1.0)


def test_recognition_padding_is_normalised_too() -> None:
    config = RecognitionPreprocessing(max_width=100)
    (result,) = recognition_inputs(np.full((32, 48, 3), 254, np.uint8), config)
    assert result.tensor.shape == (1, 32, 100)
    assert result.valid_ratio == 0.48
    np.testing.assert_allclose(result.tensor[:, :, :48], 1)
    np.testing.assert_allclose(result.tensor[:, :, 48:], -1)


def test_tall_crops_are_tried_in_every_rotation() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (96, 32, 3), np.uint8)
    config = RecognitionPreprocessing(rotate_degrees=(0, 90, 270), swap_rotated_shape=True)
    upright, left, right = recognition_inputs(crop, config)
    assert [r.rotation for r in (upright, left, right)] == [0, 90, 270]
    assert upright.resize_shape == (32, 32)
    assert left.resize_shape == right.resize_shape == (32, 96)
    # A quarter turn needs no interpolation at this size, so the pixels are the crop's own.
    np.testing.assert_array_equal(left.tensor, np.rot90(upright_pixels(crop), 1)[None])
    np.testing.assert_array_equal(right.tensor, np.rot90(upright_pixels(crop), 3)[None])
    assert len(recognition_inputs(crop[:32], config)) == 1


def upright_pixels(crop: np.ndarray) -> np.ndarray:
    return (cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32) - 127) * np.float32(1 / 127)


def test_a_hair_of_a_crop_is_refused_before_memory_is_spent() -> None:
    with pytest.raises(InputError, match="too long for its height") as caught:
        recognition_inputs(np.zeros((1, 5000, 3), np.uint8), RecognitionPreprocessing())
    assert caught.value.code == 422


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_wrong_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected a uint8 image"):
        detection_input(image, DetectionPreprocessing())
    with pytest.raises(InputError, match="expected a uint8 image"):
        recognition_inputs(image, RecognitionPreprocessing())


@pytest.mark.parametrize(
    "settings",
    [
        {"mean": (1.0,)},
        {"std": (1.0, 0.0, 1.0)},
        {"image_scale": (0, 10)},
    ],
)
def test_wrong_detection_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        DetectionPreprocessing(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"color": "rgb"},  # with one mean only
        {"color": "yuv"},
        {"keep_aspect_ratio": False},
        {"width_downsample_ratio": 0.0},
        {"rotate_degrees": (45,)},
    ],
)
def test_wrong_recognition_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RecognitionPreprocessing(**settings)
