"""Training by MMOCR's configs: closed and open sets, with and without pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.kie.preprocessing import corner_boxes
from ocr_models.mmocr_config import load_config
from ocr_models.spec import KieSpec
from ocrserve.cli import main
from ocrserve.train.augment.sample import Sample, SampleError
from ocrserve.train.data.build import build_datasets
from ocrserve.train.data.pages import page_record
from ocrserve.train.logs import read_log
from ocrserve.train.settings import read_settings
from ocrserve.train.tasks import build_task
from ocrserve.train.tasks.key_info import KieTask
from tests import wildreceipt

CONFIGS = Path(__file__).parents[2] / "configs" / "kie" / "sdmgr"
NAMES = (
    "sdmgr_unet16_60e_wildreceipt",
    "sdmgr_novisual_60e_wildreceipt",
    "sdmgr_novisual_60e_wildreceipt_openset",
)
CPU = ["--device", "cpu"]
IN_THIS_PROCESS = "data.workers_per_gpu=0"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with ``data/wildreceipt``."""
    folder = tmp_path_factory.mktemp("kie")
    data = wildreceipt.write_lists(folder)
    wildreceipt.write_receipts(data)
    for name in ("train", "test"):
        words = ["data", "closeset-to-openset", str(data / f"{name}.txt")]
        assert main([*words, str(data / f"openset_{name}.txt")]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def load(name: str, **options: Any) -> Any:
    """A config, changed at dotted keys, with two underscores for a dot."""
    return load_config(
        CONFIGS / f"{name}.py", {k.replace("__", "."): v for k, v in options.items()}
    )


@pytest.mark.parametrize("name", NAMES)
def test_configs_are_read(name: str) -> None:
    config = load(name)
    settings = read_settings(config)
    assert (settings.max_epochs, settings.loader.samples_per_gpu) == (60, 4)
    task = build_task(config)
    assert isinstance(task, KieTask)
    assert settings.evaluation is not None
    assert settings.evaluation.metric == task.metrics
    (dataset,), notes = build_datasets(config["data"]["train"], training=True, seed=0)
    assert (len(dataset), notes) == (6, [])
    samples = [dataset.pipeline_of(i)(dataset.sample(0, i), np.random.default_rng(0))
               for i in range(4)]  # fmt: skip
    for sample in samples:
        task.check(sample)
    batch = task.collate(samples)
    counts = [len(page.texts) for page in batch.pages]
    assert len(set(counts)) > 1
    assert [target.shape for target in batch.targets] == [(n, n + 1) for n in counts]
    assert (batch.images is not None) == ("unet" in name)
    if "unet" not in name:
        losses = task.losses(task.network, batch)
        assert list(losses) == ["loss_node", "loss_edge", "acc_node", "acc_edge"]
        assert all(value.isfinite() for value in losses.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "iterations"),
    [(NAMES[1], "macro_f1", 60), (NAMES[2], "edge_openset_f1", 60)],
)
def test_learns_by_heart(
    name: str, metric: str, iterations: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, work_dir = str(CONFIGS / f"{name}.py"), str(tmp_path / "work")
    options = [
        "runner.type=IterBasedRunner", f"runner.max_iters={iterations}", IN_THIS_PROCESS,
        "checkpoint_config.interval=1000", f"evaluation.interval={iterations}",
        "lr_config.policy=fixed", "optimizer.lr=3e-3",
    ]  # fmt: skip
    if metric == "macro_f1":
        # Of the classes that no receipt here has, none counts.
        present = {word["label"] for seed in range(6) for word in wildreceipt.receipt(seed)[1]}
        ignored = [i for i in range(26) if i not in present]
        options.append(f"evaluation.metric_options.macro_f1.ignores={ignored}")
    loader = ["runner.max_epochs", "lr_config.step"]
    words = ["train", config, "--work-dir", work_dir, "--seed", "1", *CPU]
    cut = _without(config, loader, tmp_path)
    words[1] = str(cut)
    assert main([*words, "--cfg-options", *options]) == 0
    log = read_log(tmp_path / "work" / "log.jsonl")
    trained = [line for line in log if line["mode"] == "train"]
    first, last = trained[0], trained[-1]
    assert last["acc_node"] > 95 > first["acc_node"]
    assert last["loss"] == pytest.approx(last["loss_node"] + last["loss_edge"], abs=1e-3)
    scores = next(line for line in reversed(log) if line["mode"] == "val")
    assert scores[f"0_{metric}"] > 0.9
    capsys.readouterr()

    checkpoint = str(tmp_path / "work" / "latest.pth")
    assert main(["test", str(cut), checkpoint, *CPU, "--cfg-options", *options]) == 0
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert float(printed[f"0_{metric}"]) == pytest.approx(scores[f"0_{metric}"], abs=1e-4)

    store = ["--output-folder", str(tmp_path), "--model-name", "words"]
    assert main(["convert", checkpoint, *store]) == 0
    assert "words.mar  (kie," in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "words.mar")]) == 0


def _without(config: str, keys: list[str], folder: Path) -> Path:
    """The config with keys taken out, which options cannot do."""
    from ocr_models.mmocr_config import dump_config

    content = load_config(Path(config))
    for key in keys:
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        del section[last]
    path = folder / "config.py"
    path.write_text(dump_config(content), encoding="utf-8")
    return path


@pytest.mark.slow
def test_with_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = "(128,96)"
    options = [
        "runner.max_epochs=1", "data.samples_per_gpu=3", IN_THIS_PROCESS,
        f"data.train.pipeline.2.img_scale={scale}", f"data.val.pipeline.2.img_scale={scale}",
        f"data.test.pipeline.2.img_scale={scale}",
    ]  # fmt: skip
    config, work_dir = str(CONFIGS / f"{NAMES[0]}.py"), tmp_path / "work"
    words = ["train", config, "--work-dir", str(work_dir), *CPU, "--cfg-options", *options]
    assert main(words) == 0
    assert "0_macro_f1" in read_log(work_dir / "log.jsonl")[-1]
    chain = ["--det", "default", "--recog", "default", "--kie", str(work_dir / "latest.pth")]
    folder = ["--output-folder", str(tmp_path), "--model-name", "receipts"]
    assert main(["convert", *chain, *folder]) == 0
    assert "receipts.mar  (ocr," in capsys.readouterr().out


def sample_of(*words: dict[str, Any], size: tuple[int, int] = (180, 240)) -> Sample:
    values = {"file_name": "x.png", "width": size[0], "height": size[1], "annotations": list(words)}
    record = page_record("a:1", values, openset=False, directed=False)
    return Sample(source="a:1", fields=dict(record.fields))


def word(label: int = 1, **changes: Any) -> dict[str, Any]:
    return {"box": [5, 5, 60, 5, 60, 20, 5, 20], "text": "tea", "label": label} | changes


def test_pages_with_no_word_and_with_one() -> None:
    task = build_task(load(NAMES[1]))
    samples = [sample_of(), sample_of(word()), sample_of(word(2), word(3))]
    for sample in samples:
        task.check(sample)
    for chosen in (samples, samples[:1], samples[:2]):
        losses = task.losses(task.network, task.collate(chosen))
        total = losses["loss_node"] + losses["loss_edge"]
        total.backward()
        assert total.isfinite()


def test_pictures_of_different_sizes_are_padded() -> None:
    task = build_task(load(NAMES[0]))
    samples = []
    for width, height in ((100, 200), (200, 100)):
        sample = sample_of(word(), word(2), size=(width, height))
        sample.image = np.full((height, width, 3), 200, np.uint8)
        task.check(sample)
        samples.append(sample)
    empty = sample_of()
    empty.image = np.zeros((50, 50, 3), np.uint8)
    task.check(empty)
    batch = task.collate([*samples, empty])
    assert batch.images is not None
    assert batch.images.shape == (3, 3, 1024, 1024)
    assert batch.images[0, :, :, 512:].abs().max() == 0
    assert batch.images[2].abs().max() == 0
    assert torch.equal(batch.pages[0].boxes[0], batch.pages[0].boxes[1])


def test_unused_parts_do_not_learn() -> None:
    blind, seeing = build_task(load(NAMES[1])), build_task(load(NAMES[0]))
    frozen = {n for n, p in blind.network.named_parameters() if not p.requires_grad}
    assert frozen == {
        n for n, _ in blind.network.named_parameters() if "backbone" in n or "fusion" in n
    }
    assert all(p.requires_grad for p in seeing.network.parameters())


BAD_WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "three corners": (word(box=[1, 2, 3, 4, 5, 6]), "box of word 0 must be four corners"),
    "no text": ({"box": [1] * 8, "label": 1}, "word 0 has no text"),
    "no label": ({"box": [1] * 8, "text": "a"}, "label must be a whole number, got None"),
    "a label of text": (word(label="1"), "label must be a whole number"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_broken_lines_are_told(name: str) -> None:
    bad, message = BAD_WORDS[name]
    with pytest.raises(ValueError, match=message):
        sample_of(bad)
    with pytest.raises(ValueError, match="edge must be a whole number"):
        page_record(
            "a:1",
            {"file_name": "x", "width": 9, "height": 9, "annotations": [word()]},
            openset=True,
            directed=False,
        )


def test_labels_must_be_classes() -> None:
    with pytest.raises(SampleError, match="label 26, but the model has classes 0 to 25"):
        build_task(load(NAMES[1])).check(sample_of(word(26)))


def test_boxes_that_leave_the_page_are_cut() -> None:
    sample = sample_of(word(box=[-9, 5, 900, 5, 900, 20, -9, 20]))
    page = sample.fields["page"]
    assert corner_boxes(page.boxes).tolist() == [[0, 5, 180, 20]]


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"data__train__norm": 5.0}, "data.train has norm=5.0, but data.test 10.0"),
    ({"data__train__dict_file": "other.txt"}, "whose characters are not those of data.test"),
    ({"data__train__pipeline__1__img_scale": (512, 256)}, "in another way than the test pipeline"),
    ({"data__test__dict_file": "none.txt"}, r"cannot read the dictionary file none\.txt"),
    ({"model__class_list": "none.txt"}, r"cannot read the class list none\.txt"),
    ({"model__class_list": "short.txt"}, r"names the classes \[0\]; the model has 0 to 25"),
    ({"model__class_list": "twice.txt"}, r"line 2: expected a new number and a name"),
    ({"model__bbox_head__num_chars": 50}, "the network knows 49; take the one"),
    ({"model__bbox_head__num_clases": 5}, "Did you mean 'num_classes'"),
    ({"model__bbox_head__bidirectional": True}, "only has bidirectional=False"),
    ({"model__bbox_head__visual_dim": 32}, "but the backbone gives 16"),
    ({"model__bbox_head__loss": {"type": "SDMGRLos"}}, "the loss of this model is SDMGRLoss"),
    ({"model__visual_modality": True}, "has ResizeNoImg, which reads no picture"),
    ({"evaluation__metric_options": {"macro_f1": {"ignore": [1]}}}, "metric_options is"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_mistakes_are_told(change: dict[str, Any], message: str, root: Path) -> None:
    (root / "other.txt").write_text("a\nb\n", encoding="utf-8")
    (root / "short.txt").write_text("0 Ignore\n", encoding="utf-8")
    (root / "twice.txt").write_text("0 Ignore\n0 Again\n", encoding="utf-8")
    config = load(NAMES[1], **change)
    settings = read_settings(config).evaluation
    assert settings is not None
    (dataset,), _ = build_datasets(config["data"]["val"], training=False, seed=0)

    def train_and_evaluate() -> None:
        task = build_task(config)
        task.evaluate(task.network.state_dict(), dataset, settings, torch.device("cpu"))

    with pytest.raises(ConfigError, match=message):
        train_and_evaluate()


def test_steps_that_would_move_words_are_refused() -> None:
    config = load(NAMES[0])
    steps = [*config["data"]["train"]["pipeline"], {"type": "RandomRotateTextDet"}]
    with pytest.raises(ConfigError, match="RandomRotateTextDet is not served in training on pages"):
        build_datasets(config["data"]["train"] | {"pipeline": steps}, training=True, seed=0)


def test_class_names() -> None:
    spec = model_from_mmocr(load(NAMES[1]))
    assert isinstance(spec, KieSpec)
    assert spec.class_names == wildreceipt.CLASSES
    assert spec.links is None
    unnamed = model_from_mmocr(load(NAMES[1], model__class_list=None))
    assert isinstance(unnamed, KieSpec)
    assert unnamed.class_names == tuple(map(str, range(26)))
    openset = model_from_mmocr(load(NAMES[2]))
    assert isinstance(openset, KieSpec)
    assert openset.class_names == ("background", "key", "value", "others")
    assert openset.links is not None
    assert openset.links.link_type == "one-to-many"


def test_open_set_annotations(root: Path) -> None:
    lines = (root / "data" / "wildreceipt" / "openset_train.txt").read_text("utf-8").splitlines()
    pages = [json.loads(line) for line in lines]
    assert len(pages) == 6
    words = pages[0]["annotations"]
    edges = {text["text"]: text["edge"] for text in words}
    labels = {text["text"]: text["label"] for text in words}
    date = next(w["text"] for w in words if "/2024" in w["text"])
    assert (labels["Date"], labels[date], labels["thank you"]) == (1, 2, 3)
    assert edges["Date"] == edges[date] != edges["TOTAL"]
    assert list(pages[0]) == ["file_name", "height", "width", "annotations"]


def test_open_set_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = root / "in.txt", root / "out.txt"
    page = {"file_name": "x", "height": 9, "width": 9, "annotations": [word(n) for n in (0, 5, 1)]}
    source.write_text(json.dumps(page) + "\n", encoding="utf-8")
    words = ["data", "closeset-to-openset", str(source), str(target), "--merge", "--others", "5"]
    assert main(words) == 0
    made = json.loads(target.read_text("utf-8"))["annotations"]
    assert [(w["label"], w["edge"]) for w in made] == [(0, 1), (0, 2), (2, 3)]
    assert main(words) == 1
    assert "exists; give another name" in capsys.readouterr().err
    page["annotations"] = [word(26)]  # type: ignore[list-item]
    source.write_text(json.dumps(page) + "\n", encoding="utf-8")
    assert main([*words[:4], "-f"]) == 1
    assert "in.txt:1: word 0 has label 26" in capsys.readouterr().err
    assert main([*words[:4], "-f", "--others", "4"]) == 1
    assert "others is an odd number" in capsys.readouterr().err
    assert target.read_text("utf-8").count("\n") == 1, "what was there stays"
