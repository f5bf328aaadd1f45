"""Target steps of the training pipelines, run on the scenes of a kit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ocr_models.mmocr_config import load_config
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample

from .family import Entry

CONFIGS = Path(__file__).parents[3] / "configs"


def settings_of(config: str, step_type: str) -> Entry:
    """The settings of a target step in our config of that name."""
    pipeline = load_config(CONFIGS / config)["data"]["train"]["pipeline"]
    (settings,) = [step for step in pipeline if step["type"] == step_type]
    found: Entry = settings
    return found


def draw(settings: Entry, scene: Entry, height: int, width: int) -> Any:
    """Targets of one scene, by the step with these settings."""
    sample = Sample("scene", image=np.zeros((height, width, 3), np.float32))
    sample.polygons = [np.reshape(polygon, (-1, 2)) for polygon in scene["polygons"]]
    sample.ignored = [np.reshape(polygon, (-1, 2)) for polygon in scene["ignored"]]
    return build_pipeline([settings])(sample, np.random.default_rng(0)).targets
