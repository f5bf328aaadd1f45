"""Steps for texts: what entity recognition learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ocr_models.codecs.ner import NerCodec
from ocr_models.errors import ConfigError, InputError
from ocr_models.from_mmocr.ner import ner_codec

from .sample import Sample, SampleError


class EncodedText(NamedTuple):
    """Tokens and their labels, (T,) int64 each."""

    tokens: Tensor
    labels: Tensor


@dataclass
class NerTransform:
    """Tokens and labels of a text.

    Args:
        label_convertor: a ``NerConvertor``, the same as that of the model.
        max_len: as there.
    """

    label_convertor: Mapping[str, Any]
    max_len: int | None = None
    codec: NerCodec = field(init=False)

    def __post_init__(self) -> None:
        self.codec = NerCodec(ner_codec(self.label_convertor))
        if self.max_len not in (None, self.codec.config.max_len):
            raise ConfigError(
                f"NerTransform has max_len {self.max_len}, but its label_convertor "
                f"{self.codec.config.max_len}; give both the same"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """See ``Step``; a text that is too long cannot be used."""
        try:
            tokens = self.codec.tokens(sample.text)
            labels = self.codec.encode_entities(sample.fields["entities"], len(sample.text))
        except (InputError, ConfigError) as error:
            raise SampleError(f"{sample.source}: {error}") from error
        sample.targets = EncodedText(
            torch.from_numpy(tokens), torch.from_numpy(labels[: len(tokens)])
        )


@dataclass
class ToTensorNER:
    """Nothing to do: ``NerTransform`` has made tensors."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """See ``Step``."""
