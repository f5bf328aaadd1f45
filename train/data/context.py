"""What all data sets of one build share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ocr_models.errors import ConfigError

from ..augment.pipeline import Pipeline, build_pipeline
from .annotations import AnnotationError, Problems, Record

Steps = Sequence[Mapping[str, Any]]


class Context:
    """Whether a training or an evaluation reads them, and what is to be said about them.

    Args:
        training: broken lines are left out; otherwise they are errors.
        seed: of the training.
    """

    def __init__(self, training: bool, seed: int) -> None:
        self.training = training
        self.seed = seed
        self.notes: list[str] = []

    def steps(self, steps: Steps | None) -> Pipeline:
        """The pipeline of a leaf; in evaluation the predictor does all that is needed."""
        if not self.training:
            return Pipeline(())
        if not steps:
            raise ConfigError("a data set for training needs a pipeline")
        return build_pipeline(steps)

    def note_problems(self, ann_file: Any, kept: Sequence[Record], problems: Problems) -> None:
        """Remember what was left out; nothing usable is an error."""
        if not kept:
            reason = f"; the first problem: {problems.messages[0]}" if problems.messages else ""
            raise AnnotationError(f"{ann_file}: no usable annotation{reason}")
        if problems.messages:
            count = len(problems.messages)
            self.notes.append(
                f"{ann_file}: left out {count} of {count + len(kept)} entries; "
                f"the first: {problems.messages[0]}"
            )
