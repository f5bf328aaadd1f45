"""Training entity recognition: learning by heart, pretrained starts, bad annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config
from ocr_models.weights import load_state_dict, save_safetensors
from ocrserve.cli import main
from ocrserve.train.augment.pipeline import build_pipeline
from ocrserve.train.augment.sample import Sample, SampleError
from ocrserve.train.data.annotations import AnnotationError
from ocrserve.train.data.build import build_datasets
from ocrserve.train.tasks import build_task
from ocrserve.train.testing import run_test
from ocrserve.train.trainer import run_training
from tests.ner_texts import write_texts


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_twenty_texts_are_learnt_by_heart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_texts(tmp_path)
    work_dir = tmp_path / "work"
    assert main(["train", str(config), "--work-dir", str(work_dir)]) == 0
    assert "0_f1-score: 1.0000" in capsys.readouterr().out
    latest = work_dir / "latest.pth"
    assert main(["test", str(config), str(latest), "--eval", "f1-score"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0_f1-score: 1.0000",
        "0_precision: 1.0000",
        "0_recall: 1.0000",
        "0_name:f1-score: 1.0000",
        "0_place:f1-score: 1.0000",
    ]
    assert main(["ner", "Bob lives in New York", "--model", str(latest)]) == 0
    assert capsys.readouterr().out == "name\t0-2\tBob\nplace\t13-20\tNew York\n"


def short(tmp_path: Path, **options: Any) -> dict[str, Any]:
    options = {"log_config.interval": 1} | {k.replace("__", "."): v for k, v in options.items()}
    return load_config(write_texts(tmp_path, iterations=2), options)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_starts_from_hugging_faces_layout(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    config = short(tmp_path, optimizer__lr=0.0, lr_config__min_lr=0.0)
    config["model"]["encoder"]["init_cfg"] = {"type": "Pretrained", "checkpoint": str(path)}
    own = build_task(config).network.state_dict()
    torch.manual_seed(5)
    bert = {
        name.replace("encoder.bert.", "bert."): torch.randn_like(tensor)
        for name, tensor in own.items()
        if name.startswith("encoder.")
    }
    bert["cls.predictions.bias"] = torch.zeros(3)
    if suffix == "bin":
        torch.save(bert, path)
    else:
        save_safetensors(path, bert)
    trained = load_state_dict(run_training(config, tmp_path / "a", show_bar=False).last_checkpoint)
    for name in (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.1.output.dense.bias",
    ):
        assert torch.equal(trained[f"encoder.{name}"], bert[name])

    config["model"]["encoder"]["init_cfg"] = None
    config["load_from"] = str(path)
    loaded = load_state_dict(run_training(config, tmp_path / "b", show_bar=False).last_checkpoint)
    name = "encoder.bert.pooler.dense.weight"
    assert torch.equal(loaded[name], trained[name])

    config["load_from"] = None
    config["model"]["encoder"] |= {
        "init_cfg": {"type": "Pretrained", "checkpoint": str(path)},
        "vocab_size": 99,
    }
    with pytest.raises(ConfigError, match=r"does not fit model\.encoder: 1 weights"):
        run_training(config, tmp_path / "c", show_bar=False)


def test_a_missing_pretrained_bert_is_told(tmp_path: Path, capsys: Any) -> None:
    url = "https://download.openmmlab.com/mmocr/ner/bert_softmax/nowhere.pth"
    config = short(tmp_path)
    config["model"]["encoder"]["init_cfg"] = {"type": "Pretrained", "checkpoint": url}
    run_training(config, tmp_path / "a", show_bar=False)
    assert (
        f"model.encoder starts at random: {url} is not on this machine" in capsys.readouterr().err
    )


def test_focal_loss_and_buckets(tmp_path: Path) -> None:
    config = short(tmp_path, model__loss={"type": "MaskedFocalLoss"}, data__bucket_batches=2)
    assert run_training(config, tmp_path / "a", show_bar=False).iterations == 2


def test_evaluation_reads_long_texts_in_windows(tmp_path: Path) -> None:
    config = short(tmp_path)
    line = {"text": "bob is in rome. " * 20, "label": {"name": {"bob": [[0, 2]]}}}
    (tmp_path / "train.json").write_text(json.dumps(line) + "\n", encoding="utf-8")
    weights = build_task(config).network.state_dict()
    results = run_test(config, weights)
    assert set(results) == {"0_f1-score", "0_precision", "0_recall", "0_name:f1-score"}
    with pytest.raises(ConfigError, match="known: f1-score"):
        run_test(config, weights, ["acc"])


BAD_LINES = {
    "not json": ("{", "not JSON"),
    "nested without end": ("[" * 100_000, "not JSON"),
    "no text": ('{"label": {}}', "no text"),
    "empty text": ('{"text": "", "label": {}}', "at least one character"),
    "label is a list": ('{"text": "a", "label": []}', "items"),
    "turned span": ('{"text": "abc", "label": {"name": {"a": [[2, 1]]}}}', "from 2 to 1"),
    "text span": ('{"text": "abc", "label": {"name": {"a": [["0", 1]]}}}', "from '0' to 1"),
    "span of three": ('{"text": "abc", "label": {"name": {"a": [[0, 1, 2]]}}}', "unpack"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_lines(tmp_path: Path, name: str) -> None:
    assert len(BAD_LINES) == 8
    line, message = BAD_LINES[name]
    config = short(tmp_path)
    path = tmp_path / "train.json"
    path.write_text(path.read_text("utf-8") + line + "\n", encoding="utf-8")
    (dataset,), notes = build_datasets(config["data"]["train"], training=True, seed=0)
    assert len(dataset) == 20
    assert "left out 1 of 21" in notes[0]
    with pytest.raises(AnnotationError, match=rf"train\.json:21: .*{message}"):
        build_datasets(config["data"]["val"], training=False, seed=0)


def test_unusable_texts_are_skipped(tmp_path: Path) -> None:
    pipeline = build_pipeline(short(tmp_path)["data"]["train"]["pipeline"])
    for text, entities, message in (
        ("x" * 39, (), "39 characters, the model reads at most 38"),
        ("abc", (("planet", 0, 1),), "unknown category 'planet'"),
    ):
        sample = Sample("line 1", text=text, fields={"entities": entities})
        with pytest.raises(SampleError, match=message):
            pipeline(sample, None)  # type: ignore[arg-type]  # nothing is drawn


def test_pipelines_that_cannot_work(tmp_path: Path) -> None:
    config = short(tmp_path)
    steps = config["data"]["train"]["pipeline"]
    with pytest.raises(ConfigError, match="max_len 20, but its label_convertor 40"):
        build_pipeline([{**steps[0], "max_len": 20}])
    config["data"]["train"]["pipeline"] = steps[1:]
    with pytest.raises(ConfigError, match="needs the step NerTransform"):
        run_training(config, tmp_path / "a", show_bar=False)
