"""The command that makes a detector learn eight scenes by heart; all of them: ``bench.overfit``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.overfit import CASES, GOAL, commands, main
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config, parse_cli_options
from ocrserve.train.settings import read_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CASES)
def test_options_fit_the_config(name: str, tmp_path: Path) -> None:
    train, test = commands(name, tmp_path / "instances.json", tmp_path / "run")
    for command in (train, test):
        options = parse_cli_options(command[command.index("--cfg-options") + 1 :])
        config = load_config(ROOT / command[2], options)
        assert config["data"]["test"]["datasets"][0]["ann_file"] == str(tmp_path / "instances.json")
        model_from_mmocr(config)
    options = parse_cli_options(train[train.index("--cfg-options") + 1 :])
    settings = read_settings(load_config(ROOT / train[2], options))
    assert settings.max_epochs == CASES[name].epochs
    assert (settings.load_from is None) == (CASES[name].start is None)


@pytest.mark.slow
def test_the_quickest_one_learns_by_heart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    arguments = ["PANet", "--work-dir", str(tmp_path / "work"), "--results", str(results)]
    assert main(arguments) == 0
    found = json.loads(results.read_text())["PANet"]
    assert found["hmean"] >= GOAL
    losses = [loss for _, loss in found["loss"]]
    assert losses[-1] < 0.2 * losses[0]
    assert found["train"] in capsys.readouterr().out
