"""SAR's config."""

from __future__ import annotations

from ocr_models.codecs.attention import AttentionCodec
from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.recognition.sar import SARConfig, SARDecoderConfig, SAREncoderConfig
from ocr_models.spec import RecognizerSpec

from .backbones import resnet31
from .codecs import attention_codec
from .readers import pass_handed_down
from .training_keys import finish

_DECODERS = ("ParallelSARDecoder", "SequentialSARDecoder", "ParallelSARDecoderWithBS")


def sar(model: Section, pipeline: object) -> RecognizerSpec:
    """SAR with any of its decoders."""
    model.fix(preprocessor=None)
    max_seq_len = model.read("max_seq_len", int, 40)
    codec_config = attention_codec(model.section("label_convertor"), max_seq_len)
    codec = AttentionCodec(codec_config)
    encoder = _encoder(model.section("encoder"))
    network = SARConfig(
        backbone=resnet31(model.section("backbone")),
        encoder=encoder,
        decoder=_decoder(model.section("decoder"), encoder),
        num_classes=codec.num_classes,
        start_index=codec.start_index,
        end_index=codec.end_index,
        padding_index=codec.padding_index,
        max_seq_len=max_seq_len,
    )
    finish(model, "SARNet")
    return RecognizerSpec(network, recognition_preprocessing(pipeline), codec_config)


def _encoder(encoder: Section) -> SAREncoderConfig:
    name = encoder.type_name(["SAREncoder"])
    config = SAREncoderConfig(
        in_channels=encoder.read("d_model", int, 512),
        hidden=encoder.read("d_enc", int, 512),
        bidirectional=encoder.read("enc_bi_rnn", bool, False),
        gru=encoder.read("enc_gru", bool, False),
        dropout=encoder.read("enc_do_rnn", float, 0.0),
        masked=encoder.read("mask", bool, True),
    )
    finish(encoder, name)
    return config


def _decoder(decoder: Section, encoder: SAREncoderConfig) -> SARDecoderConfig:
    name = decoder.type_name(_DECODERS)
    for key, kind, default, own in (
        ("d_model", int, 512, encoder.in_channels),
        ("d_enc", int, 512, encoder.hidden),
        ("enc_bi_rnn", bool, False, encoder.bidirectional),
    ):
        stated = decoder.read(key, kind, default)
        if stated != own:
            raise ConfigError(
                f"{decoder.path}.{key} is {stated}, but the encoder has {own}; make them agree"
            )
    sequential = name == "SequentialSARDecoder"
    dropout = decoder.read("dec_do_rnn", float, 0.0)
    config = SARDecoderConfig(
        sequential=sequential,
        bidirectional=decoder.read("dec_bi_rnn", bool, False),
        gru=decoder.read("dec_gru", bool, False),
        dropout=0.0 if sequential else dropout,  # its cells have none, whatever a config says
        attention=decoder.read("d_k", int, 64),
        prediction_dropout=decoder.read("pred_dropout", float, 0.0),
        masked=decoder.read("mask", bool, True),
        joined=decoder.read("pred_concat", bool, False),
        beam_width=decoder.read("beam_width", int, 5) if name.endswith("WithBS") else 1,
    )
    pass_handed_down(decoder)
    finish(decoder, name)
    return config
