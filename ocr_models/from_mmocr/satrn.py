"""SATRN's config."""

from __future__ import annotations

from ocr_models.codecs.attention import AttentionCodec
from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.satrn import SATRNConfig, SATRNEncoderConfig, ShallowCNNConfig
from ocr_models.spec import RecognizerSpec

from .codecs import attention_codec
from .nrtr import attention_config, nrtr_decoder
from .training_keys import finish


def satrn(model: Section, pipeline: object) -> RecognizerSpec:
    """SATRN."""
    model.fix(preprocessor=None)
    max_seq_len = model.read("max_seq_len", int, 40)
    codec_config = attention_codec(model.section("label_convertor"), max_seq_len)
    encoder = model.section("encoder")
    network = SATRNConfig(
        backbone=_backbone(model.section("backbone")),
        encoder=_encoder(encoder),
        decoder=nrtr_decoder(model.section("decoder"), AttentionCodec(codec_config)),
    )
    finish(model, "SATRN")
    preprocessing = recognition_preprocessing(pipeline)
    _check_size(encoder, network.encoder.positions, preprocessing)
    return RecognizerSpec(network, preprocessing, codec_config)


def _backbone(backbone: Section) -> ShallowCNNConfig:
    name = backbone.type_name(["ShallowCNN"])
    config = ShallowCNNConfig(
        in_channels=backbone.read("input_channels", int, 1),
        feature_channels=backbone.read("hidden_dim", int, 512),
    )
    finish(backbone, name)
    return config


def _encoder(encoder: Section) -> SATRNEncoderConfig:
    name = encoder.type_name(["SatrnEncoder"])
    config = SATRNEncoderConfig(
        layers=encoder.read("n_layers", int, 12),
        attention=attention_config(encoder),
        inner_channels=encoder.read("d_inner", int, 256),
        positions=encoder.read("n_position", int, 100),
    )
    finish(encoder, name)
    return config


def _check_size(encoder: Section, positions: int, preprocessing: RecognitionPreprocessing) -> None:
    """Every row and column of the map needs its own position code."""
    height, width = preprocessing.height, preprocessing.max_width
    if width is None or max(height, width) // 4 > positions:
        raise ConfigError(
            f"the test pipeline makes lines {height} px high and "
            f"{'of any width' if width is None else f'{width} px wide'}, but {encoder.path} has "
            f"codes for {4 * positions} px (4 * n_position): set max_width of ResizeOCR, or "
            "n_position"
        )
