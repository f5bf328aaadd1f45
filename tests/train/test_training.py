"""Whole trainings on tiny data: learning, stopping and continuing exactly, several processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ocr_models.errors import ConfigError, WeightsError
from ocr_models.mmocr_config import load_config
from ocr_models.spec import from_json_dict
from ocr_models.weights import load_state_dict
from ocrserve.train import checkpoints
from ocrserve.train.logs import read_log
from ocrserve.train.testing import run_test
from ocrserve.train.trainer import TrainingResult, run_training
from tests import tiny_training as tiny

SCRIPT = Path(tiny.__file__)
SHORT: dict[str, Any] = {
    "runner": {"type": "IterBasedRunner", "max_iters": 12},
    "checkpoint_config": {"interval": 5},
    "log_config": {"interval": 1, "hooks": [{"type": "TextLoggerHook"}]},
    "ema": {"momentum": 0.01},
}
TIMES = ("time", "data_time", "eval_time")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for task, write in (("recognition", tiny.write_words), ("detection", tiny.write_scenes)):
        (folder / task).mkdir()
        write(folder / task)
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(
    task: str, data: Path, work_dir: Path, overrides: dict[str, Any], **options: Any
) -> TrainingResult:
    config, spec = tiny.config_of(task, data / task)
    return run_training(config | overrides, work_dir, spec=spec, show_bar=False, **options)


def numbers(work_dir: Path) -> list[dict[str, Any]]:
    """The log without its seconds."""
    lines = read_log(work_dir / "log.jsonl")
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def start(
    task: str, work_dir: Path, data: Path, overrides: dict[str, Any]
) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), task, str(work_dir), str(data / task)]
    return subprocess.Popen(
        [*command, json.dumps(overrides)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_iteration(work_dir: Path, iteration: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log = work_dir / "log.jsonl"
        if log.exists() and any(line["iter"] >= iteration for line in read_log(log)):
            return
        time.sleep(0.02)
    assert process.poll() is None, process.stderr and process.stderr.read()
    raise AssertionError(f"iteration {iteration} was not reached in time")


@pytest.mark.parametrize(("task", "key"), [("recognition", "word_acc"), ("detection", "hmean")])
def test_learns_a_tiny_data_set_by_heart(task: str, key: str, data: Path, tmp_path: Path) -> None:
    result = train(task, data, tmp_path, {})
    name = {"word_acc": "0_word_acc", "hmean": "0_hmean-iou:hmean"}[key]
    assert result.metrics[name] >= 0.75
    assert result.best_checkpoint is not None
    config, spec = tiny.config_of(task, data / task)
    again = run_test(config, result.best_checkpoint, spec=spec)
    assert again == pytest.approx(dict(result.metrics))


@pytest.mark.parametrize("task", ["recognition", "detection"])
def test_killed_and_continued_is_as_if_never_stopped(task: str, data: Path, tmp_path: Path) -> None:
    config, _ = tiny.config_of(task, data / task)
    loader = {**config["data"], "workers_per_gpu": 1}
    train(task, data, tmp_path / "whole", SHORT)

    killed = start(task, tmp_path / "killed", data, SHORT | {"data": loader})
    wait_for_iteration(tmp_path / "killed", 8, killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert read_log(tmp_path / "killed" / "log.jsonl")[-1]["iter"] >= 8
    train(task, data, tmp_path / "killed", SHORT, resume=True)

    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")
    whole, killed_state = (
        torch.load(tmp_path / name / "latest.pth", weights_only=True)
        for name in ("whole", "killed")
    )
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, killed_state["state_dict"][name]), name
    for name, value in whole["train_state"]["network"].items():
        assert torch.equal(value, killed_state["train_state"]["network"][name]), name
    assert not list((tmp_path / "killed").glob(".*.tmp"))


def test_a_polite_stop_writes_a_checkpoint_first(data: Path, tmp_path: Path) -> None:
    settings = SHORT | {
        "runner": {"type": "IterBasedRunner", "max_iters": 5000},
        "checkpoint_config": {"interval": 5000},
    }
    process = start("recognition", tmp_path, data, settings)
    wait_for_iteration(tmp_path, 3, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped by SIGTERM after iteration" in errors
    saved = checkpoints.read_checkpoint(tmp_path / "latest.pth")
    assert saved["meta"]["iter"] >= 3


def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {**SHORT, "runner": {"type": "IterBasedRunner", "max_iters": 6}}
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"),
            *(f"--master_port={port}", str(SCRIPT), "recognition", str(tmp_path)),
            *(str(data / "recognition"), json.dumps(settings)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
        capture_output=True,
    )
    saved = checkpoints.read_checkpoint(tmp_path / "latest.pth")
    assert saved["meta"]["iter"] == 6
    assert saved["train_state"]["plan"]["world_size"] == 2
    assert len(saved["train_state"]["random"]) == 2
    assert [line["iter"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 5, 6, 6]


def test_log_and_checkpoint_formats(data: Path, tmp_path: Path) -> None:
    settings = SHORT | {
        "checkpoint_config": {"interval": 4, "max_keep_ckpts": 1},
        "evaluation": {"interval": 6, "metric": "acc", "save_best": "1-N.E.D"},
    }
    result = train("recognition", data, tmp_path, settings)
    lines = read_log(tmp_path / "log.jsonl")
    modes = [(line["mode"], line["iter"]) for line in lines]
    assert modes == [
        *(("train", i) for i in range(1, 7)),
        ("val", 6),
        *(("train", i) for i in range(7, 13)),
        ("val", 12),
    ]
    assert set(lines[0]) == {
        *("mode", "epoch", "iter", "lr", "loss_ctc", "loss", "grad_norm", "time", "data_time")
    }
    assert lines[0]["epoch"] == 1
    assert lines[4]["epoch"] == 2
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [
        "best_1-N.E.D.pth",
        "iter_12.pth",
        "latest.pth",
    ]
    assert result.last_checkpoint == tmp_path / "iter_12.pth"
    assert (tmp_path / "latest.pth").resolve() == result.last_checkpoint

    saved = torch.load(result.last_checkpoint, weights_only=True)
    assert set(saved) == {"meta", "state_dict", "optimizer", "train_state"}
    assert saved["meta"]["iter"] == 12
    assert saved["meta"]["epoch"] == 3
    spec = from_json_dict(type(tiny.recognizer_spec()), json.loads(saved["meta"]["spec"]))
    assert spec == tiny.recognizer_spec()
    (tmp_path / "config.py").write_text(saved["meta"]["config"])
    assert load_config(tmp_path / "config.py")["seed"] == 3
    weights = load_state_dict(result.last_checkpoint)
    raw = saved["train_state"]["network"]
    assert set(weights) == set(raw)
    assert any(not torch.equal(weights[name], raw[name]) for name in raw)  # the average


def test_epochs_count_in_an_epoch_based_run(data: Path, tmp_path: Path) -> None:
    settings = {
        "runner": {"type": "EpochBasedRunner", "max_epochs": 2},
        "checkpoint_config": {"interval": 1},
        "evaluation": {"interval": 5, "metric": "word_acc"},
        "lr_config": {"policy": "step", "step": [1]},
        "log_config": {"interval": 4},
    }
    result = train("recognition", data, tmp_path, settings)
    assert result.iterations == 8
    assert sorted(path.name for path in tmp_path.glob("epoch_*.pth")) == [
        "epoch_1.pth",
        "epoch_2.pth",
    ]
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["lr"] for line in lines if line["mode"] == "train"] == pytest.approx([2e-2, 2e-3])
    assert list(result.metrics) == ["0_word_acc"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision(precision: str, data: Path, tmp_path: Path) -> None:
    settings = SHORT | {"precision": precision, "evaluation": None}
    result = train("recognition", data, tmp_path, settings)
    # fp16 starts with steps that overflow and change nothing but the loss scale
    losses = [line["loss"] for line in read_log(tmp_path / "log.jsonl") if "loss" in line]
    assert losses[-1] < losses[0]
    saved = checkpoints.read_checkpoint(result.last_checkpoint)
    assert all(
        value.dtype == torch.float32
        for value in saved["state_dict"].values()
        if value.is_floating_point()
    )


def test_load_from_starts_from_weights_that_fit(data: Path, tmp_path: Path) -> None:
    settings = {**SHORT, "evaluation": None, "ema": None, "lr_config": None}
    first = train("recognition", data, tmp_path / "a", settings)
    tuned = train(
        "recognition",
        data,
        tmp_path / "b",
        settings
        | {"load_from": str(first.last_checkpoint), "optimizer": {"type": "SGD", "lr": 0.0}},
    )
    own, given = load_state_dict(tuned.last_checkpoint), load_state_dict(first.last_checkpoint)
    assert all(
        torch.equal(own[name], given[name])
        for name in own
        if "running" not in name and "num_batches" not in name
    )
    misfit = {"load_from": str(first.last_checkpoint)}
    with pytest.raises(ConfigError, match="none of its weights fit"):
        train("detection", data, tmp_path / "c", misfit)


def test_an_unknown_character_is_skipped_and_counted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    tiny.write_words(folder)
    label = folder / "label.txt"
    label.write_text(label.read_text().replace("decaf", "d€caf"), encoding="utf-8")
    config, spec = tiny.config_of("recognition", folder)
    result = run_training(
        config | SHORT | {"evaluation": None}, tmp_path / "run", spec=spec, show_bar=False
    )
    assert result.iterations == 12
    assert "label.txt:7" in capsys.readouterr().err
    saved = checkpoints.read_checkpoint(result.last_checkpoint)
    assert saved["train_state"]["progress"]["skipped_examples"] == 12


def test_diverging_ends_with_advice(data: Path, tmp_path: Path) -> None:
    from ocrserve.train.trainer import MAX_BAD_STEPS, TrainingError

    settings = SHORT | {
        "optimizer": {"type": "SGD", "lr": 1e30},
        "optimizer_config": {"grad_clip": None},
        "lr_config": {"policy": "fixed"},
        "runner": {"type": "IterBasedRunner", "max_iters": 3 * MAX_BAD_STEPS},
        "checkpoint_config": {"interval": -1},
        "ema": None,
        "evaluation": None,
    }
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train("recognition", data, tmp_path, settings)


def test_only_training_checkpoints_can_be_continued(tmp_path: Path, data: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="holds weights only"):
        train("recognition", data, tmp_path / "run", SHORT, resume=tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        train("recognition", data, tmp_path / "run", SHORT, resume=tmp_path / "nothing.pth")


def test_a_crash_while_writing_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "iter_1.pth"
    checkpoints.save_atomically({"a": torch.ones(3)}, path)
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save_atomically({"a": torch.zeros(3), "b": lambda: None}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1, 1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["iter_1.pth"]


def test_old_checkpoints_of_an_earlier_run_do_not_push_out_new_ones(tmp_path: Path) -> None:
    for number in (2, 4, 6, 900):
        (tmp_path / f"iter_{number}.pth").touch()
    checkpoints.remove_old(tmp_path, "iter", newest=6, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "iter_4.pth",
        "iter_6.pth",
        "iter_900.pth",
    }
