"""``preprocess/``: test pipelines, from an image to the network's tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_models.mmocr_pipelines import detection_preprocessing, recognition_preprocessing
from ocr_models.preprocessing import (
    DetectionPreprocessing,
    RecognitionPreprocessing,
    detection_input,
    recognition_inputs,
)

from . import formulas, kie_pages, landed
from .check import EXACT, Check
from .kit import Arrays, Case, Kit, compare_statistics

ALLOWED_PIXEL = 1e-4
ALLOWED_FACTOR = 1e-6

Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Every image through every pipeline of ``preprocess/index.json``."""
    for entry in kit.json("preprocess/index.json"):
        covered = partial(landed.pipeline_landed, entry["task"], entry["pipeline"])
        for number in range(len(entry["cases"])):
            name = f"{entry['file'].removesuffix('.npz')}/{number}"
            yield Case(name, partial(_compare, kit, entry, number), covered)


def _compare(kit: Kit, entry: Entry, number: int, check: Check) -> None:
    case = entry["cases"][number]
    height, width = case["size"]
    image = formulas.image(height, width, case["image_seed"])
    inputs = kit.arrays("preprocess/inputs.npz")
    stored = f"h{height}_w{width}_seed{case['image_seed']}"
    if stored in inputs or entry["task"] != "kie":  # of some pages only the formula is given
        check.array("image", image, inputs[stored], EXACT)
    arrays = kit.arrays(f"preprocess/{entry['file']}")
    if entry["task"] == "kie":
        kie_pages.compare_pipeline(check, entry, case, image, arrays, str(number))
        return
    if entry["task"] == "textdet":
        got = [_detection(image, detection_preprocessing(entry["pipeline"]))]
    else:
        got = _recognition(image, recognition_preprocessing(entry["pipeline"]))
    check.equal("variants", len(got), case["variants"])
    for variant, ((tensor, ours), theirs) in enumerate(zip(got, case["metas"], strict=False)):
        compare_tensor(check, tensor, arrays, f"{number}_{variant}")
        for key in ("ori_shape", "img_shape", "pad_shape", "resize_shape"):
            if key in theirs and key in ours:  # greyscale shapes have lost their channels
                check.equal(f"{key} {variant}", ours[key], theirs[key][:2])
        for key in ("scale_factor", "valid_ratio", "mean", "std"):
            expected = {**theirs, **theirs.get("img_norm_cfg", {})}
            if key in expected and key in ours:
                check.array(f"{key} {variant}", ours[key], expected[key], ALLOWED_FACTOR)


def _detection(
    image: NDArray[np.uint8], config: DetectionPreprocessing
) -> tuple[NDArray[np.float32], Entry]:
    prepared = detection_input(image, config)
    return prepared.tensor, {
        "ori_shape": image.shape[:2],
        "img_shape": prepared.resized_shape,
        "pad_shape": prepared.padded_shape,
        "scale_factor": prepared.scale_factor,
        "mean": np.array(config.mean, np.float32),
        "std": np.array(config.std, np.float32),
    }


def _recognition(
    image: NDArray[np.uint8], config: RecognitionPreprocessing
) -> list[tuple[NDArray[np.float32], Entry]]:
    return [
        (
            prepared.tensor,
            {
                "ori_shape": image.shape[:2],
                "img_shape": prepared.resize_shape,
                "resize_shape": prepared.resize_shape,
                "valid_ratio": prepared.valid_ratio,
                "mean": np.array(config.mean, np.float32),
                "std": np.array(config.std, np.float32),
            },
        )
        for prepared in recognition_inputs(image, config)
    ]


def compare_tensor(check: Check, tensor: NDArray[np.float32], arrays: Arrays, prefix: str) -> None:
    check.equal(f"shape {prefix}", tensor.shape, arrays[f"{prefix}_shape"])
    step = int(arrays[f"{prefix}_step"])
    for name, got in (
        ("sample", tensor[:, ::step, ::step]),
        ("lastrow", tensor[:, -1, ::step]),
        ("lastcol", tensor[:, ::step, -1]),
    ):
        check.array(f"{name} {prefix}", got, arrays[f"{prefix}_{name}"], ALLOWED_PIXEL)
    compare_statistics(check, f"all {prefix}", tensor, arrays[f"{prefix}_stats"], ALLOWED_PIXEL)
