"""Pipeline steps: polygons stay on what they outline, colours follow their definitions."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample, SampleError

MARK = np.array([[90.0, 60.0], [200.0, 40.0], [215.0, 85.0], [100.0, 110.0]])


def marked(width: int = 320, height: int = 200) -> Sample:
    """A black image with one white quad, supersampled so that its edges are exact."""
    image = np.zeros((height * 4, width * 4, 3), np.uint8)
    cv2.fillPoly(image, [np.round(MARK * 4 - 0.5).astype(np.int32)], (255, 255, 255))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Sample("test", image=small, polygons=[MARK.copy()])


def run(sample: Sample, *steps: dict[str, Any], seed: int = 0) -> Sample:
    sample = build_pipeline(steps)(sample, np.random.default_rng(seed))
    sample.pixels()
    return sample


def covered(sample: Sample) -> float:
    """Intersection over union of the polygons and the white area."""
    image = sample.pixels()
    white = image[..., 0] > 127
    drawn = np.zeros(image.shape[:2], np.uint8)
    for points in sample.polygons:
        cv2.fillPoly(drawn, [np.round((points - 0.5) * 256).astype(np.int32)], (1,), shift=8)
    mask = drawn.astype(bool)
    return float((white & mask).sum() / (white | mask).sum())


GEOMETRY: list[list[dict[str, Any]]] = [
    [{"type": "ImgAug", "args": [["Fliplr", 1.0]]}],
    [{"type": "ImgAug", "args": [["Flipud", 1.0]]}],
    [{"type": "ImgAug", "args": [{"cls": "Affine", "rotate": [-30, 30]}]}],
    [
        {
            "type": "ImgAug",
            "args": [{"cls": "Affine", "scale": [0.5, 0.9], "translate_percent": 0.05}],
        }
    ],
    [{"type": "ImgAug", "args": [["Resize", [0.3, 3.0]]]}],
    [{"type": "ImgAug", "args": [["Resize", 0.25]]}],
    [
        {
            "type": "ImgAug",
            "args": [
                ["Fliplr", 0.5],
                {"cls": "Affine", "rotate": [-10, 10]},
                ["Resize", [0.5, 3.0]],
            ],
        },
        {"type": "EastRandomCrop", "target_size": (320, 256)},
    ],
    [{"type": "EastRandomCrop", "target_size": (100, 300)}],
    [
        {
            "type": "ImgAug",
            "args": [{"cls": "Affine", "rotate": 20}, {"cls": "Affine", "rotate": -35}],
        },
        {"type": "Pad", "size_divisor": 32},
    ],
]


def test_the_sweep_is_complete() -> None:
    assert len(GEOMETRY) == 9


@pytest.mark.parametrize("steps", GEOMETRY)
def test_polygons_stay_on_what_they_outline(steps: list[dict[str, Any]]) -> None:
    worst = min(covered(run(marked(), *steps, seed=seed)) for seed in range(6))
    assert worst > 0.9


def test_an_image_enlarged_before_a_crop_is_never_drawn_whole() -> None:
    sample = marked()
    steps = build_pipeline(
        [
            {"type": "ImgAug", "args": [["Resize", 50.0]]},
            {"type": "EastRandomCrop", "target_size": (64, 64)},
        ]
    )
    steps(sample, np.random.default_rng(0))
    assert sample.pixels().shape == (64, 64, 3)


def test_what_a_rotation_cuts_off_stays_off() -> None:
    sample = Sample("test", image=np.full((100, 100, 3), 255, np.uint8))
    turned = run(
        sample,
        {
            "type": "ImgAug",
            "args": [{"cls": "Affine", "rotate": 45}, {"cls": "Affine", "rotate": -45}],
        },
    )
    assert turned.pixels()[2, 2].max() == 0
    assert turned.pixels()[50, 50].min() == 255


def test_clipping_cuts_polygons_at_the_edge_and_drops_those_outside() -> None:
    inside, across = MARK, np.array([[300.0, 10], [340, 10], [340, 30], [300, 30]])
    outside = across + 100
    both = run(
        Sample("t", image=np.zeros((200, 320, 3), np.uint8), polygons=[inside, across, outside]),
        {"type": "ImgAug", "args": [], "clip_invalid_ploys": True},
    )
    assert len(both.polygons) == 2
    assert both.polygons[1].max(axis=0).tolist() == [320, 30]
    kept = run(
        Sample("t", image=np.zeros((200, 320, 3), np.uint8), polygons=[inside, across, outside]),
        {"type": "ImgAug", "args": [], "clip_invalid_ploys": False},
    )
    assert len(kept.polygons) == 3


def test_random_crop_crosses_no_text_and_pads_with_zero() -> None:
    boxes = [
        np.array([[x, y], [x + 60, y], [x + 60, y + 20], [x, y + 20]], np.float64)
        for x in (20, 120, 220)
        for y in (20, 90, 160)
    ]
    for seed in range(30):
        sample = Sample("t", image=np.full((200, 300, 3), 200, np.uint8), polygons=list(boxes))
        run(sample, {"type": "EastRandomCrop", "target_size": (128, 96)}, seed=seed)
        image = sample.pixels()
        assert image.shape == (96, 128, 3)
        content = image[..., 0] > 0
        rows, columns = content.any(axis=1).sum(), content.any(axis=0).sum()
        assert rows == 96 or columns == 128
        assert sample.polygons
        inner = [
            points
            for points in sample.polygons
            if points[:, 0].min() > 0.5 and points[:, 1].min() > 0.5
        ]
        for points in inner:
            assert points[:, 0].max() <= columns + 1.5
            assert points[:, 1].max() <= rows + 1.5


def test_random_crop_of_a_picture_without_text_is_the_whole_picture() -> None:
    sample = Sample("t", image=np.full((50, 100, 3), 9, np.uint8))
    run(sample, {"type": "EastRandomCrop", "target_size": (100, 100)})
    assert (sample.pixels()[:50] == 9).all()
    assert (sample.pixels()[50:] == 0).all()


def test_normalize_and_pad() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0], image[..., 2] = 10, 30  # blue, red
    sample = run(
        Sample("t", image=image),
        {"type": "Normalize", "mean": [30.0, 0, 0], "std": [2.0, 1, 5], "to_rgb": True},
        {"type": "Pad", "size_divisor": 8},
    )
    pixels = sample.pixels()
    assert pixels.dtype == np.float32
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels[0, 0], [0, 0, 2], atol=1e-6)
    assert pixels[7, 7].tolist() == [0, 0, 0]
    assert sample.pad_value == pytest.approx((-15, 0, 0))


def test_to_tensor_and_normalize_of_unit_range() -> None:
    sample = run(
        Sample("t", image=np.full((2, 2, 3), 255, np.uint8)),
        {"type": "ToTensorOCR"},
        {"type": "NormalizeOCR", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0]},
    )
    np.testing.assert_allclose(sample.pixels()[0, 0], [2, 1, 0.5])


def test_color_jitter_stays_within_its_range_and_off_means_off() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    same = run(Sample("t", image=image.copy()), {"type": "ColorJitter"})
    assert (same.pixels() == image).all()
    grey = np.full((8, 8, 3), 100, np.uint8)
    seen = [
        int(
            run(
                Sample("t", image=grey), {"type": "ColorJitter", "brightness": 0.2}, seed=s
            ).pixels()[0, 0, 0]
        )
        for s in range(50)
    ]
    assert 79 <= min(seen) < 90
    assert 110 < max(seen) <= 120
    colourless = run(Sample("t", image=image), {"type": "ColorJitter", "saturation": (0.0, 0.0)})
    assert np.ptp(colourless.pixels().astype(int), axis=2).max() <= 1


def test_resize_ocr_equals_the_recogniser_in_serving() -> None:
    from ocr_models.preprocessing import RecognitionPreprocessing, recognition_inputs

    image = np.random.default_rng(0).integers(0, 256, (40, 133, 3), np.uint8)
    for min_width, max_width, keep in ((32, None, True), (32, 160, True), (100, 100, False)):
        settings: dict[str, Any] = {"min_width": min_width, "max_width": max_width}
        settings["keep_aspect_ratio"] = keep
        served = recognition_inputs(image, RecognitionPreprocessing(**settings))[0]
        trained = run(
            Sample("t", image=image),
            {"type": "LoadImageFromFile", "color_type": "grayscale"},
            dict(type="ResizeOCR", height=32, **settings),
            {"type": "Normalize", "mean": [127], "std": [127]},
        )
        np.testing.assert_allclose(trained.pixels(), served.tensor[0], atol=1e-5)
        assert trained.valid_ratio == served.valid_ratio


def test_db_targets_are_those_of_the_objective() -> None:
    sample = run(marked(), {"type": "DBNetTargets", "shrink_ratio": 0.4})
    assert sample.targets.shrink.shape == (200, 320)
    assert sample.targets.shrink.max() == 1


def test_word_augment_keeps_shape_and_type() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 80), np.uint8)
    changed = run(Sample("t", image=image), {"type": "WordAugment", "p": 1.0}).pixels()
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()


def test_the_same_generator_gives_the_same_sample() -> None:
    steps = [
        {"type": "ColorJitter", "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1},
        *GEOMETRY[6],
    ]
    first, second = (run(marked(), *steps, seed=5) for _ in range(2))
    assert (first.pixels() == second.pixels()).all()
    assert (first.polygons[0] == second.polygons[0]).all()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "Mosaic"}, "Mosaic.*known"),
        ({"type": "Pad", "size_divisor": 32, "colour": 3}, "does not read colour"),
        ({"type": "Pad"}, "size_divisor"),
        ({"color": "red"}, "must be a dict with a type"),
        ({"type": "Normalize", "mean": [1]}, "std"),
        ({"type": "ImgAug", "args": [["Sharpen", 3]]}, "Sharpen"),
        ({"type": "ImgAug", "args": [{"cls": "Affine", "turn": 3}]}, "turn"),
        ({"type": "LoadImageFromFile", "color_type": "sepia"}, "sepia"),
        ({"type": "CustomFormatBundle", "visualize": {"flag": True}}, "visualize"),
    ],
)
def test_mistakes(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_pipeline([step])


def test_a_step_before_loading_says_so() -> None:
    with pytest.raises(SampleError, match="LoadImageFromFile"):
        run(Sample("nothing.jpg:3"), {"type": "Pad", "size_divisor": 32})
