"""PSENet: network, scale expansion, and what its config door refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ocr_models.detection.families import FAMILIES
from ocr_models.detection.label_growth import connected_kernels
from ocr_models.detection.psenet import PSENet, PSENetConfig
from ocr_models.detection.psenet_postprocess import PSEPostprocessing, pse_boundaries
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec
from tests.detection.test_label_growth import PSE_ORDER, grow_by_queue
from tests.detection.test_panet import page, same_as_mmocr

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = json.loads((GOLDEN / "postprocess" / "cases.json").read_text())
PSE_CASES = sorted(name for name, case in CASES.items() if case["type"] == "PSEPostprocessor")
CONFIGS = sorted((ROOT / "configs" / "textdet" / "psenet").glob("*.py"))
LIGHT = LightResNetConfig(stem_channels=8, channels=(8, 12, 16, 20))


# --- network -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["concat", "add"])
@pytest.mark.parametrize("size", [(64, 96), (32, 32)])
def test_maps_have_a_quarter_of_the_resolution(size: tuple[int, int], fusion: Any) -> None:
    network = PSENet(PSENetConfig(LIGHT, 16, fusion, num_kernels=5)).eval()
    with torch.inference_mode():
        images = torch.randn(2, 3, *size)
        maps = network(images)
        joined = network.maps(images)
    shape = (size[0] // 4, size[1] // 4)
    assert [tuple(x.shape) for x in maps] == [(2, 1, *shape), (2, 4, *shape)]
    torch.testing.assert_close(torch.cat(maps, dim=1), joined)


@pytest.mark.parametrize(
    "settings", [{"num_kernels": 1}, {"neck_channels": 0}, {"fusion_type": "mean"}]
)
def test_impossible_networks_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        PSENetConfig(LIGHT, **settings)


def test_backbones_need_four_levels() -> None:
    three = LightResNetConfig(channels=(8, 8, 8), blocks=(1,) * 3, strides=((2, 2),) * 3)
    with pytest.raises(ValueError, match="four levels"):
        PSENetConfig(three)


# --- post-processing ---------------------------------------------------------------------------


def test_sweep_sizes() -> None:
    assert len(PSE_CASES) == 9
    assert len(CONFIGS) == 3


@pytest.mark.parametrize("name", PSE_CASES)
def test_boundaries_equal_mmocr(name: str) -> None:
    case = CASES[name]
    file, key = case["input"].split(":")
    with np.load(GOLDEN / "postprocess" / file) as arrays:
        logits = arrays[key]
    got = pse_boundaries(logits, PSEPostprocessing(**case["args"]))
    assert len(got) == len(case["boundaries"]) > 0
    for ours, theirs in zip(got, case["boundaries"], strict=True):
        assert same_as_mmocr(ours, theirs)
        assert ours.score == pytest.approx(theirs[-1], abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_expansion_equals_one_queue(seed: int) -> None:
    """Areas and scores of what grew, against growing pixel by pixel."""
    rng = np.random.default_rng(seed)
    smooth = cv2.resize(rng.normal(1, 3, (12, 16, 7)).astype(np.float32), (64, 48))
    logits = np.ascontiguousarray(smooth.transpose(2, 0, 1), np.float32)
    text = logits[0] > 0
    kernels = connected_kernels(text & (logits[-1] > 0))
    for number in range(1, int(kernels.max()) + 1):
        if (kernels == number).sum() < 12:
            kernels[kernels == number] = 0
    grown = grow_by_queue(kernels, kernels > 0, text, PSE_ORDER)
    expected = []
    for number in np.unique(grown[grown > 0]):
        score = float((1 / (1 + np.exp(-logits[0][grown == number]))).mean())
        if (grown == number).sum() >= 20 and score > 0.6:
            expected.append(score)
    config = PSEPostprocessing("quad", 0.5, 0.6, min_kernel_area=12, min_text_area=20)
    got = [boundary.score for boundary in pse_boundaries(logits, config)]
    assert got == pytest.approx(expected, abs=1e-5)
    assert got


def test_maps_between_play_no_part() -> None:
    """As in MMOCR, unlike the paper."""
    logits = np.full((7, 24, 60), -6, np.float32)
    logits[0, 6:18, 4:56] = 6
    logits[6, 10:14, 8:50] = 6
    (found,) = pse_boundaries(logits, PSEPostprocessing(text_repr_type="quad"))
    assert found.points.min(axis=0).tolist() == pytest.approx([4, 6], abs=0.01)
    assert found.points.max(axis=0).tolist() == pytest.approx([55, 17], abs=0.01)


def test_small_kernels_leave_their_text_to_neighbours() -> None:
    logits = np.full((7, 24, 60), -6, np.float32)
    logits[0, 6:18, 4:56] = 6
    logits[6, 10:14, 8:26] = 6
    logits[6, 11:13, 45:48] = 6
    assert len(pse_boundaries(logits)) == 2
    (found,) = pse_boundaries(logits, PSEPostprocessing("quad", min_kernel_area=7))
    assert found.points[:, 0].max() == pytest.approx(55, abs=0.01)


@pytest.mark.parametrize("kind", ["quad", "poly"])
def test_every_word_of_a_page_is_found_clockwise(kind: Any) -> None:
    boundaries = pse_boundaries(page()[:2], PSEPostprocessing(text_repr_type=kind))
    assert len(boundaries) == 200
    for boundary in boundaries:
        assert cv2.contourArea(boundary.points.astype(np.float32), oriented=True) > 0


def test_nothing_to_find() -> None:
    assert pse_boundaries(np.full((7, 16, 24), -9, np.float32)) == []
    text_without_kernel = np.full((7, 16, 24), -9, np.float32)
    text_without_kernel[0] = 9
    assert pse_boundaries(text_without_kernel) == []
    kernel_without_text = np.full((7, 16, 24), 9, np.float32)
    kernel_without_text[0] = -9
    assert pse_boundaries(kernel_without_text) == []


def test_unknown_representation() -> None:
    with pytest.raises(ConfigError, match="'quad' and 'poly'"):
        PSEPostprocessing(text_repr_type="box")  # type: ignore[arg-type]


# --- the whole detector ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_boundaries_come_back_in_pixels_of_the_image(kind: Any) -> None:
    if kind == "openvino":
        pytest.importorskip("openvino")
    network = PSENet(PSENetConfig(LIGHT, neck_channels=16))
    head = network.bbox_head.out_conv
    assert head.bias is not None
    with torch.no_grad():  # text and kernels everywhere
        head.weight.zero_()
        head.bias.fill_(9)
    spec = DetectorSpec(
        network.config,
        DetectionPreprocessing(image_scale=(96, 64), exif=False),
        PSEPostprocessing(text_repr_type="quad"),
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
    assert all(type(spec.network) is PSENetConfig for spec in specs)  # type: ignore[union-attr]
    assert [spec.postprocessing.text_repr_type for spec in specs] == [  # type: ignore[union-attr]
        "poly",
        "quad",
        "quad",
    ]
    assert FAMILIES[PSENetConfig].map_scale == 0.25


MISTAKES: list[tuple[str, Any, str]] = [
    ("neck.type", "FPN", "Known: FPNF"),
    ("neck.in_channels", [64, 128], "the backbone gives"),
    ("neck.out_channels", 128, r"the neck gives \(128,\)"),
    ("neck.fusion_type", "mean", "'concat' or 'add'"),
    ("neck.upsample_ratio", 2, "only has upsample_ratio=1"),
    ("bbox_head.type", "PANHead", "Known: PSEHead"),
    ("bbox_head.out_channels", 1, "num_kernels must be at least 2"),
    ("bbox_head.downsample_ratio", 1.0, "only has downsample_ratio=0.25"),
    ("bbox_head.postprocessor.type", "PANPostprocessor", "Known: PSEPostprocessor"),
    ("bbox_head.postprocessor.min_kernel_are", 3, "Did you mean 'min_kernel_area'"),
    ("bbox_head.postprocessor.text_repr_type", "box", "'quad' or 'poly'"),
    ("bbox_head.spare", 1, "nothing reads 'spare'"),
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
    assert len(MISTAKES) == 12


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_test_pipelines_equal_mmocr(path: Path) -> None:
    index = json.loads((GOLDEN / "preprocess" / "index.json").read_text())
    (recorded,) = (entry["pipeline"] for entry in index if path.stem in entry["configs"])
    ours = json.loads(json.dumps(load_config(path)["data"]["test"]["pipeline"]))
    assert ours == recorded
