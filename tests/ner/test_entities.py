"""The predictor of entity recognition: order, neighbours, long texts, bad texts."""

from __future__ import annotations

import random

import pytest
import torch

from ocr_models.clock import StageClock
from ocr_models.codecs.ner import NerCodec, Span
from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError, InputError, WeightsError
from ocr_models.runtime import RuntimeOptions
from tests.serving_models import SAMPLE_TEXTS, small_entity_recognizer

PLAIN = RuntimeOptions("torch", "cpu", "float32")
SPEC, STATE = small_entity_recognizer()
LONGEST = SPEC.codec.max_characters


@pytest.fixture(scope="module")
def recognizer() -> EntityRecognizer:
    return EntityRecognizer(SPEC, STATE, PLAIN)


@pytest.fixture(scope="module")
def windowed() -> EntityRecognizer:
    return EntityRecognizer(SPEC, STATE, PLAIN, EntityOptions("windows", max_characters=1000))


def random_text(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("abcdefghij 彭小军认为国内", k=length))


def test_answers(recognizer: EntityRecognizer) -> None:
    result = recognizer.predict([SAMPLE_TEXTS[0]])[0]
    assert len(result.entities) >= 2
    for entity in result.entities:
        assert entity.text == SAMPLE_TEXTS[0][entity.start : entity.end + 1]
        assert entity.label in SPEC.codec.categories
        assert 0 < entity.score <= 1
    first = result.entities[0]
    assert result.to_json()["entities"][0] == {  # type: ignore[index]
        "label": first.label,
        "start": first.start,
        "end": first.end,
        "text": first.text,
    }


def test_entities_are_the_codecs(recognizer: EntityRecognizer) -> None:
    codec, network = NerCodec(SPEC.codec), recognizer._runtime
    (logits,) = network(codec.tokens(SAMPLE_TEXTS[0])[None])
    expected = codec.decode(logits[0].argmax(1)[1:-1])
    found = recognizer.predict([SAMPLE_TEXTS[0]])[0].entities
    assert [Span(each.label, each.start, each.end) for each in found] == expected


def test_neighbours_and_order_do_not_matter(recognizer: EntityRecognizer) -> None:
    texts = [random_text(length, length) for length in (1, 30, 7, 13, 30, 14, 15, 2)]
    together = recognizer.predict(texts)
    assert sum(len(result.entities) for result in together) >= 8
    for text, result in zip(texts, together, strict=True):
        alone = recognizer.predict([text])[0]
        assert alone.to_json() == result.to_json()
        assert [e.score for e in alone.entities] == pytest.approx(
            [e.score for e in result.entities]
        )
    assert recognizer.predict([]) == []


@pytest.mark.parametrize(("text", "kind"), [("", "empty_text"), (" \n", "empty_text")])
def test_empty_texts(recognizer: EntityRecognizer, text: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        recognizer.predict(["a b", text])
    assert (caught.value.code, caught.value.kind) == (400, kind)


def test_long_texts(recognizer: EntityRecognizer, windowed: EntityRecognizer) -> None:
    longest, longer = random_text(LONGEST, 3), random_text(LONGEST + 1, 4)
    assert recognizer.predict([longest])[0] == windowed.predict([longest])[0]
    with pytest.raises(InputError, match=r"at most 30 are allowed.*long_text=windows") as caught:
        recognizer.predict([longer])
    assert (caught.value.code, caught.value.kind) == (413, "text_too_long")
    windowed.predict([longer])
    with pytest.raises(InputError, match="has 1001 characters, at most 1000 are allowed") as caught:
        windowed.predict([random_text(1001, 5)])
    assert "windows" not in caught.value.message


@pytest.mark.parametrize("length", [31, 45, 46, 60, 61, 200])
def test_every_character_has_the_label_of_its_best_window(
    windowed: EntityRecognizer, length: int
) -> None:
    """Windows of 30 characters start every 15; a label counts at least 7 characters from a cut."""
    text = "".join(random.Random(length).choices(SAMPLE_TEXTS[0], k=length))
    codec = NerCodec(SPEC.codec)
    starts = list(range(0, length - LONGEST + 15, 15))
    assert starts[-1] + LONGEST >= length > starts[-2] + LONGEST
    labels: list[int] = []
    for index in range(length):
        window = max(0, min((index - 7) // 15, len(starts) - 1))
        (logits,) = windowed._runtime(
            codec.tokens(text[starts[window] : starts[window] + LONGEST])[None]
        )
        labels.append(int(logits[0].argmax(1)[1 + index - starts[window]]))
    found = windowed.predict([text])[0].entities
    assert [Span(each.label, each.start, each.end) for each in found] == codec.decode(labels)
    assert found


def test_smallest_windows() -> None:
    spec, state = small_entity_recognizer(max_len=3)
    recognizer = EntityRecognizer(spec, state, PLAIN, EntityOptions("windows"))
    assert len(recognizer.predict(["ab cd"])) == 1
    recognizer.warm_up()


def test_stages_are_measured(recognizer: EntityRecognizer) -> None:
    clock = StageClock()
    recognizer.predict([SAMPLE_TEXTS[0]], clock=clock)
    assert {stage for stage, seconds in clock.seconds.items() if seconds} == {
        "preprocess",
        "network",
        "postprocess",
    }


def test_what_does_not_fit() -> None:
    with pytest.raises(WeightsError, match="missing"):
        EntityRecognizer(SPEC, dict(list(STATE.items())[1:]), PLAIN)
    with pytest.raises(ConfigError, match="only PyTorch can"):
        EntityRecognizer(SPEC, STATE, RuntimeOptions("onnxruntime", "cpu"))
    with pytest.raises(ConfigError, match="allowed are refuse, windows"):
        EntityOptions("cut")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="allowed are 1 and more"):
        EntityOptions(max_characters=0)


def test_bfloat16_runs() -> None:
    made = EntityRecognizer(SPEC, STATE, RuntimeOptions("torch", "cpu", "bfloat16"))
    assert "bfloat16" in made.runtime_name
    assert isinstance(made.predict([SAMPLE_TEXTS[0]])[0].entities, tuple)
    assert torch.is_inference_mode_enabled() is False
