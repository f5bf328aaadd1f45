"""The transforms that MMOCR takes from torchvision, without torchvision.

They change the picture alone, as in MMOCR: polygons stay where they are, so these steps are for
word crops. Names, arguments, what is drawn and the resulting picture are those of torchvision for
Pillow images, which is what MMOCR hands it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError

from .moves import as_range
from .photometric import ColorJitter
from .sample import Sample, SampleError

Matrix = NDArray[np.float64]
Range = float | Sequence[float]
Fill = float | Sequence[float]

INTERPOLATIONS: Mapping[str | int, int] = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    0: cv2.INTER_NEAREST,
    2: cv2.INTER_LINEAR,
    3: cv2.INTER_CUBIC,
}
"""torchvision's names, and Pillow's numbers for the same."""

BORDERS: Mapping[str, int] = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
}
"""torchvision's padding modes."""


@dataclass(frozen=True)
class RandomAffine:
    """Turn, move, scale and shear about the middle; the canvas keeps its size.

    Args:
        degrees: clockwise on the screen; a range, or one number for both ways.
        translate: largest moves, as shares of width and height; None: none.
        scale: range of the factor; None: 1.
        shear: degrees along x; a range, or one number for both ways; with four numbers the last
            two are a range along y.
        interpolation: a name or number out of ``INTERPOLATIONS``.
        fill: of what lies outside, 0..255.
        center: (x, y) in pixels to turn about; None: the middle.
    """

    degrees: Range
    translate: Sequence[float] | None = None
    scale: Sequence[float] | None = None
    shear: Range | None = None
    interpolation: str | int = "nearest"
    fill: Fill = 0
    center: Sequence[float] | None = None

    def __post_init__(self) -> None:
        _check_interpolation("RandomAffine", self.interpolation)
        if self.translate is not None and not all(0 <= share <= 1 for share in self.translate):
            raise ConfigError(f"RandomAffine.translate: shares of 0 to 1, got {self.translate}")
        if self.scale is not None and min(self.scale) <= 0:
            raise ConfigError(f"RandomAffine.scale must be above 0, got {self.scale}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        height, width = image.shape[:2]
        degrees = _drawn(rng, self.degrees)
        moves = np.zeros(2)
        if self.translate is not None:
            limits = np.array(self.translate) * (width, height)
            moves = np.round(rng.uniform(-limits, limits))
        factor = 1.0 if self.scale is None else rng.uniform(*as_range(self.scale))
        shear = np.zeros(2)
        if self.shear is not None:
            low_x, high_x, *along_y = _both_ways(self.shear)
            shear[0] = rng.uniform(low_x, high_x)
            if along_y:
                shear[1] = rng.uniform(along_y[0], along_y[1])
        centre = np.array(self.center or (width / 2, height / 2))
        linear = factor * _turned_and_sheared(degrees, shear)
        offset = centre + moves - linear @ centre
        matrix = np.vstack([np.hstack([linear, offset[:, None]]), (0, 0, 1)])
        sample.image = _warped(image, matrix, self.interpolation, self.fill)


def _turned_and_sheared(degrees: float, shear: NDArray[np.float64]) -> Matrix:
    """(2, 2): a shear along x, then one along y, then a turn, as torchvision composes them."""
    turn, (shear_x, shear_y) = np.deg2rad(degrees), np.deg2rad(shear)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    along_y = np.array([[1, 0], [-np.tan(shear_y), 1]])
    along_x = np.array([[1, -np.tan(shear_x)], [0, 1]])
    product: Matrix = rotation @ along_y @ along_x
    return product


@dataclass(frozen=True)
class RandomRotation:
    """Turn about the middle.

    Args:
        degrees: anticlockwise on the screen; a range, or one number for both ways.
        interpolation: a name or number out of ``INTERPOLATIONS``.
        expand: must be false: the canvas keeps its size.
        center: (x, y) in pixels to turn about; None: the middle.
        fill: of what lies outside, 0..255.
    """

    degrees: Range
    interpolation: str | int = "nearest"
    expand: bool = False
    center: Sequence[float] | None = None
    fill: Fill = 0

    def __post_init__(self) -> None:
        _check_interpolation("RandomRotation", self.interpolation)
        if self.expand:
            raise ConfigError("RandomRotation: expand=True is not supported")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        degrees = _drawn(rng, self.degrees)
        step = RandomAffine(
            (-degrees, -degrees),
            interpolation=self.interpolation,
            fill=self.fill,
            center=self.center,
        )
        step(sample, rng)


@dataclass(frozen=True)
class RandomPerspective:
    """Look at the picture from the side: its corners move inwards.

    Args:
        distortion_scale: how far they may move, as a share of half of each side.
        p: probability.
        interpolation: a name or number out of ``INTERPOLATIONS``.
        fill: of what lies outside, 0..255.
    """

    distortion_scale: float = 0.5
    p: float = 0.5
    interpolation: str | int = "bilinear"
    fill: Fill = 0

    def __post_init__(self) -> None:
        _check_interpolation("RandomPerspective", self.interpolation)
        if not 0 <= self.distortion_scale <= 1:
            raise ConfigError(
                f"RandomPerspective.distortion_scale: 0 to 1, got {self.distortion_scale}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        if rng.random() >= self.p:
            return
        image = sample.pixels()
        height, width = image.shape[:2]
        reach = (int(self.distortion_scale * (side // 2)) + 1 for side in (width, height))
        moves = np.stack([rng.integers(0, limit, 4) for limit in reach], axis=1)
        right, bottom = width - 1, height - 1
        corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)
        inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        moved = (corners + inwards * moves).astype(np.float32)
        matrix = np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)
        sample.image = _warped(image, matrix, self.interpolation, self.fill)


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a rectangle, anywhere.

    Args:
        size: (height, width) in pixels, or one number for both.
        padding: added before: one number, (left and right, top and bottom), or
            (left, top, right, bottom).
        pad_if_needed: pad what is smaller on both sides, instead of giving the sample up.
        fill: of the padding, 0..255.
        padding_mode: a name out of ``BORDERS``.
    """

    size: int | Sequence[int]
    padding: int | Sequence[int] | None = None
    pad_if_needed: bool = False
    fill: Fill = 0
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        if self.padding_mode not in BORDERS:
            raise ConfigError(
                f"RandomCrop.padding_mode is {self.padding_mode!r}; known: {', '.join(BORDERS)}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.pixels()
        new_height, new_width = (
            (self.size, self.size) if isinstance(self.size, int) else self.size[:2]
        )
        if self.padding is not None:
            image = self._padded(image, *_four_sides(self.padding))
        if self.pad_if_needed:
            missing_x = max(0, new_width - image.shape[1])
            image = self._padded(image, missing_x, 0, missing_x, 0)
            missing_y = max(0, new_height - image.shape[0])
            image = self._padded(image, 0, missing_y, 0, missing_y)
        height, width = image.shape[:2]
        if height < new_height or width < new_width:
            raise SampleError(
                f"{sample.source}: {width}x{height} is too small for RandomCrop to "
                f"{new_width}x{new_height}; set pad_if_needed=True"
            )
        x = int(rng.integers(width - new_width + 1))
        y = int(rng.integers(height - new_height + 1))
        sample.image = np.ascontiguousarray(image[y : y + new_height, x : x + new_width])

    def _padded(
        self, image: NDArray[Any], left: int, top: int, right: int, bottom: int
    ) -> NDArray[Any]:
        border = BORDERS[self.padding_mode]
        color = _color(image, self.fill)
        return cv2.copyMakeBorder(image, top, bottom, left, right, border, value=color)


@dataclass(frozen=True)
class GaussianBlur:
    """Blur.

    Args:
        kernel_size: side of the window in pixels, odd; or (width, height).
        sigma: standard deviation in pixels; a range, or one number.
    """

    kernel_size: int | Sequence[int]
    sigma: Range = (0.1, 2.0)

    def __post_init__(self) -> None:
        if any(side < 1 or side % 2 == 0 for side in self._window()):
            raise ConfigError(f"GaussianBlur.kernel_size must be odd, got {self.kernel_size}")
        if min(as_range(self.sigma)) <= 0:
            raise ConfigError(f"GaussianBlur.sigma must be above 0, got {self.sigma}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        sigma = rng.uniform(*as_range(self.sigma))
        sample.image = cv2.GaussianBlur(sample.pixels(), self._window(), sigma)

    def _window(self) -> tuple[int, int]:
        size = self.kernel_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])


@dataclass(frozen=True)
class RandomGrayscale:
    """Take the colours away; the picture keeps its channels.

    Args:
        p: probability.
    """

    p: float = 0.1

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        image = sample.stored()
        if rng.random() < self.p and image.ndim == 3:
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            sample.image = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


TORCHVISION: Mapping[str, type[Any]] = {
    "ColorJitter": ColorJitter,
    "RandomAffine": RandomAffine,
    "RandomRotation": RandomRotation,
    "RandomPerspective": RandomPerspective,
    "RandomCrop": RandomCrop,
    "GaussianBlur": GaussianBlur,
    "RandomGrayscale": RandomGrayscale,
}
"""What ``TorchVisionWrapper`` runs, by the name of its ``op``."""


def _warped(
    image: NDArray[Any], matrix: Matrix, interpolation: str | int, fill: Fill
) -> NDArray[Any]:
    """The image through a (3, 3) matrix of continuous coordinates: pixel i covers [i, i + 1)."""
    height, width = image.shape[:2]
    to_centres = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    matrix = to_centres @ matrix @ np.linalg.inv(to_centres)
    flags = INTERPOLATIONS[interpolation]
    drawn = cv2.warpPerspective(
        image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    # Edges stay sharp, as with Pillow: nothing between the picture and the fill is mixed.
    whole = np.ones((height, width), np.uint8)
    inside = cv2.warpPerspective(whole, matrix, (width, height), flags=cv2.INTER_NEAREST)
    drawn[inside == 0] = _color(image, fill)
    return np.asarray(drawn)


def _color(image: NDArray[Any], fill: Fill) -> tuple[float, ...]:
    """``fill``, which is grey or red, green, blue, in the order of the image's channels."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    values = [fill] * channels if isinstance(fill, int | float) else list(fill)[::-1]
    return tuple(float(value) for value in values)


def _both_ways(value: Range) -> tuple[float, ...]:
    """A number as a range about 0; ranges stay."""
    return (-value, value) if isinstance(value, int | float) else tuple(float(v) for v in value)


def _drawn(rng: np.random.Generator, degrees: Range) -> float:
    low, high = _both_ways(degrees)
    return rng.uniform(low, high)


def _four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom)."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if len(padding) == 2:
        return padding[0], padding[1], padding[0], padding[1]
    left, top, right, bottom = padding
    return left, top, right, bottom


def _check_interpolation(step: str, interpolation: str | int) -> None:
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(
            f"{step}.interpolation is {interpolation!r}; known: "
            f"{', '.join(str(name) for name in INTERPOLATIONS)}"
        )
