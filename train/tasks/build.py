"""From a config to the task that its model needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, Spec

from ..objectives.detection import DETECTION_OBJECTIVES
from ..objectives.recognition import RECOGNITION_OBJECTIVES
from ..objectives.sdmgr import SDMGRLossConfig
from ..objectives.settings import loss_config
from .detection import DetectionTask
from .entities import NerTask
from .key_info import KieTask, check_training_data
from .recognition import RecognitionTask
from .task import Task


def build_task(config: Mapping[str, Any], spec: Spec | None = None) -> Task:
    """The task that the config's ``model`` needs.

    Args:
        config: a resolved config.
        spec: the model, where it does not come from the config.
    """
    model = config.get("model") or {}
    if spec is None:
        from ocr_models.from_mmocr import model_from_mmocr

        spec = model_from_mmocr(dict(config))
    if isinstance(spec, DetectorSpec):
        return DetectionTask(spec, DETECTION_OBJECTIVES[type(spec.network)](spec, model))
    if isinstance(spec, KieSpec):
        check_training_data(config, spec)
        head = model.get("bbox_head") or {}
        return KieTask(spec, loss_config(SDMGRLossConfig, "SDMGRLoss", head.get("loss") or {}))
    if isinstance(spec, NerSpec):
        return NerTask(spec, model.get("loss") or {})
    return RecognitionTask(spec, RECOGNITION_OBJECTIVES[type(spec.network)](spec, model))
