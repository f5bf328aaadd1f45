"""Text codecs (MMOCR's label convertors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ocr_models.codecs.abi import ABICodecConfig
from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.codecs.charsets import built_in_charset, check_charset, read_dictionary_file
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.codecs.segmentation import SegCodecConfig
from ocr_models.config_section import Section, optional, several

SequenceCodecT = TypeVar("SequenceCodecT", bound=AttentionCodecConfig)


def ctc_codec(convertor: Section | Mapping[str, Any]) -> CTCCodecConfig:
    """The text codec of a ``CTCConvertor``.

    Raises:
        ConfigError: unknown keys, or an impossible charset.
    """
    convertor = _section(convertor)
    convertor.type_name(["CTCConvertor"])
    config = CTCCodecConfig(
        charset=charset(convertor),
        with_unknown=convertor.read("with_unknown", bool, True),
        lower=convertor.read("lower", bool, False),
    )
    convertor.finish()
    return config


def attention_codec(
    convertor: Section | Mapping[str, Any], max_seq_len: int | None = None
) -> AttentionCodecConfig:
    """The text codec of an ``AttnConvertor``.

    Args:
        convertor: the dictionary.
        max_seq_len: of the model around it, which MMOCR hands down; None: the convertor's own.

    Raises:
        ConfigError: unknown keys, or an impossible charset.
    """
    return _sequence_codec(AttentionCodecConfig, "AttnConvertor", convertor, max_seq_len)


def abi_codec(
    convertor: Section | Mapping[str, Any], max_seq_len: int | None = None
) -> ABICodecConfig:
    """The text codec of an ``ABIConvertor``; see ``attention_codec``."""
    convertor = _section(convertor)
    convertor.skip(("with_padding",))  # MMOCR's configs have it, its convertor does not read it
    return _sequence_codec(ABICodecConfig, "ABIConvertor", convertor, max_seq_len)


def _sequence_codec(
    kind: type[SequenceCodecT],
    name: str,
    convertor: Section | Mapping[str, Any],
    max_seq_len: int | None,
) -> SequenceCodecT:
    convertor = _section(convertor)
    convertor.type_name([name])
    own = convertor.read("max_seq_len", int, kind.max_seq_len)
    config = kind(
        charset=charset(convertor),
        with_unknown=convertor.read("with_unknown", bool, True),
        lower=convertor.read("lower", bool, False),
        start_end_same=convertor.read("start_end_same", bool, True),
        max_seq_len=own if max_seq_len is None else max_seq_len,
    )
    convertor.finish()
    return config


def segmentation_codec(convertor: Section | Mapping[str, Any]) -> SegCodecConfig:
    """The text codec of a ``SegConvertor``.

    Raises:
        ConfigError: unknown keys, or an impossible charset.
    """
    convertor = _section(convertor)
    convertor.type_name(["SegConvertor"])
    config = SegCodecConfig(
        charset=charset(convertor, default="DICT36"),
        with_unknown=convertor.read("with_unknown", bool, True),
        lower=convertor.read("lower", bool, False),
    )
    convertor.finish()
    return config


def charset(convertor: Section, default: str = "DICT90") -> str:
    """The characters of a convertor.

    They come from ``dict_file`` (relative to the working folder), else ``dict_list``, else
    ``dict_type``, as in MMOCR.
    """
    dict_type = convertor.read("dict_type", str, default)
    dict_file = convertor.read("dict_file", optional(str), None)
    dict_list = convertor.read("dict_list", optional(several(_character)), None)
    if dict_file is not None:
        return read_dictionary_file(dict_file)
    if dict_list is not None:
        return check_charset("".join(dict_list), source=f"{convertor.path}.dict_list")
    return built_in_charset(dict_type)


def _section(convertor: Section | Mapping[str, Any]) -> Section:
    return convertor if isinstance(convertor, Section) else Section(convertor, "label_convertor")


def _character(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise ValueError(f"expected single characters, got {value!r:.80}")
    return value
