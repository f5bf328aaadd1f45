"""What a detector learns from: one row per family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from ocr_models.detection.dbnet import DBNetConfig, DBNetPPConfig
from ocr_models.detection.drrg import DRRGConfig
from ocr_models.detection.fcenet import FCENetConfig
from ocr_models.detection.mask_rcnn import MaskRCNNConfig
from ocr_models.detection.panet import PANetConfig
from ocr_models.detection.psenet import PSENetConfig
from ocr_models.detection.textsnake import TextSnakeConfig
from ocr_models.spec import DetectorSpec

from . import dbnet, drrg, fcenet, mask_rcnn, panet, psenet, textsnake


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
    DBNetPPConfig: dbnet.DBObjective.from_model,
    DRRGConfig: drrg.DRRGObjective.from_model,
    PANetConfig: panet.PANObjective.from_model,
    PSENetConfig: psenet.PSEObjective.from_model,
    MaskRCNNConfig: mask_rcnn.MaskRCNNObjective.from_model,
    FCENetConfig: fcenet.FCEObjective.from_model,
    TextSnakeConfig: textsnake.TextSnakeObjective.from_model,
}
"""By the network's config: from the detector and its ``model`` dictionary."""
