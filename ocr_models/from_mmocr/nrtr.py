"""NRTR's config, and its decoder, which SATRN shares."""

from __future__ import annotations

from ocr_models.codecs.attention import AttentionCodec
from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.layers.attention import AttentionConfig
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.recognition.nrtr import (
    ModalityTransformConfig,
    NRTRConfig,
    NRTRDecoderConfig,
    NRTREncoderConfig,
)
from ocr_models.spec import RecognizerSpec

from .backbones import resnet31
from .codecs import attention_codec
from .readers import pass_handed_down
from .training_keys import finish


def nrtr(model: Section, pipeline: object) -> RecognizerSpec:
    """NRTR behind a residual network or its paper's two convolutions."""
    model.fix(preprocessor=None)
    max_seq_len = model.read("max_seq_len", int, 40)
    codec_config = attention_codec(model.section("label_convertor"), max_seq_len)
    network = NRTRConfig(
        backbone=_backbone(model.section("backbone")),
        encoder=_encoder(model.section("encoder")),
        decoder=nrtr_decoder(model.section("decoder"), AttentionCodec(codec_config)),
    )
    finish(model, "NRTR")
    preprocessing = recognition_preprocessing(pipeline)
    if isinstance(network.backbone, ModalityTransformConfig) and preprocessing.height != 32:
        raise ConfigError(
            f"the test pipeline makes lines {preprocessing.height} px high, but "
            "NRTRModalityTransform takes 32: set height of ResizeOCR"
        )
    return RecognizerSpec(network, preprocessing, codec_config)


def nrtr_decoder(decoder: Section, codec: AttentionCodec) -> NRTRDecoderConfig:
    """``NRTRDecoder`` for the classes of a codec."""
    name = decoder.type_name(["NRTRDecoder"])
    default = NRTRDecoderConfig()
    attention = attention_config(decoder)
    embedding = decoder.read("d_embedding", int, attention.channels)
    if embedding != attention.channels:
        raise ConfigError(
            f"{decoder.path}.d_embedding is {embedding}, but d_model is {attention.channels}; make "
            "them agree"
        )
    config = NRTRDecoderConfig(
        layers=decoder.read("n_layers", int, default.layers),
        attention=attention,
        inner_channels=decoder.read("d_inner", int, default.inner_channels),
        positions=decoder.read("n_position", int, default.positions),
        num_classes=codec.num_classes,
        start_index=codec.start_index,
        end_index=codec.end_index,
        max_seq_len=codec.config.max_seq_len,
    )
    pass_handed_down(decoder)
    finish(decoder, name)
    return config


def attention_config(section: Section) -> AttentionConfig:
    """The sizes of the attentions in an encoder or a decoder."""
    default = AttentionConfig()
    return AttentionConfig(
        channels=section.read("d_model", int, default.channels),
        heads=section.read("n_head", int, default.heads),
        key_channels=section.read("d_k", int, default.key_channels),
        value_channels=section.read("d_v", int, default.value_channels),
        dropout=section.read("dropout", float, default.dropout),
    )


def _backbone(backbone: Section) -> ResNet31Config | ModalityTransformConfig:
    if backbone.type_name(["ResNet31OCR", "NRTRModalityTransform"]) == "ResNet31OCR":
        return resnet31(backbone)
    config = ModalityTransformConfig(backbone.read("input_channels", int, 3))
    finish(backbone, "NRTRModalityTransform")
    return config


def _encoder(encoder: Section) -> NRTREncoderConfig:
    name = encoder.type_name(["NRTREncoder"])
    default = NRTREncoderConfig()
    config = NRTREncoderConfig(
        layers=encoder.read("n_layers", int, default.layers),
        attention=attention_config(encoder),
        inner_channels=encoder.read("d_inner", int, default.inner_channels),
    )
    finish(encoder, name)
    return config
