"""Data sets: numbered examples, each a pure function of (seed, epoch, number).

The names and arguments are MMOCR's, in the explicit table of ``build.py``; ``SyntheticWords`` and
``SyntheticScenes`` are ours.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..augment.pipeline import Pipeline
from ..augment.sample import Sample, SampleError
from .annotations import Problems, Record


class Dataset(Protocol):
    """Examples before batching."""

    def __len__(self) -> int: ...

    def sample(self, epoch: int, number: int) -> Sample:
        """The example before its pipeline.

        Args:
            epoch: 0-based; only synthetic examples depend on it.
            number: 0 .. len - 1.
        """
        ...

    def pipeline_of(self, number: int) -> Pipeline:
        """The steps that this example goes through."""
        ...


@dataclass(frozen=True)
class FileDataset:
    """Images with annotations.

    Args:
        records: one per image.
        read: gives the encoded image of a file name.
        pipeline: steps of every example.
        problems: lines of the annotation file that were left out.
    """

    records: Sequence[Record]
    read: Callable[[str], bytes]
    pipeline: Pipeline
    problems: Problems

    def __len__(self) -> int:
        return len(self.records)

    def sample(self, epoch: int, number: int) -> Sample:
        """See ``Dataset``."""
        record = self.records[number]
        return Sample(
            source=record.source,
            load=partial(_decode, self.read, record.file_name),
            polygons=list(record.polygons),
            ignored=list(record.ignored),
            text=record.text,
            characters=list(record.characters),
            fields=dict(record.fields),
        )

    def pipeline_of(self, number: int) -> Pipeline:
        """See ``Dataset``."""
        return self.pipeline


class Rendered(Protocol):
    """What a renderer gives; words have ``text``, scenes have ``polygons``."""

    image: NDArray[np.uint8]


@dataclass(frozen=True)
class SyntheticDataset:
    """Rendered examples, new ones in every epoch unless ``fixed``.

    Args:
        renderer: ``render(seed)`` gives an image with its truth.
        to_sample: makes a sample of (source, what was rendered).
        size: examples per epoch.
        seed: of the data set.
        fixed: the same examples in every epoch, for evaluation.
        pipeline: steps of every example.
    """

    renderer: Any
    to_sample: Callable[[str, Any], Sample]
    size: int
    seed: int
    fixed: bool
    pipeline: Pipeline

    def __len__(self) -> int:
        return self.size

    def sample(self, epoch: int, number: int) -> Sample:
        """See ``Dataset``."""
        entropy = (self.seed, 0 if self.fixed else epoch, number)
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return self.to_sample(f"rendered with seed {seed}", self.renderer.render(seed))

    def pipeline_of(self, number: int) -> Pipeline:
        """See ``Dataset``."""
        return self.pipeline


class ConcatDataset:
    """Data sets one after the other."""

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.parts = tuple(parts)
        self._ends = list(accumulate(len(part) for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _place(self, number: int) -> tuple[Dataset, int]:
        part = bisect.bisect_right(self._ends, number)
        return self.parts[part], number - (self._ends[part - 1] if part else 0)

    def sample(self, epoch: int, number: int) -> Sample:
        """See ``Dataset``."""
        part, inner = self._place(number)
        return part.sample(epoch, inner)

    def pipeline_of(self, number: int) -> Pipeline:
        """See ``Dataset``."""
        part, inner = self._place(number)
        return part.pipeline_of(inner)


@dataclass(frozen=True)
class RepeatDataset:
    """A data set ``times`` times over, so that an epoch is longer; rendered parts stay new."""

    part: Dataset
    times: int

    def __len__(self) -> int:
        return len(self.part) * self.times

    def sample(self, epoch: int, number: int) -> Sample:
        """See ``Dataset``."""
        turn, inner = divmod(number, len(self.part))
        return self.part.sample(epoch * self.times + turn, inner)

    def pipeline_of(self, number: int) -> Pipeline:
        """See ``Dataset``."""
        return self.part.pipeline_of(number % len(self.part))


def prepared_sample(
    dataset: Dataset,
    check: Callable[[Sample], None],
    *,
    seed: int,
    epoch: int,
    number: int,
    tries: int = 20,
) -> tuple[Sample, list[str]]:
    """One example after its pipeline; one that cannot be used is replaced by the next.

    Args:
        dataset: where from.
        check: raises SampleError when the prepared example cannot be learnt from.
        seed: of the training.
        epoch: 0-based.
        number: 0 .. len - 1.
        tries: so many unusable examples in a row end the training.

    Returns:
        The example, and what was wrong with those passed over.

    Raises:
        SampleError: ``tries`` examples in a row cannot be used.
    """
    skipped: list[str] = []
    for offset in range(tries):
        candidate = (number + offset) % len(dataset)
        rng = np.random.default_rng((seed, epoch, candidate))
        try:
            sample = dataset.pipeline_of(candidate)(dataset.sample(epoch, candidate), rng)
            check(sample)
            return sample, skipped
        except SampleError as error:
            skipped.append(str(error))
    raise SampleError(f"{tries} examples in a row cannot be used; the last: {skipped[-1]}")


def read_from_folder(folder: Path, file_name: str) -> bytes:
    """Bytes of an image file."""
    return (folder / file_name).read_bytes()


def _decode(read: Callable[[str], bytes], file_name: str, apply_exif: bool) -> NDArray[np.uint8]:
    from ocr_models.images import decode_image

    return decode_image(read(file_name), apply_exif=apply_exif)
