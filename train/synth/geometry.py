"""Where text goes: an exact mapping from flat text to image pixels and back.

A ``Placement`` first bends the text's baseline into an arc of a circle (or leaves it straight) and
then applies a homography. Both steps have closed inverses, so pixels are looked up through the
same formula that moves the polygons, and a label is as exact as the drawing.

Coordinates are (x, y) in pixels, y down; a pixel's centre lies at whole numbers, as in OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
"""(N, 2) float32, (x, y) in pixels."""


@dataclass(frozen=True)
class Bend:
    """A baseline bent into an arc of a circle.

    ``centre_x_px`` stays where it is; ``radius_px`` is positive when the middle of the line is
    higher than its ends (an arch) and negative for a smile. Letters turn with the arc.
    """

    centre_x_px: float
    baseline_y_px: float
    radius_px: float

    def forward(self, points: Points) -> Points:
        """From straight text to bent text, (N, 2) -> (N, 2)."""
        angle = (points[:, 0] - self.centre_x_px) / self.radius_px
        reach = self.radius_px + (self.baseline_y_px - points[:, 1])
        x = self.centre_x_px + reach * np.sin(angle)
        y = self.baseline_y_px + self.radius_px - reach * np.cos(angle)
        return np.stack([x, y], axis=1).astype(np.float32)

    def inverse(
        self, x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """From bent text back to straight text, element by element."""
        sign = 1.0 if self.radius_px > 0 else -1.0
        across = (x - self.centre_x_px) * sign
        along = (self.baseline_y_px + self.radius_px - y) * sign
        angle = np.arctan2(across, along)
        reach = sign * np.sqrt(across * across + along * along)
        straight_x = self.centre_x_px + self.radius_px * angle
        straight_y = self.baseline_y_px - (reach - self.radius_px)
        return straight_x.astype(np.float32), straight_y.astype(np.float32)


@dataclass(frozen=True)
class Placement:
    """The way from flat text to the image: an optional bend, then a homography (3, 3)."""

    homography: NDArray[np.float64]
    bend: Bend | None = None

    def points(self, points: Points) -> Points:
        """Move (..., 2) points from the text into the image; the shape is kept."""
        flat = np.asarray(points, dtype=np.float32).reshape(-1, 2)
        if len(flat) == 0:
            return np.asarray(points, dtype=np.float32)
        if self.bend is not None:
            flat = self.bend.forward(flat)
        return apply_homography(self.homography, flat).reshape(np.shape(points))

    def warp(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """Draw the text's image (h, w, C) into a (height, width, C) image; zero elsewhere."""
        if self.bend is None:
            warped = cv2.warpPerspective(
                image, self.homography, (width, height), flags=cv2.INTER_LINEAR
            )
        else:
            inverse = np.linalg.inv(self.homography)
            xs = np.arange(width, dtype=np.float32)[None, :]
            ys = np.arange(height, dtype=np.float32)[:, None]
            rows = [
                np.float32(row[0]) * xs + np.float32(row[1]) * ys + np.float32(row[2])
                for row in inverse
            ]
            x, y = self.bend.inverse(rows[0] / rows[2], rows[1] / rows[2])
            warped = cv2.remap(image, x, y, cv2.INTER_LINEAR)
        # OpenCV drops the last axis of one-channel images.
        return warped.reshape(height, width, image.shape[2])  # type: ignore[return-value]

    def outline(self, left: float, top: float, right: float, bottom: float) -> Points:
        """The image polygon of a text rectangle, clockwise from its own top-left corner.

        Four points when the text is straight; along an arc, each long side gets more points, one
        about every five degrees of turn.
        """
        if self.bend is None:
            return self.points(rectangle(left, top, right, bottom))
        turn = abs((right - left) / self.bend.radius_px)
        count = min(14, 3 + int(math.degrees(turn) / 5))
        xs = np.linspace(left, right, count, dtype=np.float32)
        upper = np.stack([xs, np.full(count, top, dtype=np.float32)], axis=1)
        lower = np.stack([xs[::-1], np.full(count, bottom, dtype=np.float32)], axis=1)
        return self.points(np.concatenate([upper, lower]).astype(np.float32))

    def then(self, homography: NDArray[np.float64]) -> Placement:
        """This placement followed by one more homography."""
        return Placement(homography @ self.homography, self.bend)


def apply_homography(homography: NDArray[np.float64], points: Points) -> Points:
    """Move (N, 2) points through a (3, 3) homography."""
    x = points[:, 0].astype(np.float64)
    y = points[:, 1].astype(np.float64)
    h = homography
    scale = h[2, 0] * x + h[2, 1] * y + h[2, 2]
    moved_x = (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / scale
    moved_y = (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / scale
    return np.stack([moved_x, moved_y], axis=1).astype(np.float32)


def translation(dx_px: float, dy_px: float) -> NDArray[np.float64]:
    """The homography that moves by (dx, dy)."""
    return np.array([[1.0, 0.0, dx_px], [0.0, 1.0, dy_px], [0.0, 0.0, 1.0]])


def quad_to_quad(source: Points, target: Points) -> NDArray[np.float64]:
    """The homography that takes four points to four others, both (4, 2)."""
    return cv2.getPerspectiveTransform(  # type: ignore[return-value]
        np.ascontiguousarray(source, dtype=np.float32),
        np.ascontiguousarray(target, dtype=np.float32),
    )


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of a rectangle, clockwise from the top left, (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def outline_height(outline: Points) -> float:
    """The height of a text outline (K, 2): the shorter of its first and last edge."""
    half = len(outline) // 2
    first = float(np.linalg.norm(outline[0] - outline[-1]))
    last = float(np.linalg.norm(outline[half - 1] - outline[half]))
    return min(first, last)
