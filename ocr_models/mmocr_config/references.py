"""Template text in config files: ``{{_base_.name}}`` and ``{{ fileBasename }}``.

Both are replaced before the file is parsed, as the formats (Python, JSON, YAML) share nothing else.
A reference becomes a quoted marker, which the evaluation turns into the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocr_models.errors import ConfigError

from .errors import ConfigKeyError, ConfigTypeError
from .limits import Budget

REFERENCE = re.compile(r"<value of _base_\.([\w.]+)>")
_WRITTEN_REFERENCE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")
_VARIABLE = re.compile(
    r"\{\{\s*(fileDirname|fileBasenameNoExtension|fileBasename|fileExtname)\s*\}\}"
)
_UNSAFE_IN_TEXT = re.compile(r"[\"'\\\x00-\x1f{}]")


def replace_templates(text: str, path: Path) -> str:
    """Fill in facts about the file and mark the references to its bases.

    Raises:
        ConfigError: the file's own path holds quotes or braces and the text asks for it.
    """
    facts = {
        "fileDirname": path.parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }

    def fact(match: re.Match[str]) -> str:
        value = facts[match[1]]
        if _UNSAFE_IN_TEXT.search(value):
            raise ConfigError(
                f"{path}: {match[0]} would insert {value!r}; rename the file or folder so that it "
                "holds no quotes, braces or control characters"
            )
        return value

    return _WRITTEN_REFERENCE.sub(r'"<value of _base_.\1>"', _VARIABLE.sub(fact, text))


def find_reference(text: str) -> str | None:
    """The dotted path that a marker holds, or None for any other string.

    Raises:
        ConfigError: a reference inside a longer string, where it has no value of its own.
    """
    match = REFERENCE.search(text)
    if match is None:
        return None
    if match[0] != text:
        raise ConfigError(
            f"{{{{_base_.{match[1]}}}}} stands inside a string; write it without quotes"
        )
    return match[1]


def look_up(path: str, bases: Mapping[str, Any], budget: Budget) -> Any:
    """The value that ``{{_base_.path}}`` names, as a copy of its own.

    Raises:
        ConfigKeyError: there is no such key.
        ConfigTypeError: the path leads through something that is not a dictionary.
    """
    value: Any = bases
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise ConfigTypeError(
                f"{{{{_base_.{path}}}}}: {name!r} cannot be looked up in a {type(value).__name__}"
            )
        if name not in value:
            raise ConfigKeyError(
                f"{{{{_base_.{path}}}}}: the bases have no {name!r}, only "
                f"{', '.join(map(str, list(value)[:20]))}"
            )
        value = value[name]
    budget.charge(value)
    return _plain_copy(value)


def _plain_copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_copy(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain_copy(child) for child in value)
    return value
