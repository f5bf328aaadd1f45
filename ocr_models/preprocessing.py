"""From a decoded image to the network's input tensor, equal to MMOCR 0.6.1's test pipelines.

Images come in as uint8 (H, W, 3) in BGR order; tensors leave as float32 (C, H, W). Resizing is
OpenCV's bilinear, to the last bit; normalising agrees within 1e-5.

Normalising works through one table of 256 floats per channel, written straight into the padded
output: a photo is touched once after it was resized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError, InputError

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

# Without max_width a crop's width follows its shape; beyond this it is no line of text, and the
# tensor would take gigabytes.
MAX_RECOGNITION_WIDTH_PX = 32_768


# --- detection ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class DetectionPreprocessing:
    """How a detector wants its image.

    Args:
        image_scale: target width and height in pixels (MMOCR's ``img_scale``). With ``keep_ratio``
            the larger bounds the longer side and the smaller the shorter, whichever way the image
            lies; without, the exact size.
        keep_ratio: see above.
        mean: per channel, in 0..255, in the order of the tensor's channels.
        std: per channel, likewise.
        to_rgb: whether the tensor's channels are RGB (True) or BGR.
        size_divisor: the tensor is padded right and bottom with zeros to a multiple of this; 0 or 1
            for none.
        exif: whether files are turned upright by their EXIF orientation before all this; MMOCR
            evaluates without.
    """

    image_scale: tuple[int, int] = (1333, 736)
    keep_ratio: bool = True
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    to_rgb: bool = True
    size_divisor: int = 32
    exif: bool = True

    def __post_init__(self) -> None:
        if len(self.image_scale) != 2 or min(self.image_scale) < 1:
            raise ConfigError(
                f"image_scale={self.image_scale}; expected (width, height), both at least 1"
            )
        _check_normalisation(self.mean, self.std, channels=3)


@dataclass(frozen=True, eq=False)
class DetectionInput:
    """One image, ready for a detector.

    Args:
        tensor: float32 (C, H, W), padded.
        scale_factor: float32 (w, h, w, h), resized size / original size.
        resized_shape: height, width of the image inside the tensor.
        padded_shape: height, width of the tensor.
        original_shape: height, width of the image before all this.
    """

    tensor: NDArray[np.float32]
    scale_factor: NDArray[np.float32]
    resized_shape: tuple[int, int]
    padded_shape: tuple[int, int]
    original_shape: tuple[int, int]


def detection_input(image: NDArray[np.uint8], config: DetectionPreprocessing) -> DetectionInput:
    """Resize, normalise and pad one image.

    Args:
        image: uint8 (H, W, 3) BGR.
        config: how.
    """
    _check_image(image)
    height, width = image.shape[:2]
    if config.keep_ratio:
        new_width, new_height = keep_ratio_size(width, height, config.image_scale)
    else:
        new_width, new_height = config.image_scale
    resized = _resize(image, new_width, new_height)
    divisor = max(1, config.size_divisor)
    padded_height = -(-new_height // divisor) * divisor
    padded_width = -(-new_width // divisor) * divisor
    tensor = np.empty((3, padded_height, padded_width), np.float32)
    tensor[:, new_height:] = 0
    tensor[:, :new_height, new_width:] = 0
    tables = _tables(config.mean, config.std, False)
    _normalise_into(tensor[:, :new_height, :new_width], resized, tables, reverse=config.to_rgb)
    factor = (new_width / width, new_height / height)
    return DetectionInput(
        tensor=tensor,
        scale_factor=np.array(factor * 2, np.float32),
        resized_shape=(new_height, new_width),
        padded_shape=(padded_height, padded_width),
        original_shape=(height, width),
    )


def keep_ratio_size(width: int, height: int, image_scale: tuple[int, int]) -> tuple[int, int]:
    """Width and height that keep the aspect ratio within the bounds (mmcv's ``imrescale``).

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        image_scale: bounds of the longer and the shorter side, in either order.
    """
    factor = min(
        max(image_scale) / max(height, width),
        min(image_scale) / min(height, width),
    )
    return max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5))


# --- recognition -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecognitionPreprocessing:
    """How a recogniser wants its crop.

    Args:
        height: of the tensor, pixels.
        min_width: narrowest resized crop, pixels; None for no bound.
        max_width: widest resized crop, pixels. With ``keep_aspect_ratio`` narrower crops are padded
            on the right to this width; None leaves the width free and pads nothing. Without
            ``keep_aspect_ratio`` the width that every crop gets.
        keep_aspect_ratio: see above.
        width_downsample_ratio: output steps of the network per pixel; resized widths are rounded to
            a multiple of its inverse.
        color: channel order of the tensor; "gray" has one channel.
        mean: per channel, in the tensor's channel order.
        std: per channel, likewise.
        unit_range: whether mean and std are of pixels in 0..1 (``ToTensorOCR`` and
            ``NormalizeOCR``) or in 0..255 (``Normalize``).
        pad_value: pixel value of the padding, before normalising.
        rotate_degrees: anticlockwise turns in which crops higher than wide are tried, multiples of
            90 (``MultiRotateAugOCR``); empty for only as they are.
        rotate_always: try the turns on every crop (MMOCR's ``force_rotate``).
        swap_rotated_shape: whether a crop turned by 90 or 270 degrees gets the width that fits its
            turned shape. False repeats MMOCR, which takes the unturned one and so squeezes text.
        exif: as in ``DetectionPreprocessing``.
    """

    height: int = 32
    min_width: int | None = 32
    max_width: int | None = None
    keep_aspect_ratio: bool = True
    width_downsample_ratio: float = 1 / 16
    color: Literal["bgr", "rgb", "gray"] = "gray"
    mean: tuple[float, ...] = (127.0,)
    std: tuple[float, ...] = (127.0,)
    unit_range: bool = False
    pad_value: int = 0
    rotate_degrees: tuple[int, ...] = ()
    rotate_always: bool = False
    swap_rotated_shape: bool = False
    exif: bool = True

    def __post_init__(self) -> None:
        if self.color not in ("bgr", "rgb", "gray"):
            raise ConfigError(f"color={self.color!r}; allowed are 'bgr', 'rgb' and 'gray'")
        if not self.keep_aspect_ratio and self.max_width is None:
            raise ConfigError("keep_aspect_ratio=False needs max_width, the width of every crop")
        if not 0 < self.width_downsample_ratio <= 1:
            raise ConfigError(
                f"width_downsample_ratio={self.width_downsample_ratio}; expected 0 < ratio <= 1"
            )
        if any(degrees % 90 for degrees in self.rotate_degrees):
            raise ConfigError(f"rotate_degrees={self.rotate_degrees}; expected multiples of 90")
        _check_normalisation(self.mean, self.std, channels=self.channels)

    @property
    def channels(self) -> int:
        """Channels of the tensor."""
        return 1 if self.color == "gray" else 3

    @property
    def width_divisor(self) -> int:
        """Resized widths are multiples of this, where ``min_width`` and ``max_width`` allow."""
        return int(1 / self.width_downsample_ratio)


@dataclass(frozen=True, eq=False)
class RecognitionInput:
    """One crop, in one rotation, ready for a recogniser.

    Args:
        tensor: float32 (C, H, W), padded to ``max_width`` where that is set.
        resize_shape: height, width of the crop inside the tensor.
        valid_ratio: resized width / ``max_width``, at most 1; 1 where nothing is padded.
        rotation: degrees anticlockwise by which the crop was turned.
    """

    tensor: NDArray[np.float32]
    resize_shape: tuple[int, int]
    valid_ratio: float
    rotation: int = 0


def recognition_inputs(
    crop: NDArray[np.uint8], config: RecognitionPreprocessing
) -> tuple[RecognitionInput, ...]:
    """Resize, pad and normalise one crop: one input per rotation to try, the first being the best
    guess on equal scores.

    Args:
        crop: uint8 (H, W, 3) BGR.
        config: how.
    """
    _check_image(crop)
    height, width = crop.shape[:2]
    if config.color == "gray":
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
    turns: tuple[int, ...] = (0,)
    if config.rotate_degrees and (config.rotate_always or height > width):
        turns = tuple(dict.fromkeys(degrees % 360 for degrees in config.rotate_degrees))
    inputs = []
    for degrees in turns:
        turned_shape = (height, width)
        if config.swap_rotated_shape and degrees in (90, 270):
            turned_shape = (width, height)
        turned = np.ascontiguousarray(np.rot90(crop, degrees // 90))
        inputs.append(_recognition_input(turned, turned_shape, degrees, config))
    return tuple(inputs)


def recognition_width(
    height: int, width: int, config: RecognitionPreprocessing
) -> tuple[int, float]:
    """Width that a crop is resized to, and its valid ratio (MMOCR's ``ResizeOCR``).

    Args:
        height: of the crop, pixels.
        width: of the crop, pixels.
        config: how.
    """
    if not config.keep_aspect_ratio:
        assert config.max_width is not None  # checked by the config
        return config.max_width, 1.0
    new_width = math.ceil(config.height / height * width)
    if new_width % config.width_divisor:
        # round() goes half to even, as in MMOCR: 24 becomes 32 and 40 becomes 32 at divisor 16.
        new_width = round(new_width / config.width_divisor) * config.width_divisor
    new_width = max(config.min_width or 1, new_width)
    if config.max_width is None:
        if new_width > MAX_RECOGNITION_WIDTH_PX:
            raise InputError(
                422,
                "crop_too_long",
                f"a crop of {width} x {height} pixels is too long for its height; at most "
                f"{MAX_RECOGNITION_WIDTH_PX // config.height} times as wide as high is allowed",
            )
        return new_width, 1.0
    return min(config.max_width, new_width), min(1.0, new_width / config.max_width)


def _recognition_input(
    crop: NDArray[np.uint8],
    shape: tuple[int, int],
    degrees: int,
    config: RecognitionPreprocessing,
) -> RecognitionInput:
    new_width, valid_ratio = recognition_width(*shape, config)
    resized = _resize(crop, new_width, config.height)
    tensor = np.empty((config.channels, config.height, config.max_width or new_width), np.float32)
    tables = _tables(config.mean, config.std, config.unit_range)
    tensor[:, :, new_width:] = tables[:, config.pad_value, None, None]
    _normalise_into(tensor[:, :, :new_width], resized, tables, reverse=config.color == "rgb")
    return RecognitionInput(tensor, (config.height, new_width), valid_ratio, degrees)


# --- shared ------------------------------------------------------------------------------------


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            422,
            "wrong_image_array",
            f"expected a uint8 image of shape (height, width, 3) in BGR order, not empty; "
            f"got {image.dtype} {image.shape}",
        )


def _check_normalisation(mean: tuple[float, ...], std: tuple[float, ...], channels: int) -> None:
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ConfigError(f"mean={mean}, std={std}; expected {channels} numbers each, std above 0")


def _resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


@lru_cache(maxsize=32)
def _tables(
    mean: tuple[float, ...], std: tuple[float, ...], unit_range: bool
) -> NDArray[np.float32]:
    """(C, 256) float32: what every pixel value becomes. Read-only, being shared."""
    pixels = np.arange(256, dtype=np.float32)
    if unit_range:
        pixels /= np.float32(255)
    mean_C1 = np.array(mean, np.float32)[:, None]
    std_C1 = np.array(std, np.float32)[:, None]
    tables = (pixels - mean_C1) * (1 / std_C1.astype(np.float64)).astype(np.float32)
    tables.setflags(write=False)
    return tables


def _normalise_into(
    out_CHW: NDArray[np.float32],
    image: NDArray[np.uint8],
    tables: NDArray[np.float32],
    reverse: bool,
) -> None:
    """Write the normalised channels of an HxW or HxWx3 image, last channel first if ``reverse``."""
    planes = [image] if image.ndim == 2 else list(cv2.split(image))
    if reverse:
        planes.reverse()
    for out_HW, plane, table in zip(out_CHW, planes, tables, strict=True):
        cv2.LUT(plane, table, dst=out_HW)
