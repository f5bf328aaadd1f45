"""TorchServe handler of detection archives: an image in, boundaries out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.results import DetectionResult

from .base import Handler


class DetectionHandler(Handler[DetectionResult]):
    """Answers ``{"boundary_result": [[x1, y1, ..., xn, yn, score], ...]}``."""

    task = "detection"

    def answer(self, result: DetectionResult) -> dict[str, object]:
        """Boundaries in pixels of the sent image; with details, its size as well."""
        lowest = self.options.min_score or 0.0
        kept = tuple(b for b in result.boundaries if b.score >= lowest)
        body = DetectionResult(kept, result.width, result.height).to_json()
        if self.options.details:
            body |= {"width": result.width, "height": result.height}
        return body

    def count(self, answer: Mapping[str, Any]) -> int:
        """Number of boundaries."""
        return len(answer["boundary_result"])


_service = DetectionHandler()


def handle(data: Any, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: the first call, without data, loads the model."""
    if data is None:
        _service.initialize(context)
        return None
    return _service.handle(data, context)
