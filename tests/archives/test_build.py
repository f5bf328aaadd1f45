"""Archives from every kind of source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ocr_models.bundle import read_bundle
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.images import ImageLimits
from ocr_models.mmocr_config import load_config
from ocr_models.recognition.families import build_network
from ocr_models.spec import RecognizerSpec, to_json_dict
from ocr_models.weights import read_safetensors
from ocrserve.archives.build import ModelSource, build_archive, load_models
from ocrserve.archives.model_config import ModelConfig, load_model_config
from ocrserve.archives.package import extract_archive
from tests.serving_models import small_detector, small_recognizer, write_small_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSource]:
    """A folder per task, and checkpoints as training writes them."""
    root = tmp_path_factory.mktemp("sources")
    for name, (spec, state) in {
        "detector": small_detector(),
        "recognizer": small_recognizer(),
    }.items():
        meta = {"epoch": 1, "iter": 10, "spec": json.dumps(to_json_dict(spec))}
        content = {"meta": meta, "state_dict": dict(state), "train_state": {}, "optimizer": {}}
        torch.save(content, root / f"{name}.pth")
        torch.save({"state_dict": dict(state)}, root / f"{name}_bare.pth")
    for task in ("detection", "recognition", "ocr"):
        write_small_bundle(root / task, task)
    names = ["detector.pth", "recognizer.pth", "recognizer_bare.pth"]
    names += ["detection", "recognition", "ocr"]
    return {name: ModelSource(root / name) for name in names}


COMBINATIONS = {
    "our detector": (["detector.pth"], "detection"),
    "our recognizer": (["recognizer.pth"], "recognition"),
    "two checkpoints": (["detector.pth", "recognizer.pth"], "ocr"),
    "other order": (["recognizer.pth", "detector.pth"], "ocr"),
    "folder": (["detection"], "detection"),
    "chain folder": (["ocr"], "ocr"),
    "folder and checkpoint": (["detection", "recognizer.pth"], "ocr"),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_combinations(name: str, sources: dict[str, ModelSource], tmp_path: Path) -> None:
    chosen, task = COMBINATIONS[name]
    path = build_archive([sources[n] for n in chosen], tmp_path / "store", model_name="m")
    assert path == tmp_path / "store" / "m.mar"
    folder = tmp_path / "unpacked"
    extract_archive(path, folder)
    bundle = read_bundle(folder)
    assert bundle.manifest.task == task
    assert bundle.manifest.created_by.startswith("ocrserve ")
    expected = {"detector": small_detector, "recognizer": small_recognizer}
    for role, entry in bundle.manifest.entries.items():
        assert entry.spec == expected[role]()[0]


@pytest.mark.parametrize("zipped", [True, False])
def test_mmocr_config_and_checkpoint(zipped: bool, tmp_path: Path) -> None:
    config = ROOT / "configs" / "textrecog" / "crnn" / "crnn_academic_dataset.py"
    spec = model_from_mmocr(load_config(config))
    assert isinstance(spec, RecognizerSpec)
    state = build_network(spec.network).state_dict()
    optimizer = {"state": {}, "param_groups": [{"lr": 1.0}]}
    content = {"meta": {"epoch": 5}, "state_dict": state, "optimizer": optimizer}
    checkpoint = tmp_path / "crnn.pth"
    torch.save(content, checkpoint, _use_new_zipfile_serialization=zipped)
    path = build_archive([ModelSource(checkpoint, config)], tmp_path, model_name="crnn")
    extract_archive(path, tmp_path / "unpacked")
    bundle = read_bundle(tmp_path / "unpacked")
    assert bundle.manifest.recognizer is not None
    assert bundle.manifest.recognizer.spec == spec
    written = read_safetensors(bundle.weights_path("recognizer"))
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], state[name]) for name in state)


def test_any_road_gives_the_same_archive(sources: dict[str, ModelSource], tmp_path: Path) -> None:
    roads = [["detector.pth", "recognizer.pth"], ["recognition", "detection"]]
    built = [
        build_archive([sources[n] for n in road], tmp_path / str(i), model_name="m").read_bytes()
        for i, road in enumerate(roads)
    ]
    assert built[0] == built[1]


def test_settings_and_limits_travel(sources: dict[str, ModelSource], tmp_path: Path) -> None:
    given = tmp_path / "my.yaml"
    given.write_text("batchSize: 7\nhandler: {max_bytes: 1000}\n", encoding="utf-8")
    path = build_archive(
        [sources["recognition"]],
        tmp_path,
        model_name="m",
        model_version="2.1",
        model_config=given,
        limits=ImageLimits(max_pixels=12345),
    )
    manifest = extract_archive(path, tmp_path / "unpacked")
    assert manifest["model"]["modelVersion"] == "2.1"  # type: ignore[index]
    config = load_model_config(tmp_path / "unpacked" / "model-config.yaml", "recognition")
    assert (config.batch_size, config.handler.max_bytes) == (7, 1000)
    assert config.max_batch_delay_ms == ModelConfig().max_batch_delay_ms
    assert read_bundle(tmp_path / "unpacked").manifest.limits.max_pixels == 12345


def test_errors_come_before_files(sources: dict[str, ModelSource], tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(ConfigError, match="give a model"):
        build_archive([], store, model_name="m")
    with pytest.raises(ConfigError, match="two recognizers were given"):
        build_archive([sources["ocr"], sources["recognizer.pth"]], store, model_name="m")
    with pytest.raises(ConfigError, match="does not say what model it is for; give its config"):
        build_archive([sources["recognizer_bare.pth"]], store, model_name="m")
    with pytest.raises(ConfigError, match="is a model folder, which has its own config"):
        load_models([ModelSource(sources["ocr"].weights, config=tmp_path / "c.py")])
    with pytest.raises(WeightsError):
        build_archive([ModelSource(tmp_path / "none.pth")], store, model_name="m")
    bad = tmp_path / "bad.yaml"
    bad.write_text("handler: {max_crops: 3}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="means nothing for recognition"):
        build_archive([sources["recognizer.pth"]], store, model_name="m", model_config=bad)
    assert not store.exists()


def test_weights_that_do_not_fit_make_no_archive(tmp_path: Path) -> None:
    spec, _ = small_recognizer()
    _, state = small_detector()
    checkpoint = tmp_path / "mixed.pth"
    torch.save(
        {"meta": {"spec": json.dumps(to_json_dict(spec))}, "state_dict": dict(state)}, checkpoint
    )
    with pytest.raises(WeightsError, match=r"missing|fit"):
        build_archive([ModelSource(checkpoint)], tmp_path / "store", model_name="m")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "Nobody"}', "[" * 100_000])
def test_a_checkpoint_that_describes_no_model(text: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "odd.pth"
    torch.save({"meta": {"spec": text}, "state_dict": {"a": torch.zeros(1)}}, checkpoint)
    with pytest.raises(ConfigError, match=r"odd\.pth: "):
        build_archive([ModelSource(checkpoint)], tmp_path / "store", model_name="m")
