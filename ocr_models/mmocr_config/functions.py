"""The functions that a config may call: pure ones on plain data, each listed by name."""

from __future__ import annotations

import copy
import math
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocr_models.errors import ConfigError

from .errors import ConfigTypeError
from .limits import MAX_STRING_LENGTH

Function = Callable[..., Any]


@dataclass(frozen=True)
class Module:
    """What ``import NAME`` binds: a table of functions and numbers, nothing of Python's module."""

    name: str
    members: Mapping[str, Any]


def _sum(numbers: Iterable[Any], start: Any = 0) -> Any:
    total = start
    for number in (*numbers, start):
        if not isinstance(number, (int, float)):
            raise ConfigTypeError("sum() adds numbers; join lists with [*a, *b]")
    for number in numbers:
        total += number
    return total


def _round(number: Any, digits: int | None = None) -> Any:
    if digits is not None and not -30 <= digits <= 30:
        raise ConfigError("round() keeps between -30 and 30 digits")
    return round(number, digits)


def _range(*bounds: Any) -> range:
    numbers = range(*bounds)
    try:
        len(numbers)
    except OverflowError as error:
        raise ConfigError("this range has too many numbers") from error
    return numbers


BUILTINS: Mapping[str, Function] = {
    "abs": abs,
    "all": all,
    "any": any,
    "bool": bool,
    "dict": dict,
    "enumerate": lambda items, start=0: list(enumerate(items, start)),
    "float": float,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "range": _range,
    "reversed": lambda items: list(reversed(items)),
    "round": _round,
    "set": set,
    "sorted": sorted,
    "str": str,
    "sum": _sum,
    "tuple": tuple,
    "zip": lambda *items: list(zip(*items, strict=False)),
}


def _copy_module() -> Module:
    return Module("copy", {"copy": copy.copy, "deepcopy": copy.deepcopy})


def _math_module() -> Module:
    names = ("ceil", "e", "exp", "floor", "inf", "log", "log2", "log10", "pi", "sqrt")
    return Module("math", {name: getattr(math, name) for name in names})


def _path_module() -> Module:
    names = ("basename", "dirname", "join", "normpath", "splitext")
    return Module("os.path", {name: getattr(posixpath, name) for name in names})


MODULES: Mapping[str, Module] = {
    "copy": _copy_module(),
    "math": _math_module(),
    "os": Module("os", {"path": _path_module(), "sep": posixpath.sep}),
    "os.path": _path_module(),
}


def _join(separator: str, pieces: Iterable[str]) -> str:
    pieces = list(pieces)
    if len(separator) * len(pieces) > MAX_STRING_LENGTH:
        raise ConfigError(f"the joined string is longer than {MAX_STRING_LENGTH} characters")
    return separator.join(pieces)


def _replace(text: str, old: str, new: str) -> str:
    if text.count(old) * len(new) > MAX_STRING_LENGTH:
        raise ConfigError(f"the replaced string is longer than {MAX_STRING_LENGTH} characters")
    return text.replace(old, new)


METHODS: Mapping[type, Mapping[str, Function]] = {
    dict: {
        "copy": dict.copy,
        "get": dict.get,
        "items": lambda config: list(config.items()),
        "keys": lambda config: list(config.keys()),
        "pop": dict.pop,
        "setdefault": dict.setdefault,
        "update": dict.update,
        "values": lambda config: list(config.values()),
    },
    list: {
        "append": list.append,
        "copy": list.copy,
        "count": list.count,
        "extend": list.extend,
        "index": list.index,
        "insert": list.insert,
        "pop": list.pop,
        "remove": list.remove,
        "reverse": list.reverse,
    },
    tuple: {"count": tuple.count, "index": tuple.index},
    str: {
        "endswith": str.endswith,
        "join": _join,
        "lower": str.lower,
        "replace": _replace,
        "rsplit": str.rsplit,
        "split": str.split,
        "startswith": str.startswith,
        "strip": str.strip,
        "upper": str.upper,
    },
}
