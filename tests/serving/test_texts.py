"""Requests to ner archives as TorchServe hands them over, and what is taken for the text."""

from __future__ import annotations

from typing import Any

import pytest

from ocr_models.errors import InputError
from ocrserve.handlers.texts import TEXT_FIELDS, text_of

TEXT = "Ann lives in 北京."
RAW = bytearray(TEXT.encode())
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}

ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "raw": ({"body": RAW}, {}),
    "text/plain": ({"body": TEXT}, {"Content-Type": "text/plain; charset=utf-8"}),
    "text/plain as bytes": ({"body": RAW}, {"Content-Type": "text/plain"}),
    **{f"form field {name}": ({name: RAW}, FORM) for name in TEXT_FIELDS},
    "json": ({"body": {"text": TEXT}}, JSON),
    "json string": ({"body": TEXT}, JSON),
    "invocations": ({"body": RAW, "model_name": bytearray(b"ner")}, {}),
}

REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "no body": ({}, {}, 400, "empty_text"),
    "wrong field": ({"sentence": RAW}, FORM, 400, "unknown_field"),
    "two fields": ({"text": RAW, "data": RAW}, FORM, 400, "several_texts"),
    "urlencoded": (
        {"body": RAW},
        {"Content-Type": "application/x-www-form-urlencoded"},
        415,
        "unsupported_media_type",
    ),
    "broken json": ({"body": bytearray(b'{"text')}, JSON, 400, "invalid_json"),
    "list": ({"body": [TEXT]}, JSON, 400, "wrong_json"),
    "number": ({"body": 3}, JSON, 400, "wrong_json"),
    "null": ({"body": None}, JSON, 400, "wrong_json"),
    "no key": ({"body": {}}, JSON, 400, "wrong_json"),
    "other key": ({"body": {"data": TEXT}}, JSON, 400, "wrong_json"),
    "extra key": ({"body": {"text": TEXT, "lang": "en"}}, JSON, 400, "wrong_json"),
    "number as text": ({"body": {"text": 3}}, JSON, 400, "wrong_json"),
    "not utf-8": ({"body": bytearray(b"\xff\xfe")}, {}, 415, "not_utf8"),
}


def test_sizes() -> None:
    assert (len(ACCEPTED), len(REFUSED)) == (9, 13)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    assert text_of(*ACCEPTED[name]) == TEXT


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    row, headers, code, kind = REFUSED[name]
    with pytest.raises(InputError) as caught:
        text_of(row, headers)
    assert (caught.value.code, caught.value.kind) == (code, kind)
