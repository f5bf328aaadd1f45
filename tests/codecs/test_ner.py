"""The codec of entity recognition: tokens, labels, entities, vocabulary files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ocr_models.codecs.ner import NerCodec, NerCodecConfig, Span, read_vocabulary_file
from ocr_models.errors import ConfigError, InputError

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abc 中")
CONFIG = NerCodecConfig(VOCABULARY, ("per", "loc"), max_len=10)
BIO = NerCodec(CONFIG)
BIOES = NerCodec(replace(CONFIG, annotation_type="bioes"))


def test_one_character_is_one_token() -> None:
    assert BIO.tokens("aB中x c").tolist() == [2, 4, 5, 8, 1, 7, 6, 3]
    assert BIO.tokens("İa").tolist() == [2, 1, 4, 3], "lower case of İ has two characters"
    cased = NerCodec(replace(CONFIG, vocabulary=(*VOCABULARY, "B"), lower=False))
    assert cased.tokens("bBA").tolist() == [2, 5, 9, 1, 3]


def test_the_last_of_equal_tokens_counts() -> None:
    assert NerCodec(replace(CONFIG, vocabulary=(*VOCABULARY, "a"))).tokens("a")[1] == 9


def test_lengths() -> None:
    assert len(BIO.tokens("a" * 8)) == CONFIG.max_len
    with pytest.raises(InputError, match="9 characters, the model reads at most 8") as long:
        BIO.tokens("a" * 9)
    assert (long.value.code, long.value.kind) == (413, "text_too_long")
    with pytest.raises(InputError, match="empty") as empty:
        BIO.tokens("")
    assert (empty.value.code, empty.value.kind) == (400, "empty_text")


def test_labels_of_both_schemes() -> None:
    assert BIO.labels == (
        "X", "B-per", "B-loc", "I-per", "I-loc", "O", "[START]", "[END]",
    )  # fmt: skip
    assert BIOES.labels[5:9] == ("E-per", "E-loc", "S-per", "S-loc")
    assert (BIO.num_labels, BIOES.num_labels) == (8, 12)
    spans = [Span("per", 0, 2), Span("loc", 4, 5), Span("loc", 6, 6)]
    assert BIO.encode_entities(spans, 7).tolist() == [5, 1, 3, 3, 5, 2, 4, 2, 5, 0]
    assert BIOES.encode_entities(spans, 7).tolist() == [9, 1, 3, 5, 9, 2, 6, 8, 9, 0]


@pytest.mark.parametrize("codec", [BIO, BIOES])
def test_entities_survive(codec: NerCodec) -> None:
    spans = [Span("loc", 0, 1), Span("per", 2, 4), Span("per", 6, 7)]
    assert codec.decode(codec.encode_entities(spans, 8)[1:9]) == spans


def test_singles() -> None:
    spans = [Span("per", 1, 1)]
    assert BIO.decode(BIO.encode_entities(spans, 3)[1:4]) == []
    assert BIOES.decode(BIOES.encode_entities(spans, 3)[1:4]) == spans


def test_an_end_label_ends() -> None:
    begin, inside, end = (BIOES.labels.index(f"{prefix}-per") for prefix in "BIE")
    assert BIOES.decode([begin, inside, end, inside, inside]) == [Span("per", 0, 2)]
    assert BIOES.decode([begin, inside, inside]) == [Span("per", 0, 2)], "the end is missing"


def test_only_the_first_part_of_a_dashed_category_is_told() -> None:
    codec = NerCodec(replace(CONFIG, categories=("per-real", "loc")))
    labels = codec.encode_entities([Span("per-real", 0, 1)], 2)
    assert codec.decode(labels[1:3]) == [Span("per", 0, 1)]


WRONG = {
    "scheme": ({"annotation_type": "iob"}, "allowed are bio, bioes"),
    "length": ({"max_len": 2}, "must be above 2"),
    "no categories": ({"categories": ()}, "categories must be names"),
    "empty category": ({"categories": ("a", "")}, "categories must be names"),
    "category twice": ({"categories": ("a", "b", "a")}, "got a twice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings(name: str) -> None:
    assert len(WRONG) == 5
    changes, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_unknown_category() -> None:
    with pytest.raises(ConfigError, match="unknown category 'org'; known: per, loc"):
        BIO.encode_entities([Span("org", 0, 1)], 2)


def test_special_tokens_by_name_or_usual_place() -> None:
    with pytest.raises(ConfigError, match=r"of 5 tokens has no \[CLS\]"):
        NerCodec(replace(CONFIG, vocabulary=("[PAD]", "[UNK]", "[SEP]", "a", "b")))
    plain = NerCodec(replace(CONFIG, vocabulary=tuple(f"t{i}" for i in range(103))))
    assert plain.tokens("a").tolist() == [101, 100, 102], "where BERT's vocabularies have them"
    assert plain.padding == 0


def test_vocabulary_files(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    # Line separators other than \n are tokens of published vocabularies.
    path.write_bytes("[PAD]\r\na\r\n\u2028\n\nb\n".encode())
    assert read_vocabulary_file(path) == ("[PAD]", "a", "\u2028", "", "b")
    with pytest.raises(ConfigError, match="vocab_file in the config says where"):
        read_vocabulary_file(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_vocabulary_file(path)
