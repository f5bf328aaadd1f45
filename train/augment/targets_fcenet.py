"""The step that draws FCENet's maps; see ``train.objectives.fcenet``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ocr_models.detection.fcenet import STRIDES
from ocr_models.errors import ConfigError

from ..objectives import fcenet
from .sample import Sample

_DEFAULT = fcenet.FCENetTargets()


@dataclass(frozen=True)
class FCENetTargets:
    """Draw text, centre regions and Fourier series for each level.

    Args:
        fourier_degree: largest frequency.
        resample_step: distance of neighbouring points along a text's sides, in pixels of the level.
        center_region_shrink_ratio: height of the centre region over the text's.
        level_size_divisors: the levels' strides, always 8, 16 and 32.
        level_proportion_range: for each level the texts that it learns, by the longer side of the
            bounding box over the image's height.
    """

    fourier_degree: int = _DEFAULT.fourier_degree
    resample_step: float = _DEFAULT.resample_step
    center_region_shrink_ratio: float = _DEFAULT.center_region_shrink_ratio
    level_size_divisors: Sequence[int] = STRIDES
    level_proportion_range: Sequence[Sequence[float]] = _DEFAULT.level_proportion_range
    draws_maps: ClassVar[bool] = True
    _settings: fcenet.FCENetTargets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if tuple(self.level_size_divisors) != STRIDES:
            raise ConfigError(
                f"level_size_divisors is {self.level_size_divisors}; the network's strides are "
                f"{STRIDES}"
            )
        settings = fcenet.FCENetTargets(
            self.fourier_degree,
            self.resample_step,
            self.center_region_shrink_ratio,
            fcenet.level_ranges(self.level_proportion_range),
        )
        object.__setattr__(self, "_settings", settings)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        sample.targets = fcenet.make_targets(
            sample.polygons, sample.ignored, height, width, self._settings
        )
