"""What a camera does to a picture: shadow, blur, noise, few pixels, JPEG.

Nothing here moves a pixel, so polygons stay exact.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_NOISE_SIZE_PX = 1024
_NOISE_SEED = 77


@lru_cache(maxsize=1)
def _noise_fields() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit Gaussian noise to cut windows from: (S, S, 1) grey and (S, S, 3) coloured."""
    rng = np.random.default_rng(_NOISE_SEED)
    size = _NOISE_SIZE_PX
    grey = rng.standard_normal((size, size, 1), dtype=np.float32)
    coloured = rng.standard_normal((size, size, 3), dtype=np.float32)
    return grey, coloured


def add_noise(
    rng: np.random.Generator, image: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """Add sensor noise with standard deviation ``sigma`` (0..255 scale) to (H, W, 3) float32."""
    field = _noise_fields()[rng.random() < 0.6]
    height, width = image.shape[:2]
    size = field.shape[0]
    if height > size or width > size:
        repeats = (-(-height // size) + 1, -(-width // size) + 1, 1)
        field = np.tile(field, repeats)
    y = int(rng.random() * (field.shape[0] - height))
    x = int(rng.random() * (field.shape[1] - width))
    return image + np.float32(sigma) * field[y : y + height, x : x + width]


def gaussian_blur(image: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Out of focus."""
    size = 2 * max(1, round(2.5 * sigma_px)) + 1
    return cv2.GaussianBlur(image, (size, size), sigma_px)  # type: ignore[return-value]


def motion_blur(
    image: NDArray[np.float32], length_px: float, angle_rad: float
) -> NDArray[np.float32]:
    """The camera moved by ``length_px`` along a line, centred so that nothing shifts."""
    reach = max(1, int(np.ceil(length_px / 2)))
    size = 2 * reach + 1
    kernel = np.zeros((size, size), dtype=np.float32)
    for t in np.linspace(-length_px / 2, length_px / 2, 2 * size):
        x = reach + t * np.cos(angle_rad)
        y = reach + t * np.sin(angle_rad)
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        for dx, dy, weight in (
            (0, 0, (1 - fx) * (1 - fy)),
            (1, 0, fx * (1 - fy)),
            (0, 1, (1 - fx) * fy),
            (1, 1, fx * fy),
        ):
            if 0 <= x0 + dx < size and 0 <= y0 + dy < size:
                kernel[y0 + dy, x0 + dx] += weight
    return cv2.filter2D(image, -1, kernel / kernel.sum())  # type: ignore[return-value]


def sharpen(image: NDArray[np.float32], sigma_px: float, amount: float) -> NDArray[np.float32]:
    """What phones do to hide their blur: edges overshoot and get a halo."""
    return image + np.float32(amount) * (image - gaussian_blur(image, sigma_px))


def fewer_pixels(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Shrink by ``factor`` (> 1) and enlarge again: a text far away, zoomed."""
    height, width = image.shape[:2]
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def cast_shadow(
    rng: np.random.Generator, image: NDArray[np.float32], strength: float
) -> NDArray[np.float32]:
    """Darken one side of a random line by ``strength`` (0..1), with a soft edge."""
    height, width = image.shape[:2]
    angle = rng.random() * 2 * np.pi
    cos, sin = np.cos(angle), np.sin(angle)
    reach = 0.35 * (abs(width * cos) + abs(height * sin))
    offset = (rng.random() - 0.5) * reach
    soft = max(1.0, min(width, height) * (0.03 + 0.3 * rng.random()))
    across = (np.arange(width, dtype=np.float32) - width / 2) * np.float32(cos)
    down = (np.arange(height, dtype=np.float32) - height / 2) * np.float32(sin)
    side = np.clip((across[None, :] + down[:, None] - offset) / soft + 0.5, 0, 1)
    return image * (1 - np.float32(strength) * side)[..., None].astype(np.float32)


def to_uint8(image: NDArray[np.float32]) -> Image:
    """Round and clip to 0..255."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """Encode as JPEG and decode again."""
    encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[return-value]
