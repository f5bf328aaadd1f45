"""Entity recognition: characters to token numbers, entities to labels per character and back.

Numbers equal those of MMOCR 0.6.1's ``NerConvertor``: one character is one token, whatever the
vocabulary could do with whole words, and the label classes are, for N categories, X (0), N times
B-category, N times I-category, O, [START], [END]. The scheme ``bioes``, which MMOCR names but does
not have, puts N times E-category and N times S-category before O.

Shapes: T tokens of a text: [CLS], its characters, [SEP].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, InputError

AnnotationType = Literal["bio", "bioes"]
PREFIXES: dict[AnnotationType, str] = {"bio": "BI", "bioes": "BIES"}

# Where BERT's published vocabularies have these tokens, and where MMOCR takes them from.
_USUAL_PLACES = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}


class Span(NamedTuple):
    """An entity in a text.

    Args:
        label: its category.
        start: index of its first character, 0-based.
        end: index of its last character.
    """

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class NerCodecConfig:
    """What tokens and labels mean.

    Args:
        vocabulary: the token of every row of the word embedding, in order.
        categories: of entities; of a name with dashes only the part before the first is reported.
        annotation_type: ``"bio"``: begin, inside, outside; ``"bioes"`` also has end and single.
        max_len: tokens of the longest text, [CLS] and [SEP] included.
        lower: look up characters in lower case.
    """

    vocabulary: tuple[str, ...]
    categories: tuple[str, ...]
    annotation_type: AnnotationType = "bio"
    max_len: int = 128
    lower: bool = True

    def __post_init__(self) -> None:
        if self.annotation_type not in PREFIXES:
            raise ConfigError(
                f"annotation_type is {self.annotation_type!r}; allowed are {', '.join(PREFIXES)}"
            )
        if self.max_len <= 2:
            raise ConfigError(f"max_len is {self.max_len}; with [CLS] and [SEP] it must be above 2")
        repeated = [name for name, count in Counter(self.categories).items() if count > 1]
        if not self.categories or not all(self.categories) or repeated:
            raise ConfigError(
                "categories must be names, each given once; got "
                + (f"{', '.join(repeated)} twice" if repeated else repr(self.categories))
            )

    @property
    def max_characters(self) -> int:
        """Characters of the longest text."""
        return self.max_len - 2


class NerCodec:
    """Encodes texts and entities, decodes labels.

    Raises:
        ConfigError: the vocabulary has no place for one of the special tokens.
    """

    outside_name = "O"

    def __init__(self, config: NerCodecConfig) -> None:
        self.config = config
        # Of tokens that stand there twice the last one counts, as in MMOCR.
        self._token_of = {token: number for number, token in enumerate(config.vocabulary)}
        self.padding, self._unknown, self._start, self._end = map(self._special, _USUAL_PLACES)
        prefixes = PREFIXES[config.annotation_type]
        tagged = [f"{prefix}-{name}" for prefix in prefixes for name in config.categories]
        self.labels = ("X", *tagged, self.outside_name, "[START]", "[END]")
        self.outside = len(tagged) + 1
        self._parts = [tuple(label.split("-")[:2]) for label in self.labels]

    @property
    def num_labels(self) -> int:
        """Classes of a character."""
        return len(self.labels)

    def tokens(self, text: str) -> NDArray[np.int64]:
        """The tokens of a text, (T,), T = characters + 2.

        Raises:
            InputError: the text is empty, or longer than ``config.max_characters``.
        """
        if not text:
            raise InputError(400, "empty_text", "the text is empty; send at least one character")
        if len(text) > self.config.max_characters:
            raise InputError(
                413,
                "text_too_long",
                f"the text has {len(text)} characters, the model reads at most "
                f"{self.config.max_characters} at once; send shorter texts, or have long ones read "
                "in windows (the option long_text=windows)",
            )
        return np.array([self._start, *map(self._character, text), self._end], np.int64)

    def encode_entities(self, entities: Iterable[Span], characters: int) -> NDArray[np.int64]:
        """A label per token, (max_len,): 0 behind [SEP]; later entities overwrite earlier ones.

        Args:
            entities: what lies behind the last token is cut off.
            characters: of the text.

        Raises:
            ConfigError: an unknown category.
        """
        labels = np.zeros(self.config.max_len, np.int64)
        labels[: characters + 2] = self.outside
        for label, start, end in entities:
            prefixes = self._prefixes(end - start + 1)
            for token, prefix in zip(range(start + 1, len(labels)), prefixes, strict=False):
                labels[token] = self._label(prefix, label)
        return labels

    def decode(self, labels: Sequence[int] | NDArray[np.int64]) -> list[Span]:
        """The entities that labels of consecutive characters spell, in order.

        An inside label of another category neither ends nor continues an entity. As in MMOCR an
        entity of one character is dropped, unless the scheme has a label for singles.

        Args:
            labels: one class per character, without those of [CLS] and [SEP].
        """
        found: list[Span] = []
        current: Span | None = None

        def close() -> None:
            nonlocal current
            if current is not None and current.start < current.end:
                found.append(current)
            current = None

        for index, label in enumerate(labels):
            prefix, *names = self._parts[int(label)]
            if prefix == "B":
                close()
                current = Span(names[0], index, index)
            elif prefix in ("I", "E") and current is not None:
                if current.label == names[0]:
                    current = current._replace(end=index)
                    if prefix == "E":
                        close()
            else:
                close()
                if prefix == "S":
                    found.append(Span(names[0], index, index))
        close()
        return found

    def _special(self, token: str) -> int:
        number = self._token_of.get(token, _USUAL_PLACES[token])
        if number >= len(self.config.vocabulary):
            raise ConfigError(
                f"the vocabulary of {len(self.config.vocabulary)} tokens has no {token}; take the "
                "vocabulary file that the weights were trained with"
            )
        return number

    def _character(self, character: str) -> int:
        # Character by character, since lowering a whole text can change its length.
        looked_up = character.lower() if self.config.lower else character
        return self._token_of.get(looked_up, self._unknown)

    def _prefixes(self, length: int) -> str:
        if self.config.annotation_type == "bio":
            return "B" + "I" * (length - 1)
        return "S" if length == 1 else "B" + "I" * (length - 2) + "E"

    def _label(self, prefix: str, category: str) -> int:
        categories = self.config.categories
        if category not in categories:
            raise ConfigError(f"unknown category {category!r}; known: {', '.join(categories)}")
        group = PREFIXES[self.config.annotation_type].index(prefix)
        return 1 + group * len(categories) + categories.index(category)


def read_vocabulary_file(path: str | Path) -> tuple[str, ...]:
    """The tokens of a UTF-8 file with one token per line, in order.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read the vocabulary file {path}: {error.strerror}; it is the vocab.txt that "
            "the weights were trained with, and vocab_file in the config says where it is"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the vocabulary file {path} is not UTF-8: {error}") from error
    # Not splitlines(): published vocabularies hold other line separators as tokens.
    return tuple(line.rstrip("\r") for line in content.removesuffix("\n").split("\n"))
