"""What all requests have in common, whatever they carry.

TorchServe turns each request into a dictionary (a *row*): ``{"body": ...}`` for raw bodies and JSON
(which it has parsed already, when it could), one key per field for forms.
"""

from __future__ import annotations

from collections.abc import Mapping

from ocr_models.errors import InputError

# TorchServe's /invocations route passes its own query parameter on to the handler.
_ROUTE_PARAMETERS = {"model_name"}


def fields_of(
    row: Mapping[str, object], headers: Mapping[str, object], how_to_send: str
) -> dict[str, object]:
    """What the client sent, by field.

    Args:
        row: what TorchServe made of the request.
        headers: its headers; their names may come in any case.
        how_to_send: the end of a message.

    Raises:
        InputError: the body is declared as an urlencoded form, which loses what it carries.
    """
    if media_type(headers) == "application/x-www-form-urlencoded":
        raise InputError(
            415,
            "unsupported_media_type",
            "the body is declared as an urlencoded form, which is what curl -d and --data do by "
            f"default; {how_to_send}",
        )
    return {name: content for name, content in row.items() if name not in _ROUTE_PARAMETERS}


def only_field(
    fields: Mapping[str, object], allowed: tuple[str, ...], noun: str, how_to_send: str
) -> object:
    """The content of a request that carries one thing.

    Args:
        fields: from ``fields_of``.
        allowed: names that its field may have.
        noun: what it carries, for messages and error types.
        how_to_send: the end of a message.

    Raises:
        InputError: no field, several, or one of another name.
    """
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise InputError(
            400,
            "unknown_field",
            f"unknown form field {listed(unknown)}; the {noun} belongs in one field, named "
            f"{listed(allowed)}",
        )
    if not fields:
        raise InputError(400, f"empty_{noun}", f"the request has no body; {how_to_send}")
    if len(fields) > 1:
        raise InputError(
            400,
            f"several_{noun}s",
            f"one request carries one {noun}, but the form has {listed(sorted(fields))}; send one "
            f"request per {noun}",
        )
    return next(iter(fields.values()))


def refuse_unparsed_json(kind: str, content: bytes) -> None:
    """Raises ``InputError`` for a body that is declared as JSON and came as bytes: TorchServe
    parses JSON itself and passes on as bytes only what it could not parse."""
    if kind == "application/json" and content:
        raise InputError(400, "invalid_json", "the body is declared as JSON, but it does not parse")


def media_type(headers: Mapping[str, object]) -> str:
    """The Content-Type of a request without its parameters, in lower case."""
    for name, value in headers.items():
        if name.lower() == "content-type" and isinstance(value, str):
            return value.partition(";")[0].strip().lower()
    return ""


def listed(names: tuple[str, ...] | list[str]) -> str:
    """Names in quotes, for messages."""
    return ", ".join(f"'{name:.40}'" for name in names[:8])


def json_name(value: object) -> str:
    """What JSON calls a value of this kind."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
    return names.get(type(value), "object")
