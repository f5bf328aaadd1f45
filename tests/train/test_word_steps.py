"""Training steps of recognisers: what each does to a picture, and how often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_models.errors import ConfigError
from ocr_models.geometry import rectified_crop
from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample, SampleError

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGS = Path(__file__).parents[2] / "configs"
Draw = Any


class Drawn(np.random.Generator):
    """A generator whose next draws are given."""

    def __init__(self, *values: Any) -> None:
        super().__init__(np.random.PCG64(0))
        self.values = list(values)

    def uniform(self, *_: Any, **__: Any) -> Any:
        return self.values.pop(0)

    def integers(self, *_: Any, **__: Any) -> Any:
        return self.values.pop(0)

    def random(self, *_: Any, **__: Any) -> Any:
        return self.values.pop(0)

    def permutation(self, x: Any, *_: Any, **__: Any) -> Any:
        return range(x)


def picture(height: int = 32, width: int = 80) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.uint8)


def run(
    *steps: dict[str, Any],
    image: NDArray[Any] | None = None,
    rng: np.random.Generator | int = 0,
    **sample: Any,
) -> Sample:
    made = Sample("test", image=picture() if image is None else image, **sample)
    generator = np.random.default_rng(rng) if isinstance(rng, int) else rng
    return build_pipeline(steps)(made, generator)


# --- wrappers ----------------------------------------------------------------------------------

INVERT = {"type": "Normalize", "mean": [255], "std": [-1]}  # shows that it ran: dtype and values
GREY = {"type": "TorchVisionWrapper", "op": "RandomGrayscale", "p": 1.0}
BLUR = {"type": "TorchVisionWrapper", "op": "GaussianBlur", "kernel_size": 3, "sigma": [1.0, 1.0]}


def test_one_of_runs_one_step_each_equally_often() -> None:
    step = {"type": "OneOfWrapper", "transforms": [GREY, BLUR, INVERT]}
    alone = [run(inner).pixels() for inner in (GREY, BLUR, INVERT)]
    counts = [0, 0, 0]
    for seed in range(600):
        got = run(step, rng=seed).pixels()
        matches = [got.dtype == one.dtype and np.array_equal(got, one) for one in alone]
        assert sum(matches) == 1
        counts[matches.index(True)] += 1
    assert min(counts) > 150


def test_random_wrapper_runs_all_or_none() -> None:
    step = {"type": "RandomWrapper", "p": 0.25, "transforms": [GREY, BLUR]}
    both = run(GREY, BLUR).pixels()
    count = 0
    for seed in range(800):
        got = run(step, rng=seed).pixels()
        ran = np.array_equal(got, both)
        assert ran or np.array_equal(got, picture())
        count += ran
    assert 150 < count < 250  # 200 are expected, with a standard deviation of 12


def test_wrappers_hold_wrappers() -> None:
    inner = {"type": "OneOfWrapper", "transforms": [GREY]}
    step = {"type": "RandomWrapper", "p": 1, "transforms": [inner, BLUR]}
    np.testing.assert_array_equal(run(step).pixels(), run(GREY, BLUR).pixels())


def test_pil_and_back_changes_nothing() -> None:
    got = run({"type": "OpencvToPil"}, {"type": "PilToOpencv"}).pixels()
    np.testing.assert_array_equal(got, picture())


# --- torchvision -------------------------------------------------------------------------------

AFFINE = {"op": "RandomAffine", "degrees": 15, "translate": (0.3, 0.3), "scale": (0.5, 2)}
FILL = (10, 20, 30)
CORNERS = np.array([[7, 2], [11, 4], [2, 0], [9, 3]])
MOVES = np.array([5.0, 2.0])

# Arguments, draws, and how far grey levels may differ from what torchvision 0.29 made of a Pillow
# image: by 2, except in a share of pixels where both sample a pixel's edge or the border.
TORCHVISION: dict[str, tuple[dict[str, Any], tuple[Draw, ...], float]] = {
    "affine_nearest": (
        {**AFFINE, "shear": (-45, 45, -20, 20)},
        (-12, MOVES, 0.8, -30, 11),
        0.01,
    ),
    "affine_bilinear": (
        {**AFFINE, "shear": (-45, 45, -20, 20), "interpolation": "bilinear", "fill": FILL},
        (-12, MOVES, 0.8, -30, 11),
        0.0,
    ),
    "rotation": (
        {"op": "RandomRotation", "degrees": 30, "interpolation": 2},
        (20, -20),
        0.0,
    ),
    "perspective": (
        {"op": "RandomPerspective", "distortion_scale": 0.5, "p": 1},
        (0.0, CORNERS[:, 0], CORNERS[:, 1]),
        0.01,
    ),
    "jitter": (
        {"op": "ColorJitter", "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.1},
        (1.3, 0.7, 1.4, 0.08),
        0.35,  # Pillow keeps hues as whole numbers, so the way there and back costs a few levels
    ),
    "blur": ({"op": "GaussianBlur", "kernel_size": 5, "sigma": (1.0, 1.0)}, (1.0,), 0.0),
    "grey": ({"op": "RandomGrayscale", "p": 1.0}, (0.0,), 0.0),
    "crop": ({"op": "RandomCrop", "size": (12, 30), "padding": (3, 1), "fill": FILL}, (7, 2), 0.0),
}


def test_number_of_torchvision_steps() -> None:
    assert len(TORCHVISION) == 8


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    arguments, draws, share = TORCHVISION[name]
    with np.load(GOLDEN / "torchvision" / "pictures.npz") as stored:
        image, expected = stored["image"], stored[name]
    got = run({"type": "TorchVisionWrapper", **arguments}, image=image, rng=Drawn(*draws)).pixels()
    assert got.shape == expected.shape
    assert got.dtype == np.uint8
    difference = np.abs(got.astype(int) - expected.astype(int)).max(axis=2)
    assert (difference > 2).mean() <= share
    assert (difference > 10).mean() <= min(share, 0.01)


def test_affine_draws_within_its_ranges() -> None:
    """A dot in the middle lands where shift and nothing else puts it."""
    image = np.zeros((60, 100, 3), np.uint8)
    image[28:32, 48:52] = 255
    step = {"type": "TorchVisionWrapper", **AFFINE, "shear": (-45, 45)}
    centres, areas = [], []
    for seed in range(300):
        ys, xs = np.nonzero(run(step, image=image, rng=seed).pixels()[..., 0])
        centres.append((xs.mean() + 0.5 - 50, ys.mean() + 0.5 - 30))
        areas.append(len(xs) / 16)
    reach = np.abs(centres).max(axis=0)
    assert 27 < reach[0] <= 31
    assert 16 < reach[1] <= 19
    assert 0.25 <= min(areas) < 0.5
    assert 3 < max(areas) <= 4.5


def test_perspective_moves_corners_inwards_by_at_most_half_of_half() -> None:
    step = {"type": "TorchVisionWrapper", "op": "RandomPerspective", "p": 1}
    white = np.full((40, 120, 3), 255, np.uint8)
    least = np.ones((40, 120), bool)
    for seed in range(100):
        least &= run(step, image=white, rng=seed).pixels()[..., 0] == 255
    assert least[11:29, 31:89].all()
    assert not least[2:8, 5:20].any()
    assert (run({**step, "p": 0}, image=white).pixels() == white).all()


def test_random_crop_pads_or_gives_up() -> None:
    step = {"type": "TorchVisionWrapper", "op": "RandomCrop", "size": 48}
    with pytest.raises(SampleError, match="80x32 is too small for RandomCrop to 48x48"):
        run(step)
    assert run({**step, "pad_if_needed": True}).pixels().shape == (48, 48, 3)


# --- worse pictures ----------------------------------------------------------------------------


def test_pyramid_rescale() -> None:
    step = {"type": "PyramidRescale", "randomize_factor": False}
    for factor in (0, 1, 4):
        expected = cv2.resize(picture(), (128, 512))
        for _ in range(factor):
            expected = cv2.pyrDown(expected)
        expected = cv2.resize(expected, (80, 32)) if factor else picture()
        np.testing.assert_array_equal(run({**step, "factor": factor}).pixels(), expected)
    results = {run({"type": "PyramidRescale"}, rng=seed).pixels().tobytes() for seed in range(60)}
    assert len(results) == 5


def test_gauss_noise() -> None:
    step = {"type": "Albu", "transforms": [{"type": "GaussNoise", "var_limit": (20, 20), "p": 1}]}
    grey = np.full((64, 200, 3), 128, np.uint8)
    noise = run(step, image=grey).pixels().astype(float) - 128
    assert noise.std() == pytest.approx(np.sqrt(20), rel=0.03)
    assert noise.mean() == pytest.approx(-0.5, abs=0.1)  # fractions are cut off
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
    black = run(step, image=np.zeros_like(grey)).pixels()
    assert black.max() < 30


def test_motion_blur() -> None:
    step = {"type": "Albu", "transforms": [{"type": "MotionBlur", "blur_limit": 6, "p": 1}]}
    dot = np.zeros((33, 33, 3), np.uint8)
    dot[16, 16] = 240
    lengths = set()
    for seed in range(100):
        blurred = run(step, image=dot, rng=seed).pixels()[..., 0]
        ys, xs = np.nonzero(blurred)
        assert 2 <= len(ys) <= 5
        assert np.abs(ys - 16).max() <= 2
        assert np.abs(xs - 16).max() <= 2
        assert blurred.sum() == pytest.approx(240, abs=3)
        lengths.add(len(ys))
    assert max(lengths) == 5


def test_albumentations_run_with_their_probability() -> None:
    inner = [{"type": "GaussNoise", "p": 0.5}, {"type": "MotionBlur", "p": 0.5}]
    same = sum(
        np.array_equal(run({"type": "Albu", "transforms": inner}, rng=s).pixels(), picture())
        for s in range(2000)
    )
    assert 440 < same < 560  # a quarter of them


def test_fancy_pca() -> None:
    steps = [{"type": "ToTensorOCR"}, {"type": "FancyPCA"}]
    shifts = []
    for seed in range(500):
        sample = run(*steps, rng=seed)
        moved = sample.pixels() - picture().astype(np.float32) / 255
        assert np.ptp(moved, axis=(0, 1)).max() < 1e-6
        np.testing.assert_allclose(sample.pad_value, moved[0, 0], atol=1e-6)
        shifts.append(moved[0, 0])
    directions = np.array(
        [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]]
    )
    spread = (np.array(shifts) @ directions.T).std(axis=0)
    np.testing.assert_allclose(spread, [0.02175, 0.00188, 0.00045], rtol=0.1)
    normalized = run(*steps, {"type": "NormalizeOCR", "mean": [0.5] * 3, "std": [0.25] * 3})
    np.testing.assert_allclose(
        normalized.pad_value, (np.array(run(*steps).pad_value) - 0.5) / 0.25, rtol=1e-5
    )


# --- words cut out while training --------------------------------------------------------------

BOX = {"x1": 12.0, "y1": 6, "x2": "61", "y2": 3.5, "x3": 63, "y3": 25, "x4": 11, "y4": 27}
QUAD = np.array([[12, 6], [61, 3.5], [63, 25], [11, 27]])


def test_online_crop() -> None:
    exact = rectified_crop(picture(), QUAD)
    step = {"type": "OnlineCropOCR", "jitter_prob": 1}
    np.testing.assert_array_equal(run(step, fields=dict(BOX)).pixels(), exact)
    assert run(step).pixels().shape == (32, 80, 3)
    moved = run({**step, "jitter_prob": 0}, fields=dict(BOX)).pixels()
    assert moved.shape != exact.shape or not np.array_equal(moved, exact)
    heights = [
        run({**step, "jitter_prob": 0}, fields=dict(BOX), rng=s).pixels().shape[0]
        for s in range(100)
    ]
    assert exact.shape[0] - 1 <= min(heights) <= max(heights) <= exact.shape[0] + 1


def test_online_crop_draws_jitter_as_often_as_mmocr() -> None:
    exact = rectified_crop(picture(), QUAD)
    step = {"type": "OnlineCropOCR", "jitter_prob": 0.75}
    same = sum(
        np.array_equal(run(step, fields=dict(BOX), rng=s).pixels(), exact) for s in range(200)
    )
    assert 125 < same < 175
    with pytest.raises(SampleError, match="corners of the word must be numbers"):
        run(step, fields={**BOX, "x3": "wide"})


# --- sizes -------------------------------------------------------------------------------------


def test_resize_with_a_size_per_process() -> None:
    step = {"type": "ResizeOCR", "height": (48, 64), "max_width": (160, 256), "min_width": (48, 64)}
    assert run(step).pixels().shape == (48, 160, 3)  # a lone process is the first
    with pytest.raises(ConfigError, match="equally many"):
        run({**step, "max_width": (160,)})


TEST_PIPELINES = [
    entry
    for entry in json.loads((GOLDEN / "preprocess" / "index.json").read_text(encoding="utf-8"))
    if entry["task"] == "textrecog"
]


def test_number_of_test_pipelines() -> None:
    assert len(TEST_PIPELINES) == 9


@pytest.mark.parametrize("entry", TEST_PIPELINES, ids=lambda entry: entry["file"])
def test_training_steps_prepare_pictures_as_test_pipelines_do(entry: dict[str, Any]) -> None:
    load, *steps = entry["pipeline"]
    if steps[0]["type"] == "MultiRotateAugOCR":
        steps = steps[0]["transforms"]
    folder = GOLDEN / "preprocess"
    with np.load(folder / "inputs.npz") as inputs, np.load(folder / entry["file"]) as stored:
        for number, case in enumerate(entry["cases"]):
            (height, width), seed = case["size"], case["image_seed"]
            sample = run(load, *steps, image=inputs[f"h{height}_w{width}_seed{seed}"])
            pixels = sample.pixels()
            tensor = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            step, name = int(stored[f"{number}_0_step"]), f"{number}_0"
            assert tensor.shape == tuple(stored[f"{name}_shape"])
            for key, part in (
                ("sample", tensor[:, ::step, ::step]),
                ("lastrow", tensor[:, -1, ::step]),
                ("lastcol", tensor[:, ::step, -1]),
            ):
                np.testing.assert_allclose(part, stored[f"{name}_{key}"], atol=1e-4)
            expected_ratio = case["metas"][0].get("valid_ratio", sample.valid_ratio)
            assert sample.valid_ratio == pytest.approx(expected_ratio)


# --- configs -----------------------------------------------------------------------------------

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"type": "OneOfWrapper", "transforms": []}, "nothing to choose from"),
    ({"type": "OneOfWrapper"}, "OneOfWrapper.transforms must be a list of steps, got None"),
    (
        {"type": "OneOfWrapper", "transforms": [GREY, {"type": "Grey"}]},
        "pipeline step 0: OneOfWrapper, step 1: 'Grey' is not supported in training; known: Load",
    ),
    ({"type": "RandomWrapper", "transforms": [GREY], "p": 3}, "must be a probability, got 3"),
    ({"type": "RandomWrapper", "transforms": [GREY]}, "missing 1 required"),
    (
        {"type": "TorchVisionWrapper", "op": "RandomErasing"},
        "TorchVisionWrapper: 'RandomErasing' is not supported in training; known: ColorJitter, ",
    ),
    ({"type": "TorchVisionWrapper"}, "TorchVisionWrapper: None is not supported"),
    ({"type": "TorchVisionWrapper", "op": "ColorJitter", "hues": 1}, "does not read hues"),
    ({"type": "RandomAffine", "degrees": 3}, "'RandomAffine' is not supported in training"),
    ({**GREY, "op": "RandomAffine", "degrees": 3, "translate": [3, 0]}, "does not read p"),
    (
        {"type": "TorchVisionWrapper", "op": "RandomAffine", "degrees": 3, "translate": [3, 0]},
        "shares of 0 to 1",
    ),
    (
        {"type": "TorchVisionWrapper", "op": "RandomAffine", "degrees": 3, "scale": [0, 2]},
        "above 0",
    ),
    (
        {"type": "TorchVisionWrapper", "op": "RandomRotation", "degrees": 3, "expand": True},
        "expand=True",
    ),
    (
        {"type": "TorchVisionWrapper", "op": "RandomPerspective", "interpolation": "lanczos"},
        "'lanczos'; known: nearest, bilinear",
    ),
    ({"type": "TorchVisionWrapper", "op": "GaussianBlur", "kernel_size": 4}, "odd"),
    (
        {"type": "TorchVisionWrapper", "op": "RandomCrop", "size": 4, "padding_mode": "wrap"},
        "'wrap'; known: constant",
    ),
    ({"type": "Albu", "transforms": [{"type": "Blur"}]}, "'Blur' is not .* known: GaussNoise, Mo"),
    ({"type": "Albu", "transforms": [], "bbox_params": {}}, "bbox_params is not supported"),
    ({"type": "Albu", "transforms": [{"type": "MotionBlur", "blur_limit": 1}]}, "3 or more"),
    ({"type": "PyramidRescale", "factor": -1}, "factor of at least 0"),
    ({"type": "OnlineCropOCR", "box_keys": ["x"]}, "four corners"),
    ({"type": "OnlineCropOCR", "jitter_prob": 2}, "jitter_prob must be between 0 and 1"),
    ({"type": "ResizeOCR", "height": (32, 48), "max_width": (100,)}, "equally many each"),
]


def test_number_of_mistakes() -> None:
    assert len(MISTAKES) == 23


@pytest.mark.parametrize(("step", "message"), MISTAKES)
def test_mistakes(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_pipeline([step])


def test_fancy_pca_must_come_after_to_tensor() -> None:
    with pytest.raises(ConfigError, match="after ToTensorOCR"):
        run({"type": "FancyPCA"})


def test_abinets_pipeline_gives_pictures_of_its_size() -> None:
    config = load_config(CONFIGS / "textrecog" / "abinet" / "abinet_academic.py")
    steps = config["data"]["train"]["pipeline"]
    pictures = [run(*steps, rng=seed).pixels() for seed in range(40)]
    assert {image.shape for image in pictures} == {(32, 128, 3)}
    assert {image.dtype for image in pictures} == {np.dtype(np.float32)}
    plain = run(*(step for step in steps if step["type"] != "RandomWrapper")).pixels()
    unchanged = sum(np.array_equal(image, plain) for image in pictures)
    assert 2 < unchanged < 20  # 0.5 * 0.75 * 0.75 of 40 are 11
