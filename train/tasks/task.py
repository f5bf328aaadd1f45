"""What a trainer has to know about one kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ocr_models.spec import Spec

from ..augment.sample import Sample
from ..data.datasets import Dataset
from ..settings import EvaluationSettings


class Task(Protocol):
    """One kind of model in training."""

    @property
    def spec(self) -> Spec:
        """What is trained."""
        ...

    @property
    def network(self) -> nn.Module:
        """Its network, on the CPU until the trainer moves it."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names that ``evaluation.metric`` and ``--eval`` accept, the usual one first."""
        ...

    def check(self, sample: Sample) -> None:
        """Look at an example after its pipeline.

        Raises:
            SampleError: it cannot be learnt from.
        """
        ...

    def collate(self, samples: Sequence[Sample]) -> Any:
        """A batch: a named tuple of tensors (and texts)."""
        ...

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; ``network`` has the type and device of training. Those that have
        ``loss`` in their names are summed, others are only logged."""
        ...

    def evaluate(
        self,
        state_dict: Mapping[str, Tensor],
        dataset: Dataset,
        settings: EvaluationSettings,
        device: torch.device,
    ) -> dict[str, float]:
        """Results of the predictor that serves, with these weights."""
        ...
