"""From what TorchServe hands over for one request to one page of boxes and texts.

A client may send JSON with the image in base64 (or none), or a form with the image and the words; a
chain's own answer may be sent back as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ocr_models.errors import InputError
from ocr_models.images import ImageLimits, decode_image
from ocr_models.key_info import KiePage

from .bodies import FORM_FIELDS, JSON_KEYS, check_size, from_base64
from .requests import fields_of, json_name, listed

WORDS_KEYS = ("words", "result")
"""Under either name; a chain's answer has its words under the second."""
MAX_TEXT_CHARACTERS = 2000

_SIZE_KEYS = ("width", "height")
_OTHER_KEYS = ("edges", "fields", "text", "lines")  # of an answer that is sent back to us
_HOW_TO_SEND = (
    'send JSON {"image": "<base64>" or null, "words": [{"box": [x1, y1, ..., x4, y4], "text": '
    '"..."}]}, or a form with the fields image and words '
    "(curl -F image=@photo.jpg -F words=@words.json URL)"
)


def page_of(
    row: Mapping[str, Any], headers: Mapping[str, object], limits: ImageLimits, max_boxes: int
) -> KiePage:
    """The page of one request.

    Args:
        row: what TorchServe made of the request.
        headers: its headers; their names may come in any case.
        limits: of the image.
        max_boxes: pages with more are refused.

    Raises:
        InputError: the request does not carry exactly one page, or a part of it cannot be used.
    """
    content, photo = _parts(row, headers)
    if photo is None and content.get("image") is not None:
        if not isinstance(content["image"], str):
            raise InputError(
                400,
                "wrong_json",
                f"'image' must be a base64 string or null, got a {json_name(content['image'])}",
            )
        photo = from_base64(content["image"], limits.max_bytes)
    words = content["words"]
    if len(words) > max_boxes:
        raise InputError(
            413,
            "too_many_boxes",
            f"the page has {len(words)} boxes, at most {max_boxes} are allowed",
        )
    boxes, texts = [], []
    for number, word in enumerate(words):
        box, text = _word(number, word)
        boxes.append(box)
        texts.append(text)
    size = _size(content)
    if photo is None:
        return KiePage(None, boxes, texts, size)
    check_size(len(photo), limits.max_bytes)
    return KiePage(decode_image(photo, limits), boxes, texts)


def _parts(
    row: Mapping[str, Any], headers: Mapping[str, object]
) -> tuple[dict[str, Any], bytes | None]:
    """The request's JSON, with its words under ``"words"``, and the photo of a form."""
    fields = fields_of(row, headers, f"add -H 'Content-Type: application/json', or {_HOW_TO_SEND}")
    if not fields:
        raise InputError(400, "empty_request", f"the request has no body; {_HOW_TO_SEND}")
    if "words" not in fields and len(fields) == 1:
        return _checked(_parsed(next(iter(fields.values())))), None
    photos = [name for name in fields if name in FORM_FIELDS]
    unknown = sorted(set(fields) - {"words", *photos})
    if unknown or len(photos) > 1 or "words" not in fields:
        raise InputError(
            400,
            "unknown_field",
            f"the form has the fields {listed(sorted(fields))}; expected words and at most one of "
            f"{listed(FORM_FIELDS)}",
        )
    content = _parsed(fields["words"])
    if isinstance(content, list):
        content = {"words": content}
    content = _checked(content)
    if not photos:
        return content, None
    photo = fields[photos[0]]
    if not isinstance(photo, bytes | bytearray | memoryview) or content.get("image") is not None:
        raise InputError(
            400, "several_images", f"the field {photos[0]!r} must hold the one image of the request"
        )
    return content, bytes(photo)


def _parsed(content: object) -> Any:
    """JSON that TorchServe has parsed already, or has not."""
    if isinstance(content, bytes | bytearray | memoryview):
        content = bytes(content)
        if not content:
            raise InputError(400, "empty_request", f"the body has 0 bytes; {_HOW_TO_SEND}")
    if isinstance(content, bytes | str):
        try:
            return json.loads(content)
        # The second is what brackets within brackets within brackets end in.
        except (ValueError, RecursionError) as error:
            raise InputError(
                400, "invalid_json", f"the body is not JSON ({error}); {_HOW_TO_SEND}"
            ) from error
    return content


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise InputError(
            400, "wrong_json", f"the body is a JSON {json_name(content)}; {_HOW_TO_SEND}"
        )
    content = dict(content)
    for key in JSON_KEYS:
        if key in content and key != "image":
            content.setdefault("image", content.pop(key))
    given = [key for key in WORDS_KEYS if key in content]
    known = {"image", *WORDS_KEYS, *_SIZE_KEYS, *_OTHER_KEYS}
    unknown = [str(key) for key in content if key not in known]
    if unknown or len(given) != 1 or not isinstance(content[given[0]], list):
        got = listed([str(key) for key in content]) if content else "(none)"
        raise InputError(
            400,
            "wrong_json",
            f"the JSON object has the keys {got}; expected a list under one of "
            f"{listed(WORDS_KEYS)}, and optionally 'image', 'width' and 'height'",
        )
    content["words"] = content.pop(given[0])
    return content


def _word(number: int, word: object) -> tuple[list[float], str]:
    """Box and text of one entry; further keys are left alone."""
    if not isinstance(word, Mapping) or "box" not in word:
        raise InputError(
            422,
            "wrong_box",
            f"word {number} must be an object with 'box' and 'text', got {word!r:.60}",
        )
    if "text" not in word:
        raise InputError(
            422,
            "missing_text",
            f"word {number} has no 'text'; \"\" is allowed, if nothing is known",
        )
    text = word["text"]
    if isinstance(text, str) and len(text) > MAX_TEXT_CHARACTERS:
        raise InputError(
            413,
            "too_long_text",
            f"the text of word {number} has {len(text)} characters, at most {MAX_TEXT_CHARACTERS} "
            "are allowed",
        )
    box = word["box"]
    if isinstance(box, list) and all(isinstance(corner, list) for corner in box):
        box = [value for corner in box for value in corner]
    if not isinstance(box, list) or any(type(value) not in (int, float) for value in box):
        raise InputError(
            422,
            "wrong_box",
            f"the box of word {number} must be a list of eight numbers, got {word['box']!r:.80}",
        )
    return box, text


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of a page that comes without its image."""
    given = [content[key] for key in _SIZE_KEYS if content.get(key) is not None]
    if not given:
        return None
    if len(given) != 2 or any(type(side) is not int or not 1 <= side <= 10**6 for side in given):
        raise InputError(
            422,
            "wrong_size",
            f"'width' and 'height' are whole pixels, 1 to 1000000, and go together; got {given}",
        )
    return given[0], given[1]
