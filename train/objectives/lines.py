"""Batches of text lines, as all recognisers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ocr_models.errors import ConfigError

from ..augment.sample import Sample, SampleError


class RecognitionBatch(NamedTuple):
    """Lines with what they say.

    Args:
        images: (B, C, H, W), padded on the right.
        texts: B strings.
        valid_ratios: share of each line's width that is not padding.
        targets: what the objective made of the samples' own targets, if it has a step for them.
    """

    images: Tensor
    texts: list[str]
    valid_ratios: list[float]
    targets: Any = None


class EncodesTexts(Protocol):
    """A codec, as far as targets need it."""

    def encode(self, texts: Sequence[str]) -> Any:
        """Classes; raises ``ConfigError`` when a character has none."""
        ...


def check_text(codec: EncodesTexts, sample: Sample) -> None:
    """Raises ``SampleError`` when a character of the sample has no class."""
    try:
        codec.encode([sample.text])
    except ConfigError as error:
        raise SampleError(f"{sample.source}: {error}") from error


def pad_lines(lines: Sequence[Tensor], samples: Sequence[Sample]) -> tuple[Tensor, list[float]]:
    """Lines (C, H, W) as one tensor, narrower ones padded on the right with the colour black.

    Returns:
        Images (B, C, H, W), and the share of each that is not padding.
    """
    width = max(line.shape[2] for line in lines)
    channels, height = lines[0].shape[:2]
    images = torch.empty(len(lines), channels, height, width)
    ratios = []
    for image, line, sample in zip(images, lines, samples, strict=True):
        own = line.shape[2]
        image[:, :, :own] = line
        image[:, :, own:] = torch.tensor(sample.pad_value)[:, None, None]
        ratios.append(sample.valid_ratio * own / width)
    return images, ratios
