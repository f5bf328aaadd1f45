"""PANet: network, pixel aggregation, and what its config door refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ocr_models.detection.families import FAMILIES
from ocr_models.detection.panet import PANet, PANetConfig
from ocr_models.detection.panet_postprocess import (
    PANPostprocessing,
    aggregate,
    pan_boundaries,
    sigmoid,
)
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.results import Boundary
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec
from tests.detection.test_label_growth import PAN_ORDER, grow_by_queue, random_maps

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = json.loads((GOLDEN / "postprocess" / "cases.json").read_text())
PAN_CASES = sorted(name for name, case in CASES.items() if case["type"] == "PANPostprocessor")
CONFIGS = sorted((ROOT / "configs" / "textdet" / "panet").glob("*.py"))
LIGHT = LightResNetConfig(stem_channels=8, channels=(8, 12, 16, 20))


def same_as_mmocr(boundary: Boundary, theirs: list[float]) -> bool:
    """Equal within a tenth of a pixel; MMOCR's polygons run anticlockwise, and the first corner of
    a quad differs between OpenCV versions."""
    expected = np.reshape(theirs[:-1], (-1, 2))
    rings = [boundary.points, boundary.points[::-1]]
    return len(boundary.points) == len(expected) and any(
        np.abs(np.roll(ring, shift, axis=0) - expected).max() < 0.1
        for ring in rings
        for shift in range(len(expected))
    )


def page(words: int = 200) -> np.ndarray:
    """Maps of a 1280 x 736 page: words in rows of ten, each with an embedding of its own."""
    rng = np.random.default_rng(0)
    maps = np.full((6, 184, 320), -6, np.float32)
    for index in range(words):
        row, column = divmod(index, 10)
        box = (16 + column * 31.8, 5 + row * 9), (rng.uniform(16, 26), 6), rng.uniform(-4, 4)
        outline = cv2.boxPoints(box).astype(np.int32)
        inside = np.zeros(maps.shape[1:], np.uint8)
        cv2.fillPoly(inside, [outline], (1,))
        maps[0, inside > 0] = 6
        maps[1, cv2.erode(inside, np.ones((3, 5), np.uint8)) > 0] = 6
        maps[2:, inside > 0] = rng.normal(0, 3, (4, 1)).astype(np.float32)
    return maps


# --- network -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (96, 160)])
def test_maps_have_a_quarter_of_the_resolution(size: tuple[int, int]) -> None:
    network = PANet(PANetConfig(LIGHT, pyramid_channels=16, embedding_size=3)).eval()
    with torch.inference_mode():
        images = torch.randn(2, 3, *size)
        maps = network(images)
        joined = network.maps(images)
    shape = (size[0] // 4, size[1] // 4)
    assert [tuple(x.shape) for x in maps] == [(2, 1, *shape), (2, 1, *shape), (2, 3, *shape)]
    torch.testing.assert_close(torch.cat(maps, dim=1), joined)


@pytest.mark.parametrize(
    "settings", [{"pyramid_repeats": 0}, {"pyramid_channels": 0}, {"embedding_size": 0}]
)
def test_impossible_networks_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        PANetConfig(LIGHT, **settings)  # type: ignore[arg-type]


def test_backbones_need_four_levels() -> None:
    three = LightResNetConfig(channels=(8, 8, 8), blocks=(1,) * 3, strides=((2, 2),) * 3)
    with pytest.raises(ValueError, match="four levels"):
        PANetConfig(three)


# --- post-processing ---------------------------------------------------------------------------


def test_sweep_sizes() -> None:
    assert len(PAN_CASES) == 9
    assert len(CONFIGS) == 3


@pytest.mark.parametrize("name", PAN_CASES)
def test_boundaries_equal_mmocr(name: str) -> None:
    case = CASES[name]
    file, key = case["input"].split(":")
    with np.load(GOLDEN / "postprocess" / file) as arrays:
        maps = arrays[key]
    config = PANPostprocessing(**case["args"])
    got = pan_boundaries(maps, config)
    assert len(got) == len(case["boundaries"]) > 0
    for ours, theirs in zip(got, case["boundaries"], strict=True):
        assert same_as_mmocr(ours, theirs)
        assert ours.score == pytest.approx(theirs[-1], abs=2e-5)  # theirs is a sum in float32


@pytest.mark.parametrize("seed", range(30))
def test_aggregation_equals_one_queue(seed: int) -> None:
    kernels, text = random_maps(seed)
    rng = np.random.default_rng(seed + 500)
    # Fractions of two, so that both ways of adding give the same sums.
    embedding = (rng.integers(-4, 5, (4, *text.shape)) / 4).astype(np.float32)
    means = np.zeros((int(kernels.max()) + 1, 4), np.float32)
    for number in range(1, len(means)):
        means[number] = embedding[:, kernels == number].astype(np.float64).mean(axis=1)

    def near(row: int, column: int, label: int) -> bool:
        return float(((embedding[:, row, column] - means[label]) ** 2).sum()) < 1.25**2

    expected = grow_by_queue(kernels, kernels > 0, text, PAN_ORDER, near)
    np.testing.assert_array_equal(aggregate(kernels, text, embedding, 1.25), expected)
    assert seed or (expected > 0).sum() > (kernels > 0).sum()


def test_words_that_touch_are_told_apart_by_their_embeddings() -> None:
    maps = np.full((6, 24, 60), -6, np.float32)
    maps[0, 6:18, 4:56] = 6
    maps[1, 10:14, 8:26] = 6
    maps[1, 10:14, 34:52] = 6
    maps[2, :, :30] = 3
    found = pan_boundaries(maps, PANPostprocessing(text_repr_type="quad"))
    assert sorted((b.points[:, 0].min(), b.points[:, 0].max()) for b in found) == [
        pytest.approx((4, 29), abs=0.01),
        pytest.approx((30, 55), abs=0.01),
    ]


@pytest.mark.parametrize("kind", ["quad", "poly"])
def test_every_word_of_a_page_is_found_clockwise(kind: Any) -> None:
    boundaries = pan_boundaries(page(), PANPostprocessing(text_repr_type=kind))
    assert len(boundaries) == 200
    for boundary in boundaries:
        assert cv2.contourArea(boundary.points.astype(np.float32), oriented=True) > 0


def test_nothing_to_find() -> None:
    assert pan_boundaries(np.full((6, 16, 24), -9, np.float32)) == []
    speck = np.full((6, 16, 24), -9, np.float32)
    speck[:2, 5, 5] = 9
    assert pan_boundaries(speck) == []
    text_without_kernel = np.full((6, 16, 24), -9, np.float32)
    text_without_kernel[0] = 9
    assert pan_boundaries(text_without_kernel) == []


def test_extreme_logits_do_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [0, 0.5, 1]
    assert pan_boundaries(np.full((6, 16, 24), 1e4, np.float32))[0].score == 1


def test_unknown_representation() -> None:
    with pytest.raises(ConfigError, match="'quad' and 'poly'"):
        PANPostprocessing(text_repr_type="box")  # type: ignore[arg-type]


# --- the whole detector ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_boundaries_come_back_in_pixels_of_the_image(kind: Any) -> None:
    if kind == "openvino":
        pytest.importorskip("openvino")
    network = PANet(PANetConfig(LIGHT, pyramid_channels=16))
    head = network.bbox_head.out_conv
    assert head.bias is not None
    with torch.no_grad():  # text everywhere, and one kernel everywhere
        head.weight.zero_()
        head.bias.copy_(torch.tensor([9.0, 9, 0, 0, 0, 0]))
    spec = DetectorSpec(
        network.config,
        DetectionPreprocessing(image_scale=(96, 64), exif=False),
        PANPostprocessing(text_repr_type="quad"),
    )
    options = RuntimeOptions(kind=kind, device="cpu", precision="float32")
    detector = TextDetector(spec, network.state_dict(), options)
    result = detector.predict([np.zeros((128, 192, 3), np.uint8)])[0]
    assert len(result.boundaries) == 1
    # The last pixel of the map, 23 x 15, at four times its scale and then twice.
    assert result.boundaries[0].points.max(axis=0).tolist() == pytest.approx([184, 120], abs=0.1)


# --- config door -------------------------------------------------------------------------------


def test_published_models() -> None:
    specs = [model_from_mmocr(load_config(path)) for path in CONFIGS]
    assert all(type(spec.network) is PANetConfig for spec in specs)  # type: ignore[union-attr]
    assert [spec.postprocessing.text_repr_type for spec in specs] == [  # type: ignore[union-attr]
        "poly",
        "quad",
        "poly",
    ]
    assert FAMILIES[PANetConfig].map_scale == 0.25


MISTAKES: list[tuple[str, Any, str]] = [
    ("neck.type", "FPNC", "Did you mean 'FPEM_FFM'|Known: FPEM_FFM"),
    ("neck.in_channels", [64, 128], "the backbone gives"),
    ("neck.align_corners", True, "only has align_corners=False"),
    ("neck.conv_out", 64, r"the neck gives \(64, 64, 64, 64\)"),
    ("neck.fpem_repeat", 0, "pyramid_repeats must be at least 1"),
    ("bbox_head.type", "PSEHead", "Known: PANHead"),
    ("bbox_head.out_channels", 2, "at least 3"),
    ("bbox_head.downsample_ratio", 1.0, "only has downsample_ratio=0.25"),
    ("bbox_head.postprocessor.type", "DBPostprocessor", "Known: PANPostprocessor"),
    ("bbox_head.postprocessor.min_text_are", 3, "Did you mean 'min_text_area'"),
    ("bbox_head.postprocessor.text_repr_type", "box", "'quad' or 'poly'"),
    ("bbox_head.spare", 1, "nothing reads 'spare'"),
    ("backbone.type", "ResNeXt", "Known: mmdet.ResNet"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_are_told(key: str, value: Any, message: str) -> None:
    config = load_config(CONFIGS[0])
    *parents, last = key.split(".")
    target: Any = config["model"]
    for step in parents:
        target = target[step]
    target[last] = value
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


def test_number_of_mistakes() -> None:
    assert len(MISTAKES) == 13


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_test_pipelines_equal_mmocr(path: Path) -> None:
    index = json.loads((GOLDEN / "preprocess" / "index.json").read_text())
    (recorded,) = (entry["pipeline"] for entry in index if path.stem in entry["configs"])
    ours = json.loads(json.dumps(load_config(path)["data"]["test"]["pipeline"]))
    assert ours == recorded
