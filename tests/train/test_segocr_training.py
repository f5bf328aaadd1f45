"""A small SegOCR learns words by heart, from character boxes to texts of the served predictor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ocr_models.codecs.segmentation import SegCodecConfig
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.segocr import SegOCRConfig
from ocr_models.spec import RecognizerSpec
from ocrserve.train.testing import run_test
from ocrserve.train.trainer import run_training
from tests.tiny_training import CHARSET, WORDS

NORMALIZE = {"mean": [127.0] * 3, "std": [60.0] * 3}
CODEC = {"type": "SegConvertor", "dict_list": list(CHARSET), "with_unknown": False}
STEPS: list[dict[str, Any]] = [
    {"type": "LoadImageFromFile"},
    {"type": "RandomPaddingOCR", "max_ratio": [0.05, 0.05, 0.05, 0.05], "box_type": "char_quads"},
    {"type": "RandomRotateImageBox", "min_angle": -2, "max_angle": 2},
    {"type": "ResizeOCR", "height": 32, "min_width": 32, "max_width": 128},
    {"type": "OCRSegTargets", "label_convertor": CODEC, "box_type": "char_quads"},
    {"type": "Normalize", **NORMALIZE},
]


def write_words(folder: Path) -> None:
    """Words whose letters stand 18 pixels apart, with a box around each."""
    lines = []
    for number, word in enumerate(WORDS):
        image = np.full((32, 16 + 18 * len(word), 3), 230, np.uint8)
        characters = []
        for i, letter in enumerate(word):
            at = (8 + 18 * i, 25)
            cv2.putText(image, letter, at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (10, 10, 10), 2)
            characters.append({"char_text": letter, "char_box": [at[0], 4, at[0] + 16, 28]})
        cv2.imwrite(str(folder / f"{number}.png"), image)
        line = {"file_name": f"{number}.png", "text": word, "annotations": characters}
        lines.append(json.dumps(line))
    (folder / "label.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_words_are_learnt(tmp_path: Path) -> None:
    write_words(tmp_path)
    backbone = ResNet31Config(
        3, (1, 1, 1, 1), (8, 16, 32, 32, 32, 32), (2, 2), last_stage_pool=True
    )
    spec = RecognizerSpec(
        SegOCRConfig(backbone, neck_channels=32, num_classes=len(CHARSET) + 1),
        RecognitionPreprocessing(
            height=32, min_width=32, color="rgb", mean=(127.0,) * 3, std=(60.0,) * 3
        ),
        SegCodecConfig(CHARSET, with_unknown=False),
    )
    words: dict[str, Any] = {
        "type": "OCRSegDataset",
        "ann_file": str(tmp_path / "label.txt"),
        "img_prefix": str(tmp_path),
        "loader": {
            "type": "AnnFileLoader",
            "repeat": 4,
            "parser": {"type": "LineJsonParser", "keys": ["file_name", "annotations", "text"]},
        },
    }
    config: dict[str, Any] = {
        "model": {"loss": {"type": "SegLoss", "seg_downsample_ratio": 1.0}},
        "data": {"samples_per_gpu": 8, "train": {**words, "pipeline": STEPS}, "test": words},
        "optimizer": {"type": "Adam", "lr": 5e-3},
        "lr_config": {"policy": "CosineAnnealing", "by_epoch": False, "min_lr": 1e-5},
        "runner": {"type": "IterBasedRunner", "max_iters": 90},
        "checkpoint_config": {"interval": 90},
        "log_config": {"interval": 20, "hooks": [{"type": "TextLoggerHook"}]},
        "seed": 3,
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_training(config, tmp_path / "run", spec=spec, show_bar=False)
        scores = run_test(config, tmp_path / "run" / "latest.pth", ("acc",), spec=spec)
    finally:
        torch.set_num_threads(threads)
    assert scores["0_word_acc"] == 1.0
