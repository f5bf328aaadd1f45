"""From ink on flat paper to a photo of a receipt: print, paper, curl, perspective, table, light.

What moves pixels is one smooth map, which also moves the boxes; the rest only changes brightness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from . import damage
from .backgrounds import smooth_noise, texture_window
from .geometry import Points, apply_homography, quad_to_quad, rectangle

Image = NDArray[np.uint8]

_MAP_STEP_PX = 16
"""The map from photo to paper is computed so densely and interpolated between."""
_POOL_SEED = 5_150_117
_POOL_COUNT = 12
_POOL_SIZE_PX = 512


@dataclass(frozen=True)
class Print:
    """How ink gets onto the paper.

    Args:
        darkness: of full ink, 0..1.
        dots: the print head's dots show.
        fading: how much weaker the weakest part of the print is, 0..1.
        broken_columns: thin white lines where the print head has died.
        bleed_px: blur of the ink on the paper.
    """

    darkness: float
    dots: bool
    fading: float
    broken_columns: int
    bleed_px: float


def random_print(rng: np.random.Generator, *, form: bool) -> Print:
    """Office printers are good; till printers are not always."""
    if form:
        return Print(rng.uniform(0.7, 0.97), False, rng.uniform(0, 0.15), 0, rng.uniform(0, 0.4))
    return Print(
        darkness=rng.uniform(0.45, 0.95),
        dots=rng.random() < 0.25,
        fading=rng.uniform(0.0, 0.55) ** 1.5,
        broken_columns=int(rng.integers(1, 4)) if rng.random() < 0.08 else 0,
        bleed_px=rng.uniform(0.0, 0.7),
    )


@lru_cache(maxsize=1)
def _fields() -> tuple[NDArray[np.uint8], ...]:
    """Clouds, (S, S) uint8, for stains, fading and creases; the same in every process."""
    fields = []
    for index in range(_POOL_COUNT):
        rng = np.random.default_rng([_POOL_SEED, index])
        field = smooth_noise(rng, _POOL_SIZE_PX, cell_px=rng.uniform(60, 300), octaves=4)
        fields.append(np.round(field * 255).astype(np.uint8))
    return tuple(fields)


def _field(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """A random window of a random cloud, (height, width) uint8, low values as frequent as high."""
    field = _fields()[int(rng.random() * _POOL_COUNT)]
    size = _POOL_SIZE_PX
    part = int(size * rng.uniform(0.4, 1.0))
    x, y = (int(rng.random() * (size - part)) for _ in range(2))
    window = field[y : y + part, x : x + part]
    return cv2.resize(window, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def print_on_paper(rng: np.random.Generator, ink: NDArray[np.uint8], how: Print) -> Image:
    """(H, W) uint8 brightness of printed paper, 255 being white."""
    height, width = ink.shape
    if how.dots:
        grid = np.full((3, 3), 255, np.uint8)
        grid[2], grid[:, 2] = 150, 190
        tiles = np.tile(grid, (height // 3 + 1, width // 3 + 1))[:height, :width]
        ink = cv2.multiply(ink, tiles, scale=1 / 255)  # type: ignore[assignment]
    if how.bleed_px > 0.15:
        ink = cv2.GaussianBlur(ink, (3, 3), how.bleed_px)  # type: ignore[assignment]
    if how.fading > 0.05:
        weak = cv2.LUT(_field(rng, width, height), _ramp(255 * (1 - how.fading), 255))
        ink = cv2.multiply(ink, weak, scale=1 / 255)  # type: ignore[assignment]
    if how.broken_columns:
        ink = ink.copy()
        for x in rng.integers(0, width, how.broken_columns):
            ink[:, x : x + 1] //= 4
    paper = cv2.LUT(_field(rng, width, height), _ramp(rng.uniform(215, 240), 250))
    if rng.random() < 0.45:
        paper = _creased(rng, paper)  # type: ignore[arg-type]
    return cv2.multiply(paper, cv2.LUT(ink, _ramp(255, 255 * (1 - how.darkness))), scale=1 / 255)  # type: ignore[return-value]


def _ramp(first: float, last: float) -> NDArray[np.uint8]:
    """A table from 0..255 to first..last."""
    return np.round(np.linspace(first, last, 256)).astype(np.uint8)


def _creased(rng: np.random.Generator, paper: Image) -> Image:
    """Folds across the paper: lighter on one side of a line, darker on the other."""
    height = paper.shape[0]
    light = np.zeros((height, 1), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    for _ in range(int(rng.integers(1, 4))):
        away = (rows - rng.uniform(0, height)) / rng.uniform(4, 40)
        light += rng.uniform(4, 16) * np.sign(away) * np.exp(-np.abs(away))
    bent = np.clip(paper.astype(np.int16) + light.astype(np.int16), 0, 255)
    return np.asarray(bent, np.uint8)


@dataclass(frozen=True)
class Sheet:
    """The way from flat paper to the photo: a curl, then a homography.

    The curl moves a point by ``curl_px * sin(2 pi (x or y) / wave_px + phase)`` in x and in y.

    Args:
        homography: (3, 3), from curled paper to photo.
        curl_px: amplitudes in x (along y) and y (along x).
        wave_px: lengths of the two waves.
        phase: of the two, in radians.
    """

    homography: NDArray[np.float64]
    curl_px: tuple[float, float]
    wave_px: tuple[float, float]
    phase: tuple[float, float]

    def points(self, points: Points) -> Points:
        """Move (N, 2) points of the paper into the photo."""
        return apply_homography(self.homography, self._curled(points.astype(np.float64)))

    def warp(
        self, paper: Image, width: int, height: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The paper in a photo of that size, and where it is (255 there, 0 elsewhere)."""
        columns = -(-width // _MAP_STEP_PX) + 1
        rows = -(-height // _MAP_STEP_PX) + 1
        grid = np.stack(
            np.meshgrid(np.arange(columns) * _MAP_STEP_PX, np.arange(rows) * _MAP_STEP_PX), axis=-1
        ).reshape(-1, 2)
        flat = self._uncurled(apply_homography(_inverse(self.homography), grid.astype(np.float32)))
        coarse = flat.reshape(rows, columns, 2).astype(np.float32)
        # Pixel (0, 0) of the photo is node (0, 0) of the grid.
        step = np.array([[1 / _MAP_STEP_PX, 0, 0], [0, 1 / _MAP_STEP_PX, 0]])
        maps = cv2.warpAffine(
            coarse, step, (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        fixed, fractions = cv2.convertMaps(maps, None, cv2.CV_16SC2)  # type: ignore[call-overload]
        warped = cv2.remap(paper, fixed, fractions, cv2.INTER_LINEAR)
        mask = cv2.remap(np.full_like(paper, 255), fixed, fractions, cv2.INTER_LINEAR)
        return warped, mask  # type: ignore[return-value]

    def _shift(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        turn = 2 * math.pi / np.array(self.wave_px)
        along = points[:, ::-1] * turn + np.array(self.phase)
        return np.asarray(np.sin(along) * np.array(self.curl_px), np.float64)

    def _curled(self, points: NDArray[np.float64]) -> Points:
        return (points + self._shift(points)).astype(np.float32)

    def _uncurled(self, points: Points) -> NDArray[np.float64]:
        """The inverse, by repeated substitution; the curl is far from steep."""
        target = points.astype(np.float64)
        flat = target
        for _ in range(6):
            flat = target - self._shift(flat)
        return flat


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def random_sheet(
    rng: np.random.Generator, width: int, height: int, *, tilt: float, form: bool
) -> tuple[Sheet, int, int]:
    """Where paper of that size lies in a photo, and the photo's width and height.

    Args:
        width: of the paper in pixels.
        height: likewise.
        tilt: how far the camera may be turned and tilted; 0 scans.
        form: office paper, which is flat.
    """
    corners = rectangle(0, 0, width - 1, height - 1).astype(np.float64)
    centred = corners - corners.mean(axis=0)
    turn = math.radians(float(rng.normal(0, 2.5) * tilt))
    cos, sin = math.cos(turn), math.sin(turn)
    quad = centred @ np.array([[cos, sin], [-sin, cos]])
    far = 1 + rng.uniform(-0.07, 0.07, 2) * tilt * np.sign(centred)
    quad *= far[:, ::-1]
    low, high = quad.min(axis=0), quad.max(axis=0)
    border = rng.uniform(0.0, 0.12, 4) * width + 2
    size = np.ceil(high - low + border[:2] + border[2:]).astype(int)
    homography = quad_to_quad(
        corners.astype(np.float32), (quad - low + border[:2]).astype(np.float32)
    )
    bend = 0.0 if form or tilt == 0 else float(rng.uniform(0, 1)) ** 2
    sheet = Sheet(
        homography,
        curl_px=(bend * 0.008 * width * rng.choice([-1, 1]), bend * 0.012 * width),
        wave_px=(height * rng.uniform(0.8, 2.0), width * rng.uniform(1.2, 2.5)),
        phase=(rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)),
    )
    return sheet, int(size[0]), int(size[1])


def photograph(
    rng: np.random.Generator, paper: Image, sheet: Sheet, width: int, height: int, *, clean: float
) -> Image:
    """The paper on a table, (height, width, 3) uint8 BGR.

    Args:
        rng: of the photo.
        paper: (H, W) brightness, from ``print_on_paper``.
        sheet: where it lies.
        width: of the photo.
        height: likewise.
        clean: 0..1, the share of harm (shadow, blur, noise) that is left out.
    """
    warped, mask = sheet.warp(paper, width, height)
    tint = 255 * (1 - rng.uniform(0, 0.10) * np.array([1.0, rng.uniform(0.3, 0.8), 0.0]))
    tint *= rng.uniform(0.84, 1.0)
    planes = [cv2.LUT(warped, _ramp(rng.uniform(0, 25), value)) for value in tint]
    table = texture_window(rng, width, height)
    if rng.random() < 0.5:
        # Paper is mostly brighter than what it lies on.
        table = cv2.convertScaleAbs(table, alpha=rng.uniform(0.4, 0.9))  # type: ignore[assignment]
    if rng.random() < 0.8:
        _drop_shadow(rng, table, mask)
    if rng.random() < 0.1 and clean < 1:
        table[:] = int(rng.uniform(235, 255))  # a scanner
    inside = cv2.merge([mask] * 3)
    outside = cv2.bitwise_not(inside)
    photo = cv2.add(
        cv2.multiply(cv2.merge(planes), inside, scale=1 / 255),
        cv2.multiply(table, outside, scale=1 / 255),
    )
    photo = cv2.multiply(photo, _light(rng, width, height, 1 - clean), scale=1 / 255)
    if rng.random() < 0.5 * (1 - clean):
        sigma = rng.uniform(0.4, 1.1)
        photo = cv2.GaussianBlur(photo, (5, 5), sigma)
    if rng.random() < 0.7 * (1 - clean):
        photo = _noisy(rng, photo, rng.uniform(1, 7))  # type: ignore[arg-type]
    return photo  # type: ignore[return-value]


def _drop_shadow(rng: np.random.Generator, table: Image, mask: Image) -> None:
    """The paper darkens the table beside it."""
    height, width = mask.shape
    small = cv2.resize(
        mask, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA
    )
    move = np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(0, 2.5)]], np.float32)
    soft = cv2.GaussianBlur(
        cv2.warpAffine(small, move, small.shape[::-1]),
        (0, 0),
        rng.uniform(0.8, 2.5),  # type: ignore[arg-type]
    )
    dark = cv2.LUT(soft, _ramp(255, 255 * rng.uniform(0.35, 0.75)))
    big = cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR)
    table[:] = cv2.multiply(table, cv2.merge([big] * 3), scale=1 / 255)


def _light(rng: np.random.Generator, width: int, height: int, harm: float) -> Image:
    """(height, width, 3) uint8 factors of 255: uneven light, and sometimes a cast shadow."""
    small = np.full((max(2, height // 8), max(2, width // 8), 3), 255, np.float32)
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.3) * harm
    across = np.linspace(-0.5, 0.5, small.shape[1], dtype=np.float32) * math.cos(angle)
    down = np.linspace(-0.5, 0.5, small.shape[0], dtype=np.float32) * math.sin(angle)
    small *= (1 - strength * (0.5 + across[None, :] + down[:, None]))[..., None]
    if rng.random() < 0.35 * harm:
        small = damage.cast_shadow(rng, small, rng.uniform(0.15, 0.45))
    # Lamps are warm, the sky is cool, and cameras correct it more or less.
    warmth, rest = rng.uniform(-0.03, 0.09), rng.uniform(0, 0.02, 3)
    colour = np.clip(1 - warmth * np.array([1.0, 0.5, 0.0]) - rest, 0, 1).astype(np.float32)
    table = np.clip(small * colour, 0, 255).astype(np.uint8)
    return cv2.resize(table, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.uint8]:
    """Unit noise around 128 in steps of 1/20, (S, S) uint8."""
    rng = np.random.default_rng(_POOL_SEED)
    field = rng.standard_normal((1024, 1024), dtype=np.float32)
    return np.clip(128 + 20 * field, 0, 255).astype(np.uint8)


def _noisy(rng: np.random.Generator, photo: Image, sigma: float) -> Image:
    """Sensor noise with standard deviation ``sigma`` of 255, the same in the three colours."""
    height, width = photo.shape[:2]
    grain = _grain()
    size = grain.shape[0]
    y, x = (int(v) for v in rng.integers(0, size, 2))
    rows = np.arange(y, y + height) % size
    columns = np.arange(x, x + width) % size
    window = grain[np.ix_(rows, columns)]
    return cv2.addWeighted(photo, 1.0, cv2.merge([window] * 3), sigma / 20, -128 * sigma / 20)  # type: ignore[return-value]
