"""Sequences that a decoder writes character by character: text to classes and back.

Numbers equal those of MMOCR 0.6.1's ``AttnConvertor``, with ``tensor2idx`` and ``idx2str`` in one.

Classes: the charset, the unknown class if wanted, the start token, the end token (the same class
unless ``start_end_same`` is False), and last the padding.
Shapes: B lines, S classes per padded text, T steps, K classes of the output, which may leave out
the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..results import RecognitionResult, mean_char_score
from .charsets import DICT90, UNKNOWN_TOKEN, check_charset, text_to_classes

START_END_TOKEN = "<BOS/EOS>"
PADDING_TOKEN = "<PAD>"


@dataclass(frozen=True)
class AttentionCodecConfig:
    """What the classes of a decoder mean.

    Args:
        charset: characters in class order, each once.
        with_unknown: whether there is a class for all other characters.
        lower: whether texts are converted to lower case when encoded.
        start_end_same: whether start and end are one class.
        max_seq_len: S, start and end tokens included.
    """

    charset: str = DICT90
    with_unknown: bool = True
    lower: bool = False
    start_end_same: bool = True
    max_seq_len: int = 40

    def __post_init__(self) -> None:
        check_charset(self.charset)
        if self.max_seq_len < 1:
            raise ConfigError(f"max_seq_len is {self.max_seq_len}; it must be at least 1")


@dataclass(frozen=True, eq=False)
class AttentionTargets:
    """Encoded texts.

    Args:
        classes: of each text, (N,) int64, without start, end and padding.
        padded: (B, S) int64: start, text, end, then padding; a longer text is cut and loses its
            end, as in MMOCR.
    """

    classes: tuple[NDArray[np.int64], ...]
    padded: NDArray[np.int64]


class AttentionCodec:
    """Encodes texts and decodes network outputs."""

    def __init__(self, config: AttentionCodecConfig) -> None:
        self.config = config
        self.spelling = list(config.charset)
        self.unknown_index = len(self.spelling) if config.with_unknown else None
        self.spelling += [UNKNOWN_TOKEN] * config.with_unknown
        self.start_index = len(self.spelling)
        self.end_index = self.start_index + (not config.start_end_same)
        self.padding_index = self.end_index + 1
        self.spelling += [START_END_TOKEN] * (1 + (not config.start_end_same)) + [PADDING_TOKEN]
        self._class_of = {c: index for index, c in enumerate(config.charset)}

    @property
    def num_classes(self) -> int:
        """Classes, those of start, end and padding included."""
        return len(self.spelling)

    def encode(self, texts: Sequence[str]) -> AttentionTargets:
        """Classes of the texts.

        Raises:
            ConfigError: a character is not in the charset and there is no unknown class.
        """
        length = self.config.max_seq_len
        padded = np.full((len(texts), length), self.padding_index, np.int64)
        classes = []
        for row, text in zip(padded, texts, strict=True):
            own = text_to_classes(text, self._class_of, self.unknown_index, self.config.lower)
            classes.append(np.array(own, np.int64))
            whole = [self.start_index, *own, self.end_index][:length]
            row[: len(whole)] = whole
        return AttentionTargets(tuple(classes), padded)

    def decode(
        self,
        outputs_BTK: NDArray[np.floating],
        valid_ratios: Sequence[float] | None = None,
        *,
        probabilities: bool = False,
    ) -> list[RecognitionResult]:
        """Texts of the most probable classes.

        The end token ends a line and padding is skipped; a start token that is not the end token
        stays as text, as in MMOCR. A character's score is the softmax over whatever comes in, so
        for decoders that already give probabilities it is softmaxed twice and stays far below 1;
        ``char_probabilities`` holds the plain probability.

        Args:
            outputs_BTK: what a decoder wrote; one line may come as (T, K). K may leave out the
                padding.
            valid_ratios: without effect: lines end by their end token.
            probabilities: whether the outputs are probabilities; else logits.
        """
        if outputs_BTK.ndim == 2:
            outputs_BTK = outputs_BTK[None]
        classes = outputs_BTK.shape[-1]
        if outputs_BTK.ndim != 3 or classes not in (self.num_classes, self.num_classes - 1):
            raise ValueError(
                f"expected outputs of shape (lines, steps, {self.num_classes}), perhaps without "
                f"the padding's class; got {outputs_BTK.shape}"
            )
        best_BT = outputs_BTK.argmax(axis=2)
        ended_BT = np.logical_or.accumulate(best_BT == self.end_index, axis=1)
        read_BT = ~ended_BT & (best_BT != self.padding_index)
        # Only characters need scores, mostly a small part of all steps.
        outputs_NK = outputs_BTK[read_BT].astype(np.float32, copy=False)
        best_N = best_BT[read_BT]
        scores_N = _softmax_of(outputs_NK, best_N)
        plain_N = _taken(outputs_NK, best_N) if probabilities else scores_N
        ends = np.cumsum(read_BT.sum(axis=1))[:-1]
        results = []
        for own, scores, plain in zip(
            np.split(best_N, ends), np.split(scores_N, ends), np.split(plain_N, ends), strict=True
        ):
            text = "".join(self.spelling[index] for index in own.tolist())
            char_scores = tuple(scores.tolist())
            score = mean_char_score(char_scores, text)
            results.append(RecognitionResult(text, score, char_scores, tuple(plain.tolist())))
        return results


def _taken(values_NK: NDArray[np.float32], classes_N: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.take_along_axis(values_NK, classes_N[:, None], axis=1)[:, 0]


def _softmax_of(values_NK: NDArray[np.float32], classes_N: NDArray[np.intp]) -> NDArray[np.float32]:
    """Softmax over K, of the given classes only."""
    exponentials_NK = np.exp(values_NK - values_NK.max(axis=1, keepdims=True, initial=-np.inf))
    softmax: NDArray[np.float32] = _taken(exponentials_NK, classes_N) / exponentials_NK.sum(axis=1)
    return softmax
