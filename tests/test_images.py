"""Decoding files of every kind, good and bad."""

import io
import random
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from ocr_models.errors import InputError
from ocr_models.image_headers import exif_orientation, gif_size, split_jpeg_exif, webp_size
from ocr_models.images import ImageLimits, decode_image, read_image

HEIGHT, WIDTH = 40, 60


def make_bgr() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bgr = np.stack([x * 4, y * 6, 255 - x * 3], axis=2).astype(np.uint8)
    bgr[:10, :20] = (10, 20, 30)  # so that no flip or turn leaves the picture as it is
    return bgr


BGR = make_bgr()
PICTURE = Image.fromarray(BGR[..., ::-1])
GREY = PICTURE.convert("L")
ALPHA = Image.fromarray(
    np.where(np.arange(WIDTH) < 30, 0, 255).astype(np.uint8)[None].repeat(40, 0)
)


def encode(picture: Image.Image, file_format: str, **options: object) -> bytes:
    if file_format == "WEBP":
        options.setdefault("lossless", True)
    if file_format in ("JPEG", "MPO"):
        options = {"quality": 100, "subsampling": 0, **options}
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def as_bgr(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))[..., ::-1]


def on_white(bgr: np.ndarray, transparent: np.ndarray) -> np.ndarray:
    return np.where(transparent[..., None], 255, bgr).astype(np.uint8)


def with_alpha(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    picture.putalpha(ALPHA)
    return picture


PALETTE = PICTURE.quantize(16)
GREY_16 = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 27).astype(np.uint16)
GREY_16_AS_8 = np.repeat(np.rint(GREY_16 / 257)[..., None], 3, axis=2).astype(np.uint8)
SECOND_FRAME = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT), "red")]}

# name: (file, expected pixels, largest difference)
GOOD: dict[str, tuple[bytes, np.ndarray, int]] = {
    "png": (encode(PICTURE, "PNG"), BGR, 0),
    "bmp": (encode(PICTURE, "BMP"), BGR, 0),
    "tiff": (encode(PICTURE, "TIFF"), BGR, 0),
    "tiff_lzw": (encode(PICTURE, "TIFF", compression="tiff_lzw"), BGR, 0),
    "tiff_deflate": (encode(PICTURE, "TIFF", compression="tiff_deflate"), BGR, 0),
    "tiff_jpeg": (encode(PICTURE, "TIFF", compression="jpeg", quality=95), BGR, 60),
    "tiff_fax": (
        encode(PICTURE.convert("1"), "TIFF", compression="group4"),
        as_bgr(PICTURE.convert("1")),
        0,
    ),
    "webp": (encode(PICTURE, "WEBP"), BGR, 0),
    "webp_lossy": (encode(PICTURE, "WEBP", lossless=False, quality=100), BGR, 90),
    "gif": (encode(PALETTE, "GIF"), as_bgr(PALETTE), 0),
    "jpeg": (encode(PICTURE, "JPEG"), BGR, 8),
    "jpeg_progressive": (encode(PICTURE, "JPEG", progressive=True), BGR, 8),
    "jpeg_grey": (encode(GREY, "JPEG"), as_bgr(GREY), 2),
    "grey": (encode(GREY, "PNG"), as_bgr(GREY), 0),
    "one_bit": (encode(PICTURE.convert("1"), "PNG"), as_bgr(PICTURE.convert("1")), 0),
    "grey_16_png": (encode(Image.fromarray(GREY_16), "PNG"), GREY_16_AS_8, 0),
    "grey_16_tiff": (encode(Image.fromarray(GREY_16), "TIFF"), GREY_16_AS_8, 0),
    "grey_16_tiff_big_endian": (
        encode(Image.fromarray(GREY_16.astype(">u2")), "TIFF"),
        GREY_16_AS_8,
        0,
    ),
    "grey_alpha": (
        encode(with_alpha(GREY), "PNG"),
        on_white(as_bgr(GREY), np.asarray(ALPHA) == 0),
        0,
    ),
    **{
        f"alpha_{name}": (
            encode(with_alpha(PICTURE), name, **({"exact": True} if name == "WEBP" else {})),
            on_white(BGR, np.asarray(ALPHA) == 0),
            0,
        )
        for name in ("PNG", "WEBP", "TIFF")
    },
    "half_transparent": (
        encode(Image.new("RGBA", (WIDTH, HEIGHT), (200, 100, 0, 51)), "PNG"),
        np.full((HEIGHT, WIDTH, 3), (204, 224, 244), np.uint8),
        1,
    ),
    "palette": (encode(PALETTE, "PNG"), as_bgr(PALETTE), 0),
    "palette_transparent": (
        encode(PALETTE, "PNG", transparency=3),
        on_white(as_bgr(PALETTE), np.asarray(PALETTE) == 3),
        0,
    ),
    "palette_alphas": (
        encode(PALETTE, "PNG", transparency=bytes([255] * 3 + [0] + [255] * 12)),
        on_white(as_bgr(PALETTE), np.asarray(PALETTE) == 3),
        0,
    ),
    "gif_transparent": (
        encode(PALETTE, "GIF", transparency=3),
        on_white(as_bgr(PALETTE), np.asarray(PALETTE) == 3),
        0,
    ),
    "colour_key": (
        encode(PICTURE, "PNG", transparency=(30, 20, 10)),
        on_white(BGR, (BGR == (10, 20, 30)).all(axis=2)),
        0,
    ),
    # Pillow writes the inverted values that Adobe programs write, and marks them so.
    "cmyk_jpeg": (encode(PICTURE.convert("CMYK"), "JPEG"), BGR, 12),
    "cmyk_tiff": (encode(PICTURE.convert("CMYK"), "TIFF"), BGR, 0),
    "animated_gif": (encode(PALETTE, "GIF", **SECOND_FRAME), as_bgr(PALETTE), 0),
    "animated_webp": (encode(PICTURE, "WEBP", **SECOND_FRAME), BGR, 0),
    "animated_png": (encode(PICTURE, "PNG", **SECOND_FRAME), BGR, 0),
    "tiff_pages": (encode(PICTURE, "TIFF", **SECOND_FRAME), BGR, 0),
    "mpo": (encode(PICTURE, "MPO", **SECOND_FRAME), BGR, 8),
}


def test_sweep_size() -> None:
    assert len(GOOD) == 35


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_file_decodes(name: str) -> None:
    data, expected, tolerance = GOOD[name]
    pixels = decode_image(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_any_buffer_will_do(wrap: Callable[[bytes], bytearray | memoryview]) -> None:
    np.testing.assert_array_equal(decode_image(wrap(encode(PICTURE, "PNG"))), BGR)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(PICTURE, file_format, exif=exif)
    with Image.open(io.BytesIO(data)) as picture:
        upright = as_bgr(ImageOps.exif_transpose(picture))
    assert upright.shape[:2] == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
    np.testing.assert_array_equal(decode_image(data), upright)
    if file_format != "TIFF":
        np.testing.assert_allclose(decode_image(data, apply_exif=False), BGR, atol=8)


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def patched(data: bytes, position: int, patch: bytes) -> bytes:
    return data[:position] + patch + data[position + len(patch) :]


JPEG, GIF, BMP = encode(PICTURE, "JPEG"), encode(PALETTE, "GIF"), encode(PICTURE, "BMP")
JPEG_SIZE = JPEG.index(b"\xff\xc0") + 5
GIF_FRAME = GIF.index(b"\x2c", 13 + 3 * 16) + 5
WEBP = encode(with_alpha(PICTURE), "WEBP", exif=b"Exif\0\0II*\0")
FLOATS = encode(Image.fromarray(GREY_16.astype(np.float32)), "TIFF")

# name: (file, limits, code, kind)
SMALL = ImageLimits(max_bytes=1000, max_pixels=2000)
BAD: dict[str, tuple[bytes, ImageLimits, int, str]] = {
    "nothing": (b"", ImageLimits(), 400, "empty_image"),
    "text": (b"hello, world", ImageLimits(), 415, "unsupported_image_format"),
    "pdf": (b"%PDF-1.7\n", ImageLimits(), 415, "unsupported_image_format"),
    "icon": (encode(PICTURE, "ICO"), ImageLimits(), 415, "unsupported_image_format"),
    "floats": (FLOATS, ImageLimits(), 415, "unsupported_pixel_format"),
    "bytes": (BMP, SMALL, 413, "too_many_bytes"),
    "pixels": (encode(Image.new("L", (50, 50)), "PNG"), SMALL, 413, "too_many_pixels"),
    "png_bomb": (png_of_size(60_000, 60_000), ImageLimits(), 413, "too_many_pixels"),
    "png_above_pillows_limit": (png_of_size(9_500, 10_000), ImageLimits(), 413, "too_many_pixels"),
    "jpeg_bomb": (
        patched(JPEG, JPEG_SIZE, b"\xff\x00\xff\x00"),
        ImageLimits(),
        413,
        "too_many_pixels",
    ),
    "gif_canvas_bomb": (patched(GIF, 6, b"\xff" * 4), ImageLimits(), 413, "too_many_pixels"),
    "gif_frame_bomb": (
        patched(GIF, GIF_FRAME, struct.pack("<HH", 9_500, 10_000)),
        ImageLimits(),
        413,
        "too_many_pixels",
    ),
    "webp_bomb": (
        patched(WEBP, WEBP.index(b"VP8X") + 12, b"\xff\x3f\0\xff\x3f\0"),
        ImageLimits(),
        413,
        "too_many_pixels",
    ),
    "bmp_bomb": (
        patched(BMP, 18, struct.pack("<ii", 100_000, -100_000)),
        ImageLimits(),
        413,
        "too_many_pixels",
    ),
    "png_without_width": (png_of_size(0, 10), ImageLimits(), 422, "undecodable_image"),
    "jpeg_without_height": (
        patched(JPEG, JPEG_SIZE, b"\0\0"),
        ImageLimits(),
        422,
        "undecodable_image",
    ),
    "bmp_without_width": (patched(BMP, 18, bytes(4)), ImageLimits(), 422, "undecodable_image"),
    "only_a_signature": (b"\x89PNG\r\n\x1a\n", ImageLimits(), 422, "undecodable_image"),
    **{
        f"truncated_{name}_{percent}": (
            encode(PICTURE, name)[: len(encode(PICTURE, name)) * percent // 100],
            ImageLimits(),
            422,
            "undecodable_image",
        )
        for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
        for percent in (20, 60, 85)
    },
}


def test_bad_sweep_size() -> None:
    assert len(BAD) == 36


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(name: str) -> None:
    data, limits, code, kind = BAD[name]
    with pytest.raises(InputError) as caught:
        decode_image(data, limits)
    assert (caught.value.code, caught.value.kind) == (code, kind)
    assert caught.value.message


def test_size_limits_are_inclusive() -> None:
    data = encode(PICTURE, "PNG")
    decode_image(data, ImageLimits(max_bytes=len(data), max_pixels=HEIGHT * WIDTH))


def test_bombs_are_refused_by_their_headers() -> None:
    """The answer is the same when the end, with pixels in it, never came."""
    bombs = {name: bad for name, bad in BAD.items() if name.endswith("bomb")}
    assert len(bombs) == 6
    for name, (data, limits, _, kind) in bombs.items():
        with pytest.raises(InputError) as caught:
            decode_image(data[: len(data) * 3 // 4], limits)
        assert caught.value.kind == kind, name


def test_a_damaged_exif_does_not_cost_the_picture() -> None:
    endless = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x1a\0\x05\0\0\0\x01\0\0\xff\xff"
    outside = b"Exif\0\0II*\0\xff\xff\xff\xff"
    for exif in (endless, outside, b"Exif\0\0"):
        for name in ("JPEG", "PNG", "WEBP"):
            decoded = decode_image(encode(PICTURE, name, exif=exif))
            np.testing.assert_allclose(decoded, BGR, atol=8)


def test_mutated_files_give_pixels_or_an_input_error(capfd: pytest.CaptureFixture[str]) -> None:
    randomness = random.Random(0)
    outcomes: Counter[object] = Counter()
    for name in ("png", "jpeg", "gif", "webp", "bmp", "tiff", "tiff_lzw", "animated_png"):
        for _ in range(100):
            data = bytearray(GOOD[name][0])
            for _ in range(randomness.choice((1, 2, 5, 20))):
                reach = min(len(data), randomness.choice((60, 400, 100_000)))
                data[randomness.randrange(reach)] = randomness.randrange(256)
            try:
                assert decode_image(data).shape[2] == 3
                outcomes["decoded"] += 1
            except InputError as error:
                outcomes[error.code] += 1
    assert sum(outcomes.values()) == 800
    assert set(outcomes) <= {"decoded", 413, 415, 422}
    assert outcomes["decoded"] > 50
    capfd.readouterr()  # libtiff writes its own remarks


def test_threads_decode_alike() -> None:
    failures: list[str] = []

    def work() -> None:
        for name in ("png", "tiff", "jpeg", "animated_png"):
            data, expected, tolerance = GOOD[name]
            for _ in range(20):
                if np.abs(decode_image(data).astype(int) - expected).max() > tolerance:
                    failures.append(name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_read_image(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode(PICTURE, "PNG"))
    np.testing.assert_array_equal(read_image(path), BGR)
    np.testing.assert_array_equal(read_image(str(path)), BGR)
    with pytest.raises(InputError, match=r"cannot read .*missing\.png: No such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(InputError, match="cannot read"):
        read_image(tmp_path)
    with pytest.raises(InputError) as caught:
        read_image(path, ImageLimits(max_bytes=10))
    assert caught.value.kind == "too_many_bytes"


def test_a_photo_decodes_as_with_opencv() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    photo = cv2.GaussianBlur(noise, (5, 5), 0)
    data = encode(Image.fromarray(photo), "JPEG", quality=90, subsampling=2)
    buffer = np.frombuffer(data, np.uint8)
    np.testing.assert_array_equal(decode_image(data), cv2.imdecode(buffer, cv2.IMREAD_COLOR))


def test_header_parsers_say_unknown_rather_than_fail() -> None:
    assert gif_size(GIF) == (WIDTH, HEIGHT)
    assert webp_size(WEBP) == (WIDTH, HEIGHT)
    assert webp_size(encode(PICTURE, "WEBP")) == (WIDTH, HEIGHT)
    assert webp_size(encode(PICTURE, "WEBP", lossless=False)) == (WIDTH, HEIGHT)
    for length in range(40):
        assert gif_size(GIF[:length]) is None
        webp_size(WEBP[:length])
        assert split_jpeg_exif(JPEG[:length]) == (JPEG[:length], b"")
        assert exif_orientation(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03"[:length]) == 1


def test_exif_is_cut_out_of_a_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data, found = split_jpeg_exif(encode(PICTURE, "JPEG", exif=exif))
    assert exif_orientation(found) == 6
    assert b"Exif" not in data
    np.testing.assert_allclose(decode_image(data), BGR, atol=8)
