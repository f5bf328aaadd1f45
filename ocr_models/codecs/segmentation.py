"""Characters as regions of a map: text to classes, and a map of classes to text.

Numbers equal those of MMOCR 0.6.1's ``SegConvertor``.

Classes: the background, the charset, and last the unknown class if wanted.
Shapes: B lines, H x W map in pixels, N regions of one line, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..results import RecognitionResult, mean_char_score
from .charsets import DICT36, UNKNOWN_TOKEN, check_charset, text_to_classes

BACKGROUND_TOKEN = "<BG>"
MIN_CHARACTER_PIXELS = 20
"""Regions with fewer pixels of their main class are no characters."""


@dataclass(frozen=True)
class SegCodecConfig:
    """What the classes of a map mean.

    Args:
        charset: characters in class order, each once.
        with_unknown: whether there is a last class for all other characters.
        lower: whether texts are converted to lower case when encoded.
    """

    charset: str = DICT36
    with_unknown: bool = True
    lower: bool = False

    def __post_init__(self) -> None:
        check_charset(self.charset)


class SegCodec:
    """Encodes characters and decodes network outputs."""

    background_index = 0

    def __init__(self, config: SegCodecConfig) -> None:
        self.config = config
        self.unknown_index = len(config.charset) + 1 if config.with_unknown else None
        self.spelling = [BACKGROUND_TOKEN, *config.charset] + [UNKNOWN_TOKEN] * config.with_unknown
        self._class_of = {c: index for index, c in enumerate(config.charset, start=1)}

    @property
    def num_classes(self) -> int:
        """Classes, background and unknown included."""
        return len(self.spelling)

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], ...]:
        """The class of every character, (length,) per text.

        Raises:
            ConfigError: a character is not in the charset and there is no unknown class.
        """
        return tuple(
            np.array(
                text_to_classes(text, self._class_of, self.unknown_index, self.config.lower),
                np.int64,
            )
            for text in texts
        )

    def decode(
        self,
        outputs: NDArray[np.floating],
        valid_ratios: Sequence[float] | None = None,
        *,
        probabilities: bool = False,
    ) -> list[RecognitionResult]:
        """Texts of maps, one per line.

        A region is what hangs together of the pixels that are not background, corners included. It
        stands for the class of most of its pixels; regions are read from left to right by their
        centres. A character's score is that class's share of the region, and its probability the
        mean of the network's over those pixels. The unknown class is spelled as nothing, and still
        has a score, as in MMOCR.

        Args:
            outputs: (B, 2, H, W): the best class of every pixel, as a whole number, and its
                probability.
            valid_ratios: share of each line's width that is not padding; what lies to the right is
                not read.
            probabilities: without effect: the map holds what is needed.
        """
        if outputs.ndim != 4 or outputs.shape[1] != 2:
            raise ValueError(f"expected maps of shape (lines, 2, H, W), got {outputs.shape}")
        ratios = [1.0] * len(outputs) if valid_ratios is None else valid_ratios
        if len(ratios) != len(outputs):
            raise ValueError(f"{len(ratios)} valid ratios for {len(outputs)} lines")
        width = outputs.shape[3]
        return [
            self._read(map_2HW[:, :, : int(width * ratio + 1)])
            for map_2HW, ratio in zip(outputs, ratios, strict=True)
        ]

    def _read(self, map_2HW: NDArray[np.floating]) -> RecognitionResult:
        classes_HW = map_2HW[0].astype(np.intp)
        inked_HW = classes_HW != self.background_index
        count, regions_HW, _, centres_N2 = cv2.connectedComponentsWithStats(
            inked_HW.astype(np.uint8), connectivity=8
        )
        # Region 0 is the background.
        region_P, class_P = regions_HW[inked_HW], classes_HW[inked_HW]
        pixels_NK = np.bincount(
            region_P * self.num_classes + class_P, minlength=count * self.num_classes
        ).reshape(count, self.num_classes)
        main_N = pixels_NK.argmax(axis=1)
        main_pixels_N = pixels_NK.max(axis=1)
        kept = np.flatnonzero(main_pixels_N >= MIN_CHARACTER_PIXELS)
        kept = kept[np.argsort(centres_N2[kept, 0], kind="stable")]
        own_P = class_P == main_N[region_P]
        summed_N = np.bincount(
            region_P[own_P], weights=map_2HW[1][inked_HW][own_P], minlength=count
        )
        main = main_N[kept].tolist()
        text = "".join(self.spelling[i] for i in main if i != self.unknown_index)
        char_scores = tuple((main_pixels_N[kept] / pixels_NK[kept].sum(axis=1)).tolist())
        return RecognitionResult(
            text,
            mean_char_score(char_scores, text),
            char_scores,
            char_probabilities=tuple((summed_N[kept] / main_pixels_N[kept]).tolist()),
        )
