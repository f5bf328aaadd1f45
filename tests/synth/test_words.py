import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.synth import (
    CHARSET,
    FontError,
    FontFace,
    WordRenderConfig,
    WordRenderer,
    WordSample,
)
from ocrserve.train.synth.geometry import apply_homography, quad_to_quad, rectangle

CLEAN = WordRenderConfig(
    max_difficulty=0.0,
    texture_ratio=0.0,
    outline_ratio=0.0,
    shadow_ratio=0.0,
    clutter_ratio=0.0,
    cut_ratio=0.0,
    min_height_px=24.0,
)
"""Text on a plain ground, without damage: what is not ground is ink."""


def _ink(sample: WordSample) -> np.ndarray:
    """(H, W) bool: pixels clearly different from the ground."""
    pixels = sample.image.reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    ground = colours[counts.argmax()].astype(np.float64)
    other = np.abs(sample.image - ground).sum(axis=2)
    return other > 0.25 * other.max()


def _covered(polygons: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: pixels inside one of the polygons or within a pixel of it."""
    mask = np.zeros(shape, dtype=np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0


def test_polygons_cover_the_ink_and_only_the_ink(pip_fonts: tuple[FontFace, ...]) -> None:
    renderer = WordRenderer(pip_fonts, CLEAN)
    straight = curved = tight = 0
    for seed in range(60):
        sample = renderer.render(seed)
        ink = _ink(sample)
        if ink.mean() > 0.5:
            continue  # a heavy face: the ink is the most common colour
        height, width = ink.shape
        curved += len(sample.polygon) > 4
        straight += len(sample.polygon) == 4
        assert not (ink & ~_covered([sample.polygon], ink.shape)).any(), (seed, sample.text)
        assert not (ink & ~_covered(sample.char_polygons, ink.shape)).any(), (seed, sample.text)
        for char, polygon in zip(sample.text, sample.char_polygons, strict=True):
            cut = polygon.min() < 0 or (polygon.max(axis=0) > [width - 1, height - 1]).any()
            if char == " " or cut:
                continue
            # Seen upright, the ink reaches all four sides of the character's box, give or take
            # what an arc bends (12 %).
            rows, columns = np.nonzero(ink & _covered([polygon], ink.shape))
            mine = np.stack([columns, rows], axis=1).astype(np.float32)
            assert len(mine), (seed, sample.text, char)
            size = np.linalg.norm(polygon[1] - polygon[0]), np.linalg.norm(polygon[3] - polygon[0])
            local = apply_homography(quad_to_quad(polygon, rectangle(0, 0, *size)), mine)
            slack = 1.6 + 0.12 * np.array(size)
            assert (np.abs(local.min(axis=0)) <= slack).all(), (seed, sample.text, char)
            assert (np.abs(local.max(axis=0) - size) <= slack).all(), (seed, sample.text, char)
            tight += 1
    assert straight >= 30
    assert curved >= 3
    assert tight > 200


def test_damage_leaves_labels_alone(pip_fonts: tuple[FontFace, ...]) -> None:
    gentle = WordRenderer(pip_fonts, WordRenderConfig(max_difficulty=0.0))
    rough = WordRenderer(pip_fonts, WordRenderConfig(max_difficulty=1.0))
    different = 0
    for seed in range(30):
        a, b = gentle.render(seed), rough.render(seed)
        assert a.text == b.text
        np.testing.assert_array_equal(a.polygon, b.polygon)
        np.testing.assert_array_equal(a.char_polygons, b.char_polygons)
        assert a.image.shape == b.image.shape
        different += not np.array_equal(a.image, b.image)
    assert different > 25


def test_samples_keep_their_promises(pip_fonts: tuple[FontFace, ...]) -> None:
    renderer = WordRenderer(pip_fonts)
    heights = []
    for seed in range(200):
        sample = renderer.render(seed)
        assert sample.image.dtype == np.uint8
        assert sample.image.ndim == 3
        assert sample.image.shape[2] == 3
        assert sample.char_polygons.shape == (len(sample.text), 4, 2)
        assert sample.char_polygons.dtype == sample.polygon.dtype == np.float32
        assert len(sample.polygon) >= 4
        assert cv2.contourArea(sample.polygon, oriented=True) > 0, "clockwise, y down"
        assert set(sample.text) <= set(CHARSET)
        heights.append(np.ptp(sample.polygon[:, 1]))
    assert min(heights) < 16
    assert max(heights) > 50


def test_the_same_seed_gives_the_same_bytes(pip_fonts: tuple[FontFace, ...]) -> None:
    first, second = WordRenderer(pip_fonts), WordRenderer(tuple(reversed(pip_fonts)))
    second.render(999)  # what was drawn before does not matter
    for seed in range(25):
        a, b = first.render(seed), second.render(np.random.default_rng(seed))
        assert a.text == b.text
        assert a.image.tobytes() == b.image.tobytes()
        assert a.polygon.tobytes() == b.polygon.tobytes()
        assert a.char_polygons.tobytes() == b.char_polygons.tobytes()
    assert first.render(0).image.tobytes() != first.render(1).image.tobytes()


@pytest.mark.parametrize("text", ["Hello", "two words", "$9.99", "-", CHARSET.strip()[:60]])
def test_a_given_text_is_drawn(pip_fonts: tuple[FontFace, ...], text: str) -> None:
    sample = WordRenderer(pip_fonts).render(3, text=text)
    assert sample.text == text
    assert len(sample.char_polygons) == len(text)


def test_dark_on_light_and_light_on_dark(pip_fonts: tuple[FontFace, ...]) -> None:
    renderer = WordRenderer(pip_fonts, dataclasses.replace(CLEAN, curved_ratio=0.0))
    darker = 0
    for seed in range(60):
        sample = renderer.render(seed, text="nonsense")
        ink = _ink(sample)
        grey = sample.image.mean(axis=2)
        darker += grey[ink].mean() < grey[~ink].mean()
    assert 15 <= darker <= 45


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"min_height_px": 40.0, "max_height_px": 20.0}, "40.0 to 20.0"),
        ({"max_difficulty": 2.0}, "max_difficulty is 2.0"),
    ],
)
def test_bad_configurations_are_refused(changes: dict[str, float], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        WordRenderConfig(**changes)  # type: ignore[arg-type]


def test_blank_text_and_no_fonts_are_refused(pip_fonts: tuple[FontFace, ...]) -> None:
    with pytest.raises(ConfigError, match="other than spaces"):
        WordRenderer(pip_fonts).render(0, text="  ")
    with pytest.raises(FontError, match="no fonts given"):
        WordRenderer(())
