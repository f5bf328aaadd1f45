"""Weights, images and tensors that a kit does not store but describes by a formula.

Everything is drawn from numpy's legacy generator, whose streams never change between versions.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_IMAGE_SEED_OFFSET = 1000
_TENSOR_SEED_OFFSET = 2000
_STROKES = 12
_NORM_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
# The bias that lays out TPS's control points: random values would fold the image.
_KEPT = "localization_fc2.bias"


def weight(name: str, shape: Sequence[int], seed: int) -> NDArray[np.generic]:
    """The array of one state-dict entry: a function of its full name, its shape and the seed."""
    generator = np.random.RandomState((zlib.crc32(name.encode()) ^ seed) & 0xFFFFFFFF)
    leaf = name.rpartition(".")[2]
    shape = tuple(shape)
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    is_scale = leaf == "running_var" or (
        len(shape) <= 1 and leaf != "running_mean" and "weight" in leaf
    )
    if is_scale:
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    normal = generator.standard_normal(shape)
    if leaf == "running_mean" or len(shape) <= 1:
        return (0.1 * normal).astype(np.float32)
    return (normal / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def fill(module: nn.Module, seed: int) -> None:
    """Overwrite parameters and BatchNorm statistics; other buffers stay as constructed."""
    parameters = {name for name, _ in module.named_parameters() if not name.endswith(_KEPT)}
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name in parameters or name.rpartition(".")[2] in _NORM_STATISTICS:
                tensor.copy_(torch.from_numpy(np.asarray(weight(name, tensor.shape, seed))))


def image(height: int, width: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    """A test image: one colour ramp per channel under filled rectangles."""
    generator = np.random.RandomState(_IMAGE_SEED_OFFSET + seed)
    rows, columns = np.mgrid[:height, :width]
    planes = []
    for _ in range(channels):
        row_step, column_step = generator.randint(1, 9), generator.randint(1, 9)
        planes.append((rows * row_step + columns * column_step + generator.randint(0, 255)) % 256)
    result = np.stack(planes, axis=-1).astype(np.uint8)
    for _ in range(_STROKES):
        top, left = generator.randint(0, height), generator.randint(0, width)
        stroke_height = generator.randint(2, max(3, height // 3))
        stroke_width = generator.randint(2, max(3, width // 3))
        colour = generator.randint(0, 256, channels)
        result[top : top + stroke_height, left : left + stroke_width] = colour
    return result


def tensor(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Standard normal numbers."""
    generator = np.random.RandomState(_TENSOR_SEED_OFFSET + seed)
    return generator.standard_normal(tuple(shape)).astype(np.float32)
