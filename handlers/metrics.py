"""Metrics of the handlers, in TorchServe's terms.

TorchServe forwards only metrics that its metrics configuration declares; ``ocrserve.server_config``
writes that file from the tables below, and a server without it simply shows none of these. All
histograms are in seconds because TorchServe's buckets (0.005 to 10) are fixed. A worker answers
whole batches, so the histograms have one observation per batch, and their sums add up to where its
time goes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ocr_models.clock import STAGES

logger = logging.getLogger(__name__)

BATCH_SECONDS = "ocr_batch_seconds"
IMAGES = "ocr_images_total"
WORDS = "ocr_words_total"
REFUSED = "ocr_refused_total"
FAILED = "ocr_failed_total"

DIMENSIONS = ("ModelName", "Level")
REASON = "Reason"

HISTOGRAMS: dict[str, str] = {
    **{f"ocr_{stage}_seconds": f"time of a batch in {stage}" for stage in STAGES},
    BATCH_SECONDS: "whole time of a batch in the handler",
}
COUNTERS: dict[str, str] = {
    IMAGES: "images (texts, of ner) that were answered with a result",
    WORDS: "boundaries, words or entities in those results",
    REFUSED: "requests that were answered with a 4xx, by `Reason`",
    FAILED: "requests that were answered with a 500",
}


class BatchMetrics:
    """Emits the metrics of one batch through TorchServe's context; a no-op without TorchServe."""

    def __init__(self, context: Any) -> None:
        self._cache = getattr(context, "metrics", None)
        self._dimensions = [str(getattr(context, "model_name", "")), "Model"]

    def observe(self, seconds: Mapping[str, float], batch_seconds: float) -> None:
        """Adds one observation per stage, and one of the whole."""
        for stage, spent in seconds.items():
            self._update("histogram", f"ocr_{stage}_seconds", spent)
        self._update("histogram", BATCH_SECONDS, batch_seconds)

    def count(self, name: str, value: int, reason: str | None = None) -> None:
        """Adds ``value`` to a counter; 0 is not sent."""
        if value:
            self._update("counter", name, value, *([reason] if reason is not None else []))

    def _update(self, kind: str, name: str, value: float, *labels: str) -> None:
        if self._cache is None:
            return
        # Imported here because the handlers must load where TorchServe is not installed.
        from ts.metrics.metric_type_enum import MetricTypes

        try:
            metric = self._cache.get_metric(name, MetricTypes(kind))
        except KeyError:
            logger.debug("metric %s is not declared in the server's metrics configuration", name)
            return
        metric.add_or_update(value, [*self._dimensions, *labels])
