"""The step that draws SegOCR's maps; see ``train.objectives.segocr``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ocr_models.codecs.segmentation import SegCodec
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr.codecs import segmentation_codec

from ..objectives.segocr import CharacterTargets, make_targets
from .characters import check_box_type
from .sample import Sample, SampleError


@dataclass(frozen=True)
class OCRSegTargets:
    """Draw characters as an attention map and as a map of classes.

    Args:
        label_convertor: MMOCR's dictionary of the codec whose classes are drawn.
        attn_shrink_ratio: how much characters shrink in the attention map.
        seg_shrink_ratio: how much they shrink in the map of classes.
        box_type: draw upright boxes (``"char_rects"``) or quadrangles (``"char_quads"``).
        pad_val: what the maps hold in the padding.
    """

    label_convertor: Mapping[str, Any]
    attn_shrink_ratio: float = 0.5
    seg_shrink_ratio: float = 0.25
    box_type: str = "char_rects"
    pad_val: int = 255
    draws_maps: ClassVar[bool] = True
    _codec: SegCodec = field(init=False, repr=False)
    _settings: CharacterTargets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_box_type("OCRSegTargets", self.box_type)
        object.__setattr__(self, "_codec", SegCodec(segmentation_codec(self.label_convertor)))
        settings = CharacterTargets(
            self.attn_shrink_ratio,
            self.seg_shrink_ratio,
            rectangles=self.box_type == "char_rects",
            ignored_value=self.pad_val,
        )
        object.__setattr__(self, "_settings", settings)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        width, height = sample.size()
        try:
            classes = self._codec.encode([character.text for character in sample.characters])
        except ConfigError as error:
            raise SampleError(f"{sample.source}: {error}") from error
        sample.targets = make_targets(
            [character.quad for character in sample.characters],
            [int(own[0]) for own in classes],
            sample.ignored,
            height,
            width,
            self._settings,
        )
