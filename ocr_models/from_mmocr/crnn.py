"""CRNN's config, with or without a step that straightens crops."""

from __future__ import annotations

from typing import Any

from ocr_models.codecs.ctc import CTCCodec
from ocr_models.config_section import Section, optional, several, whole
from ocr_models.errors import ConfigError
from ocr_models.layers.tps import TPSConfig
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.recognition.crnn import CRNNConfig, LightColumnsConfig, VeryDeepVggConfig
from ocr_models.spec import RecognizerSpec

from .backbones import light_resnet
from .codecs import ctc_codec
from .training_keys import finish


def crnn(model: Section, pipeline: object) -> RecognizerSpec:
    """CRNN with the paper's backbone or a light one."""
    model.fix(encoder=None)
    backbone = _crnn_backbone(model.section("backbone"))
    codec = ctc_codec(model.section("label_convertor"))
    decoder = model.section("decoder")
    decoder.type_name(["CRNNDecoder"])
    in_channels = decoder.read("in_channels", optional(whole), None)
    if in_channels != backbone.feature_channels:
        raise ConfigError(
            f"{decoder.path}.in_channels is {in_channels}, but the backbone gives "
            f"{backbone.feature_channels}"
        )
    num_classes = CTCCodec(codec).num_classes
    stated_classes = decoder.read("num_classes", optional(whole), None)
    if stated_classes not in (None, num_classes):
        raise ConfigError(
            f"{decoder.path}.num_classes is {stated_classes}, but model.label_convertor has "
            f"{num_classes}; leave it out"
        )
    default = CRNNConfig()
    network = CRNNConfig(
        backbone=backbone,
        num_classes=num_classes,
        hidden=decoder.read("hidden", int, default.hidden),
        layers=decoder.read("layers", int, default.layers),
        recurrent=decoder.read("rnn_flag", bool, False),
        preprocessor=_tps(model.section("preprocessor")) if model.has("preprocessor") else None,
    )
    finish(decoder, "CRNNDecoder")
    finish(model, "CRNNNet")
    return RecognizerSpec(network, recognition_preprocessing(pipeline), codec)


def _tps(preprocessor: Section) -> TPSConfig:
    preprocessor.type_name(["TPSPreprocessor"])
    default = TPSConfig()
    # The size of what comes in changes nothing: the points are found by average pooling.
    preprocessor.skip(("img_size",))
    config = TPSConfig(
        in_channels=preprocessor.read("num_img_channel", int, default.in_channels),
        num_fiducial=preprocessor.read("num_fiducial", int, default.num_fiducial),
        rectified_size=preprocessor.read("rectified_img_size", _size, default.rectified_size),
    )
    finish(preprocessor, "TPSPreprocessor")
    return config


def _size(value: Any) -> tuple[int, int]:
    """(height, width) in pixels."""
    height, width = several(whole)(value)
    return height, width


def _crnn_backbone(backbone: Section) -> VeryDeepVggConfig | LightColumnsConfig:
    name = backbone.type_name(["VeryDeepVgg", "LightColumns"])
    config: VeryDeepVggConfig | LightColumnsConfig
    if name == "VeryDeepVgg":
        default = VeryDeepVggConfig()
        config = VeryDeepVggConfig(
            in_channels=backbone.read("input_channels", int, default.in_channels),
            leaky_relu=backbone.read("leaky_relu", bool, default.leaky_relu),
        )
    else:
        feature_channels = backbone.read("feature_channels", int)
        config = LightColumnsConfig(light_resnet(backbone), feature_channels)
    finish(backbone, name)
    return config
