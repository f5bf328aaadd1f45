from importlib import resources

import cv2
import numpy as np
import pytest

from ocr_models.images import decode_image
from ocrserve.train.synth import CHARSET
from ocrserve.train.synth.samples import SamplePhoto, draw_sample

ASSETS = resources.files("ocrserve") / "assets"


@pytest.fixture(scope="module")
def photo() -> SamplePhoto:
    return draw_sample()


def test_the_shipped_photo_is_the_one_that_is_drawn(photo: SamplePhoto) -> None:
    """Up to what JPEG loses and what another FreeType rounds differently."""
    shipped = decode_image((ASSETS / "sample.jpg").read_bytes())
    assert shipped.shape == photo.image.shape == (720, 1280, 3)
    difference = cv2.absdiff(
        cv2.GaussianBlur(shipped, (0, 0), 2.0), cv2.GaussianBlur(photo.image, (0, 0), 2.0)
    )
    assert difference.mean() < 2.0
    assert np.percentile(difference, 99.5) < 16


def test_the_shipped_text_is_what_the_photo_says(photo: SamplePhoto) -> None:
    lines = (ASSETS / "sample.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [word.text for word in photo.words]
    assert len(lines) == 21
    assert set("".join(lines)) <= set(CHARSET)


def test_words_are_legible_apart_and_inside(photo: SamplePhoto) -> None:
    painted = np.zeros((720, 1280), dtype=np.uint8)
    for word in photo.words:
        left, top, width, height = cv2.boundingRect(word.polygon)
        assert left >= 0
        assert top >= 0
        assert left + width <= 1280
        assert top + height <= 720
        assert height >= 12, word.text
        single = np.zeros_like(painted)
        cv2.fillPoly(single, [np.round(word.polygon).astype(np.int32)], (1,))
        assert not (single & painted).any(), word.text
        painted |= single
        # There is something to read: light and dark within the word's outline.
        grey = photo.image.mean(axis=2)[single > 0]
        assert np.percentile(grey, 97) - np.percentile(grey, 10) > 50, word.text
