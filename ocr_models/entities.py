"""Named entities from texts: one path for server, command line and evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ocr_models.clock import StageClock
from ocr_models.codecs.ner import NerCodec
from ocr_models.errors import ConfigError, InputError
from ocr_models.ner.bert_softmax import NO_TOKEN, BertSoftmax
from ocr_models.results import Entity, EntityResult
from ocr_models.runtime import RuntimeOptions, make_runtime
from ocr_models.spec import NerSpec
from ocr_models.weights import load_into

LENGTH_STEP = 16
"""Texts are filled up to a multiple of so many tokens, by themselves and not by their batch."""
MAX_BATCH_TOKENS = 32 * 128
OVERLAP_RATIO = 0.5
"""Of neighbouring windows: each character is at least a quarter of a window from a cut."""

_EXAMPLE = (1, 1, 1, LENGTH_STEP)  # PyTorch, the only runtime here, needs none


@dataclass(frozen=True)
class EntityOptions:
    """What happens to long texts.

    Args:
        long_text: ``"refuse"`` texts longer than the model reads at once, or read them in
            overlapping ``"windows"``.
        max_characters: longer texts are refused in any case.
    """

    long_text: Literal["refuse", "windows"] = "refuse"
    max_characters: int = 100_000

    def __post_init__(self) -> None:
        if self.long_text not in ("refuse", "windows"):
            raise ConfigError(f"long_text is {self.long_text!r}; allowed are refuse, windows")
        if self.max_characters < 1:
            raise ConfigError(f"max_characters is {self.max_characters}; allowed are 1 and more")


class _Window(NamedTuple):
    """A piece of a text that the network reads at once.

    Args:
        owner: number of the text.
        start: first character.
        kept: the characters of the text whose labels count, since no other window sees more
            around them.
        tokens: (T,).
    """

    owner: int
    start: int
    kept: slice
    tokens: NDArray[np.int64]


class EntityRecognizer:
    """Finds names, places, ... in texts.

    Texts are batched only with texts of the same rounded length, so that a result never depends on
    what else was in the batch.

    Args:
        spec: what the recogniser is.
        state_dict: its weights.
        runtime: how to run it; PyTorch only.
        options: what happens to long texts.
        source: names the weights in error messages.

    Raises:
        WeightsError: the weights do not fit the network.
        ConfigError: the runtime asked for is not to be had.
    """

    def __init__(
        self,
        spec: NerSpec,
        state_dict: Mapping[str, Tensor],
        runtime: RuntimeOptions = RuntimeOptions(),
        options: EntityOptions = EntityOptions(),
        source: str = "state dict",
    ) -> None:
        network = BertSoftmax(spec.network)
        load_into(network, state_dict, source=source)
        self.spec = spec
        self.options = options
        self.codec = NerCodec(spec.codec)
        self._runtime = make_runtime(network, network.logits, runtime, _EXAMPLE, traceable=False)

    @property
    def runtime_name(self) -> str:
        """Library, device and precision that run the network."""
        return self._runtime.name

    @property
    def max_characters(self) -> int:
        """Characters of the longest text that is not refused."""
        limit = self.options.max_characters
        if self.options.long_text == "refuse":
            return min(limit, self.spec.codec.max_characters)
        return limit

    def check(self, text: str) -> None:
        """Raises ``InputError`` for a text that would be refused."""
        limit = self.max_characters
        if not text.strip():
            raise InputError(400, "empty_text", "the text is empty; send at least one word")
        if len(text) > limit:
            advice = "send shorter texts"
            if self.options.long_text == "refuse":
                advice += ", or set the option long_text=windows, with which they are read in parts"
            raise InputError(
                413,
                "text_too_long",
                f"the text has {len(text)} characters, at most {limit} are allowed; {advice}",
            )

    def predict(
        self, texts: Sequence[str], *, clock: StageClock | None = None
    ) -> list[EntityResult]:
        """Finds the entities of each text.

        Args:
            texts: any characters; those that the vocabulary lacks are read as unknown.
            clock: where to add up the seconds of the stages.

        Returns:
            One result per text, in order; positions count characters of that text.

        Raises:
            InputError: a text is empty or too long.
        """
        clock = clock or StageClock()
        with clock.stage("preprocess"):
            for text in texts:
                self.check(text)
            windows = [
                window for owner, text in enumerate(texts) for window in self._cut(owner, text)
            ]
        labels = [np.zeros(len(text), np.int64) for text in texts]
        scores = [np.zeros(len(text)) for text in texts]
        for batch, length in _batches(windows, self.spec.codec.max_len):
            with clock.stage("preprocess"):
                tokens_BT = _stacked([window.tokens for window in batch], length)
            with clock.stage("network"):
                (logits_BTK,) = self._runtime(tokens_BT)
            with clock.stage("postprocess"):
                for window, logits_TK in zip(batch, logits_BTK, strict=True):
                    kept, first = window.kept, 1 - window.start  # [CLS] stands before the first
                    kept_CK = logits_TK[first + kept.start : first + kept.stop]
                    labels[window.owner][kept] = kept_CK.argmax(1)
                    scores[window.owner][kept] = _best_probability(kept_CK)
        with clock.stage("postprocess"):
            return [
                EntityResult(tuple(self._entities(*each)))
                for each in zip(texts, labels, scores, strict=True)
            ]

    def warm_up(self) -> None:
        """Runs once, so that the first request does not pay for lazy set-up."""
        self.predict(["a" * min(LENGTH_STEP, self.spec.codec.max_characters)])

    def _cut(self, owner: int, text: str) -> Iterator[_Window]:
        size = self.spec.codec.max_characters
        step = max(1, round(size * (1 - OVERLAP_RATIO)))
        margin = (size - step) // 2
        starts = range(0, max(1, len(text) - size + step), step)
        for start in starts:
            first = start + margin if start else 0
            stop = start + step + margin if start != starts[-1] else len(text)
            tokens = self.codec.tokens(text[start : start + size])
            yield _Window(owner, start, slice(first, stop), tokens)

    def _entities(
        self, text: str, labels: NDArray[np.int64], scores: NDArray[np.float64]
    ) -> Iterator[Entity]:
        for label, start, end in self.codec.decode(labels):
            score = float(scores[start : end + 1].mean())
            yield Entity(label, start, end, text[start : end + 1], score)


def _batches(windows: Sequence[_Window], max_len: int) -> Iterator[tuple[list[_Window], int]]:
    """Windows of one rounded length each, few enough for a moderate tensor, and that length."""
    by_length: dict[int, list[_Window]] = defaultdict(list)
    for window in windows:
        rounded = -(-len(window.tokens) // LENGTH_STEP) * LENGTH_STEP
        by_length[min(rounded, max_len)].append(window)
    for length, members in sorted(by_length.items()):
        size = max(1, MAX_BATCH_TOKENS // length)
        for start in range(0, len(members), size):
            yield members[start : start + size], length


def _stacked(tokens: Sequence[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    """(B, length), filled up with ``NO_TOKEN``."""
    stacked = np.full((len(tokens), length), NO_TOKEN, np.int64)
    for row, own in zip(stacked, tokens, strict=True):
        row[: len(own)] = own
    return stacked


def _best_probability(logits_CK: NDArray[np.float32]) -> NDArray[np.float32]:
    """The softmax of each row's largest logit."""
    return 1 / np.exp(logits_CK - logits_CK.max(1, keepdims=True)).sum(1)
