"""From the bytes of an image file to pixels, for files that come from anywhere.

JPEG (MPO too), PNG, WebP, BMP, TIFF and GIF become uint8 (H, W, 3) in BGR order: transparency is
put on white, CMYK and palettes are converted, 16-bit grey is scaled, animations give their first
frame.
Size limits are checked before any pixel is decoded.

Pillow's readers are called directly instead of through ``Image.open``: only these formats can be
reached, and its global limit on pixels, which warns, plays no part.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from .errors import InputError
from .image_headers import (
    Format,
    exif_orientation,
    gif_size,
    image_format,
    split_jpeg_exif,
    webp_size,
)

_READERS: dict[Format, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}

# Warnings can be silenced only for the whole process; one thread at a time does so.
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class ImageLimits:
    """What is refused before it costs memory.

    Args:
        max_bytes: of the file.
        max_pixels: width * height.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


_DEFAULT_LIMITS = ImageLimits()


def decode_image(
    data: bytes | bytearray | memoryview,
    limits: ImageLimits = _DEFAULT_LIMITS,
    apply_exif: bool = True,
) -> NDArray[np.uint8]:
    """Pixels of an image file.

    Args:
        data: the file's content.
        limits: largest file and picture.
        apply_exif: turn the picture upright by its EXIF orientation. (A TIFF's orientation belongs
            to the picture itself and always counts.)

    Returns:
        uint8 (H, W, 3), BGR, contiguous.

    Raises:
        InputError: 400 nothing given, 413 above a limit, 415 not a format of ours, 422 damaged.
    """
    if not len(data):
        raise InputError(400, "empty_image", "the image is empty: 0 bytes were received")
    size = memoryview(data).nbytes
    if size > limits.max_bytes:
        raise InputError(
            413,
            "too_many_bytes",
            f"the image file has {size} bytes; at most {limits.max_bytes} are allowed",
        )
    data = bytes(data)
    name = image_format(data)
    if name is None:
        raise InputError(
            415,
            "unsupported_image_format",
            f"this is not an image file of a known format (it starts with {data[:8]!r}); "
            f"allowed are {', '.join(_READERS)}",
        )
    try:
        with _quiet(name, data):
            return _decode(name, data, limits, apply_exif)
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(413, "too_many_pixels", str(error)) from error
    # Damaged files make Pillow raise almost anything: OSError, SyntaxError, ValueError, struct and
    # zlib errors, IndexError, ... All mean the same to whoever sent the file.
    except Exception as error:
        raise InputError(
            422, "undecodable_image", f"the {name} image is damaged or incomplete: {error}"
        ) from error


def read_image(
    path: str | Path, limits: ImageLimits = _DEFAULT_LIMITS, apply_exif: bool = True
) -> NDArray[np.uint8]:
    """``decode_image`` for a file on disk.

    Raises:
        InputError: also where the file cannot be read (400).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise InputError(400, "unreadable_file", f"cannot read {path}: {error.strerror}") from error
    return decode_image(data, limits, apply_exif)


def _decode(name: Format, data: bytes, limits: ImageLimits, apply_exif: bool) -> NDArray[np.uint8]:
    exif = b""
    if name == "JPEG":
        data, exif = split_jpeg_exif(data)
    elif name == "WEBP":
        _check_size(webp_size(data), limits)
    elif name == "GIF":
        _check_size(gif_size(data), limits)
    with _READERS[name](BytesIO(data)) as picture:
        _check_size(picture.size, limits)
        pixels = _bgr(picture)
        exif = exif or picture.info.get("exif", b"")
    # Pillow turns TIFF pictures by itself.
    if not apply_exif or name == "TIFF":
        return pixels
    return _upright(pixels, exif_orientation(exif))


def _check_size(size: tuple[int, int] | None, limits: ImageLimits) -> None:
    if size is None:
        return  # the reader will say what is wrong with the file
    width, height = size
    if width < 1 or height < 1:
        raise InputError(422, "undecodable_image", f"the image has no pixels: {width} x {height}")
    if width * height > limits.max_pixels:
        raise InputError(
            413,
            "too_many_pixels",
            f"the image has {width} x {height} = {width * height} pixels; at most "
            f"{limits.max_pixels} are allowed",
        )


def _bgr(picture: Image.Image) -> NDArray[np.uint8]:
    """Pixels of an opened image in BGR."""
    # 16-bit grey: "I;16", "I;16B", and "I" where older versions of Pillow read a PNG.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        grey_16 = np.asarray(picture).astype(np.uint16)
        grey = cv2.convertScaleAbs(grey_16, alpha=255 / 65535)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if picture.mode in ("I", "F"):
        raise InputError(
            415,
            "unsupported_pixel_format",
            f"{picture.format} images of 32-bit numbers have no defined black and white; "
            "send 8-bit or 16-bit pixels",
        )
    if picture.mode in ("1", "L") and not picture.has_transparency_data:
        grey = np.asarray(picture.convert("L"))
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(rgba, mask=rgba)
        picture = on_white
    rgb = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The picture as it should be seen, by its EXIF orientation 1..8 (others count as 1)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


@contextmanager
def _quiet(name: Format, data: bytes) -> Iterator[None]:
    """Silences Pillow's remarks about odd TIFF tags and odd PNG animations; others have none."""
    if name != "TIFF" and not (name == "PNG" and b"acTL" in data[: data.find(b"IDAT")]):
        yield
        return
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
