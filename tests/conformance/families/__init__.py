"""The families that landed: the one table to extend."""

from __future__ import annotations

from collections.abc import Mapping

from .abinet import ABINET_FAMILY
from .crnn import CRNN_FAMILY
from .dbnet import DBNET_FAMILY
from .drrg import DRRG_FAMILY
from .family import Family, LossCase, PostprocessCase, TargetCase
from .fcenet import FCENET_FAMILY
from .mask_rcnn import MASK_RCNN_FAMILY
from .ner import NER_FAMILY
from .nrtr import MASTER_FAMILY, NRTR_FAMILY, SATRN_FAMILY
from .panet import PANET_FAMILY
from .psenet import PSENET_FAMILY
from .recognition import SEQUENCE_LOSSES
from .robust_scanner import ROBUST_SCANNER_FAMILY
from .sar import SAR_FAMILY
from .sdmgr import SDMGR_FAMILY
from .segocr import SEGOCR_FAMILY
from .textsnake import TEXTSNAKE_FAMILY

_ALL = (
    DBNET_FAMILY,
    DRRG_FAMILY,
    PANET_FAMILY,
    PSENET_FAMILY,
    MASK_RCNN_FAMILY,
    FCENET_FAMILY,
    TEXTSNAKE_FAMILY,
    CRNN_FAMILY,
    ABINET_FAMILY,
    SEGOCR_FAMILY,
    NER_FAMILY,
    ROBUST_SCANNER_FAMILY,
    SAR_FAMILY,
    NRTR_FAMILY,
    SATRN_FAMILY,
    MASTER_FAMILY,
    SDMGR_FAMILY,
)

FAMILIES: Mapping[str, Family] = {family.model_type: family for family in _ALL}
POSTPROCESS: Mapping[str, PostprocessCase] = {
    name: compare for family in _ALL for name, compare in family.postprocess.items()
}
TARGETS: Mapping[str, TargetCase] = {
    name: compare for family in _ALL for name, compare in family.targets.items()
}
LOSSES: Mapping[str, LossCase] = {
    **SEQUENCE_LOSSES,
    **{name: compute for family in _ALL for name, compute in family.losses.items()},
}
