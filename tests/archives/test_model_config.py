"""model-config.yaml: what TorchServe would silently ignore is refused here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ocr_models.errors import ConfigError
from ocr_models.predictors import TASKS, Task
from ocrserve.archives.model_config import (
    ModelConfig,
    default_model_config,
    load_model_config,
    parse_model_config,
    settings_table,
)
from ocrserve.handlers.options import HandlerOptions, option_fields

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "serving.md"

REFUSED = [
    ("detection", {"batchsize": 4}, r"unknown key 'batchsize'\. Did you mean 'batchSize'\?"),
    ("detection", {"batch": 4}, r"Known: batchSize, "),
    ("detection", {"batchSize": "4"}, r"batchSize must be a whole number; got '4'"),
    ("detection", {"batchSize": 4.0}, r"batchSize must be a whole number; got 4\.0"),
    ("detection", {"batchSize": True}, r"batchSize must be a whole number; got True"),
    ("detection", {"batchSize": 0}, r"batchSize must be 1 to 1024; got 0"),
    ("detection", {"maxBatchDelay": 0}, r"TorchServe takes 0 for 'not set'"),
    ("detection", {"minWorkers": 2}, r"minWorkers without maxWorkers"),
    ("detection", {"maxWorkers": 2}, r"maxWorkers without minWorkers"),
    ("detection", {"minWorkers": 3, "maxWorkers": 2}, r"maxWorkers must be at least minWorkers"),
    ("detection", {"responseTimeout": -1}, r"responseTimeout must be 1 to 3600"),
    ("detection", {"deviceType": "cuda"}, r"deviceType must be one of cpu, gpu; got 'cuda'"),
    ("detection", [], r"expected a mapping of settings"),
    ("detection", {"handler": []}, r"handler: expected a mapping"),
    ("detection", {"handler": {"min_scores": 0.5}}, r"Did you mean 'min_score'\?"),
    ("detection", {"handler": {"max_crops": 5}}, r"'max_crops' means nothing for detection"),
    ("recognition", {"handler": {"min_score": 0.5}}, r"'min_score' means nothing for recognition"),
    ("ocr", {"handler": {"min_score": 1.5}}, r"min_score must be 0\.0 to 1\.0; got 1\.5"),
    ("ocr", {"handler": {"min_score": "0.5"}}, r"min_score must be a number; got '0\.5'"),
    ("ocr", {"handler": {"min_score": float("nan")}}, r"min_score must be 0\.0 to 1\.0; got nan"),
    ("ocr", {"handler": {"max_crops": 0}}, r"max_crops must be 1 to 100000; got 0"),
    ("ocr", {"handler": {"max_crops": 2.5}}, r"max_crops must be a whole number; got 2\.5"),
    ("ocr", {"handler": {"details": "yes"}}, r"details must be true or false; got 'yes'"),
    ("ocr", {"handler": {"details": 1}}, r"details must be true or false; got 1"),
    ("ocr", {"handler": {"max_bytes": 10**9}}, r"max_bytes must be 1 to 45000000"),
    ("ner", {"handler": {"max_bytes": 10}}, r"'max_bytes' means nothing for ner"),
    ("ner", {"handler": {"long_text": "cut"}}, r"long_text must be one of refuse, windows"),
    ("ocr", {"handler": {"long_text": "refuse"}}, r"'long_text' means nothing for ocr"),
    ("ocr", {"handler": {"runtime": "onnx"}}, r"one of auto, torch, onnxruntime, openvino"),
]


TEXT_OPTIONS = {"long_text", "max_characters"}


def test_sweep_is_complete() -> None:
    assert len(REFUSED) == 29


@pytest.mark.parametrize(("task", "data", "message"), REFUSED)
def test_refused(task: Task, data: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_model_config(data, task, source="my.yaml")
    assert str(caught.value).startswith("my.yaml: ")


@pytest.mark.parametrize("task", TASKS)
def test_defaults_are_complete_and_survive_yaml(task: Task) -> None:
    config = default_model_config(task)
    data = yaml.safe_load(config.to_yaml())
    assert all(type(value) is int for value in data.values())
    assert {"batchSize", "maxBatchDelay", "minWorkers", "maxWorkers"} < set(data)
    assert parse_model_config(data, task) == config
    assert parse_model_config(None, task) == config


def test_everything_survives_a_file(tmp_path: Path) -> None:
    options = HandlerOptions(
        min_score=0.5,
        min_probability=0.75,
        min_box_score=0.25,
        max_crops=10,
        merge_lines=True,
        max_pixels=1000,
        max_bytes=2000,
        details=True,
        threads=3,
        runtime="torch",
        precision="bfloat16",
    )
    others = TEXT_OPTIONS | {"max_boxes"}
    assert {f.name for f in option_fields("ocr")} == set(vars(options)) - others
    assert all(vars(options)[f.name] != f.default for f in option_fields("ocr"))
    config = ModelConfig(8, 5, 2, 4, 30, 60, 70, 80, "cpu", options)
    path = tmp_path / "model-config.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert load_model_config(path, "ocr") == config


def test_options_of_ner_survive_a_file(tmp_path: Path) -> None:
    options = HandlerOptions(long_text="windows", max_characters=500)
    assert {f.name for f in option_fields("ner")} >= TEXT_OPTIONS
    path = tmp_path / "model-config.yaml"
    path.write_text(ModelConfig(handler=options).to_yaml(), encoding="utf-8")
    assert load_model_config(path, "ner").handler == options


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_model_config(tmp_path / "none.yaml", "ocr")
    path = tmp_path / "broken.yaml"
    path.write_text("batchSize: [1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_model_config(path, "ocr")


def test_constructor_checks_too() -> None:
    with pytest.raises(ConfigError, match="batchSize must be a whole number"):
        ModelConfig(batch_size=2.0)  # type: ignore[arg-type]


def test_documented_table_is_the_real_one() -> None:
    assert settings_table() in DOCUMENTATION.read_text(encoding="utf-8")
