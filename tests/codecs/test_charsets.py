"""Built-in charsets and dictionary files."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocr_models.codecs.charsets import (
    BUILT_IN,
    built_in_charset,
    check_charset,
    read_dictionary_file,
)
from ocr_models.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "codecs"
DICT_FILES = json.loads((GOLDEN / "convertors.json").read_text())["dict_files"]


def test_sweep_size() -> None:
    assert len(DICT_FILES) == 8


@pytest.mark.parametrize("case", DICT_FILES, ids=lambda case: case["name"])
def test_dictionary_files_read_as_in_mmocr(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "dictionary.txt"
    path.write_bytes(case["content"].encode())
    if isinstance(case["idx2char"], dict):
        with pytest.raises(ConfigError, match=r"dictionary\.txt"):
            read_dictionary_file(path)
    else:
        # The stored list ends with the codec's own unknown, start/end and padding classes.
        assert list(read_dictionary_file(path)) == case["idx2char"][:-3]


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "dictionary.txt"
    path.write_bytes("\ufeffa\nb\n".encode())
    assert read_dictionary_file(path) == "ab"


def test_unreadable_dictionary_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the dictionary file"):
        read_dictionary_file(tmp_path / "missing.txt")
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_dictionary_file(latin)


def test_built_in_charsets() -> None:
    assert {name: len(charset) for name, charset in BUILT_IN.items()} == {
        "DICT36": 36,
        "DICT37": 37,
        "DICT90": 90,
        "DICT91": 91,
    }
    for charset in BUILT_IN.values():
        assert check_charset(charset) == charset
    with pytest.raises(ConfigError, match="'DICT99'; known are DICT36"):
        built_in_charset("DICT99")


def test_charsets_are_not_empty_and_name_nothing_twice() -> None:
    with pytest.raises(ConfigError, match=r"more than once: \['b'\]"):
        check_charset("abcb")
    with pytest.raises(ConfigError, match="no characters"):
        check_charset("")
