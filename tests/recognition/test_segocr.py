"""SegOCR's network and predictor; MMOCR's numbers are compared by tests/test_conformance.py."""

from __future__ import annotations

import copy
import json
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ocr_models.codecs.segmentation import SegCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import RecognitionPreprocessing, recognition_inputs
from ocr_models.recognition.segocr import Enlargement, SegOCR, SegOCRConfig, best_classes
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.test_from_mmocr import CONFIGS

BACKBONE = ResNet31Config(3, (1, 1, 1, 1), (8, 8, 16, 16, 16, 16), (2, 2), last_stage_pool=True)
SMALL = SegOCRConfig(BACKBONE, neck_channels=16, num_classes=12)
SPEC = RecognizerSpec(
    SMALL,
    RecognitionPreprocessing(
        height=64, min_width=64, color="rgb", mean=(127.0,) * 3, std=(60.0,) * 3,
        rotate_degrees=(0, 90, 270), swap_rotated_shape=True,
    ),
    SegCodecConfig("0123456789"),
)  # fmt: skip
WAYS = [
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("onnxruntime", "float32"),
]


def small_network() -> SegOCR:
    """Random weights whose map has patches of all classes on much background."""
    network = SegOCR(SMALL).eval()
    formulas.fill(network, 4)
    last = network.head.pred_conv
    assert last.bias is not None
    with torch.no_grad():
        images = [recognition_inputs(crop, SPEC.preprocessing)[0].tensor for crop in crops()]
        logits = [network(torch.from_numpy(image[None])).logits.flatten(2) for image in images]
        all_KP = torch.cat(logits, dim=2)[0]
        last.weight.div_(all_KP.std(dim=1)[:, None, None, None])
        last.bias.sub_(all_KP.mean(dim=1)).div_(all_KP.std(dim=1))
        last.bias[0] += 1.0
    return network


def crops() -> list[np.ndarray]:
    found = []
    for seed, (height, width) in enumerate([(40, 130), (32, 60), (90, 40), (50, 160), (40, 130)]):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, width // 8, 3), np.uint8)
        found.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return found


def predictor(kind: str = "torch", precision: str = "float32") -> TextRecognizer:
    options = RuntimeOptions(kind, "cpu", precision, threads=1)  # type: ignore[arg-type]
    return TextRecognizer(SPEC, small_network().state_dict(), options)


# --- the network -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enlargement", "size"),
    [(Enlargement(), (64, 128)), (None, (32, 64)), (Enlargement(4.0, "bilinear"), (128, 256))],
)
def test_sizes(enlargement: Enlargement | None, size: tuple[int, int]) -> None:
    network = SegOCR(SegOCRConfig(BACKBONE, 16, 12, enlargement)).eval()
    with torch.inference_mode():
        output = network(torch.zeros(2, 3, 64, 128))
    assert output.features.shape == (2, 16, 32, 64)
    assert output.logits.shape == (2, 12, *size)


def test_the_served_map_is_the_logits_reduced() -> None:
    logits = torch.randn(2, 7, 5, 6, generator=torch.Generator().manual_seed(0)) * 30
    maps = best_classes(logits)
    assert maps.shape == (2, 2, 5, 6)
    assert torch.equal(maps[:, 0], logits.argmax(dim=1).float())
    torch.testing.assert_close(maps[:, 1], logits.softmax(dim=1).amax(dim=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": ResNet31Config()}, "must halve"),
        ({"num_classes": 1}, "counts the background"),
    ],
)
def test_impossible_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegOCRConfig(**change)


def test_impossible_enlargement() -> None:
    with pytest.raises(ValueError, match="scale_factor must be above 0"):
        Enlargement(0.0)


# --- the predictor -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> list[Any]:
    return predictor().predict(crops())


def test_something_is_read(plain: list[Any]) -> None:
    assert sum(len(result.text) for result in plain) > 10
    assert plain[0].text != plain[4].text
    assert all(0 < s <= 1 for result in plain for s in result.char_scores)
    assert all(0 < p <= 1 for result in plain for p in result.char_probabilities)


def test_a_reading_does_not_depend_on_its_neighbours(plain: list[Any]) -> None:
    recognizer = predictor()
    for crop, together in zip(crops(), plain, strict=True):
        (alone,) = recognizer.predict([crop])
        assert alone.text == together.text
        assert alone.char_scores == pytest.approx(together.char_scores, abs=0.02)


@pytest.mark.parametrize(("kind", "precision"), WAYS)
def test_runtimes_give_the_same_maps(kind: str, precision: str) -> None:
    if kind != "torch":
        pytest.importorskip(kind)
    recognizer = predictor(kind, precision)
    network = small_network()
    for shape in ((1, 3, 64, 96), (3, 3, 64, 160)):
        images = formulas.tensor(shape, 2)
        (served,) = recognizer._runtime(images)
        with torch.inference_mode():
            expected = network.class_map(torch.from_numpy(images)).numpy()
        assert served.shape == expected.shape
        assert np.array_equal(served[:, 0], np.rint(served[:, 0]))
        same = float((served[:, 0] == expected[:, 0]).mean())
        assert same > (0.999 if precision == "float32" else 0.95)
        allowed = 1e-4 if precision == "float32" else 0.1
        assert float(np.abs(served[:, 1] - expected[:, 1]).max()) < allowed


# --- the config door ---------------------------------------------------------------------------

NAME = "textrecog/seg/seg_r31_1by16_fpnocr_academic.py"


def test_config() -> None:
    spec = model_from_mmocr(load_config(CONFIGS / NAME))
    assert isinstance(spec, RecognizerSpec)
    assert spec.network == SegOCRConfig()
    assert spec.codec == SegCodecConfig(with_unknown=True, lower=True)
    assert spec.preprocessing.height == 64
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec
    config = load_config(CONFIGS / NAME)
    del config["model"]["label_convertor"]["dict_type"]  # MMOCR's default is DICT36 here
    assert model_from_mmocr(config) == spec


MISTAKES: list[tuple[str, Any, str]] = [
    ("neck.in_channels", [128, 256, 512], "but the backbone gives (128, 256, 512, 512)"),
    ("neck.type", "FPNF", "Known: FPNOCR"),
    ("head.in_channels", 128, "but the neck gives 256"),
    ("head.num_classes", 37, "has 38; leave it out"),
    ("head.upsample_param", {"scale_factor": 2.0, "mode": "bicubic"}, "'nearest' or 'bilinear'"),
    ("head.upsample_param", {"size": [64, 256]}, "needs 'scale_factor'"),
    ("backbone.out_indices", [0, 1], "only has out_indices=(0, 1, 2, 3)"),
    ("backbone.last_stage_pool", False, "must halve it"),
    ("backbone.stage4_pool_cfg", {"kernel_size": 3, "stride": 2}, "must equal the stride"),
    ("backbone.channels", [32, 64], "needs 6 channels"),
    ("preprocessor", {"type": "TPSPreprocessor"}, "only has preprocessor=None"),
    ("label_convertor.type", "CTCConvertor", "Known: SegConvertor"),
    ("label_convertor.max_seq_len", 40, "nothing reads 'max_seq_len'"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_are_told(key: str, value: Any, message: str) -> None:
    config = copy.deepcopy(load_config(CONFIGS / NAME))
    *parents, last = key.split(".")
    target: Any = config["model"]
    for parent in parents:
        target = target[parent]
    target[last] = value
    with pytest.raises(ConfigError) as caught:
        model_from_mmocr(config)
    assert message in str(caught.value)
