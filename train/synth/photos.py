"""Photographs to put scenes in front of, and their split into training and held-out pictures.

They come from Debian's wallpaper packages (``PHOTO_PACKAGES``), all under free licences, and are
optional: without them scenes have procedural backgrounds only. The pictures of ``PHOTOS`` were
chosen for showing no writing, so that no unlabelled word teaches a detector to miss words.

The split is by name, so no change of packages or versions moves a picture across.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import OcrError

Image = NDArray[np.uint8]
PhotoSplit = Literal["train", "heldout"]

PHOTOS: dict[str, tuple[str, ...]] = {
    "lomiri-wallpapers-16.04": (
        "Bridge_by_Sander_Klootwijk.jpg",
        "Dragonfly_by_Bolly.jpg",
        "Picture_0B_by_freespace.jpg",
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "free_by_Peter_Nerlich.jpg",
        "friends_by_Aitzol_Berasategi.jpg",
        "life_by_Aitzol_Berasategi.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "seeding_by_Clements_Engelhardt.jpg",
        "sunset_by_Aitzol_Berasategi.jpg",
    ),
    "lomiri-wallpapers-20.04": ("Kleiber_by_Lukas_Baubkus.jpg",),
    "mate-backgrounds": (
        "mate/nature/Aqua.jpg",
        "mate/nature/Blinds.jpg",
        "mate/nature/Dune.jpg",
        "mate/nature/FreshFlower.jpg",
        "mate/nature/Garden.jpg",
        "mate/nature/GreenMeadow.jpg",
        "mate/nature/LadyBird.jpg",
        "mate/nature/RainDrops.jpg",
        "mate/nature/Storm.jpg",
        "mate/nature/TwoWings.jpg",
        "mate/nature/Wood.jpg",
        "mate/nature/YellowFlower.jpg",
    ),
}
"""Files below ``/usr/share/backgrounds``, by Debian package."""

PHOTO_PACKAGES = tuple(PHOTOS)

HELDOUT_PHOTOS = frozenset(
    {
        "Dragonfly_by_Bolly.jpg",
        "mate/nature/Storm.jpg",
        "mate/nature/YellowFlower.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    }
)
"""Pictures never trained on."""

_ROOT = Path("/usr/share/backgrounds")
_KEPT_SIZE_PX = 1600
"""Longer side that pictures are kept at in memory."""


class PhotoError(OcrError):
    """Background pictures are missing or unreadable."""


def find_photos(split: PhotoSplit = "train") -> tuple[Path, ...]:
    """Find the pictures of a split on this machine, in the order of ``PHOTOS``.

    Raises:
        PhotoError: a package is missing; the message names the command that installs it.
    """
    if split not in get_args(PhotoSplit):
        raise PhotoError(f"split is {split!r}; it must be one of {list(get_args(PhotoSplit))}")
    missing = [
        package
        for package, files in PHOTOS.items()
        if not all((_ROOT / file).is_file() for file in files)
    ]
    if missing:
        raise PhotoError(
            f"background pictures of {len(missing)} Debian package(s) are missing: install with\n"
            f"  apt-get install --no-install-recommends {' '.join(missing)}\n"
            "or render scenes without photographs"
        )
    return tuple(
        _ROOT / file
        for files in PHOTOS.values()
        for file in files
        if (file in HELDOUT_PHOTOS) == (split == "heldout")
    )


def photo_window(
    rng: np.random.Generator, photos: Sequence[Path], width: int, height: int
) -> NDArray[np.float32]:
    """A random part of a random picture, (height, width, 3) float32 BGR, near or far."""
    photo = _load(photos[int(rng.random() * len(photos))])
    most = min(photo.shape[1] / width, photo.shape[0] / height)
    zoom = most * rng.uniform(0.35, 1.0)
    wide, tall = max(2, int(width * zoom)), max(2, int(height * zoom))
    x = int(rng.random() * (photo.shape[1] - wide))
    y = int(rng.random() * (photo.shape[0] - tall))
    method = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    window = cv2.resize(photo[y : y + tall, x : x + wide], (width, height), interpolation=method)
    if rng.random() < 0.5:
        window = window[:, ::-1]
    # The same picture by another light.
    tint = rng.uniform(0.5, 1.25) * (1 + (rng.random(3) - 0.5) * 0.3)
    return np.clip(window.astype(np.float32) * tint.astype(np.float32), 0, 255)


@lru_cache(maxsize=64)
def _load(path: Path) -> Image:
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photo is None:
        raise PhotoError(f"{path} is not a readable picture; install its package again")
    scale = _KEPT_SIZE_PX / max(photo.shape[:2])
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return photo  # type: ignore[return-value]
