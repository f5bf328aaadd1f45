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
        name: the stem of its config file.
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
    ZooEntry(
        name="dbnet_r18_fpnc_1200e_icdar2015",
        alias="DB_r18",
        task="detection",
        config="textdet/dbnet/dbnet_r18_fpnc_1200e_icdar2015.py",
        url_path="textdet/dbnet/dbnet_r18_fpnc_sbn_1200e_icdar2015_20210329-ba3ab597.pth",
        sha256_prefix="ba3ab597",
        training_data="ICDAR 2015, from ImageNet weights",
        metrics=(
            Metric("ICDAR 2015", "recall", 0.731),
            Metric("ICDAR 2015", "precision", 0.871),
            Metric("ICDAR 2015", "hmean-iou", 0.795),
        ),
    ),
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
