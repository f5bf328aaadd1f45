"""ABINet's config, and ABINet-Vision's: the same without ``decoder`` and ``fuser``."""

from __future__ import annotations

from typing import Any, Literal

from ocr_models.codecs.abi import ABICodec
from ocr_models.config_section import Section, several, whole
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.abinet import (
    ABILanguageConfig,
    ABINetConfig,
    ABIVisionConfig,
    ResNetABIConfig,
    TransformerConfig,
)
from ocr_models.spec import RecognizerSpec

from .codecs import abi_codec
from .training_keys import finish

MMOCR_SEQ_LEN = 40
"""MMOCR's ``max_seq_len`` where a config leaves it out."""


def abinet(model: Section, pipeline: object) -> RecognizerSpec:
    """ABINet with or without its language model."""
    model.fix(preprocessor=None)
    max_seq_len = model.read("max_seq_len", int, MMOCR_SEQ_LEN)
    codec = abi_codec(model.section("label_convertor"), max_seq_len)
    built = ABICodec(codec)
    backbone = _backbone(model.section("backbone"))
    vision = _vision(model.section("encoder"), built)
    language = None
    has_decoder, has_fuser = model.has("decoder"), model.has("fuser")
    if has_decoder != has_fuser:
        raise ConfigError(
            f"{model.path} needs both decoder (the language model) and fuser, or neither for "
            "ABINet-Vision"
        )
    if has_decoder:
        language = _language(model.section("decoder"), built)
        _fuser(model.section("fuser"), language.transformer.channels, built)
    network = ABINetConfig(
        backbone=backbone,
        vision=vision,
        language=language,
        num_classes=built.num_classes,
        end_index=built.end_index,
        max_seq_len=max_seq_len,
        iterations=model.read("iter_size", int, 1),
    )
    finish(model, "ABINet")
    preprocessing = recognition_preprocessing(pipeline)
    _check_size(network, preprocessing)
    return RecognizerSpec(network, preprocessing, codec)


def _backbone(backbone: Section) -> ResNetABIConfig:
    backbone.type_name(["ResNetABI"])
    backbone.fix(out_indices=None, last_stage_pool=False)
    default = ResNetABIConfig()
    config = ResNetABIConfig(
        in_channels=backbone.read("in_channels", int, default.in_channels),
        stem_channels=backbone.read("stem_channels", int, default.stem_channels),
        base_channels=backbone.read("base_channels", int, default.base_channels),
        blocks=backbone.read("arch_settings", several(whole), default.blocks),
        strides=backbone.read("strides", several(whole), default.strides),
    )
    finish(backbone, "ResNetABI")
    return config


def _vision(section: Section, codec: ABICodec) -> ABIVisionConfig:
    section.type_name(["ABIVisionModel"])
    encoder, decoder = section.section("encoder"), section.section("decoder")
    encoder.type_name(["TransformerEncoder"])
    transformer = _transformer(encoder, layers=2)
    decoder.type_name(["ABIVisionDecoder"])
    decoder.skip(("use_result",))  # MMOCR accepts it and reads it nowhere
    channels = decoder.read("in_channels", int, 512)
    if channels != transformer.channels:
        raise ConfigError(
            f"{decoder.path}.in_channels is {channels}, but {encoder.path}.d_model is "
            f"{transformer.channels}"
        )
    default = ABIVisionConfig()
    height, width = default.attention_size
    config = ABIVisionConfig(
        transformer=transformer,
        positions=encoder.read("max_len", int, default.positions),
        attention_channels=decoder.read("num_channels", int, default.attention_channels),
        attention_size=(
            decoder.read("attn_height", int, height), decoder.read("attn_width", int, width),
        ),
        upsampling=decoder.read("attn_mode", _upsampling, default.upsampling),
    )  # fmt: skip
    _check_lengths(decoder, codec)
    finish(encoder, "TransformerEncoder")
    finish(decoder, "ABIVisionDecoder")
    finish(section, "ABIVisionModel")
    return config


def _language(decoder: Section, codec: ABICodec) -> ABILanguageConfig:
    decoder.type_name(["ABILanguageDecoder"])
    decoder.fix(use_self_attn=False)
    transformer = _transformer(decoder, layers=4)
    config = ABILanguageConfig(
        transformer=transformer,
        detach_tokens=decoder.read("detach_tokens", bool, True),
    )
    end_index = decoder.read("pad_idx", int, 0)
    if end_index != codec.end_index:
        raise ConfigError(
            f"{decoder.path}.pad_idx is {end_index}; it must be the end token of "
            f"model.label_convertor, {codec.end_index}"
        )
    _check_lengths(decoder, codec)
    finish(decoder, "ABILanguageDecoder")
    return config


def _fuser(fuser: Section, channels: int, codec: ABICodec) -> None:
    fuser.type_name(["ABIFuser"])
    given = fuser.read("d_model", int, 512)
    if given != channels:
        raise ConfigError(
            f"{fuser.path}.d_model is {given}, but the language model has {channels} channels"
        )
    _check_lengths(fuser, codec)
    finish(fuser, "ABIFuser")


def _transformer(section: Section, layers: int) -> TransformerConfig:
    default = TransformerConfig(layers)
    return TransformerConfig(
        layers=section.read("n_layers", int, layers),
        heads=section.read("n_head", int, default.heads),
        channels=section.read("d_model", int, default.channels),
        hidden=section.read("d_inner", int, default.hidden),
        dropout=section.read("dropout", float, default.dropout),
    )


def _check_lengths(section: Section, codec: ABICodec) -> None:
    """Every part states the number of classes and of characters; all must agree."""
    for key, expected in (
        ("num_chars", codec.num_classes - 1),
        ("max_seq_len", codec.config.max_seq_len),
    ):
        stated = section.read(key, int, expected)
        if stated != expected:
            raise ConfigError(
                f"{section.path}.{key} is {stated}, but model.label_convertor and "
                f"model.max_seq_len give {expected} (padding is no class of the network)"
            )


def _check_size(network: ABINetConfig, preprocessing: RecognitionPreprocessing) -> None:
    """The attention is made for one size of feature map, so all crops must get one size."""
    height, width = network.vision.attention_size
    for stride in network.backbone.strides:
        height, width = height * stride, width * stride
    got = (preprocessing.height, preprocessing.max_width)
    if preprocessing.keep_aspect_ratio or got != (height, width):
        shape = "keeping" if preprocessing.keep_aspect_ratio else "without keeping"
        raise ConfigError(
            f"the test pipeline resizes crops to {got[0]} x {got[1]} px, {shape} their shape; "
            f"model.encoder.decoder (attn_height, attn_width) is made for {height} x {width} px, "
            "keep_aspect_ratio=False"
        )


def _upsampling(value: Any) -> Literal["nearest", "bilinear"]:
    if value == "nearest":
        return "nearest"
    if value == "bilinear":
        return "bilinear"
    raise ValueError(f"expected 'nearest' or 'bilinear', got {value!r:.80}")
