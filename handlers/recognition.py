"""TorchServe handler of recognition archives: the image of a word or line in, its text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.results import RecognitionResult

from .base import Handler


class RecognitionHandler(Handler[RecognitionResult]):
    """Answers ``{"text", "score", "char_scores", "probability", "char_probabilities"}``."""

    task = "recognition"

    def answer(self, result: RecognitionResult) -> dict[str, object]:
        """Text and scores; with details, by how far a tall image was turned before it was read."""
        body = result.to_json()
        if self.options.details:
            body |= {"rotation": result.rotation}
        return body

    def count(self, answer: Mapping[str, Any]) -> int:
        """One, when anything was read."""
        return 1 if answer["text"] else 0


_service = RecognitionHandler()


def handle(data: Any, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: the first call, without data, loads the model."""
    if data is None:
        _service.initialize(context)
        return None
    return _service.handle(data, context)
