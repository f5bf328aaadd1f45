"""Steps that change colours and leave geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .sample import Sample

Strength = float | Sequence[float]


def _factor_range(strength: Strength, centre: float = 1.0) -> tuple[float, float]:
    if isinstance(strength, int | float):
        low = centre - strength
        return (max(0.0, low) if centre else low), centre + strength
    low, high = strength
    return float(low), float(high)


@dataclass(frozen=True)
class ColorJitter:
    """Random brightness, contrast, saturation and hue in random order.

    Args:
        brightness: factor drawn from [max(0, 1 - b), 1 + b], or from the given pair.
        contrast: the same, about the mean grey.
        saturation: the same, about the grey image.
        hue: share of the colour circle, drawn from [-h, h], h <= 0.5.
    """

    brightness: Strength = 0.0
    contrast: Strength = 0.0
    saturation: Strength = 0.0
    hue: Strength = 0.0

    def __post_init__(self) -> None:
        low, high = _factor_range(self.hue, centre=0.0)
        if not -0.5 <= low <= high <= 0.5:
            raise ConfigError(f"ColorJitter.hue must lie within -0.5..0.5, got {self.hue}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.stored()
        for number in rng.permutation(4):
            if number == 0 and self.brightness:
                image = _scaled(image, rng.uniform(*_factor_range(self.brightness)), 0.0)
            elif number == 1 and self.contrast:
                mean = float(_grey(image).mean() + 0.5) // 1
                image = _scaled(image, rng.uniform(*_factor_range(self.contrast)), mean)
            elif number == 2 and self.saturation and image.ndim == 3:
                factor = rng.uniform(*_factor_range(self.saturation))
                grey = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2BGR)
                image = cv2.addWeighted(image, factor, grey, 1 - factor, 0)
            elif number == 3 and self.hue and image.ndim == 3:
                image = _hue_shifted(image, rng.uniform(*_factor_range(self.hue, centre=0.0)))
        sample.image = image


def _grey(image: NDArray[Any]) -> NDArray[Any]:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _scaled(image: NDArray[Any], factor: float, about: float) -> NDArray[Any]:
    """``about + factor * (image - about)``, saturated; by table, as the image is uint8."""
    table = about + factor * (np.arange(256) - about)
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8))


def _hue_shifted(image: NDArray[Any], turn: float) -> NDArray[Any]:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += np.uint8(round(turn * 256) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


@dataclass(frozen=True)
class Normalize:
    """``(image - mean) / std`` as float32.

    Args:
        mean: per channel, 0..255, in the order after ``to_rgb``.
        std: per channel.
        to_rgb: turn BGR into RGB first; nothing to do for grey images.
    """

    mean: Sequence[float]
    std: Sequence[float]
    to_rgb: bool = True

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ConfigError(
                f"Normalize: {len(self.mean)} means, but {len(self.std)} standard deviations"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.stored()
        channels = 1 if image.ndim == 2 else image.shape[2]
        if len(self.mean) not in (1, channels):
            raise ConfigError(
                f"Normalize has {len(self.mean)} means, the image {channels} channels; "
                "does color_type of LoadImageFromFile fit?"
            )
        if self.to_rgb and channels == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        mean = np.array(self.mean, np.float32)
        scale = 1 / np.array(self.std, np.float32)
        normalized = image.astype(np.float32)
        normalized -= mean
        normalized *= scale
        sample.image = normalized
        sample.pad_value = tuple((-mean * scale).tolist())


@dataclass(frozen=True)
class ToTensorOCR:
    """Bring 0..255 to 0..1; batching turns the image into a tensor."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sample.image = sample.pixels().astype(np.float32) / 255
        sample.pad_value = (0.0,)


# Principal components of ImageNet's colours, one per column, and their standard deviations.
IMAGENET_EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)


@dataclass(frozen=True)
class FancyPCA:
    """Shift the colours along ImageNet's principal components (Krizhevsky 2012), after ToTensorOCR.

    As in MMOCR the components, which are of red, green and blue, meet the channels in the order in
    which the picture has them, that is blue, green, red.

    Args:
        eig_vec: (3, 3), one component per row.
        eig_val: their sizes.
    """

    eig_vec: Sequence[Sequence[float]] = tuple(zip(*IMAGENET_EIGENVECTORS, strict=True))
    eig_val: Sequence[float] = IMAGENET_EIGENVALUES

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        if image.ndim != 3 or image.dtype != np.float32:
            raise ConfigError("FancyPCA needs a coloured image in 0..1: put it after ToTensorOCR")
        sizes = rng.normal(0.0, 0.1, 3) * np.ravel(self.eig_val)
        shift = (sizes @ np.array(self.eig_vec)).astype(np.float32)
        sample.image = image + shift
        sample.pad_value = tuple(np.add(sample.pad_value, shift).tolist())


@dataclass(frozen=True)
class NormalizeOCR:
    """``(image - mean) / std`` on 0..1, after ``ToTensorOCR``.

    Args:
        mean: per channel, 0..1.
        std: per channel.
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        mean = np.array(self.mean, np.float32)
        std = np.array(self.std, np.float32)
        sample.image = (sample.pixels() - mean) / std
        sample.pad_value = tuple(((np.array(sample.pad_value) - mean) / std).tolist())


@dataclass(frozen=True)
class WordAugment:
    """Light damage for word crops from files; rendered words bring their own.

    Every part is drawn with probability ``p`` on its own.

    Args:
        p: 0..1.
        brightness: as in ``ColorJitter``.
        contrast: as in ``ColorJitter``.
        blur: largest standard deviation of a Gaussian blur, in pixels.
        noise: largest standard deviation of Gaussian noise, in grey levels.
        shear: largest horizontal shear, as a share of the height.
        shift: largest shift, as a share of the height, both ways.
    """

    p: float = 0.3
    brightness: float = 0.3
    contrast: float = 0.3
    blur: float = 1.0
    noise: float = 8.0
    shear: float = 0.1
    shift: float = 0.05

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.stored()
        height, width = image.shape[:2]
        if rng.random() < self.p:
            shear = rng.uniform(-self.shear, self.shear)
            dx, dy = rng.uniform(-self.shift, self.shift, 2) * height
            matrix = np.array([[1, shear, dx - shear * height / 2], [0, 1, dy]])
            image = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < self.p:
            image = _scaled(image, rng.uniform(*_factor_range(self.brightness)), 0.0)
        if rng.random() < self.p:
            image = _scaled(image, rng.uniform(*_factor_range(self.contrast)), image.mean())
        if rng.random() < self.p and self.blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, max(0.11, self.blur)))
        if rng.random() < self.p and self.noise > 0:
            noise = rng.normal(0, rng.uniform(0, self.noise), image.shape)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
        sample.image = image
