"""TorchServe handler of key information: boxes and texts in, labels and fields out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.key_info import KiePage
from ocr_models.results import KeyInfoResult

from .base import Handler
from .pages import page_of


class KieHandler(Handler[KeyInfoResult]):
    """Answers ``{"result": [{"box", "text", "label", "label_score"}], "edges"?, "fields"}``."""

    task = "kie"

    def decode(self, row: Mapping[str, Any], headers: Mapping[str, object]) -> KiePage:
        """The page of one request; raises ``InputError``."""
        return page_of(row, headers, self._limits, self.options.max_boxes)

    def answer(self, result: KeyInfoResult) -> dict[str, object]:
        """The boxes with their labels, links between them, and what they say."""
        return result.to_json()

    def count(self, answer: Mapping[str, Any]) -> int:
        """Number of words."""
        return len(answer["result"])


_service = KieHandler()


def handle(data: Any, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: the first call, without data, loads the model."""
    if data is None:
        _service.initialize(context)
        return None
    return _service.handle(data, context)
