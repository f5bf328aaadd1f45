"""Predictors: order, independence of neighbours, empty input, rotated crops, options."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ocr_models.clock import STAGES, StageClock
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.ocr import OCR, OcrOptions
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing
from ocr_models.recognition.crnn import CRNN, CRNNConfig, LightColumnsConfig
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import Boundary, DetectionResult
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, RecognizerSpec
from tests.conformance import formulas

PLAIN = RuntimeOptions(kind="torch", device="cpu", precision="float32")
TURNS = (0, 90, 270)


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    torch.manual_seed(0)
    network = DBNetConfig(LightResNetConfig(3, 8, (8, 8, 8, 8)), neck_channels=16)
    spec = DetectorSpec(
        network,
        DetectionPreprocessing(image_scale=(320, 160)),
        DBPostprocessing("quad", mask_thr=0.5, min_text_score=0.0, min_text_width=1),
    )
    return TextDetector(spec, DBNet(network).state_dict(), PLAIN)


@pytest.fixture(scope="module")
def recognizer() -> TextRecognizer:
    config = CRNNConfig(LightColumnsConfig(), 38, hidden=16, layers=1)
    network = CRNN(config)
    formulas.fill(network, 1)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.startswith("decoder.") and tensor.ndim > 1:
            tensor *= 5  # so that more than one letter is read
    preprocessing = RecognitionPreprocessing(rotate_degrees=TURNS, swap_rotated_shape=True)
    return TextRecognizer(RecognizerSpec(config, preprocessing, CTCCodecConfig()), state, PLAIN)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_no_images_give_no_results(detector: TextDetector, recognizer: TextRecognizer) -> None:
    assert detector.predict([]) == []
    assert recognizer.predict([]) == []
    assert OCR(detector, recognizer).predict([]) == []


def test_a_detection_does_not_depend_on_its_neighbours(detector: TextDetector) -> None:
    images = [noise(120, 200, 0), noise(200, 120, 1), noise(64, 64, 2)]
    together = detector.predict(images)
    for image, result in zip(images, together, strict=True):
        alone = detector.predict([image])[0]
        assert result.to_json() == alone.to_json()
        assert (result.height, result.width) == image.shape[:2]
    assert sum(len(result.boundaries) for result in together) > 10


def test_a_reading_does_not_depend_on_its_neighbours(recognizer: TextRecognizer) -> None:
    crops = [noise(32, width, width) for width in (40, 300, 100, 104, 96, 300)]
    together = recognizer.predict(crops)
    backwards = recognizer.predict(crops[::-1])[::-1]
    for crop, first, second in zip(crops, together, backwards, strict=True):
        alone = recognizer.predict([crop])[0]
        assert first.text == second.text == alone.text
        np.testing.assert_allclose(first.char_scores, alone.char_scores, atol=1e-4)
    assert len({reading.text for reading in together}) > 2


def test_of_a_tall_crop_the_best_turn_is_taken(recognizer: TextRecognizer) -> None:
    lying = noise(32, 160, 3)
    standing = cv2.rotate(lying, cv2.ROTATE_90_CLOCKWISE)
    turned = [np.ascontiguousarray(np.rot90(standing, degrees // 90)) for degrees in TURNS]
    # Only crops higher than wide are turned, so the turned ones are read as they are.
    wide = [recognizer.predict([crop])[0] for crop in turned[1:]]
    best = recognizer.predict([standing])[0]
    assert best.rotation in TURNS
    assert best.score >= max(reading.score for reading in wide) - 1e-6
    if best.rotation:
        assert best.text == wide[TURNS.index(best.rotation) - 1].text


def test_the_chain_reads_every_box_and_orders_the_words(
    detector: TextDetector, recognizer: TextRecognizer
) -> None:
    images = [noise(160, 320, 5), noise(160, 320, 6)]
    clock = StageClock()
    pages = OCR(detector, recognizer).predict(images, clock=clock)
    assert all(clock.seconds[stage] > 0 for stage in STAGES if stage != "decode")
    for page, image in zip(pages, images, strict=True):
        assert (page.height, page.width) == image.shape[:2]
        assert [i for line in page.lines for i in line] == list(range(len(page.words)))
        assert page.text.split() == " ".join(word.text for word in page.words).split()
    assert pages[0].words


def test_a_limit_on_crops_keeps_the_best_boxes(
    detector: TextDetector, recognizer: TextRecognizer
) -> None:
    image = noise(160, 320, 5)
    boundaries = detector.predict([image])[0].boundaries
    scores = sorted((b.score for b in boundaries), reverse=True)
    assert len(scores) > 3
    page = OCR(detector, recognizer, OcrOptions(max_crops=3)).predict([image])[0]
    assert {word.boundary.score for word in page.words} <= set(scores[:3])


def test_an_absurdly_long_box_is_left_out(recognizer: TextRecognizer) -> None:
    class OneLongBox:
        runtime_name = "none"

        def predict(self, images, *, clock):  # type: ignore[no-untyped-def]
            thin = np.array([[0, 10], [2000, 10], [2000, 11], [0, 11]], float)
            word = np.array([[0, 10], [100, 10], [100, 42], [0, 42]], float)
            boundaries = (Boundary(thin, 0.9), Boundary(word, 0.8))
            return [DetectionResult(boundaries, 2000, 64) for _ in images]

    ocr = OCR(OneLongBox(), recognizer)  # type: ignore[arg-type]
    assert len(ocr.predict([noise(64, 2000, 7)])[0].words) <= 1


def test_weights_of_another_network_are_refused(detector: TextDetector) -> None:
    other = DBNet(DBNetConfig(LightResNetConfig(3, 8, (8, 8, 8, 16)), neck_channels=16))
    with pytest.raises(WeightsError, match=r"backbone\.stages\.3"):
        TextDetector(detector.spec, other.state_dict(), PLAIN, source="other.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_box_score": 1.5}, "min_box_score is 1.5"),
        ({"min_text_score": -0.1}, "min_text_score is -0.1"),
        ({"max_crops": 0}, "max_crops is 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OcrOptions(**options)  # type: ignore[arg-type]
