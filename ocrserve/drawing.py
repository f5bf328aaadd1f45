"""Pictures that show what was found: outlines on the photo, the text on a label beside each.

Outlines have a light rim around a coloured line and labels are solid, so both can be seen on any
background. The colour tells how sure the model was. Labels go where they cover neither each other
nor text, as far as there is room. The font is the one that Pillow brings along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ocr_models.kie.links import NO_FIELDS
from ocr_models.results import (
    DetectionResult,
    KeyInfoResult,
    Link,
    PageResult,
    RecognitionResult,
)

Colour = tuple[int, int, int]  # RGB, 0..255
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in pixels

SURE: Colour = (0, 112, 214)
UNSURE: Colour = (190, 72, 0)
SURE_FROM = 0.8
RIM: Colour = (255, 255, 255)
LABEL_TEXT: Colour = (255, 255, 255)

_FONT_SHRINKS = (1.0, 0.8, 0.64)
_SUBPIXEL_BITS = 4
_UNLABELLED = (*NO_FIELDS, "background")


@dataclass(frozen=True)
class _Label:
    """Where one text goes: its rectangle and its font size, in pixels."""

    rectangle: Rectangle
    font_px: int


def draw_result(
    image: np.ndarray, result: PageResult | DetectionResult | RecognitionResult | KeyInfoResult
) -> NDArray[np.uint8]:
    """The picture of any predictor's result.

    Args:
        image: uint8 (H, W, 3) BGR, the one that was predicted on; it stays as it is.
        result: boxes and texts, boxes alone, the text of a crop, or what words mean. Words that
            have a meaning are labelled with it instead of with their text, and an arrow leads from
            a key to its value.

    Returns:
        A new uint8 (H', W', 3) BGR picture; taller than ``image`` for the text of a crop.
    """
    if isinstance(result, RecognitionResult):
        return _draw_caption(image, result)
    if isinstance(result, DetectionResult):
        outlines = [(boundary.points, boundary.score) for boundary in result.boundaries]
        return _draw_outlines(image, outlines)
    if isinstance(result, KeyInfoResult):
        return _draw_info(image, list(result.boxes), result)
    if result.info is not None:
        return _draw_info(image, [word.boundary.points for word in result.words], result.info)
    outlines = [(word.boundary.points, word.recognition.score) for word in result.words]
    picture = _draw_outlines(image, outlines)
    return _draw_labels(picture, outlines, [word.text for word in result.words])


def _draw_outlines(
    image: np.ndarray, outlines: Sequence[tuple[np.ndarray, float]]
) -> NDArray[np.uint8]:
    picture = image.copy()
    thickness = _line_px(image)
    for points, score in outlines:
        polygon = [np.round(points * 2**_SUBPIXEL_BITS).astype(np.int32)]
        for colour, width in ((RIM, thickness + 2), (_colour(score), thickness)):
            cv2.polylines(picture, polygon, True, colour[::-1], width, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(picture, np.uint8)


def _draw_info(
    image: np.ndarray, shapes: Sequence[np.ndarray], info: KeyInfoResult
) -> NDArray[np.uint8]:
    outlines = list(zip(shapes, info.label_scores, strict=True))
    picture = _draw_outlines(image, outlines)
    for link in info.links or ():
        _draw_arrow(picture, shapes[link.key], shapes[link.value], link)
    named = [i for i, label in enumerate(info.labels) if label.lower() not in _UNLABELLED]
    captions = [f"{info.labels[i]} {info.label_scores[i]:.2f}" for i in named]
    picture = _draw_labels(picture, [outlines[i] for i in named], captions)
    middles = [(_middle(shapes[n.key], shapes[n.value]), n.score) for n in info.links or ()]
    return _draw_labels(picture, middles, [f"{link.score:.2f}" for link in info.links or ()])


def _draw_arrow(picture: np.ndarray, key: np.ndarray, value: np.ndarray, link: Link) -> None:
    """From a key to its value, along the line between their middles but not over their texts."""
    line = value.mean(axis=0) - key.mean(axis=0)
    start, end = (
        np.round(points.mean(axis=0) + side * _share_inside(points, line) * line).astype(int)
        for points, side in ((key, 1), (value, -1))
    )
    start, end = start.tolist(), end.tolist()
    length = max(1.0, float(np.hypot(end[0] - start[0], end[1] - start[1])))
    thickness = _line_px(picture)
    for colour, width in ((RIM, thickness + 2), (_colour(link.score), thickness)):
        tip = min(0.2, 8 * thickness / length)
        cv2.arrowedLine(picture, start, end, colour[::-1], width, cv2.LINE_AA, tipLength=tip)


def _share_inside(points: np.ndarray, line: np.ndarray) -> float:
    """How much of ``line``, drawn from the middle, lies within the bounds; at most half of it."""
    half = np.ptp(points, axis=0) / 2
    return float(min(0.5, *(half / np.maximum(np.abs(line), 1e-6))))


def _middle(key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """A point halfway, as an outline without extent."""
    return np.repeat(((key.mean(axis=0) + value.mean(axis=0)) / 2)[None], 4, axis=0)


def _draw_labels(
    picture: np.ndarray, outlines: Sequence[tuple[np.ndarray, float]], texts: Sequence[str]
) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    boxes = np.array([_bounds(points) for points, _ in outlines]).reshape(-1, 4)
    canvas = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    draw = ImageDraw.Draw(canvas)
    placed = np.zeros((0, 4))
    for index, ((_, score), text) in enumerate(zip(outlines, texts, strict=True)):
        others = np.delete(boxes, index, axis=0)
        label = _place(boxes[index], text, others, placed, (width, height), _line_px(picture))
        placed = np.vstack([placed, label.rectangle])
        radius = max(2, label.font_px // 5)
        draw.rounded_rectangle(label.rectangle, radius, fill=_colour(score), outline=RIM)
        left, top, right, bottom = label.rectangle
        draw.text(
            ((left + right) / 2, (top + bottom) / 2),
            text,
            font=_font(label.font_px),
            fill=LABEL_TEXT,
            anchor="mm",
        )
    return np.asarray(cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGB2BGR), np.uint8)


def _draw_caption(image: np.ndarray, result: RecognitionResult) -> NDArray[np.uint8]:
    """The crop, enlarged when it is small, above a strip with its text and score."""
    scale = max(1.0, 96 / image.shape[0])
    enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    caption = f"{result.text}   {result.score:.2f}"
    font = _font(28)
    strip_px = 52
    width = max(enlarged.shape[1], round(font.getlength(caption)) + 32)
    canvas = Image.new("RGB", (width, enlarged.shape[0] + strip_px), _colour(result.score))
    canvas.paste(Image.fromarray(cv2.cvtColor(enlarged, cv2.COLOR_BGR2RGB)), (0, 0))
    middle = enlarged.shape[0] + strip_px / 2
    ImageDraw.Draw(canvas).text((16, middle), caption, font=font, fill=LABEL_TEXT, anchor="lm")
    return np.asarray(cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGB2BGR), np.uint8)


def _place(
    box: np.ndarray,
    text: str,
    others: np.ndarray,
    placed: np.ndarray,
    size: tuple[int, int],
    gap: int,
) -> _Label:
    """The position that covers least: other labels weigh most, then text, then its own box."""
    best: tuple[float, _Label] | None = None
    for shrink in _FONT_SHRINKS:
        font_px = max(10, round(_font_px(box, size) * shrink))
        label_width = _font(font_px).getlength(text) + font_px * 0.7
        label_height = font_px * 1.35
        for order, corner in enumerate(_corners(box, label_width, label_height, gap)):
            left = min(max(corner[0], 0), max(0, size[0] - label_width - 1))
            top = min(max(corner[1], 0), max(0, size[1] - label_height - 1))
            rectangle = (left, top, left + label_width, top + label_height)
            area = label_width * label_height
            covered = (
                8 * _overlap(rectangle, placed)
                + 3 * _overlap(rectangle, others)
                + 2 * _overlap(rectangle, box[None])
            )
            # Among equals the larger font and the more usual side win.
            cost = covered / area + 0.02 * order + 0.5 * (1 - shrink)
            if best is None or cost < best[0]:
                best = cost, _Label(rectangle, font_px)
    assert best is not None, "there are always candidates"
    return best[1]


def _corners(box: np.ndarray, width: float, height: float, gap: int) -> list[tuple[float, float]]:
    """Top left corners to try, most usual first."""
    left, top, right, bottom = box.tolist()
    above, below = top - height - gap, bottom + gap
    middle = (top + bottom - height) / 2
    centred = (left + right - width) / 2
    return [
        (left, above),
        (left, below),
        (centred, above),
        (centred, below),
        (right - width, above),
        (right - width, below),
        (right + gap, middle),
        (left - width - gap, middle),
        (right + gap, above),
        (right + gap, below),
        (left - width - gap, above),
        (left - width - gap, below),
    ]


def _overlap(rectangle: Rectangle, others: np.ndarray) -> float:
    """Total area in pixels of ``rectangle`` that lies in each of ``others`` (N, 4)."""
    left, top, right, bottom = rectangle
    widths = np.minimum(others[:, 2], right) - np.maximum(others[:, 0], left)
    heights = np.minimum(others[:, 3], bottom) - np.maximum(others[:, 1], top)
    return float((widths.clip(0) * heights.clip(0)).sum())


def _bounds(points: np.ndarray) -> Rectangle:
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def _font_px(box: np.ndarray, size: tuple[int, int]) -> float:
    """A size near that of the text itself, but neither tiny nor dominating the picture."""
    short_side = min(size)
    text_height = min(box[2] - box[0], box[3] - box[1])
    least, most = max(12, short_side * 0.018), max(16, short_side * 0.04)
    return float(np.clip(text_height * 0.6, least, most))


def _line_px(image: np.ndarray) -> int:
    return max(2, round(min(image.shape[:2]) / 360))


def _colour(score: float) -> Colour:
    return SURE if score >= SURE_FROM else UNSURE


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font
