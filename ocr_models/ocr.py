"""The chain: photo to words in reading order, and to what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ocr_models.clock import StageClock
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError
from ocr_models.geometry import (
    bounding_quad,
    merge_words,
    order_quads,
    perspective_crop,
    text_lines,
    widen_quad,
)
from ocr_models.key_info import KeyInfoExtractor, KiePage
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import Boundary, DetectionResult, PageResult, Word

MAX_ASPECT_RATIO = 200


@dataclass(frozen=True)
class OcrOptions:
    """What the chain keeps.

    Args:
        min_box_score: boxes below are not read, 0..1.
        min_text_score: words below are dropped, 0..1.
        min_text_probability: likewise, by their probability, which means the same with every
            recogniser.
        crop_margin_ratio: crops are cut wider than their quad by this part of its height on each
            side, since detectors cut off descenders; 0 reads exactly the box.
        max_crops: boxes read per image; of more, the ones with the best scores are read.
        merge_lines: whether neighbouring words of one line are joined into one.
    """

    min_box_score: float = 0.0
    min_text_score: float = 0.0
    min_text_probability: float = 0.0
    crop_margin_ratio: float = 0.2
    max_crops: int = 1000
    merge_lines: bool = False

    def __post_init__(self) -> None:
        for name in ("min_box_score", "min_text_score", "min_text_probability"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}; allowed are 0 to 1")
        if not 0 <= self.crop_margin_ratio <= 1:
            raise ConfigError(f"crop_margin_ratio is {self.crop_margin_ratio}; allowed are 0 to 1")
        if self.max_crops < 1:
            raise ConfigError(f"max_crops is {self.max_crops}; allowed are 1 and more")


class OCR:
    """Detects text, reads it, puts it in order, and labels it where there is an extractor.

    Args:
        detector: finds the words.
        recognizer: reads them.
        options: what to keep.
        extractor: finds out what the words mean.
    """

    def __init__(
        self,
        detector: TextDetector,
        recognizer: TextRecognizer,
        options: OcrOptions = OcrOptions(),
        extractor: KeyInfoExtractor | None = None,
    ) -> None:
        self.detector = detector
        self.recognizer = recognizer
        self.extractor = extractor
        self.options = options

    @property
    def runtime_name(self) -> str:
        """Libraries, devices and precisions that run the networks."""
        names = [self.detector.runtime_name, self.recognizer.runtime_name]
        return "; ".join(names + ([self.extractor.runtime_name] if self.extractor else []))

    def predict(
        self, images: Sequence[np.ndarray], *, clock: StageClock | None = None
    ) -> list[PageResult]:
        """Reads every image.

        Args:
            images: uint8 (H, W, 3) BGR each.
            clock: where to add up the seconds of the stages.

        Returns:
            One page per image, in order; boxes in pixels of that image.
        """
        clock = clock or StageClock()
        detections = self.detector.predict(images, clock=clock)
        with clock.stage("preprocess"):
            kept: list[list[Boundary]] = []
            crops: list[np.ndarray] = []
            for image, detection in zip(images, detections, strict=True):
                cut = [(b, self._crop(image, b)) for b in self._kept(detection)]
                cut = [(b, crop) for b, crop in cut if _may_be_text(crop)]
                kept.append([b for b, _ in cut])
                crops += [crop for _, crop in cut]
        # The crops of all images go through the recogniser together: fuller batches.
        readings = iter(self.recognizer.predict(crops, clock=clock))
        with clock.stage("postprocess"):
            pages = []
            for detection, boundaries in zip(detections, kept, strict=True):
                words = [Word(boundary, next(readings)) for boundary in boundaries]
                pages.append(self._page(words, detection))
        if self.extractor is None:
            return pages
        infos = self.extractor.predict(
            [_kie_page(image, page) for image, page in zip(images, pages, strict=True)],
            clock=clock,
        )
        return [replace(page, info=info) for page, info in zip(pages, infos, strict=True)]

    def _kept(self, detection: DetectionResult) -> list[Boundary]:
        """Boundaries to read, quads turned so that their first corner is the text's top left."""
        good = [b for b in detection.boundaries if b.score >= self.options.min_box_score]
        good = sorted(good, key=lambda b: -b.score)[: self.options.max_crops]
        quads = [b for b in good if len(b.points) == 4]
        if not quads:
            return good
        upright = order_quads(np.stack([b.points for b in quads]))
        turned = [Boundary(points, b.score) for points, b in zip(upright, quads, strict=True)]
        return turned + [b for b in good if len(b.points) > 4]

    def _crop(self, image: np.ndarray, boundary: Boundary) -> np.ndarray:
        points = boundary.points
        if len(points) == 4:
            points = widen_quad(points, self.options.crop_margin_ratio)
        return perspective_crop(image, points)

    def _page(self, words: list[Word], detection: DetectionResult) -> PageResult:
        words = [word for word in words if self._is_kept(word)]
        if self.options.merge_lines:
            words = list(merge_words(words))
        lines = text_lines([word.boundary.points for word in words])
        ordered = tuple(words[i] for line in lines for i in line)
        starts = np.cumsum([0, *(len(line) for line in lines)]).tolist()
        spans = tuple(tuple(range(first, end)) for first, end in pairwise(starts))
        return PageResult(ordered, spans, width=detection.width, height=detection.height)

    def _is_kept(self, word: Word) -> bool:
        read, options = word.recognition, self.options
        return (
            bool(read.text)
            and read.score >= options.min_text_score
            and read.probability >= options.min_text_probability
        )

    def warm_up(self) -> None:
        """Runs all networks once."""
        self.detector.warm_up()
        self.recognizer.warm_up()
        if self.extractor is not None:
            self.extractor.warm_up()


def _kie_page(image: np.ndarray, page: PageResult) -> KiePage:
    """The words as four corners each, moved into the picture where an outline leaves it."""
    height, width = image.shape[:2]
    quads = [
        word.boundary.points
        if len(word.boundary.points) == 4
        else bounding_quad(word.boundary.points)
        for word in page.words
    ]
    boxes = [quad.clip(0, (width, height)) for quad in quads]
    return KiePage(image, boxes, [word.text for word in page.words])


def _may_be_text(crop: np.ndarray) -> bool:
    """No line of text is this long; its input tensor would be huge."""
    height, width = crop.shape[:2]
    return max(height, width) <= MAX_ASPECT_RATIO * min(height, width)
