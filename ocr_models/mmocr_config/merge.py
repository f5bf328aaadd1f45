"""Merging: a config over its bases, and options over a config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ocr_models.errors import ConfigError

from .config_dict import ConfigDict, to_config_dict
from .errors import ConfigKeyError, ConfigTypeError
from .limits import Budget

DELETE_KEY = "_delete_"
_MAX_OPTION_DEPTH = 40


def merge_dicts(
    changes: Mapping[Any, Any],
    base: Any,
    *,
    allow_list_keys: bool = False,
    trail: tuple[str, ...] = (),
) -> Any:
    """A copy of `base` with `changes` laid over it; neither argument is altered.

    Dictionaries merge key by key, everything else (lists too) replaces. A dictionary holding
    ``_delete_=True`` replaces the one under the same key instead of merging with it.

    Args:
        changes: what is laid over.
        base: a dictionary, or, with `allow_list_keys`, a list.
        allow_list_keys: a key made of digits reaches into a list.
        trail: the keys that lead here, for messages.

    Raises:
        ConfigTypeError: a dictionary meets something that it cannot merge with.
        ConfigKeyError: an index past the end of a list.
    """
    if not isinstance(base, (dict, list)):
        raise ConfigTypeError(f"{_dotted(trail)}: nothing can be set inside {_kind(base)}")
    merged: Any = ConfigDict(base) if isinstance(base, dict) else list(base)
    for key, value in changes.items():
        here = (*trail, str(key))
        if isinstance(merged, list):
            index = _list_index(key, merged, here, allow_list_keys)
            # A dictionary merges into the element; ``_delete_`` has no meaning for elements.
            merged[index] = (
                merge_dicts(value, merged[index], allow_list_keys=allow_list_keys, trail=here)
                if isinstance(value, dict)
                else value
            )
        elif not isinstance(value, dict):
            merged[key] = value
        elif key not in merged:
            merged[key] = to_config_dict(value)
        elif value.get(DELETE_KEY, False):
            merged[key] = to_config_dict({k: v for k, v in value.items() if k != DELETE_KEY})
        else:
            rest = value
            if DELETE_KEY in value:
                rest = {k: v for k, v in value.items() if k != DELETE_KEY}
            if not isinstance(merged[key], (dict, list) if allow_list_keys else dict):
                raise ConfigTypeError(
                    f"{_dotted(here)}: a dict cannot be merged into {_kind(merged[key])}; "
                    f"add {DELETE_KEY}=True to the dict to replace it"
                )
            merged[key] = merge_dicts(
                rest, merged[key], allow_list_keys=allow_list_keys, trail=here
            )
    return merged


def merge_options(
    config: Mapping[str, Any], options: Mapping[str, object], allow_list_keys: bool = True
) -> ConfigDict:
    """A copy of `config` with dotted options laid over it.

    Args:
        config: a loaded config.
        options: e.g. ``{"model.backbone.depth": 50, "data.test.pipeline.0.color_type": "color"}``.
            Keys that do not exist yet are created.
        allow_list_keys: whether a key made of digits reaches into a list.

    Raises:
        ConfigTypeError: a key leads into something that is neither a dictionary nor a list.
        ConfigKeyError: an index past the end of a list.
    """
    nested: dict[str, Any] = {}
    for dotted, value in options.items():
        if not isinstance(dotted, str) or not dotted:
            raise ConfigTypeError(f"option names are strings like 'model.type', got {dotted!r}")
        *parents, last = dotted.split(".")
        if len(parents) > _MAX_OPTION_DEPTH:
            raise ConfigError(f"option {dotted[:60]!r}... has more than {_MAX_OPTION_DEPTH} dots")
        target = nested
        for name in parents:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise ConfigTypeError(
                    f"option {dotted!r} reaches into {name!r}, which another option sets to "
                    f"{_kind(target)}"
                )
        target[last] = value
    Budget().charge(nested)
    merged = merge_dicts(nested, to_config_dict(config), allow_list_keys=allow_list_keys)
    result: ConfigDict = to_config_dict(merged)
    return result


def parse_cli_options(arguments: Iterable[str]) -> dict[str, Any]:
    """Options as typed on a command line: ``["a.b=1", "c=x,y", "d=(1,2)", "e=[[1,2],[3]]"]``.

    Numbers, ``true``/``false`` in any case and ``None`` become values; a comma makes a list,
    round brackets a tuple. Blanks inside a value are dropped, quotes around it too.

    Raises:
        ConfigError: an argument without ``=``, or unbalanced brackets.
    """
    options: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise ConfigError(f"an option is written KEY=VALUE, got {argument!r}")
        options[key] = _parse_value(value, argument, depth=0)
    return options


def _parse_value(text: str, argument: str, depth: int) -> Any:
    if depth > _MAX_OPTION_DEPTH:
        raise ConfigError(f"brackets are nested too deeply in {argument[:60]!r}...")
    text = text.strip("'\"").replace(" ", "")
    bracketed = text[:1] in ("(", "[") and text[-1:] in (")", "]")
    if not bracketed and "," not in text:
        return _parse_scalar(text)
    pieces = _split_at_commas(text, argument)
    if len(pieces) == 1 and bracketed:
        inner = [piece for piece in _split_at_commas(text[1:-1], argument) if piece]
        values = [_parse_value(piece, argument, depth + 1) for piece in inner]
        return tuple(values) if text[0] == "(" else values
    if len(pieces) == 1:
        return _parse_scalar(text)
    # A trailing comma ends the list, it does not add an empty element.
    if not pieces[-1]:
        pieces.pop()
    return [_parse_value(piece, argument, depth + 1) for piece in pieces]


def _split_at_commas(text: str, argument: str) -> list[str]:
    """Split at the commas that no bracket encloses."""
    pieces, open_brackets, start = [], [], 0
    for position, character in enumerate(text):
        if character in "([":
            open_brackets.append(")" if character == "(" else "]")
        elif character in ")]":
            if not open_brackets or open_brackets.pop() != character:
                raise ConfigError(f"brackets do not match in {argument!r}")
        elif character == "," and not open_brackets:
            pieces.append(text[start:position])
            start = position + 1
    if open_brackets:
        raise ConfigError(f"a bracket is not closed in {argument!r}")
    return [*pieces, text[start:]]


def _parse_scalar(text: str) -> Any:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if text == "None" else text


def _list_index(key: object, items: list[Any], trail: tuple[str, ...], allowed: bool) -> int:
    if not (allowed and isinstance(key, str) and key.isdecimal() and len(key) < 10):
        raise ConfigTypeError(
            f"{_dotted(trail[:-1])} is a list; {str(key)!r} does not name one of its elements"
            + ("" if allowed else " (list indices work in options only)")
        )
    if int(key) >= len(items):
        raise ConfigKeyError(
            f"{_dotted(trail[:-1])} has {len(items)} elements; there is no number {key}"
        )
    return int(key)


def _dotted(trail: tuple[str, ...]) -> str:
    return ".".join(trail) or "the config"


def _kind(value: object) -> str:
    return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
