"""What a detector learns from: one row per family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from ocr_models.detection.dbnet import DBNetConfig
from ocr_models.spec import DetectorSpec

from . import dbnet


class DetectionObjective(Protocol):
    """Targets and losses of one detector."""

    @property
    def target_step(self) -> str:
        """Name of the pipeline step that draws the targets of one image."""
        ...

    def collate(self, targets: Sequence[Any]) -> Any:
        """Targets of a batch from those of its images; tensors in them move to the device."""
        ...

    def losses(self, network: nn.Module, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """Scalars to be summed, by name.

        Args:
            network: in training mode, perhaps under autocast.
            images: (B, 3, H, W), on the network's device.
            targets: what ``collate`` gave.
        """
        ...


DETECTION_OBJECTIVES: Mapping[
    type, Callable[[DetectorSpec, Mapping[str, Any]], DetectionObjective]
] = {
    DBNetConfig: dbnet.DBObjective.from_model,
}
"""By the network's config: from the detector and its ``model`` dictionary."""
