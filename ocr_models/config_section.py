"""Reading one dictionary of a config so that nothing in it goes unnoticed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ocr_models.errors import ConfigError

T = TypeVar("T")
_REQUIRED: Any = object()


class Section:
    """A dictionary whose every key must be read, fixed or skipped on purpose before ``finish``.

    Args:
        data: the dictionary.
        path: how it is called in messages, e.g. ``model.backbone``.
    """

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{path}: expected a dict(...), got {data!r:.80}")
        self.path = path
        self._data = data
        self._known: list[str] = []
        self._skipped: list[str] = []

    def type_name(self, allowed: Iterable[str]) -> str:
        """The ``type``, which must be one of ``allowed``."""
        allowed = list(allowed)
        name = self.read("type", str)
        if name not in allowed:
            raise ConfigError(f"{self.path}.type is {name!r}{did_you_mean(name, allowed)}")
        return name

    def read(self, key: str, kind: Callable[[Any], T] | type[T], default: T = _REQUIRED) -> T:
        """The value of `key`, checked by `kind` (``int``, ``str``, ... or a reader below)."""
        self._known.append(key)
        if key not in self._data:
            if default is _REQUIRED:
                raise ConfigError(f"{self.path} needs {key!r}")
            return default
        value = self._data[key]
        reader: Callable[[Any], T] = _READERS.get(kind, kind)  # type: ignore[call-overload]
        try:
            return reader(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.path}.{key}: {error}") from error

    def section(self, key: str) -> Section:
        """The dictionary under `key`."""
        self._known.append(key)
        if key not in self._data:
            raise ConfigError(f"{self.path} needs {key!r}, a dict(...)")
        return Section(self._data[key], f"{self.path}.{key}")

    def has(self, key: str) -> bool:
        """Whether `key` is there and not None; then it counts as known."""
        self._known.append(key)
        return self._data.get(key) is not None

    def fix(self, **values: object) -> None:
        """Allow these keys, but only with these values."""
        for key, value in values.items():
            self._known.append(key)
            given = self._data.get(key, value)
            if isinstance(given, list):
                given = tuple(given)
            if given != value:
                raise ConfigError(
                    f"{self.path}.{key} is {given!r:.80}; this version only has {key}={value!r}"
                )

    def skip(self, keys: Iterable[str]) -> None:
        """Allow these keys without reading them."""
        self._skipped.extend(keys)

    def finish(self) -> None:
        """Raise ConfigError if there is a key that nobody read."""
        known = {"type", *self._known, *self._skipped}
        for key in self._data:
            if key not in known:
                read = sorted({*self._known} - {"type"})
                raise ConfigError(
                    f"{self.path}: nothing reads {key!r}{did_you_mean(str(key), read)}"
                    + (f". Only training reads {', '.join(self._skipped)}" if self._skipped else "")
                )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: the nearest known name, and all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    suggestion = f". Did you mean {close[0]!r}?" if close else "."
    return f"{suggestion} Known: {', '.join(known) or 'none'}"


def whole(value: Any) -> int:
    """A whole number."""
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r:.80}")
    return value


def number(value: Any) -> float:
    """A number."""
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, got {value!r:.80}")
    return float(value)


def flag(value: Any) -> bool:
    """True or False."""
    if type(value) is not bool:
        raise TypeError(f"expected True or False, got {value!r:.80}")
    return value


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r:.80}")
    return value


def several(kind: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A list or tuple of values of one kind."""

    def read(value: Any) -> tuple[T, ...]:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"expected a list, got {value!r:.80}")
        return tuple(kind(item) for item in value)

    return read


def optional(kind: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """A value of that kind, or None."""
    return lambda value: None if value is None else kind(value)


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    int: whole,
    float: number,
    bool: flag,
    str: text,
}
