"""Entity recognition by a real TorchServe: answers, batches, and bad bodies, each with its 4xx."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ocrserve.archives.verify import compare_answers
from ocrserve.server import Server
from tests.serving.conftest import Store
from tests.serving.test_server import FORM, JSON, RAW, ask, form, metric
from tests.serving_models import SAMPLE_TEXTS

pytestmark = pytest.mark.server

PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
CHINESE = SAMPLE_TEXTS[0].encode()
GOOD_BODIES = {
    "text": (CHINESE, PLAIN),
    "raw": (CHINESE, RAW),
    "json": (json.dumps({"text": SAMPLE_TEXTS[0]}).encode(), JSON),
    "form": (form(text=CHINESE), FORM),
}
BAD_BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "not json": (b'{"text": ', JSON, 400, "invalid_json"),
    "list": (b'["a"]', JSON, 400, "wrong_json"),
    "other key": (b'{"sentence": "a"}', JSON, 400, "wrong_json"),
    "number": (b'{"text": 5}', JSON, 400, "wrong_json"),
    "empty": (b"", PLAIN, 400, "empty_text"),
    "empty json text": (b'{"text": ""}', JSON, 400, "empty_text"),
    "blank": (b" \n", PLAIN, 400, "empty_text"),
    "too long": (b"x" * 31, PLAIN, 413, "text_too_long"),
    "too long json": (json.dumps({"text": "x" * 31}).encode(), JSON, 413, "text_too_long"),
    "not utf-8": (b"\xff\xfe\x00", RAW, 415, "not_utf8"),
    "wrong field": (form(sentence=CHINESE), FORM, 400, "unknown_field"),
    "urlencoded": (
        b"text=abc",
        {"Content-Type": "application/x-www-form-urlencoded"},
        415,
        "unsupported_media_type",
    ),
}


@pytest.mark.parametrize("name", GOOD_BODIES)
def test_bodies(server: Server, store: Store, name: str) -> None:
    body, headers = GOOD_BODIES[name]
    status, answer = ask(server, "ner", body, headers)
    assert status == 200
    expected = store.local["ner"].answer(CHINESE)
    assert expected["entities"]
    assert compare_answers(answer, expected, 1e-4)[1] == []


def test_bad_bodies_between_good_ones(server: Server, store: Store) -> None:
    assert len(BAD_BODIES) == 12
    texts = [text.encode() for text in SAMPLE_TEXTS] * 3
    expected = [store.local["ner"].answer(text) for text in texts]
    refused = metric(server, "ocr_refused_total", ModelName="ner")
    with ThreadPoolExecutor(8) as pool:
        pairs = [
            (
                name,
                pool.submit(ask, server, "ner", body, headers),
                pool.submit(ask, server, "ner", text, PLAIN),
            )
            for (name, (body, headers, *_)), text in zip(BAD_BODIES.items(), texts, strict=True)
        ]
        answers = [(name, bad.result(), good.result()) for name, bad, good in pairs]
    for (name, bad, good), wanted in zip(answers, expected, strict=True):
        *_, code, kind = BAD_BODIES[name]
        assert (bad[0], bad[1]["code"], bad[1]["type"]) == (code, code, kind), name
        assert good[0] == 200
        assert compare_answers(good[1], wanted, 1e-4)[1] == []
    now = metric(server, "ocr_refused_total", ModelName="ner")
    assert now - refused == len(BAD_BODIES)


def test_model_card(server: Server) -> None:
    card = server.manage("GET", "/models/ner?customized=true")[0]["customizedMetadata"]
    assert card["limits"] == {"max_characters": 30}
    assert card["models"]["entity_recognizer"]["categories"] == ["name", "place"]
