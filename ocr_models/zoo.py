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
            digits only), ``"macro_f1"``.
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
        dictionary_url_path: path of the dictionary that goes with the weights, for the model whose
            config does not hold its characters. No hash of it is published.
    """

    name: str
    alias: str | None
    task: Literal["detection", "recognition", "kie", "ner"]
    config: str
    url_path: str | None
    sha256_prefix: str | None
    training_data: str
    metrics: tuple[Metric, ...]
    dictionary_url_path: str | None = None

    @property
    def url(self) -> str | None:
        """Where the published weights can be downloaded."""
        return None if self.url_path is None else PUBLISHED_BASE_URL + self.url_path

    @property
    def file_name(self) -> str | None:
        """Name of the published weight file."""
        return None if self.url_path is None else self.url_path.rpartition("/")[2]

    @property
    def dictionary_name(self) -> str | None:
        """Name of the dictionary file."""
        path = self.dictionary_url_path
        return None if path is None else path.rpartition("/")[2]


def _extractor(
    config: str, alias: str | None, date_and_hash: str, dataset: str, **figures: float
) -> ZooEntry:
    """An extractor of key information that MMOCR published, trained and tested on one data set."""
    name = config.rpartition("/")[2]
    return ZooEntry(
        name=name,
        alias=alias,
        task="kie",
        config=f"kie/{config}.py",
        url_path=f"kie/{config}_{date_and_hash}.pth",
        sha256_prefix=date_and_hash[-8:],
        training_data=dataset,
        metrics=tuple(Metric(dataset, metric, value) for metric, value in figures.items()),
    )


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

TEST_SETS = ("IIIT5K", "SVT", "ICDAR 2013", "ICDAR 2015", "SVTP", "CUTE80")
"""Where MMOCR measured its recognisers; 3000, 647, 1015, 2077, 645 and 288 words."""


def _recognizer(
    config: str,
    alias: str | None,
    checkpoint: str,
    training_data: str,
    percentages: tuple[float | None, ...],
    dictionary: str | None = None,
) -> ZooEntry:
    """A recogniser that MMOCR published, with its word accuracies on ``TEST_SETS``, in percent."""
    return ZooEntry(
        name=config.rpartition("/")[2],
        alias=alias,
        task="recognition",
        config=f"textrecog/{config}.py",
        url_path=f"textrecog/{checkpoint}",
        sha256_prefix=checkpoint.removesuffix(".pth")[-8:],
        training_data=training_data,
        metrics=tuple(
            Metric(dataset, "word_acc", round(value / 100, 4))
            for dataset, value in zip(TEST_SETS, percentages, strict=True)
            if value is not None
        ),
        dictionary_url_path=dictionary and f"textrecog/{dictionary}",
    )


_MIXTURE = "five real data sets twenty times over, parts of SynthText and MJSynth, SynthAdd"
_NO_FIGURES = (None,) * len(TEST_SETS)

_PUBLISHED_RECOGNIZERS = (
    _recognizer(
        "abinet/abinet_vision_only_academic", "ABINet_Vision",
        "abinet/abinet_vision_only_academic-e6b9ea89.pth",
        "MJSynth, SynthText", (94.7, 91.7, 93.6, 83.0, 85.1, 86.5),
    ),
    _recognizer(
        "abinet/abinet_academic", "ABINet", "abinet/abinet_academic-f718abf6.pth",
        "MJSynth, SynthText, from ABINet_Vision and a language model",
        (95.7, 94.6, 95.7, 85.1, 90.4, 90.3),
    ),
    _recognizer(
        "crnn/crnn_academic_dataset", "CRNN", "crnn/crnn_academic-a723a1c5.pth",
        "MJSynth", (80.5, 81.5, 86.5, 54.1, 59.1, 55.6),
    ),
    _recognizer(
        "master/master_r31_12e_ST_MJ_SA", "MASTER", "master/master_r31_12e_ST_MJ_SA-787edd36.pth",
        "SynthText, SynthAdd, MJSynth", (95.27, 89.8, 95.17, 77.03, 82.95, 89.93),
    ),
    _recognizer(
        "nrtr/nrtr_r31_1by16_1by8_academic", "NRTR_1/16-1/8",
        "nrtr/nrtr_r31_1by16_1by8_academic_20211124-f60cebf4.pth",
        "SynthText, MJSynth", (94.7, 87.3, 94.3, 73.5, 78.9, 85.1),
    ),
    _recognizer(
        "nrtr/nrtr_r31_1by8_1by4_academic", "NRTR_1/8-1/4",
        "nrtr/nrtr_r31_1by8_1by4_academic_20211123-e1fdb322.pth",
        "SynthText, MJSynth", (95.2, 90.0, 94.0, 74.1, 79.4, 88.2),
    ),
    _recognizer(
        "robust_scanner/robustscanner_r31_academic", "RobustScanner",
        "robustscanner/robustscanner_r31_academic-5f05874f.pth",
        _MIXTURE, (95.1, 89.2, 93.1, 77.8, 80.3, 90.3),
    ),
    _recognizer(
        "sar/sar_r31_parallel_decoder_academic", "SAR",
        "sar/sar_r31_parallel_decoder_academic-dba3a4a3.pth",
        _MIXTURE, (95.0, 89.6, 93.7, 79.0, 82.2, 88.9),
    ),
    _recognizer(
        "sar/sar_r31_sequential_decoder_academic", None,
        "sar/sar_r31_sequential_decoder_academic-d06c9a8e.pth",
        _MIXTURE, (95.2, 88.7, 92.4, 78.2, 81.9, 89.6),
    ),
    _recognizer(
        "sar/sar_r31_parallel_decoder_chinese", "SAR_CN",
        "sar/sar_r31_parallel_decoder_chineseocr_20210507-b4be8214.pth",
        "chineseocr (printed Chinese, English, digits)", _NO_FIGURES,
        dictionary="sar/dict_printed_chinese_english_digits.txt",
    ),
    _recognizer(
        "satrn/satrn_academic", "SATRN", "satrn/satrn_academic_20211009-cb8b1580.pth",
        "SynthText, MJSynth", (96.1, 93.5, 95.7, 84.1, 88.5, 90.3),
    ),
    _recognizer(
        "satrn/satrn_small", "SATRN_sm", "satrn/satrn_small_20211009-2cf13355.pth",
        "SynthText, MJSynth", (94.7, 91.3, 95.4, 81.9, 85.9, 86.5),
    ),
    _recognizer(
        "seg/seg_r31_1by16_fpnocr_academic", "SEG",
        "seg/seg_r31_1by16_fpnocr_academic-72235b11.pth",
        "SynthText with character boxes", (90.9, 81.8, 90.7, None, None, 80.9),
    ),
    _recognizer(
        "tps/crnn_tps_academic_dataset", "CRNN_TPS",
        "tps/crnn_tps_academic_dataset_20210510-d221a905.pth",
        "MJSynth", (80.8, 81.3, 85.0, 59.6, 68.1, 53.8),
    ),
)  # fmt: skip
"""All fourteen of MMOCR 0.6.1: config, alias, checkpoint, trained on, word accuracies."""

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
        name="sdmgr_novisual_synthetic",
        alias="SDMGR_light",
        task="kie",
        config="kie/sdmgr/sdmgr_novisual_synthetic.py",
        url_path=None,
        sha256_prefix=None,
        training_data="rendered receipts",
        metrics=(
            Metric("rendered receipts, held-out layouts, perfect words", "macro_f1", 0.984),
            Metric("the same, words as the default models read them", "macro_f1", 0.905),
        ),
    ),
    *_PUBLISHED_DETECTORS,
    *_PUBLISHED_RECOGNIZERS,
    ZooEntry(
        name="bert_softmax_cluener_18e",
        alias=None,
        task="ner",
        config="ner/bert_softmax/bert_softmax_cluener_18e.py",
        url_path="ner/bert_softmax/bert_softmax_cluener-eea70ea2.pth",
        sha256_prefix="eea70ea2",
        training_data="CLUENER2020, from a pretrained BERT",
        metrics=(
            Metric("CLUENER2020 dev", "precision", 0.7885),
            Metric("CLUENER2020 dev", "recall", 0.7998),
            Metric("CLUENER2020 dev", "f1-score", 0.7941),
        ),
    ),
    _extractor(
        "sdmgr/sdmgr_unet16_60e_wildreceipt",
        "SDMGR",
        "20220706-57c220a6",
        "WildReceipt",
        macro_f1=0.888,
    ),
    _extractor(
        "sdmgr/sdmgr_novisual_60e_wildreceipt",
        None,
        "20220803-d06d4a1a",
        "WildReceipt",
        macro_f1=0.871,
    ),
    _extractor(
        "sdmgr/sdmgr_novisual_60e_wildreceipt_openset",
        None,
        "20220803-427ec7a8",
        "WildReceiptOpenset",
        edge_openset_f1=0.796,
        node_openset_macro_f1=0.930,
        node_openset_micro_f1=0.938,
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
