"""Several training processes, as ``torchrun`` starts them.

Without ``torchrun`` every function answers for a world of one process and talks to nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed


def rank() -> int:
    """Number of this process, 0 for the one that logs and writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_main() -> bool:
    """Whether this process logs and writes files."""
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group that ``torchrun`` describes in the environment, leave it at the end."""
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not launched or distributed.is_initialized():
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def local_device(name: str | None) -> torch.device:
    """The device of this process: ``name``, or a GPU when there is one, else the CPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", device.index or 0)))
        torch.cuda.set_device(device)
    return device


def gather_objects(item: Any) -> list[Any]:
    """The ``item`` of every process, in order of rank, known to all of them."""
    if not distributed.is_initialized():
        return [item]
    gathered: list[Any] = [None] * world_size()
    distributed.all_gather_object(gathered, item)
    return gathered


def mean_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Element-wise mean of ``values`` over all processes."""
    if not distributed.is_initialized():
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / world_size()


def barrier() -> None:
    """Wait for all processes."""
    if distributed.is_initialized():
        distributed.barrier()
