"""TorchServe handler of chain archives: a photo in, its words in reading order out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.results import PageResult

from .base import Handler


class OCRHandler(Handler[PageResult]):
    """Answers ``{"result": [{"box", "box_score", "text", ...}], "width", "height"}``."""

    task = "ocr"

    def answer(self, result: PageResult) -> dict[str, object]:
        """Words in reading order; with details, the page as text and the words of each line."""
        body = result.to_json()
        if self.options.details:
            body |= {"text": result.text, "lines": [list(line) for line in result.lines]}
        return body

    def count(self, answer: Mapping[str, Any]) -> int:
        """Number of words."""
        return len(answer["result"])


_service = OCRHandler()


def handle(data: Any, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: the first call, without data, loads the model."""
    if data is None:
        _service.initialize(context)
        return None
    return _service.handle(data, context)
