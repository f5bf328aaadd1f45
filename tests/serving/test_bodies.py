"""Requests as TorchServe hands them over, and what is taken for the image in them."""

from __future__ import annotations

import base64

import pytest

from ocr_models.errors import InputError
from ocrserve.handlers.bodies import (
    FORM_FIELDS,
    JSON_KEYS,
    MAX_BYTES_CEILING,
    SERVER_REQUEST_BYTES,
    image_bytes,
)

IMAGE = bytes(range(256)) * 3
TEXT = base64.b64encode(IMAGE).decode()
LIMIT = 1000
JSON = {"Content-Type": "application/json"}

ACCEPTED = {
    "raw": ({"body": bytearray(IMAGE)}, {}),
    "raw jpeg": ({"body": bytearray(IMAGE)}, {"Content-Type": "image/jpeg"}),
    **{f"form field {name}": ({name: bytearray(IMAGE)}, {}) for name in FORM_FIELDS},
    **{f"json {key}": ({"body": {key: TEXT}}, JSON) for key in JSON_KEYS},
    "json data url": ({"body": {"data": f"data:image/png;base64,{TEXT}"}}, JSON),
    "json data url with a parameter": (
        {"body": {"data": f"data:image/png;name=a.png;base64,{TEXT}"}},
        JSON,
    ),
    "json with line breaks": ({"body": {"data": "\n".join([TEXT[:76], TEXT[76:], ""])}}, JSON),
    "invocations": ({"body": bytearray(IMAGE), "model_name": bytearray(b"ocr")}, {}),
}

REFUSED = {
    "no body": ({}, {}, 400, "empty_image"),
    "empty body": ({"body": bytearray()}, {}, 400, "empty_image"),
    "empty json body": ({"body": bytearray()}, JSON, 400, "empty_image"),
    "empty field": ({"data": bytearray()}, {}, 400, "empty_image"),
    "empty base64": ({"body": {"data": ""}}, JSON, 400, "empty_image"),
    "wrong field": ({"picture": bytearray(IMAGE)}, {}, 400, "unknown_field"),
    "extra field": ({"data": bytearray(IMAGE), "lang": bytearray(b"en")}, {}, 400, "unknown_field"),
    "two images": (
        {"data": bytearray(IMAGE), "image": bytearray(IMAGE)},
        {},
        400,
        "several_images",
    ),
    "broken json": ({"body": bytearray(b'{"data')}, JSON, 400, "invalid_json"),
    "broken json, lower case header": (
        {"body": bytearray(b'{"data')},
        {"content-type": "application/json; charset=utf-8"},
        400,
        "invalid_json",
    ),
    "json list": ({"body": [{"data": TEXT}]}, JSON, 400, "wrong_json"),
    "json number": ({"body": 3}, JSON, 400, "wrong_json"),
    "json null": ({"body": None}, JSON, 400, "wrong_json"),
    "json wrong key": ({"body": {"img": TEXT}}, JSON, 400, "wrong_json"),
    "json two keys": ({"body": {"data": TEXT, "lang": "en"}}, JSON, 400, "wrong_json"),
    "json without keys": ({"body": {}}, JSON, 400, "wrong_json"),
    "json value no text": ({"body": {"data": 7}}, JSON, 400, "wrong_json"),
    "bad base64 character": ({"body": {"data": "AB*D"}}, JSON, 400, "invalid_base64"),
    "bad base64 length": ({"body": {"data": "ABCDE"}}, JSON, 400, "invalid_base64"),
    "base64 not ascii": ({"body": {"data": "ÄÖÜ="}}, JSON, 400, "invalid_base64"),
    "data url without base64": (
        {"body": {"data": "data:image/png,abc"}},
        JSON,
        400,
        "invalid_base64",
    ),
    "urlencoded": (
        {"\x89PNG": bytearray()},
        {"Content-Type": "application/x-www-form-urlencoded"},
        415,
        "unsupported_media_type",
    ),
    "text": ({"body": TEXT}, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    "too large": ({"body": bytearray(LIMIT + 1)}, {}, 413, "too_many_bytes"),
    "too large in base64": (
        {"body": {"data": base64.b64encode(bytes(LIMIT + 1)).decode()}},
        JSON,
        413,
        "too_many_bytes",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    row, headers = ACCEPTED[name]
    assert image_bytes(row, headers, LIMIT) == IMAGE


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    row, headers, code, kind = REFUSED[name]
    with pytest.raises(InputError) as caught:
        image_bytes(row, headers, LIMIT)
    assert (caught.value.code, caught.value.kind) == (code, kind)
    assert caught.value.to_json() == {"code": code, "type": kind, "message": str(caught.value)}


def test_sweeps_are_complete() -> None:
    assert len(ACCEPTED) == 6 + len(FORM_FIELDS) + len(JSON_KEYS)
    assert len(REFUSED) == 25


@pytest.mark.parametrize("size", [LIMIT - 2, LIMIT - 1, LIMIT])
def test_limit_is_inclusive_in_every_form(size: int) -> None:
    data = bytes(size)
    text = base64.b64encode(data).decode()
    assert image_bytes({"body": bytearray(data)}, {}, LIMIT) == data
    assert image_bytes({"body": {"data": text}}, JSON, LIMIT) == data


def test_wrong_field_names_the_allowed_ones() -> None:
    with pytest.raises(InputError) as caught:
        image_bytes({"picture": bytearray(IMAGE)}, {}, LIMIT)
    assert all(f"'{name}'" in caught.value.message for name in FORM_FIELDS)


def test_server_takes_the_largest_image_in_base64() -> None:
    overhead = 4096
    assert MAX_BYTES_CEILING * 4 / 3 + overhead < SERVER_REQUEST_BYTES
