"""What the evaluations of all tasks do alike: each process predicts its part of the examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ocr_models.errors import ConfigError, OcrError
from ocr_models.runtime import RuntimeOptions

from .. import distributed
from ..augment.sample import Sample, SampleError
from ..data.datasets import Dataset


def to_tensor(image: np.ndarray) -> Tensor:
    """H x W (x C) -> (C, H, W) float32."""
    if image.dtype != np.float32:
        raise ConfigError("the training pipeline lacks a step Normalize")
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


def evaluation_runtime(device: torch.device) -> RuntimeOptions:
    """The plain network on the device of training."""
    return RuntimeOptions(kind="torch", device=str(device), precision="float32")


def share(dataset: Dataset, apply_exif: bool | None) -> Iterator[tuple[int, Sample]]:
    """This process's part of the examples, with their numbers.

    Args:
        dataset: all of them.
        apply_exif: how the predictor wants pictures decoded; None: it wants none.

    Raises:
        SampleError: an image is missing or broken.
    """
    for number in range(distributed.rank(), len(dataset), distributed.world_size()):
        sample = dataset.sample(0, number)
        if apply_exif is not None and sample.image is None:
            if sample.load is None:
                raise SampleError(f"{sample.source}: the annotation names no image")
            try:
                sample.image = sample.load(apply_exif)
            except (OcrError, OSError) as error:
                raise SampleError(f"{sample.source}: {error}") from error
        yield number, sample


def in_groups(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of ``size`` items; the last one may be shorter."""
    group: list[Any] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def in_order(own: list[tuple[int, Any]]) -> list[Any]:
    """All processes' results in the order of the data set."""
    gathered = [pair for part in distributed.gather_objects(own) for pair in part]
    return [result for _, result in sorted(gathered, key=lambda pair: pair[0])]
