"""Order, sharding and bucketing of batches; the same whatever prepares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest

from ocrserve.train.augment.pipeline import Pipeline
from ocrserve.train.augment.sample import Sample, SampleError
from ocrserve.train.data.datasets import RepeatDataset
from ocrserve.train.data.loader import BatchPlan, endless_batches


@dataclass(frozen=True)
class Numbers:
    """Example n is an image as wide as its number says; ``broken`` ones cannot be loaded."""

    length: int
    broken: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.length

    def sample(self, epoch: int, number: int) -> Sample:
        if number in self.broken:
            raise SampleError(f"example {number} is broken")
        width = 1 + number * 7 % self.length
        return Sample(
            f"{epoch}/{number}", image=np.zeros((1, width), np.uint8), text=f"{epoch}:{number}"
        )

    def pipeline_of(self, number: int) -> Pipeline:
        return Pipeline((_draw,))


def _draw(sample: Sample, rng: np.random.Generator) -> None:
    sample.text += f":{rng.integers(1000)}"


class Texts:
    """A batch is the list of (text, width)."""

    def check(self, sample: Sample) -> None:
        """All will do."""

    def collate(self, samples: Sequence[Sample]) -> list[tuple[str, int]]:
        return [(sample.text, sample.size()[0]) for sample in samples]


def nothing(problems: list[str]) -> None:
    raise AssertionError(problems)


def batches(
    plan: BatchPlan,
    count: int,
    *,
    workers: int = 0,
    start: int = 0,
    dataset: Numbers | RepeatDataset | None = None,
    on_skip: Callable[[list[str]], None] = nothing,
) -> list[list[tuple[str, int]]]:
    source = endless_batches(
        dataset or Numbers(plan.length),
        plan,
        Texts(),
        workers=workers,
        start_iteration=start,
        on_skip=on_skip,
    )
    return list(islice(source, count))


@pytest.mark.parametrize("chunk", [1, 3])
def test_an_epoch_holds_every_example_once(chunk: int) -> None:
    plan = BatchPlan(length=22, batch_size=4, chunk_batches=chunk, seed=3)
    assert plan.iterations == 6
    seen = [text for batch in batches(plan, 6) for text, _ in batch]
    assert sorted(int(text.split(":")[1]) for text in seen) == list(range(22))
    following = [text for batch in batches(plan, 12)[6:] for text, _ in batch]
    assert [text.split(":")[1] for text in following] != [text.split(":")[1] for text in seen]
    assert {text.split(":")[0] for text in following} == {"1"}


@pytest.mark.parametrize("chunk", [1, 4])
def test_workers_and_restarts_change_nothing(chunk: int) -> None:
    plan = BatchPlan(length=50, batch_size=4, chunk_batches=chunk, seed=1)
    alone = batches(plan, 30)
    assert batches(plan, 30, workers=2) == alone
    for start in (1, 6, 13, 27):
        assert batches(plan, 30 - start, start=start) == alone[start:]


def test_drop_last_and_no_shuffle() -> None:
    plan = BatchPlan(length=10, batch_size=4, drop_last=True, shuffle=False)
    assert plan.iterations == 2
    seen = [text.split(":")[1] for batch in batches(plan, 4) for text, _ in batch]
    assert seen == [str(i) for i in range(8)] * 2
    assert BatchPlan(length=3, batch_size=4, drop_last=True).iterations == 1


def test_buckets_hold_similar_widths() -> None:
    plan = BatchPlan(length=256, batch_size=8, chunk_batches=8, seed=0)
    spread = [max(w for _, w in b) - min(w for _, w in b) for b in batches(plan, 32)]
    loose = BatchPlan(length=256, batch_size=8, seed=0)
    unsorted = [max(w for _, w in b) - min(w for _, w in b) for b in batches(loose, 32)]
    assert np.mean(spread) < 0.25 * np.mean(unsorted)
    widths = [batch[0][1] for batch in batches(plan, 8)]
    assert widths != sorted(widths)


@pytest.mark.parametrize("length", [40, 41])
def test_processes_share_an_epoch(length: int) -> None:
    plans = [
        BatchPlan(length=length, batch_size=4, seed=5, rank=rank, world_size=2) for rank in (0, 1)
    ]
    assert plans[0].iterations == plans[1].iterations
    seen = [
        int(text.split(":")[1])
        for plan in plans
        for batch in batches(plan, plan.iterations)
        for text, _ in batch
    ]
    assert set(seen) == set(range(length))
    assert len(seen) == length + length % 2


def test_broken_examples_are_replaced_and_reported() -> None:
    plan = BatchPlan(length=6, batch_size=3, shuffle=False)
    problems: list[str] = []
    dataset = Numbers(6, broken=frozenset({1, 5}))
    seen = batches(plan, 2, dataset=dataset, on_skip=problems.extend)
    assert [text.split(":")[1] for batch in seen for text, _ in batch] == list("022340")
    assert problems == ["example 1 is broken", "example 5 is broken"]


def test_repeated_rendered_data_stays_new() -> None:
    repeated = RepeatDataset(Numbers(3), 2)
    assert [repeated.sample(4, i).text for i in range(6)] == [
        "8:0", "8:1", "8:2", "9:0", "9:1", "9:2",
    ]  # fmt: skip
