"""A dictionary whose items can be read as attributes: ``config.model.backbone.depth``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from .errors import ConfigAttributeError, ConfigKeyError


class ConfigDict(dict[str, Any]):
    """A ``dict`` with attribute access, all the way down.

    Keys that are also names of ``dict`` methods (``items``, ``keys``, ...) are only reachable by
    subscription. A missing attribute is an AttributeError and a missing item a KeyError; both say
    which keys exist.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise ConfigAttributeError(f"the config has no {_missing(name, self)}")

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise ConfigAttributeError(f"the config has no {_missing(name, self)}")
        del self[name]

    def __missing__(self, name: object) -> Any:
        raise ConfigKeyError(f"the config has no {_missing(name, self)}")


def to_config_dict(value: Any) -> Any:
    """A copy of `value` in which every dictionary is a ConfigDict."""
    if isinstance(value, Mapping):
        return ConfigDict((key, to_config_dict(child)) for key, child in value.items())
    if isinstance(value, list):
        return [to_config_dict(child) for child in value]
    if isinstance(value, tuple):
        return tuple(to_config_dict(child) for child in value)
    return value


def _missing(name: object, config: Mapping[Any, object]) -> str:
    known = [str(key) for key in config]
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"{name!r}. Did you mean {close[0]!r}?"
    return f"{name!r}; it has {', '.join(known[:20]) or 'no keys at all'}"
