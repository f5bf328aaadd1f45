"""SDMG-R: what it costs by the number of words, and the chain beyond its three models.

    python -m bench.chain [--photo FILE] [--turns 15]

The models take turns with the chain, on one thread, in processor time, which is steady on a busy
machine. The extractor has random weights and the sizes of MMOCR's configs: what it says is
nonsense, what it costs is not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from ocr_models.bundle import load_predictor, read_bundle
from ocr_models.clock import StageClock
from ocr_models.detector import TextDetector
from ocr_models.images import read_image
from ocr_models.key_info import KeyInfoExtractor, KiePage
from ocr_models.kie.links import LinkSettings
from ocr_models.kie.preprocessing import KiePreprocessing
from ocr_models.kie.sdmgr import SDMGR, SDMGRConfig
from ocr_models.ocr import OCR
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import PageResult
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import KieSpec
from ocrserve.model_names import default_folder

from .models import SAMPLE_PHOTO

OPTIONS = RuntimeOptions(threads=1)
CHARACTERS = tuple(map(chr, range(32, 123)))
KINDS = {
    "unet16": (True, 26),
    "novisual": (False, 26),
    "novisual openset": (False, 4),
}


def extractor(kind: str) -> KeyInfoExtractor:
    """One of MMOCR's three models, untrained."""
    visual, classes = KINDS[kind]
    spec = KieSpec(
        network=SDMGRConfig(visual=visual, num_classes=classes),
        preprocessing=KiePreprocessing(),
        characters=CHARACTERS,
        class_names=tuple(f"class {number}" for number in range(classes)),
        links=LinkSettings() if classes == 4 else None,
    )
    torch.manual_seed(0)
    return KeyInfoExtractor(spec, SDMGR(spec.network).state_dict(), OPTIONS)


class _Parts:
    """A chain, and the same work done by its models alone."""

    def __init__(self, chain: OCR, image: np.ndarray) -> None:
        self.chain = chain
        self.image = image
        self.crops: list[np.ndarray] = []
        self.page = self._listen()

    def _listen(self) -> PageResult:
        """Runs the chain once and notes the crops that it reads."""
        recognizer = self.chain.recognizer
        predict = recognizer.predict

        def noting(crops: list[np.ndarray], **options: StageClock | None) -> object:
            self.crops = list(crops)
            return predict(crops, **options)

        recognizer.predict = noting  # type: ignore[method-assign,assignment]
        try:
            return self.chain.predict([self.image])[0]
        finally:
            recognizer.predict = predict  # type: ignore[method-assign]

    def alone(self) -> None:
        """The three models on what the chain gives them."""
        self.chain.detector.predict([self.image])
        self.chain.recognizer.predict(self.crops)
        if self.chain.extractor is not None:
            height, width = self.image.shape[:2]
            boxes = [word.boundary.points.clip(0, (width, height)) for word in self.page.words]
            texts = [word.text for word in self.page.words]
            self.chain.extractor.predict([KiePage(self.image, boxes, texts)])


def _words(model: KeyInfoExtractor, image: np.ndarray, count: int, turns: int) -> str:
    """Network and what is around it, for a page with so many words."""
    height, width = image.shape[:2]
    rng = np.random.default_rng(0)
    corners = rng.uniform((0, 0), (width - 40, height - 12), (count, 2)).round().tolist()
    boxes = [[x, y, x + 40, y, x + 40, y + 12, x, y + 12] for x, y in corners]
    page = KiePage(image, boxes, ["Total 12.50"] * count)
    best = (float("inf"), 0.0)
    for _ in range(turns):
        clock = _ProcessClock()
        started = time.process_time()
        model.predict([page], clock=clock)
        best = min(best, (time.process_time() - started, clock.seconds["network"]))
    whole, network = best
    return f"{count} words: network {1e3 * network:.1f} ms, around it {1e3 * (whole - network):.1f}"


class _ProcessClock(StageClock):
    """Counts processor time."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start


def _least(run: Callable[[], object], before: float) -> float:
    started = time.process_time()
    run()
    return min(before, time.process_time() - started)


def main() -> None:
    """Prints one line per extractor and number of words, and one for its chain."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE_PHOTO)
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    image = read_image(arguments.photo)
    detector = load_predictor(read_bundle(default_folder("detector")), OPTIONS)
    recognizer = load_predictor(read_bundle(default_folder("recognizer")), OPTIONS)
    assert isinstance(detector, TextDetector)
    assert isinstance(recognizer, TextRecognizer)
    for kind in KINDS:
        model = extractor(kind)
        model.warm_up()
        for count in (1, 20, 100, 400):
            print(f"{kind}, {_words(model, image, count, max(3, arguments.turns // 4))}")
        parts = _Parts(OCR(detector, recognizer, extractor=model), image)
        chain = alone = float("inf")
        for _ in range(arguments.turns):
            chain = _least(lambda parts=parts: parts.chain.predict([image]), chain)  # type: ignore[misc]
            alone = _least(parts.alone, alone)
        print(
            f"{kind}: {len(parts.page.words)} words, chain {1e3 * chain:.1f} ms, its models alone "
            f"{1e3 * alone:.1f} ms, beyond them {100 * (chain / alone - 1):.1f} %"
        )


if __name__ == "__main__":
    main()
