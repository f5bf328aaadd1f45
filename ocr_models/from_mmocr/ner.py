"""Entity recognition: the config of BERT with a softmax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ocr_models.codecs.ner import NerCodec, NerCodecConfig, read_vocabulary_file
from ocr_models.config_section import Section, optional, several, text, whole
from ocr_models.errors import ConfigError
from ocr_models.ner.bert_softmax import BertConfig, BertSoftmaxConfig
from ocr_models.spec import NerSpec

from .training_keys import finish

_ACTIVATIONS: Mapping[str, Literal["gelu_new", "gelu"]] = {"GeluNew": "gelu_new", "GELU": "gelu"}


def bert_softmax(model: Section, pipeline: object) -> NerSpec:
    """BERT, one linear layer, and the labels of a ``NerConvertor``."""
    codec = ner_codec(model.section("label_convertor"))
    num_labels = NerCodec(codec).num_labels
    encoder = _encoder(model.section("encoder"))
    decoder = model.section("decoder")
    decoder.type_name(["FCDecoder"])
    stated = decoder.read("num_labels", optional(whole), None)
    if stated not in (None, num_labels):
        raise ConfigError(
            f"{decoder.path}.num_labels is {stated}, but model.label_convertor has {num_labels}; "
            "leave it out"
        )
    hidden_size = decoder.read("hidden_size", int, 768)
    if hidden_size != encoder.hidden_size:
        raise ConfigError(
            f"{decoder.path}.hidden_size is {hidden_size}, but the encoder gives "
            f"{encoder.hidden_size}"
        )
    dropout = decoder.read("hidden_dropout_prob", float, BertSoftmaxConfig.dropout)
    finish(decoder, "FCDecoder")
    finish(model, "NerClassifier")
    _check_pipeline(pipeline, codec)
    return NerSpec(BertSoftmaxConfig(encoder, num_labels, dropout), codec)


def ner_codec(convertor: Section | Mapping[str, Any]) -> NerCodecConfig:
    """Tokens and labels of a ``NerConvertor``.

    ``vocab_file`` is relative to the working folder. ``lower=False``, which MMOCR does not have,
    is for vocabularies with capital letters.

    Raises:
        ConfigError: unknown keys, or no such file.
    """
    if not isinstance(convertor, Section):
        convertor = Section(convertor, "label_convertor")
    convertor.type_name(["NerConvertor"])
    codec = NerCodecConfig(
        vocabulary=read_vocabulary_file(convertor.read("vocab_file", str)),
        categories=convertor.read("categories", several(text)),
        annotation_type=convertor.read("annotation_type", _annotation_type, "bio"),
        max_len=convertor.read("max_len", int),
        lower=convertor.read("lower", bool, True),
    )
    convertor.finish()
    return codec


def _encoder(encoder: Section) -> BertConfig:
    encoder.type_name(["BertEncoder"])
    default = BertConfig()
    encoder.fix(output_attentions=False, output_hidden_states=False)
    activation = default.activation
    if encoder.has("hidden_act_cfg"):
        section = encoder.section("hidden_act_cfg")
        activation = _ACTIVATIONS[section.type_name(_ACTIVATIONS)]
        section.finish()
    config = BertConfig(
        vocab_size=encoder.read("vocab_size", int, default.vocab_size),
        hidden_size=encoder.read("hidden_size", int, default.hidden_size),
        num_layers=encoder.read("num_hidden_layers", int, default.num_layers),
        num_heads=encoder.read("num_attention_heads", int, default.num_heads),
        intermediate_size=encoder.read("intermediate_size", int, default.intermediate_size),
        max_positions=encoder.read("max_position_embeddings", int, default.max_positions),
        num_token_types=encoder.read("type_vocab_size", int, default.num_token_types),
        activation=activation,
        hidden_dropout=encoder.read("hidden_dropout_prob", float, default.hidden_dropout),
        attention_dropout=encoder.read(
            "attention_probs_dropout_prob", float, default.attention_dropout
        ),
        norm_eps=encoder.read("layer_norm_eps", float, default.norm_eps),
        initializer_range=encoder.read("initializer_range", float, default.initializer_range),
    )
    finish(encoder, "BertEncoder")
    return config


def _annotation_type(value: Any) -> Literal["bio", "bioes"]:
    if value == "bio":
        return "bio"
    if value == "bioes":
        return "bioes"
    raise ValueError(f"expected 'bio' or 'bioes', got {value!r:.80}")


def _check_pipeline(pipeline: object, codec: NerCodecConfig) -> None:
    """The test pipeline must prepare texts as the model's own convertor does."""
    steps = pipeline if isinstance(pipeline, (list, tuple)) else []
    for step in steps:
        section = Section(step, "the test pipeline")
        name = section.type_name(["NerTransform", "ToTensorNER", "Collect"])
        if name != "NerTransform":
            continue
        max_len = section.read("max_len", int, codec.max_len)
        own = ner_codec(section.section("label_convertor"))
        section.finish()
        if own != codec or max_len != codec.max_len:
            raise ConfigError(
                "NerTransform of the test pipeline has another label_convertor or max_len than "
                "the model; give both the same"
            )
