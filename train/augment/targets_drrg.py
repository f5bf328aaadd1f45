"""The step that draws DRRG's targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..objectives import drrg_targets
from .sample import Sample


@dataclass(frozen=True)
class DRRGTargets(drrg_targets.DRRGTargets):
    """Draw DRRG's maps and choose its components; see ``train.objectives.drrg_targets``."""

    draws_maps: ClassVar[bool] = True

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        sample.targets = drrg_targets.make_targets(
            sample.polygons, sample.ignored, height, width, rng, self
        )
