"""Surfaces to put text on: a pool of procedural textures, made once per process from a seed.

The pool is the same in every process and for every sample seed; a sample takes a random window of
a random texture, turned and tinted, which costs microseconds where making one costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

POOL_SEED = 20_240_117
POOL_SIZE_PX = 768


def smooth_noise(
    rng: np.random.Generator,
    size_px: int,
    *,
    cell_px: float,
    octaves: int = 4,
    stretch: float = 1.0,
) -> NDArray[np.float32]:
    """Noise like clouds, (size, size) float32 in 0..1; ``stretch`` > 1 draws it out along x."""
    total = np.zeros((size_px, size_px), dtype=np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = max(2, int(size_px / (cell_px / 2**octave)))
        columns = max(2, int(rows / stretch))
        grid = rng.random((min(rows, size_px), min(columns, size_px)), dtype=np.float32)
        total += weight * cv2.resize(grid, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
        weight *= 0.5
    low, high = float(total.min()), float(total.max())
    return (total - low) / (high - low + 1e-6)


def random_colour(
    rng: np.random.Generator, low: float = 0.0, high: float = 255.0
) -> NDArray[np.float32]:
    """A BGR colour, (3,) float32, whose brightness is spread evenly over low..high."""
    level = low + (high - low) * rng.random()
    strength = rng.random() ** 2 * 90.0
    tint = (rng.random(3) - 0.5) * 2 * strength
    return np.clip(level + tint - tint.mean(), 0, 255).astype(np.float32)


def _mix(
    field: NDArray[np.float32], dark: NDArray[np.float32], light: NDArray[np.float32]
) -> NDArray[np.float32]:
    return dark + field[..., None] * (light - dark)


def _paper(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    light = random_colour(rng, 190, 250)
    stains = smooth_noise(rng, size, cell_px=size / 2, octaves=3)
    fibre = rng.normal(0, 2.5, (size, size)).astype(np.float32)
    return _mix(stains, light * 0.9, light) + cv2.GaussianBlur(fibre, (0, 0), 0.8)[..., None]


def _plaster(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = random_colour(rng, 60, 230)
    field = smooth_noise(rng, size, cell_px=rng.uniform(20, 120), octaves=5)
    grain = rng.normal(0, 6, (size, size, 1)).astype(np.float32)
    return _mix(field, base * 0.75, np.minimum(base * 1.1, 255)) + grain


def _stone(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = random_colour(rng, 50, 190)
    field = smooth_noise(rng, size, cell_px=rng.uniform(12, 50), octaves=6)
    veins = np.abs(smooth_noise(rng, size, cell_px=90, octaves=4) - 0.5)
    cracks = np.clip(1 - veins * 30, 0, 1)
    return _mix(field, base * 0.6, np.minimum(base * 1.3, 255)) - 35 * cracks[..., None]


def _wood(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    field = smooth_noise(rng, size, cell_px=rng.uniform(60, 140), octaves=3, stretch=8)
    rings = 0.5 + 0.5 * np.sin(field * rng.uniform(30, 90))
    fine = smooth_noise(rng, size, cell_px=6, octaves=2, stretch=20)
    light = np.array([90, 140, 190], dtype=np.float32) * rng.uniform(0.4, 1.3)
    image = _mix(0.6 * rings + 0.4 * fine, light * 0.6, np.clip(light, 0, 255))
    plank = int(rng.integers(60, 200))
    image[::plank] *= 0.4
    image[1::plank] *= 0.6
    return image if rng.random() < 0.5 else np.ascontiguousarray(image.transpose(1, 0, 2))


def _bricks(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    brick = random_colour(rng, 60, 170) * np.array([0.7, 0.8, 1.2], dtype=np.float32)
    mortar = random_colour(rng, 110, 210)
    height = int(rng.integers(18, 60))
    width = int(height * rng.uniform(2.0, 3.2))
    joint = max(2, height // 10)
    image = np.empty((size, size, 3), dtype=np.float32)
    image[:] = mortar
    for row, y in enumerate(range(0, size, height)):
        for x in range(-(row % 2) * width // 2, size, width):
            tone = brick * rng.uniform(0.75, 1.2)
            image[y : y + height - joint, max(0, x) : max(0, x + width - joint)] = tone
    return image + (smooth_noise(rng, size, cell_px=16, octaves=4)[..., None] - 0.5) * 50


def _blobs(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Soft and hard patches of colour: a street, a room or a shelf out of focus."""
    small = size // 4
    image = np.empty((small, small, 3), dtype=np.float32)
    image[:] = random_colour(rng, 30, 220)
    for _ in range(int(rng.integers(20, 70))):
        centre = tuple(int(v) for v in rng.integers(-20, small + 20, 2))
        colour = tuple(float(v) for v in random_colour(rng))
        kind = rng.random()
        reach = int(rng.integers(4, small // 4))
        if kind < 0.4:
            axes = (reach, int(reach * rng.uniform(0.3, 1)) + 1)
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        elif kind < 0.8:
            corner = (centre[0] + reach, centre[1] + int(reach * rng.uniform(0.3, 3)))
            cv2.rectangle(image, centre, corner, colour, -1)
        else:
            points = (rng.integers(-reach, reach + 1, (4, 2)) + centre).astype(np.int32)
            cv2.fillPoly(image, [points], colour)
    blurred = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 5)))
    big = cv2.resize(blurred, (size, size), interpolation=cv2.INTER_CUBIC)
    light = smooth_noise(rng, size, cell_px=size / 2, octaves=5)
    return big * (0.7 + 0.5 * light[..., None])


def _foliage(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    field = smooth_noise(rng, size, cell_px=rng.uniform(10, 30), octaves=4)
    shade = smooth_noise(rng, size, cell_px=size / 3, octaves=3)
    green = np.array([50, 130, 90], dtype=np.float32) * rng.uniform(0.6, 1.3)
    return _mix(np.clip((field - 0.3) * 1.8, 0, 1), green * 0.2, green * 1.2) * (
        0.5 + shade[..., None]
    )


def _stripes(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    period = rng.uniform(6, 60)
    angle = rng.uniform(0, np.pi)
    grid = np.arange(size, dtype=np.float32)
    phase = (grid[None, :] * np.cos(angle) + grid[:, None] * np.sin(angle)) * (2 * np.pi / period)
    wave = np.clip(np.sin(phase) * rng.uniform(1, 6), -1, 1) * 0.5 + 0.5
    base = random_colour(rng, 40, 230)
    other = np.clip(base + rng.uniform(15, 60) * rng.choice([-1, 1]), 0, 255)
    return _mix(wave.astype(np.float32), base, other.astype(np.float32))


def _tiles(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = random_colour(rng, 90, 240)
    image = np.empty((size, size, 3), dtype=np.float32)
    image[:] = base
    image *= 0.9 + 0.15 * smooth_noise(rng, size, cell_px=size / 3, octaves=3)[..., None]
    step = int(rng.integers(16, 120))
    line = np.clip(base * rng.uniform(0.5, 1.3), 0, 255)
    thick = max(1, step // 24)
    for i in range(thick):
        image[i::step] = line
        if rng.random() < 0.8:
            image[:, i::step] = line
    return image


def _asphalt(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = random_colour(rng, 50, 140)
    grain = rng.normal(0, 22, (size, size, 1)).astype(np.float32)
    stains = smooth_noise(rng, size, cell_px=size / 4, octaves=4)[..., None]
    return (base + cv2.GaussianBlur(grain, (0, 0), 0.9)[..., None]) * (0.8 + 0.4 * stains)


def _metal(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    base = random_colour(rng, 90, 220)
    brushed = smooth_noise(rng, size, cell_px=4, octaves=2, stretch=60)[..., None]
    sheen = smooth_noise(rng, size, cell_px=size, octaves=2)[..., None]
    return base * (0.7 + 0.4 * sheen) + (brushed - 0.5) * 25


_KINDS: tuple[Callable[[np.random.Generator, int], NDArray[np.float32]], ...] = (
    _paper, _plaster, _stone, _wood, _bricks, _blobs, _blobs, _blobs, _foliage, _stripes, _tiles,
    _asphalt, _metal,
)  # fmt: skip


@lru_cache(maxsize=4)
def texture_pool(count: int = 52, size_px: int = POOL_SIZE_PX) -> tuple[Image, ...]:
    """``count`` textures (size, size, 3) uint8 BGR, equal in every process."""
    textures = []
    for index in range(count):
        rng = np.random.default_rng([POOL_SEED, index])
        texture = _KINDS[index % len(_KINDS)](rng, size_px)
        textures.append(np.clip(texture, 0, 255).astype(np.uint8))
    return tuple(textures)


@lru_cache(maxsize=1)
def _quiet_pool() -> tuple[Image, ...]:
    """Small copies of the textures, for words: a window of them looks like a far surface."""
    return tuple(
        cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # type: ignore[misc]
        for texture in texture_pool()
    )


def texture_window(
    rng: np.random.Generator, width: int, height: int, *, far: bool = False
) -> Image:
    """A random window of a random texture, (height, width, 3) uint8 BGR; a fresh copy."""
    pool = _quiet_pool() if far else texture_pool()
    texture = pool[int(rng.random() * len(pool))]
    size = texture.shape[0]
    zoom = max(width, height) / size
    if zoom >= 1:
        texture = cv2.resize(texture, None, fx=zoom * 1.02 + 0.01, fy=zoom * 1.02 + 0.01)  # type: ignore[assignment]
        size = texture.shape[0]
    x = int(rng.random() * (size - width))
    y = int(rng.random() * (size - height))
    window = texture[y : y + height, x : x + width]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return np.ascontiguousarray(window)


def gradient(
    rng: np.random.Generator, width: int, height: int, strength: float
) -> NDArray[np.float32]:
    """A plane of light, (height, width, 1) float32 around 1, darker on one side by ``strength``."""
    angle = rng.random() * 2 * np.pi
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(angle) * strength)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(angle) * strength)
    return (1 + across[None, :] + down[:, None])[..., None].astype(np.float32)
