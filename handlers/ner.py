"""TorchServe handler of ner archives: a text in, its entities out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.entities import EntityRecognizer
from ocr_models.results import EntityResult

from .base import Handler
from .texts import text_of


class NerHandler(Handler[EntityResult]):
    """Answers ``{"entities": [{"label", "start", "end", "text"}, ...]}``."""

    task = "ner"

    def decode(self, row: Mapping[str, Any], headers: Mapping[str, object]) -> str:
        """The text of one request, refused here when it is empty or too long."""
        text = text_of(row, headers)
        assert isinstance(self._predictor, EntityRecognizer), "adopt() comes first"
        self._predictor.check(text)
        return text

    def answer(self, result: EntityResult) -> dict[str, object]:
        """Entities in order; with details, their scores as well."""
        if not self.options.details:
            return result.to_json()
        return {
            "entities": [{**entity.to_json(), "score": entity.score} for entity in result.entities]
        }

    def count(self, answer: Mapping[str, Any]) -> int:
        """Number of entities."""
        return len(answer["entities"])

    def limits(self) -> dict[str, object]:
        """Characters of the longest text."""
        assert isinstance(self._predictor, EntityRecognizer), "adopt() comes first"
        return {"max_characters": self._predictor.max_characters}


_service = NerHandler()


def handle(data: Any, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: the first call, without data, loads the model."""
    if data is None:
        _service.initialize(context)
        return None
    return _service.handle(data, context)
