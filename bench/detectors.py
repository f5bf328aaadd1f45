"""The detectors that are measured: one config of each family, the one with the smallest network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ocr_models.detection.families import build_network
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.spec import DetectorSpec
from tests.conformance import formulas

from .models import ROOT

TEXTDET = ROOT / "configs" / "textdet"

DETECTORS: Mapping[str, str] = {
    "DBNet": "dbnet/dbnet_r18_fpnc_1200e_icdar2015.py",
    "DBNet++": "dbnetpp/dbnetpp_r50dcnv2_fpnc_1200e_icdar2015.py",
    "PANet": "panet/panet_r18_fpem_ffm_600e_icdar2015.py",
    "PSENet": "psenet/psenet_r50_fpnf_600e_ctw1500.py",
    "TextSnake": "textsnake/textsnake_r50_fpn_unet_1200e_ctw1500.py",
    "FCENet": "fcenet/fcenet_r50_fpn_1500e_icdar2015.py",
    "DRRG": "drrg/drrg_r50_fpn_unet_1200e_ctw1500.py",
    "Mask R-CNN": "maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015.py",
}
"""Config below ``configs/textdet``, by the family's name."""


@dataclass(frozen=True)
class Detector:
    """A detector of a config.

    Args:
        spec: what it is.
        config: the resolved config.
    """

    spec: DetectorSpec
    config: Mapping[str, Any]

    def network(self) -> nn.Module:
        """A new network in evaluation mode, with weights by formula."""
        network = build_network(self.spec.network)
        formulas.fill(network, 7)
        return network.eval().requires_grad_(False)


def load_detector(path: Path) -> Detector:
    """The detector of a config file."""
    config = load_config(path)
    spec = model_from_mmocr(config)
    assert isinstance(spec, DetectorSpec), "configs/textdet holds detectors"
    return Detector(spec, config)
