"""Tiny data sets, models and configs for trainings that take seconds; run as a script, it trains.

``python tiny_training.py TASK WORK_DIR DATA_DIR [OVERRIDES_AS_JSON]`` continues or starts a run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNetConfig
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing
from ocr_models.recognition.crnn import CRNNConfig, LightColumnsConfig
from ocr_models.spec import DetectorSpec, RecognizerSpec, Spec

WORDS = ("cab", "bed", "face", "dead", "add", "be", "decaf", "fab")
CHARSET = "abcdef"


def write_words(folder: Path) -> None:
    """Eight crops with their label file."""
    lines = []
    for number, word in enumerate(WORDS):
        image = np.full((32, 20 + 18 * len(word), 3), 230, np.uint8)
        cv2.putText(image, word, (6, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (10, 10, 10), 2)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        lines.append(f"{number}.png {word}")
    (folder / "label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_scenes(folder: Path) -> None:
    """Four pictures with two dark bars each, as a COCO-style json."""
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(4):
        image = np.full((96, 96, 3), 220, np.uint8)
        for row in range(2):
            x, y = int(rng.integers(6, 20)), 12 + 44 * row
            width, height = int(rng.integers(45, 70)), int(rng.integers(20, 28))
            cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), (40, 40, 40), -1)
            outline = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append({"image_id": number, "iscrowd": 0, "segmentation": [outline]})
        cv2.imwrite(str(folder / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png"})
    content = {"images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")


def recognizer_spec() -> RecognizerSpec:
    pyramid = LightResNetConfig(
        in_channels=1,
        stem_channels=16,
        channels=(16, 24, 32, 32),
        blocks=(1, 1, 1, 1),
        strides=((2, 2), (2, 1), (2, 1), (1, 1)),
    )
    codec = CTCCodecConfig(charset=CHARSET, with_unknown=False)
    network = CRNNConfig(LightColumnsConfig(pyramid, 48), len(CHARSET) + 1, recurrent=False)
    return RecognizerSpec(network, RecognitionPreprocessing(), codec)


def detector_spec() -> DetectorSpec:
    backbone = LightResNetConfig(stem_channels=8, channels=(16, 16, 24, 24), blocks=(1, 1, 1, 1))
    return DetectorSpec(
        DBNetConfig(backbone, neck_channels=32),
        DetectionPreprocessing(image_scale=(96, 96), exif=False),
        DBPostprocessing(),
    )


def config_of(task: str, data: Path) -> tuple[dict[str, Any], Spec]:
    """A config that learns the data by heart, and its model."""
    base: dict[str, Any] = {
        "optimizer": {"type": "AdamW", "lr": 2e-2},
        "optimizer_config": {"grad_clip": {"max_norm": 5.0}},
        "lr_config": {"policy": "CosineAnnealing", "by_epoch": False, "min_lr": 1e-5},
        "runner": {"type": "IterBasedRunner", "max_iters": 100},
        "checkpoint_config": {"interval": 1000},
        "log_config": {"interval": 10, "hooks": [{"type": "TextLoggerHook"}]},
        "seed": 3,
    }
    if task == "recognition":
        words: dict[str, Any] = {
            "type": "OCRDataset",
            "ann_file": str(data / "label.txt"),
            "img_prefix": str(data),
            "loader": {
                "type": "AnnFileLoader",
                "repeat": 4,
                "parser": {"type": "LineStrParser"},
            },
        }
        steps = [
            {"type": "LoadImageFromFile", "color_type": "grayscale"},
            {"type": "ResizeOCR", "height": 32, "min_width": 32},
            {"type": "Normalize", "mean": [127], "std": [127]},
        ]
        base["data"] = {
            "samples_per_gpu": 8,
            "bucket_batches": 2,
            "train": {**words, "pipeline": steps},
            "val": words,
        }
        base["model"] = {"loss": {"type": "CTCLoss", "zero_infinity": True}}
        base["evaluation"] = {"interval": 1000, "metric": "acc", "save_best": "word_acc"}
        return base, recognizer_spec()
    scenes = {
        "type": "IcdarDataset",
        "ann_file": str(data / "instances.json"),
        "img_prefix": str(data),
    }
    steps = [
        {"type": "LoadImageFromFile", "color_type": "color_ignore_orientation"},
        {"type": "LoadTextAnnotations", "with_mask": True, "poly2mask": False},
        {"type": "ColorJitter", "brightness": 0.1},
        {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "std": [58.4, 57.1, 57.4]},
        {"type": "ImgAug", "args": [["Fliplr", 0.5], {"cls": "Affine", "rotate": [-3, 3]}]},
        {"type": "EastRandomCrop", "target_size": [96, 96]},
        {"type": "DBNetTargets", "shrink_ratio": 0.4},
        {"type": "Pad", "size_divisor": 32},
    ]
    base["data"] = {
        "samples_per_gpu": 4,
        "train": {"type": "RepeatDataset", "times": 4, "dataset": scenes, "pipeline": steps},
        "val": scenes,
    }
    loss = {"type": "DBLoss", "alpha": 5.0, "beta": 10.0, "bbce_loss": True}
    base["model"] = {"bbox_head": {"loss": loss}}
    base["evaluation"] = {"interval": 1000, "save_best": "hmean-iou:hmean"}
    return base, detector_spec()


def main(task: str, work_dir: str, data: str, overrides: str = "{}") -> None:
    import torch

    from ocrserve.train.trainer import run_training

    torch.set_num_threads(1)
    config, spec = config_of(task, Path(data))
    run_training(config | json.loads(overrides), work_dir, resume=True, spec=spec)


if __name__ == "__main__":
    main(*sys.argv[1:])
