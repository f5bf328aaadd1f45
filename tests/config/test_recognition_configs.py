"""MMOCR's recognition configs: the same models, test pipelines and training settings by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ocr_models.mmocr_config import load_config
from ocrserve.train.settings import loader_settings, read_settings

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CONFIGS = ROOT / "configs"
CHINESE = "sar_r31_parallel_decoder_chinese"
OURS_ALONE = {"crnn_light_synthetic"}


def recorded_models() -> dict[str, dict[str, Any]]:
    """``config`` and ``model`` of every recogniser of MMOCR 0.6.1, by name."""
    found = {}
    for path in sorted((GOLDEN / "models").glob("*.json.gz")):
        content = json.loads(gzip.decompress(path.read_bytes()))
        if content["config"].startswith("textrecog/"):
            found[path.name.removesuffix(".json.gz")] = content
    return found


def recorded_pipelines() -> dict[str, list[Any]]:
    """Test pipelines by config name."""
    entries = json.loads((GOLDEN / "preprocess" / "index.json").read_text(encoding="utf-8"))
    return {config: entry["pipeline"] for entry in entries for config in entry["configs"]}


MODELS, PIPELINES = recorded_models(), recorded_pipelines()

# Examples per batch, epochs, first learning rate, steps of it.
TRAINING: dict[str, tuple[int, int, float, list[int]]] = {
    "abinet_academic": (192, 20, 1e-4, [16, 18]),
    "abinet_vision_only_academic": (192, 20, 1e-4, [16, 18]),
    "crnn_academic_dataset": (64, 5, 1.0, []),
    "crnn_toy_dataset": (8, 5, 1.0, []),
    "crnn_tps_academic_dataset": (64, 5, 1.0, []),
    "master_r31_12e_ST_MJ_SA": (512, 12, 4e-4, [11]),
    "master_toy_dataset": (8, 12, 4e-4, [11]),
    "nrtr_modality_transform_academic": (128, 6, 1e-3, [3, 4]),
    "nrtr_modality_transform_toy_dataset": (16, 6, 1e-3, [3, 4]),
    "nrtr_r31_1by16_1by8_academic": (128, 6, 1e-3, [3, 4]),
    "nrtr_r31_1by8_1by4_academic": (128, 6, 1e-3, [3, 4]),
    "robustscanner_r31_academic": (64, 5, 1e-3, [3, 4]),
    "sar_r31_parallel_decoder_academic": (64, 5, 1e-3, [3, 4]),
    "sar_r31_parallel_decoder_chinese": (40, 5, 1e-3, [3, 4]),
    "sar_r31_parallel_decoder_toy_dataset": (8, 5, 1e-3, [3, 4]),
    "sar_r31_sequential_decoder_academic": (64, 5, 1e-3, [3, 4]),
    "satrn_academic": (64, 6, 3e-4, [3, 4]),
    "satrn_small": (64, 6, 3e-4, [3, 4]),
    "seg_r31_1by16_fpnocr_academic": (16, 5, 1e-4, [3, 4]),
    "seg_r31_1by16_fpnocr_toy_dataset": (8, 5, 1e-4, [3, 4]),
}


def load(name: str) -> dict[str, Any]:
    return load_config(CONFIGS / MODELS[name]["config"])


def test_all_are_there() -> None:
    ours = {path.stem for path in (CONFIGS / "textrecog").glob("*/*.py")}
    assert len(MODELS) == 20
    assert ours - OURS_ALONE == set(MODELS) == set(TRAINING)


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    expected = MODELS[name]["model"]
    if name == CHINESE:  # recorded with a stand-in, as the dictionary is not published with it
        expected["label_convertor"]["dict_file"] = (
            "data/chineseocr/labels/dict_printed_chinese_english_digits.txt"
        )
    assert json.dumps(load(name)["model"]) == json.dumps(expected)  # key order, too


@pytest.mark.parametrize("name", MODELS)
def test_test_pipeline(name: str) -> None:
    config = load(name)
    for split in ("val", "test"):
        assert json.loads(json.dumps(config["data"][split]["pipeline"])) == PIPELINES[name]


@pytest.mark.parametrize("name", MODELS)
def test_training_settings(name: str) -> None:
    config = load(name)
    batch, epochs, rate, steps = TRAINING[name]
    settings = read_settings(config)
    assert settings.loader.samples_per_gpu == batch
    assert settings.max_epochs == epochs
    assert settings.optimizer["lr"] == rate
    assert settings.evaluation is not None
    assert settings.evaluation.metric == ("acc",)
    assert config["lr_config"]["step"] == steps
    assert loader_settings(config["data"], "val").samples_per_gpu >= 1
    for split in ("train", "val", "test"):
        datasets = config["data"][split]["datasets"]
        assert {dataset["type"] for dataset in datasets} <= {"OCRDataset", "OCRSegDataset"}
        if split != "train":
            assert len(datasets) == (1 if "toy" in name or name == CHINESE else 6)


def test_training_data() -> None:
    sets = {name: load(name)["data"]["train"]["datasets"] for name in MODELS}
    assert len(sets["abinet_academic"]) == len(sets["satrn_small"]) == 2
    assert sets["abinet_academic"][1]["ann_file"].endswith("/alphanumeric_label.lmdb")
    assert len(sets["master_r31_12e_ST_MJ_SA"]) == 3
    mixture = sets["robustscanner_r31_academic"]
    assert mixture == sets["sar_r31_parallel_decoder_academic"]
    assert [dataset["loader"]["repeat"] for dataset in mixture] == [20] * 5 + [1] * 3
    assert sets["seg_r31_1by16_fpnocr_academic"][0]["type"] == "OCRSegDataset"
