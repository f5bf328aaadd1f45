"""The step that draws TextSnake's maps; see ``train.objectives.textsnake``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..objectives import textsnake
from .sample import Sample


@dataclass(frozen=True)
class TextSnakeTargets:
    """Draw text, centre regions and their geometry.

    Args:
        orientation_thr: a quad is vertical text when its steep sides are longer than the flat ones
            by this factor.
        resample_step: distance of neighbouring points along a text's sides, in pixels.
        center_region_shrink_ratio: height of the centre region over the text's.
    """

    orientation_thr: float = 2.0
    resample_step: float = 4.0
    center_region_shrink_ratio: float = 0.3
    draws_maps: ClassVar[bool] = True
    _settings: textsnake.TextSnakeTargets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = textsnake.TextSnakeTargets(
            self.orientation_thr, self.resample_step, self.center_region_shrink_ratio
        )
        object.__setattr__(self, "_settings", settings)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        sample.targets = textsnake.make_targets(
            sample.polygons, sample.ignored, height, width, self._settings
        )
