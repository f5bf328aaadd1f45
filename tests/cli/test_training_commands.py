"""``ocrserve train`` and ``test`` on a tiny data set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ocrserve.cli import main

WORDS = ("cab", "bed", "face", "dead", "add", "be", "decaf", "fab")
CONFIG = """
charset = list('abcdef')
model = dict(
    type='CRNNNet', preprocessor=None,
    backbone=dict(
        type='LightColumns', in_channels=1, stem_channels=16, channels=(16, 24, 32, 32),
        blocks=(1, 1, 1, 1), strides=((2, 2), (2, 1), (2, 1), (1, 1)), feature_channels=48),
    encoder=None,
    decoder=dict(type='CRNNDecoder', in_channels=48, rnn_flag=True, hidden=32, layers=1),
    loss=dict(type='CTCLoss', zero_infinity=True),
    label_convertor=dict(type='CTCConvertor', dict_list=charset, with_unknown=False, lower=False),
    pretrained=None)
resize = dict(type='ResizeOCR', height=32, min_width=32, max_width=None, keep_aspect_ratio=True)
norm = dict(type='Normalize', mean=[127], std=[127])
load = dict(type='LoadImageFromFile', color_type='grayscale')
words = dict(
    type='OCRDataset', ann_file='DATA/label.txt', img_prefix='DATA',
    loader=dict(type='AnnFileLoader', repeat=1, parser=dict(type='LineStrParser')))
test = dict(words, pipeline=[
    load, resize, norm, dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img'], meta_keys=['filename', 'resize_shape'])])
data = dict(
    samples_per_gpu=8, train=dict(words, pipeline=[load, resize, norm]), val=test, test=test)
optimizer = dict(type='AdamW', lr=3e-3)
lr_config = dict(policy='fixed', by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=2)
checkpoint_config = dict(interval=1)
evaluation = dict(interval=2, metric='acc', save_best='word_acc')
log_config = dict(interval=1, hooks=[dict(type='TextLoggerHook')])
"""

SEVERAL = """
parts = [dict(words, ann_file=f'{name}.txt') for name in ('first', 'second')]
both = dict(type='UniformConcatDataset', datasets=parts, pipeline=test['pipeline'])
train = dict(data['train'], loader=dict(words['loader'], repeat=4))
data = dict(data, bucket_batches=2, train=train, val=both, test=both)
model = dict(model, decoder=dict(type='CRNNDecoder', in_channels=48, rnn_flag=False))
optimizer = dict(type='AdamW', lr=2e-2)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=1e-5)
runner = dict(type='IterBasedRunner', max_iters=100)
checkpoint_config = dict(interval=1000)
evaluation = dict(
    interval=100, by_epoch=False, metric=['word_acc', 'one_minus_ned'], save_best='word_acc')
"""
ONE_WITH_MEAN = """
both = dict(both, datasets=parts[:1], show_mean_scores=True)
data = dict(data, test=both)
"""


def write_words(folder: Path) -> None:
    """Eight crops with their label file."""
    for number, word in enumerate(WORDS):
        image = np.full((32, 20 + 18 * len(word), 3), 230, np.uint8)
        cv2.putText(image, word, (6, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (10, 10, 10), 2)
        assert cv2.imwrite(str(folder / f"{number}.png"), image)
    lines = [f"{number}.png {word}\n" for number, word in enumerate(WORDS)]
    (folder / "label.txt").write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    write_words(data)
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG.replace("DATA", str(data)), encoding="utf-8")
    return path


def iterations(work_dir: Path) -> list[int]:
    lines = (work_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry["iter"] for entry in map(json.loads, lines) if entry["mode"] == "train"]


def test_train_resume_test_and_convert(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cpu = ["--device", "cpu"]
    assert main(["train", str(config), "--seed", "1", *cpu]) == 0
    work_dir = tmp_path / "work_dirs" / "tiny"
    assert iterations(work_dir) == [1, 2]
    out = capsys.readouterr().out
    assert "last checkpoint: work_dirs/tiny/iter_2.pth" in out
    assert "best checkpoint: work_dirs/tiny/best_word_acc.pth" in out

    longer = ["--cfg-options", "runner.max_iters=3", "evaluation.interval=100"]
    assert main(["train", str(config), "--resume", *longer, *cpu]) == 0
    assert iterations(work_dir) == [1, 2, 3]
    capsys.readouterr()

    checkpoint = str(work_dir / "latest.pth")
    results = tmp_path / "results.json"
    words = ["test", str(config), checkpoint, "--eval", "word_acc", "one_minus_ned"]
    assert main([*words, "--out", str(results), *cpu]) == 0
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    written = json.loads(results.read_text(encoding="utf-8"))
    assert list(written) == ["0_word_acc", "0_1-N.E.D"]
    assert printed == {name: f"{value:.4f}" for name, value in written.items()}

    assert main(["convert", checkpoint, "--output-folder", ".", "--model-name", "tiny"]) == 0
    assert "tiny.mar  (recognition," in capsys.readouterr().out
    photo = str(tmp_path / "data" / "0.png")
    runtime = ["--runtime", "torch"]
    assert main(["read", photo, "--det", "None", "--recog", checkpoint, *runtime]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_several_test_sets(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results per data set in their order, and their mean, in training and in testing."""
    lines = (tmp_path / "data" / "label.txt").read_text(encoding="utf-8").splitlines()
    sets = {"first": lines[:6], "second": lines[6:]}
    sets["second"][0] = sets["second"][0].replace("decaf", "decaff")
    for name, part in sets.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(part) + "\n", encoding="utf-8")
    config.write_text(config.read_text(encoding="utf-8") + SEVERAL, encoding="utf-8")
    cpu = ["--device", "cpu"]
    assert main(["train", str(config), "--seed", "3", *cpu]) == 0
    assert "best checkpoint: work_dirs/tiny/best_mean_word_acc.pth" in capsys.readouterr().out
    work_dir = tmp_path / "work_dirs" / "tiny"
    log = (work_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()
    (logged,) = [entry for entry in map(json.loads, log) if entry["mode"] == "val"]

    def measured(*options: str, config: Path = config) -> dict[str, float]:
        out = tmp_path / "results.json"
        command = ["test", str(config), str(work_dir / "latest.pth"), "--out", str(out), *options]
        assert main([*command, *cpu]) == 0
        result: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
        return result

    names = ["word_acc", "1-N.E.D"]
    some = measured("--eval", "one_minus_ned", "word_acc")
    assert list(some) == [f"{part}_{name}" for part in (0, 1, "mean") for name in names]
    assert (some["0_word_acc"], some["1_word_acc"], some["mean_word_acc"]) == (1.0, 0.5, 0.75)
    for name in names:
        assert some[f"mean_{name}"] == (some[f"0_{name}"] + some[f"1_{name}"]) / 2
    assert {name: logged[name] for name in some} == some
    assert len(measured("--eval", "acc")) == 18
    hidden = measured("--cfg-options", "data.test.show_mean_scores=False")
    assert {name.partition("_")[0] for name in hidden} == {"0", "1"}
    one = tmp_path / "one.py"
    one.write_text(config.read_text(encoding="utf-8") + ONE_WITH_MEAN, encoding="utf-8")
    assert measured("--eval", "word_acc", config=one) == {"0_word_acc": 1.0, "mean_word_acc": 1.0}
    wrong = ["--cfg-options", "data.test.show_mean_scores=3", *cpu]
    assert main(["test", str(config), str(work_dir / "latest.pth"), *wrong]) == 1
    assert "show_mean_scores must be True, False or 'auto', got 3" in capsys.readouterr().err


def test_mistakes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--cfg-options", "optimizer.type=Adma"]) == 1
    assert "optimizer.type is 'Adma'" in capsys.readouterr().err
    assert main(["train", str(config), "--resume-from", "no.pth"]) == 1
    assert "no.pth" in capsys.readouterr().err
    assert main(["test", str(config), "no.pth", "--eval", "acc"]) == 1
    assert "the model no.pth does not exist" in capsys.readouterr().err
    options = ["--eval-options", "min_score_thrs=0.2"]
    (config.parent / "x.pth").write_bytes(b"")
    assert main(["test", str(config), "x.pth", *options]) == 1
    assert "known are min_score_thr, max_score_thr, step" in capsys.readouterr().err
