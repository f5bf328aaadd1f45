"""Steps that run other steps, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocr_models.errors import ConfigError

from .sample import Sample, Step


@dataclass(frozen=True)
class OneOfWrapper:
    """Run one of the steps, each as likely as the others.

    Args:
        transforms: the steps, in a config each ``dict(type="Name", ...)``.
    """

    transforms: Sequence[Step]

    def __post_init__(self) -> None:
        if not self.transforms:
            raise ConfigError("OneOfWrapper.transforms is empty: there is nothing to choose from")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        self.transforms[int(rng.integers(len(self.transforms)))](sample, rng)


@dataclass(frozen=True)
class RandomWrapper:
    """Run all of the steps in order, or none of them.

    Args:
        transforms: the steps, in a config each ``dict(type="Name", ...)``.
        p: probability of running them.
    """

    transforms: Sequence[Step]
    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ConfigError(f"RandomWrapper.p must be a probability, got {self.p}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() < self.p:
            for step in self.transforms:
                step(sample, rng)


@dataclass(frozen=True)
class OpencvToPil:
    """Nothing to do: no step here wants a picture in another form."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.stored()


@dataclass(frozen=True)
class PilToOpencv:
    """Nothing to do, as for ``OpencvToPil``."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.stored()
