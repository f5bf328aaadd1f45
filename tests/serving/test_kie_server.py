"""A real TorchServe with key information, alone and in a chain: good and bad bodies."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from ocrserve.archives.verify import compare_answers
from ocrserve.server import Server
from tests.serving.conftest import MAX_BYTES, Store
from tests.serving.test_server import FORM, JSON, RAW, ask, form
from tests.serving_models import KiePage, drawn_image, encoded, sample_page

pytestmark = pytest.mark.server

PAGES = [sample_page(seed, count=3 + 4 * (seed % 4)) for seed in range(8)]


def words_of(page: KiePage) -> list[dict[str, Any]]:
    return [{"box": b, "text": t} for b, t in zip(page.boxes, page.texts, strict=True)]


def request(page: KiePage, **changes: Any) -> bytes:
    assert page.image is not None
    image = base64.b64encode(encoded(page.image)).decode()
    return json.dumps({"image": image, "words": words_of(page)} | changes).encode()


def test_answers_alone_and_in_a_batch(server: Server, store: Store) -> None:
    bodies = [request(page) for page in PAGES]
    expected = [store.local["kie"].answer(body) for body in bodies]
    assert len({len(answer["result"]) for answer in expected}) == 4  # type: ignore[arg-type]
    assert any(answer["edges"] for answer in expected)
    alone = [ask(server, "kie", body, JSON) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda body: ask(server, "kie", body, JSON), bodies))
    for answers in (alone, together):
        for (status, answer), wanted in zip(answers, expected, strict=True):
            assert status == 200
            assert compare_answers(answer, wanted, 1e-4)[1] == []


def test_other_forms_of_the_same_request(server: Server, store: Store) -> None:
    page = PAGES[3]
    expected = store.local["kie"].answer(request(page))
    assert page.image is not None
    fields = form(image=encoded(page.image), words=json.dumps(words_of(page)).encode())
    for body, headers in ((request(page), RAW), (fields, FORM)):
        status, answer = ask(server, "kie", body, headers)
        assert status == 200
        assert compare_answers(answer, expected, 1e-4)[1] == []


def test_pages_of_no_word_and_of_400(server: Server) -> None:
    empty = ask(server, "kie", request(PAGES[0], words=[]), JSON)
    assert empty == (200, {"result": [], "edges": [], "fields": []})
    status, answer = ask(server, "kie", request(sample_page(9, 400)), JSON)
    assert status == 200
    assert len(answer["result"]) == 400


BOX = [10, 10, 60, 10, 60, 30, 10, 30]
BAD = {
    "not json": (b"{", JSON, 400, "invalid_json"),
    "a photo alone": (encoded(drawn_image(1)), RAW, 400, "invalid_json"),
    "a list": (b"[1]", JSON, 400, "wrong_json"),
    "no words": (b'{"image": null}', JSON, 400, "wrong_json"),
    "not base64": (request(PAGES[0], image="?"), JSON, 400, "invalid_base64"),
    "image missing": (request(PAGES[0], image=None), JSON, 422, "missing_image"),
    "image too large": (
        request(PAGES[0], image=base64.b64encode(bytes(MAX_BYTES + 1)).decode()),
        JSON, 413, "too_many_bytes",
    ),
    "text missing": (request(PAGES[0], words=[{"box": BOX}]), JSON, 422, "missing_text"),
    "3 corners": (
        request(PAGES[0], words=[{"box": BOX[:6], "text": "a"}]), JSON, 422, "wrong_box",
    ),
    "outside the image": (
        request(PAGES[0], words=[{"box": [x + 900 for x in BOX], "text": "a"}]),
        JSON, 422, "box_outside_page",
    ),
    "5,000 boxes": (
        request(PAGES[0], words=[{"box": BOX, "text": "a"}] * 5000), JSON, 413, "too_many_boxes",
    ),
    "an unknown field": (form(photo=b"x", words=b"[]"), FORM, 400, "unknown_field"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies(server: Server, name: str) -> None:
    body, headers, code, kind = BAD[name]
    status, answer = ask(server, "kie", body, headers)
    assert (status, answer["type"]) == (code, kind), answer
    assert ask(server, "kie", request(PAGES[0]), JSON)[0] == 200


def test_bad_neighbours_in_a_batch(server: Server, store: Store) -> None:
    good = request(PAGES[2])
    expected = store.local["kie"].answer(good)
    with ThreadPoolExecutor(8) as pool:
        bodies = [good, BAD["3 corners"][0], good, BAD["outside the image"][0]] * 2
        answers = list(pool.map(lambda body: ask(server, "kie", body, JSON), bodies))
    assert [status for status, _ in answers] == [200, 422] * 4
    for status, answer in answers:
        assert status == 422 or compare_answers(answer, expected, 1e-4)[1] == []


def test_the_chain_answers_with_labels_and_fields(server: Server, store: Store) -> None:
    photos = [encoded(drawn_image(seed)) for seed in range(6)]
    expected = [store.local["receipts"].answer(photo) for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda photo: ask(server, "receipts", photo), photos))
    for (status, answer), wanted in zip(answers, expected, strict=True):
        assert status == 200
        assert compare_answers(answer, wanted, 1e-4)[1] == []
        assert list(answer) == ["result", "edges", "fields", "width", "height"]
        for word in answer["result"]:
            assert list(word)[-2:] == ["label", "label_score"]
    assert sum(len(answer["result"]) for _, answer in answers) > 10

    blank = encoded(np.full((320, 480, 3), 255, np.uint8))
    empty = {"result": [], "edges": [], "fields": [], "width": 480, "height": 320}
    assert ask(server, "receipts", blank) == (200, empty)
    status, answer = ask(server, "receipts", b"no image")
    assert (status, answer["type"]) == (415, "unsupported_image_format")


def test_an_answer_of_the_chain_goes_back_into_kie_alone(server: Server) -> None:
    image = drawn_image(3)
    page = ask(server, "receipts", encoded(image))[1]
    page["image"] = base64.b64encode(encoded(image)).decode()
    # Outlines may leave the picture by a little; both ways move them to its edge.
    status, answer = ask(server, "kie", json.dumps(page).encode(), JSON)
    assert status == 200
    assert [w["label"] for w in answer["result"]] == [w["label"] for w in page["result"]]
    assert answer["fields"] == page["fields"]
