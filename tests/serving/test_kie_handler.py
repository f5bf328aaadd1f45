"""Requests of key information: every good form, every mistake with a type of its own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ocr_models.bundle import load_predictor, read_bundle, write_bundle
from ocr_models.errors import InputError
from ocr_models.runtime import RuntimeOptions
from ocrserve.archives.isolated import WorkerContext
from ocrserve.handlers.kie import KieHandler
from ocrserve.handlers.options import parse_options
from tests.serving.test_handlers import OPTIONS, Harness
from tests.serving_models import (
    CREATED_BY,
    encoded,
    sample_page,
    small_extractor,
    write_small_bundle,
)

PAGE = sample_page(2)
PHOTO = encoded(PAGE.image)  # type: ignore[arg-type]
B64 = base64.b64encode(PHOTO).decode()
WORDS: list[dict[str, Any]] = [
    {"box": box, "text": text} for box, text in zip(PAGE.boxes, PAGE.texts, strict=True)
]
BOX = [10, 10, 60, 10, 60, 30, 10, 30]
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    folder = tmp_path_factory.mktemp("kie")
    write_small_bundle(folder, "kie")
    return Harness(folder, KieHandler(), OPTIONS | {"max_boxes": 400})


@pytest.fixture(scope="module")
def expected(harness: Harness) -> Any:
    predictor: Any = load_predictor(
        read_bundle(harness.folder), RuntimeOptions("torch", "cpu", "float32", 1)
    )
    return json.loads(json.dumps(predictor.predict([PAGE])[0].to_json()))


def ask(
    harness: Harness, row: dict[str, Any], headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    context = WorkerContext(harness.folder, [headers or {}])
    (answer,) = harness.handler.handle([row], context)
    assert context.content_types == ["application/json"]
    return context.statuses[0], json.loads(answer)


def body(**content: Any) -> dict[str, Any]:
    """A row as TorchServe makes it of JSON."""
    return {"body": {"image": B64, "words": WORDS} | content}


PAIRS = [word | {"box": [word["box"][i : i + 2] for i in range(0, 8, 2)]} for word in WORDS]
GOOD = {
    "json": body(),
    "pairs": body(words=PAIRS),
    "a chain's answer": {
        "body": {
            "data": B64, "edges": [], "fields": [], "width": 480, "height": 320,
            "result": [word | {"box_score": 0.5, "label": "x"} for word in WORDS],
        }
    },
    "bytes": {"body": bytearray(json.dumps(body()["body"]).encode())},
    "text": {"body": json.dumps(body()["body"])},
    "data url": body(image="data:image/png;base64," + B64),
    "a form": {"image": bytearray(PHOTO), "words": bytearray(json.dumps(WORDS).encode())},
    "a form with an object": {"data": PHOTO, "words": json.dumps({"words": WORDS})},
    "invocations": body() | {"model_name": b"kie"},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_requests(harness: Harness, expected: Any, name: str) -> None:
    status, answer = ask(harness, GOOD[name])
    assert status == 200
    assert answer["result"] == [
        word | {"box": pytest.approx(word["box"])} for word in expected["result"]
    ]
    assert {key: answer[key] for key in ("edges", "fields")} == {
        key: expected[key] for key in ("edges", "fields")
    }


BAD: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "no body": ({}, {}, 400, "empty_request"),
    "0 bytes": ({"body": b""}, {}, 400, "empty_request"),
    "not json": ({"body": PHOTO}, {}, 400, "invalid_json"),
    "nested without end": ({"body": b"[" * 100_000}, {}, 400, "invalid_json"),
    "declared as json": ({"body": b"{"}, {"content-type": "application/json"}, 400, "invalid_json"),
    "urlencoded": ({"body": b"a=b"}, URLENCODED, 415, "unsupported_media_type"),
    "a list": ({"body": [1, 2]}, {}, 400, "wrong_json"),
    "no words": ({"body": {"image": B64}}, {}, 400, "wrong_json"),
    "words twice": (body(result=WORDS), {}, 400, "wrong_json"),
    "words no list": (body(words={"a": 1}), {}, 400, "wrong_json"),
    "another key": (body(wrods=WORDS), {}, 400, "wrong_json"),
    "image no text": (body(image=5), {}, 400, "wrong_json"),
    "image twice": ({"image": PHOTO, "words": json.dumps(body()["body"])}, {}, 400,
                    "several_images"),
    "another field": ({"images": PHOTO, "words": b"[]"}, {}, 400, "unknown_field"),
    "two photos": ({"image": PHOTO, "data": PHOTO, "words": b"[]"}, {}, 400, "unknown_field"),
    "not base64": (body(image="x?"), {}, 400, "invalid_base64"),
    "no image": (body(image=base64.b64encode(b"plain").decode()), {}, 415,
                 "unsupported_image_format"),
    "cut off": (body(image=base64.b64encode(PHOTO[:1000]).decode()), {}, 422, "undecodable_image"),
    "large file": (body(image=base64.b64encode(bytes(300_001)).decode()), {}, 413,
                   "too_many_bytes"),
    "large file in a form": ({"image": bytes(300_001), "words": b"[]"}, {}, 413, "too_many_bytes"),
    "image missing": (body(image=None), {}, 422, "missing_image"),
    "too many boxes": (body(words=WORDS * 40), {}, 413, "too_many_boxes"),
    "5,000 boxes": (body(words=WORDS[:1] * 5000), {}, 413, "too_many_boxes"),
    "text missing": (body(words=[{"box": BOX}]), {}, 422, "missing_text"),
    "text null": (body(words=[{"box": BOX, "text": None}]), {}, 422, "missing_text"),
    "text too long": (body(words=[{"box": BOX, "text": "a" * 2001}]), {}, 413, "too_long_text"),
    "no object": (body(words=["total"]), {}, 422, "wrong_box"),
    "box missing": (body(words=[{"text": "a"}]), {}, 422, "wrong_box"),
    "3 corners": (body(words=[{"box": BOX[:6], "text": "a"}]), {}, 422, "wrong_box"),
    "numbers as text": (body(words=[{"box": list(map(str, BOX)), "text": "a"}]), {}, 422,
                        "wrong_box"),
    "outside": (body(words=[{"box": [x + 600 for x in BOX], "text": "a"}]), {}, 422,
                "box_outside_page"),
    "half a size": (body(image=None, width=100), {}, 422, "wrong_size"),
    "size of text": (body(image=None, width="9", height=9), {}, 422, "wrong_size"),
}  # fmt: skip


def test_number_of_bad_requests() -> None:
    assert len(BAD) == 33
    assert {kind for *_, kind in BAD.values()} == {
        "empty_request", "invalid_json", "wrong_json", "unsupported_media_type", "several_images",
        "unknown_field", "invalid_base64", "unsupported_image_format", "undecodable_image",
        "too_many_bytes", "missing_image", "too_many_boxes", "missing_text", "too_long_text",
        "wrong_box", "box_outside_page", "wrong_size",
    }  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(harness: Harness, name: str) -> None:
    row, headers, code, kind = BAD[name]
    status, answer = ask(harness, row, headers)
    assert (status, answer["type"], answer["code"]) == (code, kind, code), answer
    assert list(answer) == ["code", "type", "message"]
    assert len(answer["message"]) < 600


def test_bad_items_leave_their_neighbours_alone(harness: Harness) -> None:
    rows = [body(), BAD["outside"][0], body(words=WORDS[:3]), BAD["3 corners"][0], body(words=[])]
    context = WorkerContext(harness.folder, [{}] * len(rows))
    answers = [json.loads(answer) for answer in harness.handler.handle(rows, context)]
    assert context.statuses == [200, 422, 200, 422, 200]
    for i in (0, 2, 4):
        assert answers[i] == ask(harness, rows[i])[1]
    assert answers[4] == {"result": [], "edges": [], "fields": []}


def test_text_only_models_need_no_image(tmp_path: Path) -> None:
    write_bundle(
        tmp_path, created_by=CREATED_BY, extractor=small_extractor(visual=False, openset=False)
    )
    harness = Harness(tmp_path, KieHandler(), OPTIONS)
    seen = ask(harness, body())[1]
    sized = ask(harness, body(image=None, width=480, height=320))[1]
    assert list(seen) == ["result", "fields"]
    assert sized == seen
    assert ask(harness, {"body": {"words": WORDS}})[0] == 200
    status, answer = ask(harness, body(image=None, width=100, height=100))
    assert (status, answer["type"]) == (422, "box_outside_page")


def test_describe(harness: Harness) -> None:
    status, card = harness.ask(b"", headers={"describe": "True"})[0]
    assert status == 200
    assert card["task"] == "kie"
    assert card["models"]["extractor"]["classes"] == ["background", "key", "value", "others"]
    assert card["models"]["extractor"]["links"] is True
    assert card["options"]["max_boxes"] == 400


def test_options() -> None:
    assert parse_options(None, "kie").max_boxes == 1000
    with pytest.raises(ValueError, match="'max_boxes' means nothing for ocr"):
        parse_options({"max_boxes": 5}, "ocr")
    with pytest.raises(ValueError, match="'details' means nothing for kie"):
        parse_options({"details": True}, "kie")


def test_decode_without_a_predictor() -> None:
    page = KieHandler().decode(body(), {})
    assert page.texts == list(PAGE.texts)
    with pytest.raises(InputError, match="send JSON"):
        KieHandler().decode({}, {})
