"""From MMOCR's dictionaries to our frozen configs: one module per model family.

Behind this door nothing sees ``type=``. Every key must be read, or stand in ``TRAINING_KEYS``;
another one is an error, since ignoring it would give a model that silently differs from MMOCR's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ocr_models.config_section import Section
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import find_test_pipeline
from ocr_models.spec import Spec

from .crnn import crnn
from .dbnet import dbnet
from .drrg import drrg
from .fcenet import fcenet
from .mask_rcnn import mask_rcnn
from .panet import panet
from .psenet import psenet
from .textsnake import textsnake

__all__ = ["FAMILIES", "FROM_MMOCR", "model_from_mmocr"]

FAMILIES = (
    "ABINet", "CRNNNet", "DBNet", "DRRG", "FCENet", "MASTER", "NRTR", "NerClassifier",
    "OCRMaskRCNN", "PANet", "PSENet", "RobustScanner", "SARNet", "SATRN", "SDMGR",
    "SegRecognizer", "TextSnake",
)  # fmt: skip
"""The ``type`` of every model family of MMOCR 0.6.1."""

FROM_MMOCR: Mapping[str, Callable[[Section, object], Spec]] = {
    "DBNet": dbnet,
    "DRRG": drrg,
    "FCENet": fcenet,
    "PANet": panet,
    "PSENet": psenet,
    "OCRMaskRCNN": mask_rcnn,
    "TextSnake": textsnake,
    "CRNNNet": crnn,
}
"""The served families, by the ``type`` of their model."""


def model_from_mmocr(config: Mapping[str, Any]) -> Spec:
    """The model that a whole config describes: its ``model`` and its test pipeline.

    Args:
        config: a loaded config; the pipeline is looked for under ``data.test`` and then under
            ``test_pipeline``.

    Raises:
        ConfigError: something is unknown, missing, or not served by this version.
    """
    if "model" not in config:
        raise ConfigError("the config has no 'model'; is it a whole config, not one of its bases?")
    model = Section(config["model"], "model")
    family = model.type_name(FAMILIES)
    if family not in FROM_MMOCR:
        raise ConfigError(f"model.type is {family!r}; this version serves {', '.join(FROM_MMOCR)}")
    try:
        return FROM_MMOCR[family](model, find_test_pipeline(config))
    except ConfigError:
        raise
    except ValueError as error:  # what the frozen configs say about their values
        raise ConfigError(f"model: {error}") from error
