"""Model descriptions survive JSON, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNetConfig
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.layers.tps import TPSConfig
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing
from ocr_models.recognition.crnn import CRNNConfig, LightColumnsConfig, VeryDeepVggConfig
from ocr_models.spec import DetectorSpec, RecognizerSpec, from_json_dict, to_json_dict

DETECTORS = {
    "resnet18": DBNetConfig(ResNetConfig(18, "caffe")),
    "resnet50": DBNetConfig(ResNetConfig(50, "pytorch"), head_bias=True),
    "light": DBNetConfig(LightResNetConfig(), neck_channels=64),
}
RECOGNIZERS = {
    "vgg": CRNNConfig(VeryDeepVggConfig(1, False), 38),
    "light": CRNNConfig(LightColumnsConfig(), 38, hidden=128, layers=1),
    "straightened": CRNNConfig(VeryDeepVggConfig(1), 38, preprocessor=TPSConfig(num_fiducial=10)),
}


def detector(network: DBNetConfig) -> DetectorSpec:
    return DetectorSpec(network, DetectionPreprocessing(), DBPostprocessing("quad"))


def recognizer(network: CRNNConfig) -> RecognizerSpec:
    return RecognizerSpec(network, RecognitionPreprocessing(), CTCCodecConfig())


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_survive_json(name: str) -> None:
    spec = detector(DETECTORS[name])
    assert from_json_dict(DetectorSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_recognizers_survive_json(name: str) -> None:
    spec = recognizer(RECOGNIZERS[name])
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


def test_every_class_of_a_union_is_swept() -> None:
    assert {type(network.backbone) for network in DETECTORS.values()} == {
        ResNetConfig,
        LightResNetConfig,
    }
    assert {type(network.backbone) for network in RECOGNIZERS.values()} == {
        VeryDeepVggConfig,
        LightColumnsConfig,
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    data = to_json_dict(detector(DETECTORS["resnet18"]))
    *parents, last = path.split(".")
    section: Any = data
    for parent in parents:
        section = section[parent]
    section[last] = value
    return data


MISTAKES = [
    (
        "network.backbone.kind",
        "ResNet",
        "backbone: kind is 'ResNet', allowed are LightResNetConfig",
    ),
    ("network.backbone.depth", 19, "depth must be one of"),
    ("network.backbone.depth", "18", "network.backbone.depth: expected int, got '18'"),
    ("network.backbone.depth", True, "network.backbone.depth: expected int, got True"),
    ("network.neck_chanels", 64, "did you mean 'neck_channels'?"),
    ("network.steepness", None, "network.steepness: expected float, got None"),
    ("postprocessing.text_repr_type", "oval", "allowed are 'quad', 'poly'"),
    ("preprocessing.image_scale", [1, 2, 3], "preprocessing.image_scale: expected 2 entries"),
    ("preprocessing.mean", 5, "preprocessing.mean: expected a list"),
    ("kind", "RecognizerSpec", "kind is 'RecognizerSpec', expected 'DetectorSpec'"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json_dict(DetectorSpec, changed(path, value))
    assert message in str(caught.value)
    assert str(caught.value).startswith("DetectorSpec")


def test_a_missing_key_is_named() -> None:
    data = to_json_dict(detector(DETECTORS["light"]))
    del data["postprocessing"]
    with pytest.raises(ConfigError, match="missing postprocessing"):
        from_json_dict(DetectorSpec, data)


def test_files_from_before_a_field_was_added_can_be_read() -> None:
    spec = recognizer(RECOGNIZERS["vgg"])
    data: Any = to_json_dict(spec)
    del data["network"]["preprocessor"]
    assert from_json_dict(RecognizerSpec, data) == spec
    del data["network"]["layers"]
    with pytest.raises(ConfigError, match=r"network: missing layers$"):
        from_json_dict(RecognizerSpec, data)


def test_a_codec_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="CRNNConfig needs a codec of the kind CTCCodecConfig"):
        replace(recognizer(RECOGNIZERS["vgg"]), codec=AttentionCodecConfig())


def test_a_dictionary_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_classes 38, but its dictionary gives 37"):
        replace(recognizer(RECOGNIZERS["vgg"]), codec=CTCCodecConfig(with_unknown=False))
