"""Text codecs (MMOCR's label convertors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.codecs.charsets import built_in_charset, check_charset, read_dictionary_file
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.config_section import Section, optional, several


def ctc_codec(convertor: Section | Mapping[str, Any]) -> CTCCodecConfig:
    """The text codec of a ``CTCConvertor``.

    The characters come from ``dict_file`` (relative to the working folder), else ``dict_list``,
    else ``dict_type``, as in MMOCR.

    Raises:
        ConfigError: unknown keys, or an impossible charset.
    """
    if not isinstance(convertor, Section):
        convertor = Section(convertor, "label_convertor")
    convertor.type_name(["CTCConvertor"])
    dict_type = convertor.read("dict_type", str, "DICT90")
    dict_file = convertor.read("dict_file", optional(str), None)
    dict_list = convertor.read("dict_list", optional(several(_character)), None)
    if dict_file is not None:
        charset = read_dictionary_file(dict_file)
    elif dict_list is not None:
        charset = check_charset("".join(dict_list), source=f"{convertor.path}.dict_list")
    else:
        charset = built_in_charset(dict_type)
    config = CTCCodecConfig(
        charset=charset,
        with_unknown=convertor.read("with_unknown", bool, True),
        lower=convertor.read("lower", bool, False),
    )
    convertor.finish()
    return config


def _character(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise ValueError(f"expected single characters, got {value!r:.80}")
    return value
