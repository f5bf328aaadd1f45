"""One training example on its way through a pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import OcrError


class SampleError(OcrError):
    """One example cannot be used; the message names the file (and line)."""


@dataclass(frozen=True)
class View:
    """Geometry that was decided but not yet drawn.

    Steps compose their maps here and the image is resampled once, where its pixels are needed, so
    that a crop of a picture enlarged three times never costs the enlarged picture.

    Args:
        matrix: (2, 3), takes a point of the stored image to the view. Points are continuous: pixel
            i covers [i, i + 1).
        width: of the view in pixels.
        height: of the view in pixels.
        content_width: columns from here on are empty (0).
        content_height: rows from here on are empty (0).
        turned: a rotation is part of ``matrix``, so the view may have empty corners.
    """

    matrix: NDArray[np.float64]
    width: int
    height: int
    content_width: int
    content_height: int
    turned: bool = False


@dataclass(frozen=True, eq=False)
class Character:
    """One character of a crop.

    Args:
        text: what it is.
        quad: (4, 2) its corners in order around it, as x, y in pixels of the current view.
    """

    text: str
    quad: NDArray[np.float64]


@dataclass
class Sample:
    """An image with its truth.

    Args:
        source: file (and line) or seed, for messages.
        image: H x W (x 3), uint8 BGR until a step normalises it, then float32.
        load: gives the image as uint8 BGR; its argument says whether to apply EXIF orientation.
        polygons: text to learn, each (K, 2) x, y in pixels of the current view of the image.
        ignored: text, or parts of a crop, that must not count either way, in the same form.
        text: what a crop says.
        characters: where its characters are, as far as that is known.
        fields: further columns of the annotation (corners of a word to be cut out, for instance).
        view: pending geometry; ``None`` when the image is up to date.
        valid_ratio: part of the width that is not padding, 0..1.
        pad_value: what padding is in the image's present scale, per channel.
        targets: maps that a target step drew.
    """

    source: str
    image: NDArray[Any] | None = None
    load: Callable[[bool], NDArray[np.uint8]] | None = None
    polygons: list[NDArray[np.float64]] = field(default_factory=list)
    ignored: list[NDArray[np.float64]] = field(default_factory=list)
    text: str = ""
    characters: list[Character] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    view: View | None = None
    valid_ratio: float = 1.0
    pad_value: tuple[float, ...] = (0.0,)
    targets: Any = None

    def stored(self) -> NDArray[Any]:
        """The image before pending geometry."""
        if self.image is None:
            raise SampleError(
                f"{self.source}: no image yet; LoadImageFromFile must come first in the pipeline"
            )
        return self.image

    def pixels(self) -> NDArray[Any]:
        """The image with all geometry applied."""
        if self.view is not None:
            self.image = _draw(self.stored(), self.view)
            self.view = None
        return self.stored()

    def size(self) -> tuple[int, int]:
        """(width, height) of the current view."""
        if self.view is not None:
            return self.view.width, self.view.height
        height, width = self.stored().shape[:2]
        return width, height

    def pending_view(self) -> View:
        """The pending geometry, or one that changes nothing."""
        if self.view is not None:
            return self.view
        width, height = self.size()
        return View(np.eye(2, 3), width, height, width, height)

    def move_polygons(self, matrix: NDArray[np.float64]) -> None:
        """Take all polygons and characters through a (2, 3) matrix."""
        self.polygons = [apply_matrix(matrix, points) for points in self.polygons]
        self.ignored = [apply_matrix(matrix, points) for points in self.ignored]
        self.characters = [
            replace(character, quad=apply_matrix(matrix, character.quad))
            for character in self.characters
        ]


class Step(Protocol):
    """One step of a pipeline: changes the sample, drawing from ``rng`` only."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None: ...


def apply_matrix(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) x (K, 2) -> (K, 2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def compose(after: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) matrix of ``before`` followed by ``after``."""
    linear = after[:, :2] @ before[:, :2]
    return np.hstack([linear, after[:, :2] @ before[:, 2:] + after[:, 2:]])


def _draw(image: NDArray[Any], view: View) -> NDArray[Any]:
    matrix = view.matrix
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    if scale <= 0.5:
        # Bilinear sampling alone would skip source pixels; average them first.
        height, width = image.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        enlarge = np.diag([width / small[0], height / small[1]])
        matrix = compose(matrix, np.hstack([enlarge, np.zeros((2, 1))]))
    # OpenCV puts integer coordinates on pixel centres.
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    drawn = cv2.warpAffine(image, centred, (view.width, view.height), flags=cv2.INTER_LINEAR)
    drawn[view.content_height :] = 0
    drawn[:, view.content_width :] = 0
    return drawn
