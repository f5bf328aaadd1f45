"""What the first bytes of an image file say: its format, size and orientation.

Pillow decodes the pixels, but three things have to be known before it sees the file: which of its
readers may be used at all, how large the picture will be where opening it already takes memory or
warns (WebP, GIF), and the EXIF orientation, which Pillow reads with a parser that warns about
damaged tags. Everything here works on untrusted bytes and fails only with ``InputError`` or by
saying "unknown".
"""

from __future__ import annotations

import struct
from typing import Literal

Format = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_EXIF_PREFIX = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1


def image_format(data: bytes) -> Format | None:
    """The format that the file's signature names, None for none of ours."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file, None where its first chunk does not say."""
    chunk = data[12:16]
    if len(data) < 30:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def gif_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that hold a GIF's canvas and its first frame, None where there is none."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while data[position] == 0x21:  # extensions: a label, then sub-blocks up to an empty one
            position += 2
            while data[position]:
                position += 1 + data[position]
            position += 1
        if data[position] != 0x2C:
            return None
        left, top, frame_width, frame_height = struct.unpack_from("<4H", data, position + 1)
    except (struct.error, IndexError):
        return None
    return max(width, left + frame_width), max(height, top + frame_height)


def split_jpeg_exif(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG file without its EXIF segments, and the first of them.

    Returns:
        The file and the EXIF data (empty where there is none).
    """
    kept, exif, position, copied = [], b"", 2, 0
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker in (0xD9, 0xDA):  # end of image, start of scan: no more headers
            break
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        body = position + 4
        if marker == 0xE1 and data[body : body + 6] == _EXIF_PREFIX:
            exif = exif or data[body:end]
            kept.append(data[copied:position])
            copied = end
        position = end
    if not kept:
        return data, exif
    return b"".join([*kept, data[copied:]]), exif


def exif_orientation(exif: bytes) -> int:
    """The orientation tag, 1 to 8, of EXIF data; 1 (upright) where it is missing or damaged."""
    exif = exif.removeprefix(_EXIF_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return _UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for index in range(entries):
            tag, kind, count, value = struct.unpack_from(
                order + "HHIH", exif, directory + 2 + 12 * index
            )
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and count == 1 and 1 <= value <= 8 else _UPRIGHT
    except struct.error:
        pass
    return _UPRIGHT
