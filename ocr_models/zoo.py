"""The models that are known by name: one explicit table.

Figures of models published by MMOCR are the published ones, not measured again here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ocr_models.errors import ConfigError

PUBLISHED_BASE_URL = "https://download.openmmlab.com/mmocr/"


@dataclass(frozen=True)
class Metric:
    """One figure.

    Args:
        dataset: what it was measured on.
        name: e.g. ``"hmean-iou"``, ``"word_acc"`` (of MMOCR's models: lower case letters and
            digits only).
        value: between 0 and 1.
    """

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class ZooEntry:
    """One model.

    Args:
        name: the stem of its config file; with an addition where two models share one.
        alias: its short name in MMOCR's Python interface, if it has one.
        task: what it does.
        config: path of its config below ``configs/``.
        url_path: path of its published weights below ``PUBLISHED_BASE_URL``; None where the
            weights come with this package.
        sha256_prefix: the first eight hex digits of the published file's SHA-256.
        training_data: what it was trained on.
        metrics: figures.
    """

    name: str
    alias: str | None
    task: Literal["detection", "recognition"]
    config: str
    url_path: str | None
    sha256_prefix: str | None
    training_data: str
    metrics: tuple[Metric, ...]

    @property
    def url(self) -> str | None:
        """Where the published weights can be downloaded."""
        return None if self.url_path is None else PUBLISHED_BASE_URL + self.url_path

    @property
    def file_name(self) -> str | None:
        """Name of the published weight file."""
        return None if self.url_path is None else self.url_path.rpartition("/")[2]


def _detector(
    config: str,
    alias: str | None,
    checkpoint: str,
    training_data: str,
    test_data: str,
    recall: float,
    precision: float,
    hmean: float,
    addition: str = "",
) -> ZooEntry:
    """A detector that MMOCR published; its checkpoint's name ends in eight digits of its hash."""
    return ZooEntry(
        name=config.rpartition("/")[2] + addition,
        alias=alias,
        task="detection",
        config=f"textdet/{config}.py",
        url_path=f"textdet/{checkpoint}",
        sha256_prefix=checkpoint.removesuffix(".pth")[-8:],
        training_data=training_data,
        metrics=(
            Metric(test_data, "recall", recall),
            Metric(test_data, "precision", precision),
            Metric(test_data, "hmean-iou", hmean),
        ),
    )


_PUBLISHED_DETECTORS = (
    _detector(
        "dbnet/dbnet_r18_fpnc_1200e_icdar2015", "DB_r18",
        "dbnet/dbnet_r18_fpnc_sbn_1200e_icdar2015_20210329-ba3ab597.pth",
        "ICDAR 2015, from ImageNet weights", "ICDAR 2015", 0.731, 0.871, 0.795,
    ),
    _detector(
        "dbnet/dbnet_r50dcnv2_fpnc_1200e_icdar2015", "DB_r50",
        "dbnet/dbnet_r50dcnv2_fpnc_sbn_1200e_icdar2015_20211025-9fe3b590.pth",
        "ICDAR 2015, from SynthText weights", "ICDAR 2015", 0.814, 0.868, 0.840,
    ),
    _detector(
        "dbnetpp/dbnetpp_r50dcnv2_fpnc_1200e_icdar2015", "DBPP_r50",
        "dbnet/dbnetpp_r50dcnv2_fpnc_1200e_icdar2015-20220502-d7a76fff.pth",
        "ICDAR 2015, from SynthText weights", "ICDAR 2015", 0.822, 0.901, 0.860,
    ),
    _detector(
        "drrg/drrg_r50_fpn_unet_1200e_ctw1500", "DRRG",
        "drrg/drrg_r50_fpn_unet_1200e_ctw1500_20211022-fb30b001.pth",
        "CTW1500, from ImageNet weights", "CTW1500", 0.822, 0.858, 0.840,
    ),
    _detector(
        "fcenet/fcenet_r50dcnv2_fpn_1500e_ctw1500", "FCE_CTW_DCNv2",
        "fcenet/fcenet_r50dcnv2_fpn_1500e_ctw1500_20211022-e326d7ec.pth",
        "CTW1500, from ImageNet weights", "CTW1500", 0.828, 0.875, 0.851,
    ),
    _detector(
        "fcenet/fcenet_r50_fpn_1500e_icdar2015", "FCE_IC15",
        "fcenet/fcenet_r50_fpn_1500e_icdar2015_20211022-daefb6ed.pth",
        "ICDAR 2015, from ImageNet weights", "ICDAR 2015", 0.819, 0.880, 0.849,
    ),
    _detector(
        "maskrcnn/mask_rcnn_r50_fpn_160e_ctw1500", "MaskRCNN_CTW",
        "maskrcnn/mask_rcnn_r50_fpn_160e_ctw1500_20210219-96497a76.pth",
        "CTW1500, from ImageNet weights", "CTW1500", 0.753, 0.712, 0.732,
    ),
    _detector(
        "maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015", "MaskRCNN_IC15",
        "maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015_20210219-8eb340a3.pth",
        "ICDAR 2015, from ImageNet weights", "ICDAR 2015", 0.783, 0.872, 0.825,
    ),
    _detector(
        "maskrcnn/mask_rcnn_r50_fpn_160e_icdar2017", "MaskRCNN_IC17",
        "maskrcnn/mask_rcnn_r50_fpn_160e_icdar2017_20210218-c6ec3ebb.pth",
        "ICDAR 2017, from ImageNet weights", "ICDAR 2017 validation", 0.754, 0.827, 0.789,
    ),
    _detector(
        "panet/panet_r18_fpem_ffm_600e_ctw1500", "PANet_CTW",
        "panet/panet_r18_fpem_ffm_sbn_600e_ctw1500_20210219-3b3a9aa3.pth",
        "CTW1500, from ImageNet weights", "CTW1500", 0.776, 0.838, 0.806,
    ),
    _detector(
        "panet/panet_r18_fpem_ffm_600e_icdar2015", "PANet_IC15",
        "panet/panet_r18_fpem_ffm_sbn_600e_icdar2015_20210219-42dbe46a.pth",
        "ICDAR 2015, from ImageNet weights", "ICDAR 2015", 0.734, 0.856, 0.791,
    ),
    _detector(
        "psenet/psenet_r50_fpnf_600e_ctw1500", "PS_CTW",
        "psenet/psenet_r50_fpnf_600e_ctw1500_20210401-216fed50.pth",
        "CTW1500", "CTW1500", 0.728, 0.849, 0.784,
    ),
    _detector(
        "psenet/psenet_r50_fpnf_600e_icdar2015", None,
        "psenet/psenet_r50_fpnf_600e_icdar2015-c6131f0d.pth",
        "ICDAR 2015", "ICDAR 2015", 0.784, 0.831, 0.807,
    ),
    _detector(
        "psenet/psenet_r50_fpnf_600e_icdar2015", "PS_IC15",
        "psenet/psenet_r50_fpnf_600e_icdar2015_pretrain-eefd8fe6.pth",
        "ICDAR 2015, from ICDAR 2017 weights", "ICDAR 2015", 0.834, 0.861, 0.847,
        addition="_pretrain",
    ),
    _detector(
        "textsnake/textsnake_r50_fpn_unet_1200e_ctw1500", "TextSnake",
        "textsnake/textsnake_r50_fpn_unet_1200e_ctw1500-27f65b64.pth",
        "CTW1500, from ImageNet weights", "CTW1500", 0.795, 0.840, 0.817,
    ),
)  # fmt: skip
"""All fifteen of MMOCR 0.6.1: config, alias, checkpoint, trained on, tested on, recall, precision,
hmean."""

_ENTRIES = (
    ZooEntry(
        name="dbnet_light_fpnc_synthetic",
        alias="DB_light",
        task="detection",
        config="textdet/dbnet/dbnet_light_fpnc_synthetic.py",
        url_path=None,
        sha256_prefix=None,
        training_data="rendered scenes",
        metrics=(
            Metric("rendered scenes, held-out fonts", "recall", 0.879),
            Metric("rendered scenes, held-out fonts", "precision", 0.903),
            Metric("rendered scenes, held-out fonts", "hmean-iou", 0.891),
        ),
    ),
    ZooEntry(
        name="crnn_light_synthetic",
        alias="CRNN_light",
        task="recognition",
        config="textrecog/crnn/crnn_light_synthetic.py",
        url_path=None,
        sha256_prefix=None,
        training_data="rendered words",
        metrics=(Metric("rendered words, held-out fonts, case-sensitive", "word_acc", 0.869),),
    ),
    *_PUBLISHED_DETECTORS,
    ZooEntry(
        name="crnn_academic_dataset",
        alias="CRNN",
        task="recognition",
        config="textrecog/crnn/crnn_academic_dataset.py",
        url_path="textrecog/crnn/crnn_academic-a723a1c5.pth",
        sha256_prefix="a723a1c5",
        training_data="MJSynth",
        metrics=(
            Metric("IIIT5K", "word_acc", 0.805),
            Metric("SVT", "word_acc", 0.815),
            Metric("ICDAR 2013", "word_acc", 0.865),
            Metric("ICDAR 2015", "word_acc", 0.541),
            Metric("SVTP", "word_acc", 0.591),
            Metric("CUTE80", "word_acc", 0.556),
        ),
    ),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""All models by name."""


def find_model(name: str) -> ZooEntry:
    """The model of that name or alias, whichever way it is capitalised.

    Raises:
        ConfigError: there is none; with the nearest name.
    """
    spellings = {entry.name.lower(): entry for entry in ZOO.values()}
    spellings |= {entry.alias.lower(): entry for entry in ZOO.values() if entry.alias}
    if name.lower() in spellings:
        return spellings[name.lower()]
    known = [
        spelling for entry in ZOO.values() for spelling in (entry.alias, entry.name) if spelling
    ]
    near = difflib.get_close_matches(name.lower(), spellings, n=1)
    hint = ""
    if near:
        entry = spellings[near[0]]
        right = entry.name if near[0] == entry.name.lower() else entry.alias
        hint = f" Did you mean {right!r}?"
    raise ConfigError(f"there is no model {name!r}.{hint} Known: {', '.join(known)}")
