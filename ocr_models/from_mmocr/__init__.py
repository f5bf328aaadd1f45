"""From MMOCR's dictionaries to our frozen configs: one module per model family.

Behind this door nothing sees ``type=``. Every key must be read, or stand in ``TRAINING_KEYS``;
another one is an error, since ignoring it would give a model that silently differs from MMOCR's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import find_test_dataset, find_test_pipeline
from ocr_models.spec import Spec

from .abinet import abinet
from .crnn import crnn
from .dbnet import dbnet
from .drrg import drrg
from .fcenet import fcenet
from .mask_rcnn import mask_rcnn
from .master import master
from .ner import bert_softmax
from .nrtr import nrtr
from .panet import panet
from .psenet import psenet
from .robust_scanner import robust_scanner
from .sar import sar
from .satrn import satrn
from .sdmgr import sdmgr
from .segocr import segocr
from .textsnake import textsnake

__all__ = ["FROM_MMOCR", "WITH_DICTIONARY", "model_from_mmocr"]

FROM_MMOCR: Mapping[str, Callable[[Section, object], Spec]] = {
    "DBNet": dbnet,
    "DRRG": drrg,
    "FCENet": fcenet,
    "PANet": panet,
    "PSENet": psenet,
    "OCRMaskRCNN": mask_rcnn,
    "TextSnake": textsnake,
    "CRNNNet": crnn,
    "ABINet": abinet,
    "SegRecognizer": segocr,
    "NerClassifier": bert_softmax,
    "RobustScanner": robust_scanner,
    "SARNet": sar,
    "NRTR": nrtr,
    "SATRN": satrn,
    "MASTER": master,
}
"""Model families of MMOCR 0.6.1, by the ``type`` of their model."""

WITH_DICTIONARY: Mapping[str, Callable[[Section, object, Section], Spec]] = {"SDMGR": sdmgr}
"""Likewise those whose characters are named by the data set, which is their third argument."""


def model_from_mmocr(config: Mapping[str, Any]) -> Spec:
    """The model that a whole config describes: its ``model`` and its test pipeline.

    Args:
        config: a loaded config; the pipeline is looked for under ``data.test`` and then under
            ``test_pipeline``.

    Raises:
        ConfigError: something is unknown, missing, or not served.
    """
    if "model" not in config:
        raise ConfigError("the config has no 'model'; is it a whole config, not one of its bases?")
    model = Section(config["model"], "model")
    family = model.type_name([*FROM_MMOCR, *WITH_DICTIONARY])
    try:
        if family in WITH_DICTIONARY:
            dataset = Section(find_test_dataset(config, "dict_file"), "data.test")
            return WITH_DICTIONARY[family](model, find_test_pipeline(config), dataset)
        return FROM_MMOCR[family](model, find_test_pipeline(config))
    except ConfigError:
        raise
    except ValueError as error:  # what the frozen configs say about their values
        raise ConfigError(f"model: {error}") from error
