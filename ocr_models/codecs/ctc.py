"""Connectionist temporal classification: text to class indices and back.

Paper: Graves et al., "Connectionist Temporal Classification", ICML 2006. Numbers equal those of
MMOCR 0.6.1's ``CTCConvertor``, with ``tensor2idx`` and ``idx2str`` in one.

Shapes: B lines, T steps, K classes: blank (0), the charset, and last the unknown class if wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..results import RecognitionResult, mean_char_score
from .charsets import DICT36, UNKNOWN_TOKEN, check_charset, text_to_classes


@dataclass(frozen=True)
class CTCCodecConfig:
    """What the classes of a CTC recogniser mean.

    Args:
        charset: characters in class order, each once.
        with_unknown: whether there is a last class for all other characters.
        lower: whether texts are converted to lower case when encoded.
    """

    charset: str = DICT36
    with_unknown: bool = True
    lower: bool = False

    def __post_init__(self) -> None:
        check_charset(self.charset)


@dataclass(frozen=True, eq=False)
class CTCTargets:
    """Encoded texts, as CTC losses take them.

    Args:
        classes: (N,) int64, all texts one after the other.
        lengths: (B,) int64, how many of them belong to each text.
    """

    classes: NDArray[np.int64]
    lengths: NDArray[np.int64]


class CTCCodec:
    """Encodes texts and decodes network outputs."""

    blank_index = 0

    def __init__(self, config: CTCCodecConfig) -> None:
        self.config = config
        self.unknown_index = len(config.charset) + 1 if config.with_unknown else None
        self._spelling = ["", *config.charset] + [UNKNOWN_TOKEN] * config.with_unknown
        self._class_of = {c: index for index, c in enumerate(config.charset, start=1)}

    @property
    def num_classes(self) -> int:
        """Classes of the network's output, blank and unknown included."""
        return len(self._spelling)

    def encode(self, texts: Sequence[str]) -> CTCTargets:
        """Classes of the texts.

        Raises:
            ConfigError: a character is not in the charset and there is no unknown class.
        """
        classes = [
            text_to_classes(text, self._class_of, self.unknown_index, self.config.lower)
            for text in texts
        ]
        return CTCTargets(
            classes=np.array([index for line in classes for index in line], np.int64),
            lengths=np.array([len(line) for line in classes], np.int64),
        )

    def decode(
        self,
        logits_BTK: NDArray[np.floating],
        valid_ratios: Sequence[float] | None = None,
        *,
        probabilities: bool = False,
    ) -> list[RecognitionResult]:
        """Best-path texts, one per line.

        A character's score is its softmax probability at the first step of its run; the softmax is
        applied to whatever comes in. An unknown character is spelled ``<UKN>``.

        Args:
            logits_BTK: network output; one line may come as (T, K).
            valid_ratios: share of the steps that hold text, per line; the rest is not read.
            probabilities: must be False: CTC networks give logits.
        """
        if probabilities:
            raise ValueError("CTC networks give logits, not probabilities")
        if logits_BTK.ndim == 2:
            logits_BTK = logits_BTK[None]
        results = []
        for classes, scores in self.best_paths(logits_BTK, valid_ratios):
            text = "".join(self._spelling[index] for index in classes[:, 0].tolist())
            char_scores = tuple(scores[:, 0].tolist())
            score = mean_char_score(char_scores, text)
            results.append(RecognitionResult(text, score, char_scores, char_scores))
        return results

    def best_paths(
        self,
        logits_BTK: NDArray[np.floating],
        valid_ratios: Sequence[float] | None = None,
        topk: int = 1,
    ) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Collapsed best paths with runners-up.

        Args:
            logits_BTK: network output.
            valid_ratios: as in ``decode``.
            topk: how many classes to give for every character, best first.

        Returns:
            For each line (classes, scores), both (N, topk), N being the number of characters.
        """
        if logits_BTK.ndim != 3 or logits_BTK.shape[2] != self.num_classes:
            raise ValueError(
                f"expected logits of shape (lines, steps, {self.num_classes}); "
                f"got {logits_BTK.shape}"
            )
        batch, steps, _ = logits_BTK.shape
        valid_steps = np.full(batch, steps)
        if valid_ratios is not None:
            if len(valid_ratios) != batch:
                raise ValueError(f"{len(valid_ratios)} valid ratios for {batch} lines")
            valid_steps[:] = [math.ceil(steps * ratio) for ratio in valid_ratios]
        logits_BTK = logits_BTK.astype(np.float32, copy=False)
        best_BT = logits_BTK.argmax(axis=2)
        previous_BT = np.full_like(best_BT, self.blank_index)
        previous_BT[:, 1:] = best_BT[:, :-1]
        starts_BT = (best_BT != self.blank_index) & (best_BT != previous_BT)
        starts_BT &= np.arange(steps) < valid_steps[:, None]
        # Only the steps that begin a character need probabilities, mostly a small part of all.
        picked_NK = logits_BTK[starts_BT]
        if topk == 1:
            classes = best_BT[starts_BT][:, None]
        else:
            classes = np.argsort(-picked_NK, axis=1, kind="stable")[:, :topk]
        exponentials_NK = np.exp(picked_NK - picked_NK.max(axis=1, keepdims=True, initial=-np.inf))
        scores = np.take_along_axis(exponentials_NK, classes, axis=1)
        scores /= exponentials_NK.sum(axis=1, keepdims=True)
        ends = np.cumsum(starts_BT.sum(axis=1))
        # The last piece lies behind the last line and is empty.
        return list(zip(np.split(classes, ends)[:batch], np.split(scores, ends), strict=False))
