"""Writing a config as Python text that :func:`load_config` reads back to the same value."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import Any

from ocr_models.errors import ConfigError

from .errors import ConfigTypeError
from .limits import Budget
from .load import BASE_KEY, DEPRECATION_KEY, RESERVED_KEYS

_LINE_LENGTH = 100


def dump_config(config: Mapping[str, Any]) -> str:
    """Python text, one assignment per top-level key, in order.

    Raises:
        ConfigError: a top-level key cannot be the name of a variable.
        ConfigTypeError: a value is not plain data.
    """
    Budget().charge(config)
    lines = []
    for key, value in config.items():
        if not _is_name(key) or key.startswith("__"):
            raise ConfigError(f"the top-level key {key!r} cannot be written as a variable")
        if key in (BASE_KEY, DEPRECATION_KEY, *RESERVED_KEYS):
            raise ConfigError(f"the top-level key {key!r} has a meaning of its own; rename it")
        lines.append(f"{key} = {_write(value, indent=0, used=len(key) + 3)}\n")
    return "".join(lines)


def _write(value: Any, indent: int, used: int) -> str:
    """`value` on one line if it fits after `used` characters, else one item per line."""
    if not isinstance(value, (dict, list, tuple, set)):
        return _write_scalar(value)
    opening, pairs, closing = _parts(value)
    if not pairs:
        return opening + closing
    inner = indent + 4
    items = [prefix + _write(child, inner, inner + len(prefix) + 1) for prefix, child in pairs]
    single_comma = "," if isinstance(value, tuple) and len(items) == 1 else ""
    line = f"{opening}{', '.join(items)}{single_comma}{closing}"
    if "\n" not in line and used + len(line) <= _LINE_LENGTH:
        return line
    body = "".join(f"{' ' * inner}{item},\n" for item in items)
    return f"{opening}\n{body}{' ' * indent}{closing}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    if isinstance(value, dict):
        if all(_is_name(key) for key in value):
            return "dict(", [(f"{key}=", child) for key, child in value.items()], ")"
        return "{", [(f"{_write_key(key)}: ", child) for key, child in value.items()], "}"
    if isinstance(value, list):
        return "[", [("", child) for child in value], "]"
    if isinstance(value, tuple):
        return "(", [("", child) for child in value], ")"
    if not value:
        return "set(", [], ")"
    return "{", [("", child) for child in sorted(value, key=repr)], "}"


def _write_key(key: object) -> str:
    return _write(key, indent=0, used=0)


def _write_scalar(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, str):
        # Double braces would be taken for a template when the text is read back.
        return repr(value).replace("{{", "{\\x7b")
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, range):
        return repr(value)
    raise ConfigTypeError(f"a value of type {type(value).__name__} cannot be written to a config")


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
