"""Character sets of recognisers: MMOCR's four built-in ones, and dictionary files.

A charset is a string without repeated characters; a character's position is its class, up to the
special classes that each codec puts before or after.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError

DICT36 = string.digits + string.ascii_lowercase
DICT37 = DICT36 + " "
# All printable ASCII but the space and ^ { | }.
DICT90 = (
    string.digits
    + string.ascii_lowercase
    + string.ascii_uppercase
    + "!\"#$%&'()*+,-./:;<=>?@[\\]_`~"
)
DICT91 = DICT90 + " "

BUILT_IN = {"DICT36": DICT36, "DICT37": DICT37, "DICT90": DICT90, "DICT91": DICT91}

# How a class that stands for every unknown character is spelled in decoded text, as MMOCR does.
UNKNOWN_TOKEN = "<UKN>"


def built_in_charset(name: str) -> str:
    """The charset that MMOCR's ``dict_type`` names."""
    try:
        return BUILT_IN[name]
    except KeyError:
        raise ConfigError(
            f"there is no built-in dictionary {name!r}; known are {', '.join(BUILT_IN)}. "
            "Other charsets come from a dictionary file or list."
        ) from None


def read_dictionary_file(path: str | Path) -> str:
    """The charset in a UTF-8 file with one character per line (MMOCR's ``dict_file``)."""
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read the dictionary file {path}: {error.strerror}. Paths are relative to the "
            "working folder; set label_convertor.dict_file to where the file is"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the dictionary file {path} is not UTF-8: {error}") from error
    return parse_dictionary(content, source=str(path))


def parse_dictionary(content: str, source: str = "dictionary") -> str:
    """The charset in a dictionary file's text.

    Line ends may be LF or CRLF and empty lines are skipped; a line that holds a space is the space.

    Args:
        content: the text.
        source: what to call it in errors.
    """
    characters = []
    for number, line in enumerate(content.split("\n"), start=1):
        character = line.strip("\r")
        if len(character) > 1:
            raise ConfigError(
                f"{source}, line {number}: expected one character per line, got {character!r}"
            )
        characters.append(character)
    return check_charset("".join(characters), source=source)


def check_charset(charset: str, source: str = "charset") -> str:
    """The charset itself, if it is not empty and names no character twice."""
    if not charset:
        raise ConfigError(f"{source}: no characters")
    if len(set(charset)) < len(charset):
        repeated = sorted({c for c in charset if charset.count(c) > 1})
        raise ConfigError(f"{source}: characters given more than once: {repeated}")
    return charset


def text_to_classes(
    text: str, class_of: Mapping[str, int], unknown_class: int | None, lower: bool
) -> list[int]:
    """The class of every character of a text.

    Args:
        text: any string.
        class_of: class by character.
        unknown_class: class of all others, None where there is none.
        lower: convert the text to lower case first.

    Raises:
        ConfigError: a character has no class.
    """
    classes = []
    for character in text.lower() if lower else text:
        index = class_of.get(character, unknown_class)
        if index is None:
            raise ConfigError(
                f"the character {character!r} of {text!r} is not in the charset; add it to the "
                "dictionary, or give the codec a class for unknown characters (with_unknown)"
            )
        classes.append(index)
    return classes
