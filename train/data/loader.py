"""Batches in an order that depends on the seed alone.

A unit of work is a *chunk*: the examples of one or several batches. A worker prepares a whole
chunk; with several batches per chunk the examples are sorted by width first, so that a batch holds
lines of similar width and little of it is padding. Which example lands in which batch follows from
(seed, epoch, chunk), never from the number of workers or their speed, so training can stop after
any iteration and continue with the very next batch.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ..augment.sample import Sample
from .datasets import Dataset, prepared_sample

BatchT = TypeVar("BatchT")
BatchT_co = TypeVar("BatchT_co", covariant=True)


@dataclass(frozen=True)
class BatchPlan:
    """How many examples make an epoch, a batch and a chunk.

    Args:
        length: examples of the data set.
        batch_size: per process.
        chunk_batches: batches per chunk.
        seed: of the training.
        shuffle: draw a new order in every epoch.
        drop_last: leave out the last, smaller batch.
        rank: number of this process.
        world_size: number of processes.
    """

    length: int
    batch_size: int
    chunk_batches: int = 1
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False
    rank: int = 0
    world_size: int = 1

    @property
    def iterations(self) -> int:
        """Batches of one epoch, the same in every process."""
        examples = math.ceil(self.length / self.world_size)
        if self.drop_last and examples >= self.batch_size:
            return examples // self.batch_size
        return math.ceil(examples / self.batch_size)

    @property
    def chunks(self) -> int:
        """Chunks of one epoch."""
        return math.ceil(self.iterations / self.chunk_batches)

    def order(self, epoch: int) -> np.ndarray:
        """Numbers of the examples that this process sees in ``epoch``."""
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
        else:
            order = np.arange(self.length)
        per_rank = math.ceil(self.length / self.world_size)
        order = np.resize(order, per_rank * self.world_size)  # wraps around
        return order[self.rank :: self.world_size][: self.iterations * self.batch_size]


@dataclass(frozen=True)
class Chunk(Generic[BatchT]):
    """Prepared batches, and what was wrong with examples passed over."""

    batches: list[BatchT]
    skipped: list[str]


class Batching(Protocol[BatchT_co]):
    """What a task does with prepared examples."""

    def check(self, sample: Sample) -> None:
        """Raises SampleError when the example cannot be learnt from."""
        ...

    def collate(self, samples: Sequence[Sample]) -> BatchT_co:
        """A batch."""
        ...


class _ChunkDataset(TorchDataset[Chunk[Any]]):
    """Makes the chunk with the key (epoch, number, positions of its examples)."""

    def __init__(self, dataset: Dataset, plan: BatchPlan, batching: Batching[Any]) -> None:
        self.dataset = dataset
        self.plan = plan
        self.batching = batching

    def __getitem__(self, key: tuple[int, int, np.ndarray]) -> Chunk[Any]:
        epoch, number, examples = key
        samples, skipped = [], []
        for example in examples.tolist():
            sample, problems = prepared_sample(
                self.dataset,
                self.batching.check,
                seed=self.plan.seed,
                epoch=epoch,
                number=example,
            )
            samples.append(sample)
            skipped.extend(problems)
        if self.plan.chunk_batches > 1:
            samples.sort(key=_width)  # equal widths keep their order
        size = self.plan.batch_size
        groups = [samples[i : i + size] for i in range(0, len(samples), size)]
        if self.plan.chunk_batches > 1:
            rng = np.random.default_rng((self.plan.seed, epoch, number, self.plan.rank))
            groups = [groups[i] for i in rng.permutation(len(groups))]
        return Chunk([self.batching.collate(group) for group in groups], skipped)


def _width(sample: Sample) -> int:
    """In pixels, or in characters where there is no image."""
    return len(sample.text) if sample.image is None else sample.size()[0]


class _Keys:
    """All chunk keys from a position on, without end."""

    def __init__(self, plan: BatchPlan, epoch: int, first_chunk: int) -> None:
        self.plan = plan
        self.epoch = epoch
        self.first_chunk = first_chunk

    def __iter__(self) -> Iterator[tuple[int, int, np.ndarray]]:
        epoch, first = self.epoch, self.first_chunk
        size = self.plan.batch_size * self.plan.chunk_batches
        while True:
            order = self.plan.order(epoch)
            for number in range(first, self.plan.chunks):
                yield epoch, number, order[number * size : (number + 1) * size]
            epoch, first = epoch + 1, 0


def _start_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training itself decides when to stop
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def endless_batches(
    dataset: Dataset,
    plan: BatchPlan,
    batching: Batching[BatchT],
    *,
    workers: int,
    start_iteration: int,
    on_skip: Callable[[list[str]], None],
    prefetch_chunks: int = 2,
) -> Iterator[BatchT]:
    """Batches from ``start_iteration`` on, through all epochs.

    Args:
        dataset: examples.
        plan: their order.
        batching: makes batches of samples; runs in the worker.
        workers: processes that prepare chunks; 0 prepares them in this one.
        start_iteration: finished iterations of the whole run.
        on_skip: told what was wrong with examples passed over.
        prefetch_chunks: chunks that each worker keeps ready.
    """
    epoch, within = divmod(start_iteration, plan.iterations)
    first_chunk, skip = divmod(within, plan.chunk_batches)
    loader: DataLoader[Chunk[BatchT]] = DataLoader(
        _ChunkDataset(dataset, plan, batching),
        batch_size=None,
        sampler=_Keys(plan, epoch, first_chunk),
        num_workers=workers,
        prefetch_factor=prefetch_chunks if workers else None,
        worker_init_fn=_start_worker,
        # A generator of its own: starting workers must not draw from the training's random state.
        generator=torch.Generator(),
    )
    for chunk in loader:
        if chunk.skipped:
            on_skip(chunk.skipped)
        yield from chunk.batches[skip:]
        skip = 0
