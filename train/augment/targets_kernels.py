"""Steps that draw the maps of PANet and PSENet; see ``train.objectives.text_kernels``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..objectives.text_kernels import KernelTargets, make_targets
from .sample import Sample


@dataclass(frozen=True)
class PANetTargets:
    """Draw text and one kernel.

    Args:
        shrink_ratio: of the text, always 1, and of the kernel.
        max_shrink: no outline moves inwards by more than this many pixels.
    """

    shrink_ratio: Sequence[float] = (1.0, 0.5)
    max_shrink: float = 20
    draws_maps: ClassVar[bool] = True
    _settings: KernelTargets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = KernelTargets(tuple(self.shrink_ratio), self.max_shrink)
        object.__setattr__(self, "_settings", settings)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        sample.targets = make_targets(
            sample.polygons, sample.ignored, height, width, self._settings
        )


@dataclass(frozen=True)
class PSENetTargets(PANetTargets):
    """Draw text and kernels of falling size."""

    shrink_ratio: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
