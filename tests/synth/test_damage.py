from collections.abc import Callable

import numpy as np
import pytest

from ocrserve.train.synth import damage

Damage = Callable[[np.ndarray], np.ndarray]

DAMAGES: dict[str, Damage] = {
    "gaussian_blur": lambda image: damage.gaussian_blur(image, 2.0),
    "motion_blur_0": lambda image: damage.motion_blur(image, 7.0, 0.0),
    "motion_blur_45": lambda image: damage.motion_blur(image, 7.3, 0.8),
    "fewer_pixels": lambda image: damage.fewer_pixels(image, 2.6),
    "sharpen": lambda image: damage.sharpen(image, 1.5, 1.0),
    "noise": lambda image: damage.add_noise(np.random.default_rng(0), image, 6.0),
    "shadow": lambda image: damage.cast_shadow(np.random.default_rng(0), image, 0.4),
    "jpeg": lambda image: damage.jpeg(damage.to_uint8(image), 40).astype(np.float32),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_moves_nothing(name: str) -> None:
    """A bright bar stays where it was to a fraction of a pixel, in both directions."""
    image = np.full((61, 90, 3), 20.0, dtype=np.float32)
    image[21:40, 31:60] = 220.0
    damaged = DAMAGES[name](image.copy())
    assert damaged.shape == image.shape
    assert not np.array_equal(damaged, image)
    grey = damaged.mean(axis=2)
    for profile, first, last in (
        (grey[25:36].mean(axis=0), 31, 59),
        (grey[:, 35:56].mean(axis=1), 21, 39),
    ):
        half = (profile.max() + np.median(profile[:10])) / 2
        inside = np.flatnonzero(profile > half)
        assert abs(inside[0] - first) <= 1
        assert abs(inside[-1] - last) <= 1
        assert abs((inside[0] - first) + (inside[-1] - last)) <= 1, "shifted to one side"


def test_the_table_names_every_damage() -> None:
    assert len(DAMAGES) == 8


def test_noise_windows_reach_beyond_the_pool() -> None:
    image = np.full((1100, 1300, 3), 128.0, dtype=np.float32)
    noisy = damage.add_noise(np.random.default_rng(0), image, 5.0)
    assert noisy.shape == image.shape
    assert noisy.std() == pytest.approx(5.0, rel=0.05)


def test_to_uint8_rounds_and_clips() -> None:
    values = np.array([[[-5.0, 0.4, 0.6]], [[254.6, 300.0, 12.5]]], dtype=np.float32)
    np.testing.assert_array_equal(damage.to_uint8(values), [[[0, 0, 1]], [[255, 255, 13]]])
