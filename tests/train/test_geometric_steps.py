"""The detectors' crops, turns and resizes: polygons stay on their text, and no text is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample

CONFIG_FOLDER = Path(__file__).parents[2] / "configs" / "textdet"
CONFIGS = sorted(path.relative_to(CONFIG_FOLDER).as_posix() for path in CONFIG_FOLDER.rglob("*.py"))
RESIZES: dict[str, dict[str, Any]] = {
    "mmdet": {"type": "Resize", "img_scale": [(400, 250), (640, 480)], "keep_ratio": True},
    "mmdet value": {
        "type": "Resize",
        "img_scale": [(400, 250), (640, 480)],
        "multiscale_mode": "value",
        "keep_ratio": False,
    },
    "mmdet ratio": {"type": "Resize", "img_scale": (400, 250), "ratio_range": (0.5, 2.0)},
    "around": {
        "type": "ScaleAspectJitter",
        "img_scale": [(3000, 250)],
        "ratio_range": (0.7, 1.3),
        "aspect_ratio_range": (0.9, 1.1),
        "multiscale_mode": "value",
        "keep_ratio": False,
    },
    "long short": {
        "type": "ScaleAspectJitter",
        "resize_type": "long_short_bound",
        "ratio_range": (0.7, 1.3),
        "aspect_ratio_range": (0.9, 1.1),
        "long_size_bound": 300,
        "short_size_bound": 180,
    },
    "independent": {
        "type": "ScaleAspectJitter",
        "resize_type": "indep_sample_in_range",
        "scale_range": (200, 600),
    },
    "scaling": {"type": "RandomScaling", "size": 300, "scale": (0.75, 2.5)},
    "square": {"type": "SquareResizePad", "target_size": 256, "pad_ratio": 0.6},
    "square, colour": {
        "type": "SquareResizePad",
        "target_size": 256,
        "pad_ratio": 1.0,
        "pad_with_fixed_color": True,
    },
}
TURNS: dict[str, dict[str, Any]] = {
    "flip": {"type": "RandomFlip", "flip_ratio": 0.5},
    "flips": {
        "type": "RandomFlip",
        "flip_ratio": [0.3, 0.3, 0.4],
        "direction": ["horizontal", "vertical", "diagonal"],
    },
    "rotate": {"type": "RandomRotateTextDet", "rotate_ratio": 1.0, "max_angle": 10},
    "rotate on a canvas": {
        "type": "RandomRotatePolyInstances",
        "rotate_ratio": 1.0,
        "max_angle": 60,
        "pad_with_fixed_color": True,
    },
}
CROPS: dict[str, dict[str, Any]] = {
    "instances": {
        "type": "RandomCropInstances",
        "target_size": (160, 224),
        "instance_key": "gt_kernels",
    },
    "polygons": {
        "type": "RandomCropPolyInstances",
        "instance_key": "gt_masks",
        "crop_ratio": 1.0,
        "min_side_ratio": 0.3,
    },
    "flip of a part": {"type": "RandomCropFlip", "crop_ratio": 1.0, "min_area_ratio": 0.2},
}
# The geometric parts of the published training pipelines, in their order.
PUBLISHED: dict[str, list[dict[str, Any]]] = {
    "panet": [RESIZES["around"], TURNS["flip"], TURNS["rotate"], CROPS["instances"]],
    "psenet": [RESIZES["long short"], TURNS["flip"], TURNS["rotate"], CROPS["instances"]],
    "textsnake": [
        CROPS["polygons"],
        TURNS["rotate on a canvas"],
        RESIZES["long short"],
        RESIZES["square, colour"],
        TURNS["flip"],
    ],
    "drrg and fcenet": [
        RESIZES["scaling"],
        CROPS["flip of a part"],
        CROPS["polygons"],
        TURNS["rotate on a canvas"],
        RESIZES["square, colour"],
        TURNS["flip"],
    ],
    "mask r-cnn": [
        RESIZES["independent"],
        TURNS["flip"],
        {**CROPS["instances"], "mask_type": "union_all", "instance_key": "gt_masks"},
    ],
}
SWEEP: dict[str, list[dict[str, Any]]] = {
    **{name: [step] for name, step in {**RESIZES, **TURNS, **CROPS}.items()},
    **PUBLISHED,
}
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def page(width: int = 320, height: int = 200) -> Sample:
    """Three coloured quads on black, the blue one to be ignored; edges are exact."""
    quads = [
        np.array([[30.0, 40.0], [110, 30], [115, 60], [35, 72]]),
        np.array([[150.0, 120.0], [290, 130], [287, 165], [148, 155]]),
        np.array([[200.0, 20.0], [260, 20], [260, 50], [200, 50]]),
    ]
    image = np.zeros((height * 4, width * 4, 3), np.uint8)
    for quad, color in zip(quads, COLORS, strict=True):
        cv2.fillPoly(image, [np.round(quad * 4 - 0.5).astype(np.int32)], color)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Sample("page", image=small, polygons=quads[:2], ignored=quads[2:])


def run(sample: Sample, *steps: dict[str, Any], seed: int = 0) -> Sample:
    sample = build_pipeline(steps)(sample, np.random.default_rng(seed))
    sample.pixels()
    return sample


def agreement(sample: Sample) -> float:
    """Intersection over union of what the polygons outline and what is not black."""
    image = sample.pixels()
    drawn = np.zeros(image.shape[:2], np.uint8)
    for points in [*sample.polygons, *sample.ignored]:
        cv2.fillPoly(drawn, [np.round((points - 0.5) * 256).astype(np.int32)], (1,), shift=8)
    text = image.max(axis=2) > 127
    mask = drawn.astype(bool)
    return float((text & mask).sum() / max(1, (text | mask).sum()))


def test_the_sweep_is_complete() -> None:
    assert (len(RESIZES), len(TURNS), len(CROPS), len(PUBLISHED)) == (9, 4, 3, 5)
    assert len(SWEEP) == 21
    assert len(CONFIGS) >= 20


@pytest.mark.parametrize("name", SWEEP)
def test_polygons_stay_on_what_they_outline(name: str) -> None:
    steps = [{**step, "pad_with_fixed_color": True} if "pad_ratio" in step else step
             for step in SWEEP[name]]  # fmt: skip
    samples = [run(page(), *steps, seed=seed) for seed in range(12)]
    assert min(agreement(sample) for sample in samples if sample.polygons) > 0.85
    assert any(sample.polygons for sample in samples)


@pytest.mark.parametrize("name", SWEEP)
@pytest.mark.parametrize("kind", ["no text", "only ignored text", "text outside", "tiny"])
def test_unusual_pictures(name: str, kind: str) -> None:
    for seed in range(4):
        sample = page(3, 2) if kind == "tiny" else page()
        if kind == "no text":
            sample.polygons, sample.ignored = [], []
        elif kind == "only ignored text":
            sample.polygons = []
        elif kind == "text outside":
            sample.polygons = [points - 1000 for points in sample.polygons]
        image = run(sample, *SWEEP[name], seed=seed).pixels()
        assert min(image.shape[:2]) >= 1
        assert image.dtype == np.uint8


@pytest.mark.parametrize("name", PUBLISHED)
def test_normalised_pictures_stay_float(name: str) -> None:
    normalize = {"type": "Normalize", "mean": [120.0] * 3, "std": [60.0] * 3}
    image = run(page(), normalize, *SWEEP[name]).pixels()
    assert image.dtype == np.float32
    assert -2.1 < image.min() < image.max() < 2.4


@pytest.mark.parametrize("name", CONFIGS)
def test_training_pipelines_of_the_configs(name: str) -> None:
    steps = load_config(CONFIG_FOLDER / name)["data"]["train"]["pipeline"]
    shapes = set()
    for seed in range(2):
        sample = run(page(640, 400), *steps, seed=seed)
        assert sample.targets is not None
        assert sample.pixels().dtype == np.float32
        shapes.add(sample.pixels().shape)
    # Batches need one size.
    assert len(shapes) == 1
    height, width, channels = shapes.pop()
    assert (height % 32, width % 32, channels) == (0, 0, 3)


def test_sizes_after_resizing() -> None:
    def sizes(name: str) -> np.ndarray:
        return np.array([run(page(), RESIZES[name], seed=seed).size() for seed in range(40)])

    keep = sizes("mmdet")
    assert np.allclose(keep[:, 0] / keep[:, 1], 1.6, atol=0.02)
    assert (keep[:, 0] >= 400).all()
    assert (keep[:, 0] <= 640).all()
    assert len(np.unique(keep[:, 0])) > 10
    assert {tuple(size) for size in sizes("mmdet value").tolist()} == {(400, 250), (640, 480)}
    ratio = sizes("mmdet ratio")
    assert 190 < ratio[:, 0].min() < 260
    assert 600 < ratio[:, 0].max() <= 800
    short = sizes("around").min(axis=1)
    assert 250 * 0.7 / 1.06 - 1 < short.min() < 190
    assert 300 < short.max() < 250 * 1.3 * 1.06
    bounded = sizes("long short")
    assert bounded.min() >= 180
    assert bounded[:, 0].max() <= 300 * 1.3 * 1.06
    free = sizes("independent")
    assert (free >= 200).all()
    assert (free <= 600).all()
    assert abs(np.corrcoef(free.T)[0, 1]) < 0.4
    long = sizes("scaling").max(axis=1)
    assert 225 <= long.min() < 300
    assert 650 < long.max() <= 750
    assert (sizes("square") == 256).all()


def test_padding_to_a_square_is_about_the_middle() -> None:
    white = Sample("white", image=np.full((50, 100, 3), 255, np.uint8))
    step = {"type": "SquareResizePad", "target_size": 200, "pad_ratio": 1.0}
    image = run(white, {**step, "pad_with_fixed_color": True, "pad_value": (1, 2, 3)}).pixels()
    assert (image[:49] == (1, 2, 3)).all()
    assert (image[151:] == (1, 2, 3)).all()
    assert (image[51:149, 2:-2] == 255).all()


def test_padding_is_a_part_of_the_picture() -> None:
    noise = np.random.default_rng(0).integers(100, 200, (60, 90, 3), np.uint8)
    for step in (
        {"type": "SquareResizePad", "target_size": 120, "pad_ratio": 1.0},
        {"type": "RandomRotatePolyInstances", "rotate_ratio": 1.0, "max_angle": 50},
    ):
        images = [run(Sample("noise", image=noise), step, seed=s).pixels() for s in range(5)]
        # At the seam share and background are rounded once each.
        assert all(image.min() >= 98 for image in images)
        assert len({image[0, 0].tobytes() for image in images}) > 1


def test_flips_come_as_often_as_asked() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255
    corners = [
        tuple(
            np.argwhere(run(Sample("t", image=image), TURNS["flips"], seed=s).pixels()[..., 0])[0]
        )
        for s in range(200)
    ]
    shares = {corner: corners.count(corner) / 200 for corner in set(corners)}
    assert set(shares) == {(0, 1), (1, 0), (1, 1)}
    assert shares[0, 1] == pytest.approx(0.3, abs=0.1)
    never = {"type": "RandomFlip", "flip_ratio": 0.0}
    assert run(Sample("t", image=image), never).pixels()[0, 0, 0] == 255


def test_a_canvas_for_a_turn_holds_the_whole_picture() -> None:
    white = Sample("white", image=np.full((60, 100, 3), 255, np.uint8))
    step = {**TURNS["rotate on a canvas"], "max_angle": 80}
    for seed in range(8):
        sample = run(Sample("white", image=white.stored()), step, seed=seed)
        assert (sample.pixels()[..., 0] > 127).sum() == pytest.approx(6000, rel=0.02)


def test_random_crop_instances_has_one_size_and_reaches_into_the_text() -> None:
    def with_text(ratio: float) -> int:
        step = {**CROPS["instances"], "positive_sample_ratio": ratio}
        samples = [run(page(900, 700), step, seed=seed) for seed in range(60)]
        assert {sample.pixels().shape for sample in samples} == {(160, 224, 3)}
        return sum(bool(sample.polygons) for sample in samples)

    # The text lies in the upper left corner, where few places of a free cut come to.
    assert with_text(1.0) > 45
    assert with_text(0.0) < 20
    small = run(page(), {**CROPS["instances"], "target_size": 400})
    assert small.pixels().shape == (400, 400, 3)
    assert small.pixels()[200:].max() == small.pixels()[:, 320:].max() == 0


def test_random_crop_of_polygons_cuts_no_text() -> None:
    widths = []
    for seed in range(60):
        sample = run(page(), CROPS["polygons"], seed=seed)
        width, height = sample.size()
        widths.append(width)
        assert width >= 96
        assert height >= 60
        assert sample.polygons
        for points in [*sample.polygons, *sample.ignored]:
            assert points.min() >= 0
            assert (points <= (width, height)).all()
        colors = set(map(tuple, sample.pixels().reshape(-1, 3).tolist()))
        assert len(colors & set(COLORS)) == len(sample.polygons) + len(sample.ignored)
    assert len(set(widths)) > 10


def test_flipping_a_part_moves_some_texts_and_keeps_all() -> None:
    moved = 0
    for seed in range(40):
        sample = run(page(), CROPS["flip of a part"], seed=seed)
        assert len(sample.polygons) == 2
        assert len(sample.ignored) == 1
        texts = zip([*sample.polygons, *sample.ignored], COLORS, strict=True)
        for points, color in texts:
            x, y = points.mean(axis=0).astype(int)
            assert sample.pixels()[y, x].tolist() == list(color)
        moved += any(
            not np.array_equal(points, before)
            for points, before in zip(sample.polygons, page().polygons, strict=True)
        )
    assert 5 < moved <= 40


def test_what_a_crop_leaves_out_stays_out() -> None:
    white = Sample("white", image=np.full((100, 100, 3), 255, np.uint8))
    crop = {"type": "RandomCropInstances", "target_size": 50, "instance_key": "gt_masks"}
    turned = run(white, crop, {**TURNS["rotate"], "max_angle": 45}, seed=3)
    assert turned.pixels()[0, 0].max() == 0
    assert turned.pixels()[25, 25].min() == 255


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "Resize"}, "needs img_scale"),
        ({"type": "Resize", "img_scale": (3, 4), "multiscale_mode": "all"}, "'range' or 'value'"),
        ({"type": "Resize", "img_scale": [(3, 4), (5, 6)], "ratio_range": (1, 2)}, "not with a"),
        ({**RESIZES["around"], "keep_ratio": True}, "keep_ratio=False"),
        ({**RESIZES["around"], "resize_type": "free"}, "'free'; known"),
        ({"type": "ScaleAspectJitter"}, "needs img_scale, ratio_range, aspect_ratio_range"),
        ({"type": "RandomFlip", "flip_ratio": 0.5, "direction": "up"}, "direction is up"),
        ({"type": "RandomFlip", "flip_ratio": 1.5}, "probability"),
        ({"type": "RandomFlip", "flip_ratio": [0.5, 0.5]}, "one for each direction"),
        ({"type": "RandomFlip"}, "flip_ratio"),
        ({**CROPS["instances"], "mask_type": "inx1"}, "'inx1'"),
        ({**CROPS["polygons"], "instance_key": "gt_kernels"}, "'gt_kernels'"),
    ],
)
def test_mistakes(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_pipeline([step])
