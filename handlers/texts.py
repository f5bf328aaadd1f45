"""From what TorchServe hands over for one request to one text.

A client may send the text as the raw body, as one field of a multipart form, or in JSON. TorchServe
passes bodies of the type ``text/plain`` on as strings and others as bytes; both are UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping

from ocr_models.errors import InputError

from .requests import fields_of, json_name, listed, media_type, only_field, refuse_unparsed_json

TEXT_FIELDS = ("text", "data", "body")
JSON_KEY = "text"

_HOW_TO_SEND = (
    "send the text as the raw body (curl -H 'Content-Type: text/plain; charset=utf-8' "
    "--data-binary @text.txt URL), as the multipart field 'text' (curl -F 'text=...' URL), or as "
    'JSON {"text": "..."}'
)


def text_of(row: Mapping[str, object], headers: Mapping[str, object]) -> str:
    """The text of one request; lengths are the predictor's business.

    Args:
        row: what TorchServe made of the request.
        headers: its headers; their names may come in any case.

    Raises:
        InputError: the request does not carry exactly one text.
    """
    fields = fields_of(row, headers, _HOW_TO_SEND)
    content = only_field(fields, TEXT_FIELDS, "text", _HOW_TO_SEND)
    if isinstance(content, Mapping):
        return _from_json(content)
    if isinstance(content, str):
        return content
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InputError(
            400,
            "wrong_json",
            f"the body is a JSON {json_name(content)}; one request carries one text, as an object "
            f"with the key '{JSON_KEY}'",
        )
    refuse_unparsed_json(media_type(headers), bytes(content))
    try:
        return bytes(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            415, "not_utf8", f"the text is not UTF-8 (byte {error.start}: {error.reason})"
        ) from error


def _from_json(content: Mapping[object, object]) -> str:
    keys = [str(key) for key in content]
    if keys != [JSON_KEY]:
        raise InputError(
            400,
            "wrong_json",
            f"the JSON object has the keys {listed(keys) if keys else '(none)'}; expected exactly "
            f"'{JSON_KEY}'",
        )
    text = content[JSON_KEY]
    if not isinstance(text, str):
        raise InputError(
            400, "wrong_json", f"'{JSON_KEY}' must be a string, got a {json_name(text)}"
        )
    return text
