from collections import Counter

import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.synth import CHARSET, Corpus, CorpusConfig
from ocrserve.train.synth.corpus import word_lists


def test_charset_is_ascii_with_space() -> None:
    assert sorted(CHARSET) == [chr(code) for code in range(32, 127)]


def test_lists_hold_printable_words() -> None:
    lists = word_lists()
    assert len(lists.english) > 8000
    assert len(lists.signs) > 400
    assert len(lists.names) > 400
    for word in lists.english + lists.signs + lists.names:
        assert word
        assert set(word) <= set(CHARSET) - {" "}


def test_every_character_is_frequent_enough_to_be_learned() -> None:
    corpus, rng = Corpus(), np.random.default_rng(0)
    texts = [corpus.text(rng) for _ in range(30_000)]
    counts = Counter("".join(texts))
    assert set(counts) == set(CHARSET)
    total = sum(counts.values())
    rarest, count = counts.most_common()[-1]
    assert count / total > 3e-4, rarest
    assert max(len(text) for text in texts) <= CorpusConfig().max_length
    assert all(text == text.strip() and "  " not in text for text in texts)


def test_texts_are_varied() -> None:
    corpus, rng = Corpus(), np.random.default_rng(1)
    texts = [corpus.text(rng) for _ in range(5000)]
    share = {
        "two words": sum(" " in text for text in texts),
        "upper": sum(text.isupper() for text in texts),
        "lower": sum(text.islower() for text in texts),
        "title": sum(text.istitle() for text in texts),
        "digits": sum(any(c.isdigit() for c in text) for text in texts),
        "web": sum("www." in text or "@" in text or "http" in text for text in texts),
        "price": sum(text.startswith("$") for text in texts),
    }
    least = {
        "two words": 150, "upper": 1000, "lower": 1000, "title": 500, "digits": 800, "web": 80,
        "price": 50,
    }  # fmt: skip
    assert {name: share[name] for name, count in least.items() if share[name] < count} == {}
    assert len(set(texts)) > 4000


def test_the_same_seed_gives_the_same_texts() -> None:
    first = [Corpus().text(np.random.default_rng(5)) for _ in range(3)]
    again = [Corpus().text(np.random.default_rng(5)) for _ in range(3)]
    assert first == again


def test_one_kind_alone() -> None:
    kinds = ("english", "signs", "names", "pseudo_words", "numbers", "prices", "dates", "times",
             "phones", "urls", "codes", "random_strings", "symbols")  # fmt: skip
    nothing = dict.fromkeys(kinds, 0.0)
    corpus = Corpus(CorpusConfig(**{**nothing, "times": 1.0}, two_words_ratio=0.0))
    rng = np.random.default_rng(0)
    assert all(corpus.text(rng)[0].isdigit() for _ in range(50))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"english": -1.0}, "negative"),
        ({"punctuation_ratio": 1.5}, "punctuation_ratio is 1.5"),
        ({"max_length": 2}, "max_length is 2"),
    ],
)
def test_bad_configurations_are_refused(changes: dict[str, float], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        CorpusConfig(**changes)  # type: ignore[arg-type]
