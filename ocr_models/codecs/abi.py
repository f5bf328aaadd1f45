"""ABINet's targets: text to classes and back.

Numbers equal those of MMOCR 0.6.1's ``ABIConvertor``. Classes and decoding are those of attention
decoders; only targets differ: ABINet learns the end token too, so a text that is too long is cut to
leave room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .attention import AttentionCodec, AttentionCodecConfig, AttentionTargets
from .charsets import text_to_classes


@dataclass(frozen=True)
class ABICodecConfig(AttentionCodecConfig):
    """What the classes mean; the fields are those of attention decoders.

    ``max_seq_len`` counts the end token, but not the start.
    """


class ABICodec(AttentionCodec):
    """Encodes texts and decodes network outputs."""

    def __init__(self, config: ABICodecConfig) -> None:
        super().__init__(config)

    def encode(self, texts: Sequence[str]) -> AttentionTargets:
        """Classes of the texts.

        Returns:
            ``classes``: text, cut where it is too long, and end, at most ``max_seq_len`` of them;
            ``padded``: start and the same, then padding, cut at ``max_seq_len``.

        Raises:
            ConfigError: a character is not in the charset and there is no unknown class.
        """
        length = self.config.max_seq_len
        padded = np.full((len(texts), length), self.padding_index, np.int64)
        classes = []
        for row, text in zip(padded, texts, strict=True):
            own = text_to_classes(text, self._class_of, self.unknown_index, self.config.lower)
            classes.append(np.array([*own[: length - 1], self.end_index], np.int64))
            whole = [self.start_index, *classes[-1]][:length]
            row[: len(whole)] = whole
        return AttentionTargets(tuple(classes), padded)
