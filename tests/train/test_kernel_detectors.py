"""PANet and PSENet in training: their pipelines, and learning a few pictures by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocr_models.detection.families import NetworkConfig, Postprocessing
from ocr_models.detection.panet import PANetConfig
from ocr_models.detection.panet_postprocess import PANPostprocessing
from ocr_models.detection.psenet import PSENetConfig
from ocr_models.detection.psenet_postprocess import PSEPostprocessing
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import DetectionPreprocessing
from ocr_models.spec import DetectorSpec
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample
from ocrserve.train.trainer import run_training
from tests import tiny_training as tiny

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    path
    for family in ("panet", "psenet")
    for path in (ROOT / "configs" / "textdet" / family).glob("*.py")
)
LIGHT = LightResNetConfig(stem_channels=8, channels=(16, 16, 24, 24))
DETECTORS: dict[str, tuple[NetworkConfig, Postprocessing, str, str]] = {
    "PANet": (
        PANetConfig(LIGHT, pyramid_channels=16),
        PANPostprocessing("quad", min_text_avg_confidence=0.6),
        "PANetTargets",
        "PANLoss",
    ),
    "PSENet": (
        PSENetConfig(LIGHT, neck_channels=16),
        PSEPostprocessing("quad", min_text_avg_confidence=0.6),
        "PSENetTargets",
        "PSELoss",
    ),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_number_of_configs() -> None:
    assert len(CONFIGS) == 6


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_training_pipelines_give_maps_of_the_pictures_size(path: Path) -> None:
    rng = np.random.default_rng(0)
    steps = load_config(path)["data"]["train"]["pipeline"]
    assert [step["type"] for step in steps[:2]] == ["LoadImageFromFile", "LoadTextAnnotations"]
    pipeline = build_pipeline(steps[2:])
    drawn = 0
    for _ in range(4):
        sample = Sample("scene", image=rng.integers(0, 255, (300, 500, 3), np.uint8))
        sample.polygons = [np.array([[200.0, 120], [320, 130], [318, 170], [198, 160]])]
        sample.ignored = [np.array([[20.0, 20], [90, 20], [90, 60], [20, 60]])]
        sample = pipeline(sample, rng)
        height, width = sample.pixels().shape[:2]
        assert height % 32 == width % 32 == 0
        assert sample.targets.mask.shape == (height, width)
        assert sample.targets.kernels.shape[1:] == (height, width)
        drawn += bool(sample.targets.kernels[0].any())
    assert drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_learns_a_tiny_data_set_by_heart(name: str, tmp_path: Path) -> None:
    tiny.write_scenes(tmp_path)
    network, postprocessing, target_step, loss = DETECTORS[name]
    config, _ = tiny.config_of("detection", tmp_path)
    steps = config["data"]["train"]["pipeline"]
    steps[[step["type"] for step in steps].index("DBNetTargets")] = {"type": target_step}
    config["model"] = {"bbox_head": {"loss": {"type": loss}}}
    spec = DetectorSpec(
        network, DetectionPreprocessing(image_scale=(96, 96), exif=False), postprocessing
    )
    result = run_training(config, tmp_path / "run", spec=spec, show_bar=False)
    assert result.metrics["0_hmean-iou:hmean"] >= 0.9
