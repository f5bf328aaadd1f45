"""What a recogniser learns from: one row per family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from ocr_models.recognition.abinet import ABINetConfig
from ocr_models.recognition.crnn import CRNNConfig
from ocr_models.recognition.master import MASTERConfig
from ocr_models.recognition.nrtr import NRTRConfig
from ocr_models.recognition.robust_scanner import RobustScannerConfig
from ocr_models.recognition.sar import SARConfig
from ocr_models.recognition.satrn import SATRNConfig
from ocr_models.recognition.segocr import SegOCRConfig
from ocr_models.spec import RecognizerSpec

from ..augment.sample import Sample
from . import abinet, crnn, segocr
from .lines import RecognitionBatch
from .sequence import SequenceObjective


class RecognitionObjective(Protocol):
    """Targets and losses of one recogniser."""

    @property
    def target_step(self) -> str | None:
        """Name of the pipeline step that draws the targets of one line; None: texts suffice."""
        ...

    def check(self, sample: Sample) -> None:
        """Raises ``SampleError`` when a sample cannot be learnt from."""
        ...

    def collate(self, targets: Sequence[Any]) -> Any:
        """Targets of a batch from those of its lines, called when there is a ``target_step``."""
        ...

    def losses(self, network: nn.Module, batch: RecognitionBatch) -> dict[str, Tensor]:
        """Scalars to be summed, by name.

        Args:
            network: in training mode, perhaps under autocast.
            batch: its tensors are on the network's device.
        """
        ...


RECOGNITION_OBJECTIVES: Mapping[
    type, Callable[[RecognizerSpec, Mapping[str, Any]], RecognitionObjective]
] = {
    CRNNConfig: crnn.CRNNObjective.from_model,
    ABINetConfig: abinet.ABINetObjective.from_model,
    RobustScannerConfig: SequenceObjective.from_model,
    SARConfig: SequenceObjective.from_model,
    NRTRConfig: SequenceObjective.from_model,
    SATRNConfig: SequenceObjective.from_model,
    MASTERConfig: SequenceObjective.from_model,
    SegOCRConfig: segocr.SegObjective.from_model,
}
"""By the network's config: from the recogniser and its ``model`` dictionary."""
