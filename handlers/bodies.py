"""From what TorchServe hands over for one request to the bytes of one image.

A client may send the image as the raw body, as one field of a multipart form, or as base64 in JSON.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from ocr_models.errors import InputError

from .requests import fields_of, json_name, listed, media_type, only_field, refuse_unparsed_json

FORM_FIELDS = ("data", "body", "image", "file")
JSON_KEYS = ("data", "image", "b64")

# The server must accept a body that carries MAX_BYTES_CEILING as base64 in JSON, so that too large
# images are refused here, with a reason, and not by TorchServe's empty 413.
MAX_BYTES_CEILING = 45_000_000
SERVER_REQUEST_BYTES = 64 * 1024 * 1024

_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(;[\w.+=-]+)*;base64,", re.ASCII)
_HOW_TO_SEND = (
    "send the image as the raw body (curl -T photo.jpg URL), as the multipart field 'data' "
    '(curl -F data=@photo.jpg URL), or as JSON {"data": "<base64>"}'
)


def image_bytes(row: Mapping[str, object], headers: Mapping[str, object], max_bytes: int) -> bytes:
    """The encoded image of one request.

    Args:
        row: what TorchServe made of the request.
        headers: its headers; their names may come in any case.
        max_bytes: larger images are refused.

    Raises:
        InputError: the request does not carry exactly one image, or it is empty or too large.
    """
    fields = fields_of(row, headers, _HOW_TO_SEND)
    content = only_field(fields, FORM_FIELDS, "image", _HOW_TO_SEND)
    kind = media_type(headers)
    if isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
        refuse_unparsed_json(kind, data)
    elif isinstance(content, Mapping):
        data = _from_json(content, max_bytes)
    elif isinstance(content, str):
        raise InputError(
            415, "unsupported_media_type", f"the body is text ({kind}); {_HOW_TO_SEND}"
        )
    else:
        raise InputError(
            400,
            "wrong_json",
            f"the body is a JSON {json_name(content)}; one request carries one image, as an "
            f"object with one of the keys {listed(JSON_KEYS)}",
        )
    if not data:
        raise InputError(400, "empty_image", f"the image is empty (0 bytes); {_HOW_TO_SEND}")
    check_size(len(data), max_bytes)
    return data


def _from_json(content: Mapping[object, object], max_bytes: int) -> bytes:
    keys = [str(key) for key in content]
    if len(keys) != 1 or keys[0] not in JSON_KEYS:
        raise InputError(
            400,
            "wrong_json",
            f"the JSON object has the keys {listed(keys) if keys else '(none)'}; expected exactly "
            f"one of {listed(JSON_KEYS)}, with the image in base64",
        )
    text = content[keys[0]]
    if not isinstance(text, str):
        raise InputError(
            400, "wrong_json", f"{keys[0]!r} must be a base64 string, got a {json_name(text)}"
        )
    return from_base64(text, max_bytes)


def from_base64(text: str, max_bytes: int) -> bytes:
    """The bytes of a base64 text, with or without a ``data:`` prefix; raises ``InputError``."""
    prefix = _DATA_URL.match(text)
    encoded = "".join((text[prefix.end() :] if prefix else text).split())
    check_size(len(encoded) // 4 * 3 - encoded[-2:].count("="), max_bytes)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(400, "invalid_base64", f"the base64 does not decode: {error}") from error


def check_size(size: int, max_bytes: int) -> None:
    """Raises ``InputError`` (413) when an image has more than ``max_bytes``."""
    if size > max_bytes:
        raise InputError(
            413, "too_many_bytes", f"the image has {size} bytes, at most {max_bytes} are allowed"
        )
