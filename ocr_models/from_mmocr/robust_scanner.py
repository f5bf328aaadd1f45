"""RobustScanner's config."""

from __future__ import annotations

from ocr_models.codecs.attention import AttentionCodec
from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.recognition.robust_scanner import RobustScannerConfig
from ocr_models.spec import RecognizerSpec

from .backbones import resnet31
from .codecs import attention_codec
from .readers import pass_handed_down
from .training_keys import finish


def robust_scanner(model: Section, pipeline: object) -> RecognizerSpec:
    """RobustScanner."""
    model.fix(preprocessor=None)
    max_seq_len = model.read("max_seq_len", int, 40)
    codec_config = attention_codec(model.section("label_convertor"), max_seq_len)
    codec = AttentionCodec(codec_config)
    backbone = resnet31(model.section("backbone"))
    encoder = model.section("encoder")
    encoder.type_name(["ChannelReductionEncoder"])
    decoder = model.section("decoder")
    decoder.type_name(["RobustScannerDecoder"])
    channels = decoder.read("dim_model", int, 128)
    for section, key, default, own in (
        (encoder, "in_channels", None, backbone.feature_channels),
        (encoder, "out_channels", None, channels),
        (decoder, "dim_input", 512, backbone.feature_channels),
    ):
        stated = section.read(key, int) if default is None else section.read(key, int, default)
        if stated != own:
            raise ConfigError(
                f"{section.path}.{key} is {stated}, but its neighbour has {own}; make them agree"
            )
    hybrid, position = decoder.section("hybrid_decoder"), decoder.section("position_decoder")
    hybrid.type_name(["SequenceAttentionDecoder"])
    position.type_name(["PositionAttentionDecoder"])
    network = RobustScannerConfig(
        backbone=backbone,
        model_channels=channels,
        hybrid_layers=hybrid.read("rnn_layers", int, 2),
        hybrid_dropout=hybrid.read("dropout", float, 0.0),
        position_layers=position.read("rnn_layers", int, 2),
        values_reduced=decoder.read("encode_value", bool, False),
        masked=decoder.read("mask", bool, True),
        num_classes=codec.num_classes,
        start_index=codec.start_index,
        end_index=codec.end_index,
        padding_index=codec.padding_index,
        max_seq_len=max_seq_len,
    )
    finish(encoder, "ChannelReductionEncoder")
    for part, name in (
        (hybrid, "SequenceAttentionDecoder"),
        (position, "PositionAttentionDecoder"),
    ):
        pass_handed_down(part)
        for key in ("dim_input", "dim_model", "mask", "encode_value", "return_feature"):
            part.has(key)  # MMOCR overwrites them with the outer decoder's
        finish(part, name)
    pass_handed_down(decoder)
    finish(decoder, "RobustScannerDecoder")
    finish(model, "RobustScanner")
    return RecognizerSpec(network, recognition_preprocessing(pipeline), codec_config)
