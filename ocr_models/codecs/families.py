"""The text codecs: one row per kind.

To add one: its config to the union, and a row to ``CODECS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ocr_models.results import RecognitionResult

from .abi import ABICodec, ABICodecConfig
from .attention import AttentionCodec, AttentionCodecConfig
from .ctc import CTCCodec, CTCCodecConfig
from .segmentation import SegCodec, SegCodecConfig

CodecConfig = CTCCodecConfig | AttentionCodecConfig | ABICodecConfig | SegCodecConfig


class Codec(Protocol):
    """From what a recogniser's network gives to texts."""

    @property
    def num_classes(self) -> int:
        """Classes, special ones included."""
        ...

    def decode(
        self,
        outputs: NDArray[np.floating],
        valid_ratios: Sequence[float] | None = None,
        *,
        probabilities: bool = False,
    ) -> list[RecognitionResult]:
        """One result per line.

        Args:
            outputs: what the network gave, lines first.
            valid_ratios: share of each line that is not padding; all 1 if not given.
            probabilities: whether the outputs are probabilities; else logits.
        """
        ...


CODECS: Mapping[type, Callable[[Any], Codec]] = {
    CTCCodecConfig: CTCCodec,
    AttentionCodecConfig: AttentionCodec,
    ABICodecConfig: ABICodec,
    SegCodecConfig: SegCodec,
}
"""By the codec's config."""


def build_codec(config: CodecConfig) -> Codec:
    """The codec that a config describes."""
    return CODECS[type(config)](config)
