"""SegOCR."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_models.codecs.segmentation import SegCodec, SegCodecConfig
from ocr_models.from_mmocr.codecs import segmentation_codec
from ocr_models.recognition.segocr import SegOCR, best_classes
from ocr_models.spec import RecognizerSpec, Spec
from ocrserve.train.augment.moves import rectangle
from ocrserve.train.objectives.lines import RecognitionBatch
from ocrserve.train.objectives.segocr import (
    CharacterMaps,
    CharacterTargets,
    SegLoss,
    SegLossConfig,
    SegObjective,
    make_targets,
)

from ..check import EXACT, Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import Entry, Family
from .recognition import valid_ratios

ALLOWED_SCORE = 1e-6


def _forward(
    network: nn.Module, described: Spec, images: Tensor, arrays: Arrays, check: Check
) -> None:
    assert isinstance(network, SegOCR)
    logits = network(images).logits
    compare_forward(check, arrays, "head", logits.numpy())
    # What is served is the same map, reduced.
    served = network.class_map(images).numpy()
    check.equal("best classes", served[:, 0], logits.argmax(dim=1).numpy().astype(np.float32))
    check.array(
        "probabilities", served[:, 1], logits.softmax(dim=1).amax(dim=1).numpy(), ALLOWED_SCORE
    )


def _train_forward(
    network: nn.Module,
    described: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, SegOCR)
    assert isinstance(described, RecognizerSpec)
    objective = SegObjective.from_model(described, model)
    kernels = arrays["gt_kernels"].astype(np.int32)
    targets = objective.collate([CharacterMaps(*line) for line in kernels])
    logits = network(images).logits
    compare_flat(check, arrays, "logits", logits.detach().numpy())
    ratios = valid_ratios(entry["resize_widths"], images.shape[-1])
    return objective.losses(network, RecognitionBatch(images, entry["texts"], ratios, targets))


def _losses(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    logits = torch.from_numpy(arrays["preds"]).requires_grad_()
    classes = torch.from_numpy(arrays["gt_kernels"][:, 1].astype(np.int64))
    return {"preds": logits}, SegLoss(SegLossConfig(**entry["args"]))(logits, classes)


def _segconv(kit: Kit, entry: Entry, check: Check) -> None:
    file, _, array = entry["input"].partition(" ")[0].partition(":")
    classes = kit.arrays(f"postprocess/{file}")[array]
    codec = SegCodec(SegCodecConfig())
    one_hot = np.eye(codec.num_classes, dtype=np.float32)[classes].transpose(0, 3, 1, 2)
    maps = best_classes(torch.from_numpy(one_hot)).numpy()
    read = codec.decode(maps, entry["valid_ratio"])
    check.equal("texts", [result.text for result in read], entry["texts"])
    scores = [result.char_scores for result in read]
    check.structure("scores", scores, entry["scores"], ALLOWED_SCORE)


def compare_character_maps(entry: Entry, arrays: Arrays, check: Check) -> None:
    """Targets of one line: attention kernel, class kernel, valid mask."""
    kind, *options = entry["dict"].split()
    dictionary, options = options[0], options[1:]
    codec = SegCodec(
        segmentation_codec(
            {
                "type": kind,
                "dict_type": dictionary,
                "with_unknown": "with_unknown" in options,
                "lower": "lower" in options,
            }
        )
    )
    (image_height, image_width), (height, width), (padded_height, padded_width) = (
        entry[key][:2] for key in ("img_shape", "resize_shape", "pad_shape")
    )
    quads = [_quad(box) * (width / image_width, height / image_height) for box in entry["boxes"]]
    padding = []
    if padded_width > width:
        padding.append(rectangle(width, 0, padded_width, padded_height))
    if padded_height > height:
        padding.append(rectangle(0, height, padded_width, padded_height))
    settings = CharacterTargets(
        entry["attn_shrink_ratio"],
        entry["seg_shrink_ratio"],
        rectangles=entry["box_type"] == "char_rects",
        ignored_value=entry["pad_val"],
    )
    (classes,) = codec.encode([entry["text"]])
    maps = make_targets(quads, classes.tolist(), padding, padded_height, padded_width, settings)
    for name, got, expected in zip(CharacterMaps._fields, maps, arrays["gt_kernels"], strict=True):
        check.array(name, got, expected, EXACT)


def _quad(box: list[float]) -> NDArray[np.float64]:
    return rectangle(*box) if len(box) == 4 else np.reshape(box, (4, 2))


SEGOCR_FAMILY = Family(
    model_type="SegRecognizer",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNet31OCR",),
        "neck": ("FPNOCR",),
        "head": ("SegHead",),
    },
    pipeline=[
        {"type": "LoadImageFromFile"},
        {"type": "ResizeOCR", "height": 64, "min_width": 64, "max_width": None},
        {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1]},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img"]},
    ],
    forward=_forward,
    train_forward=_train_forward,
    postprocess={"SegConvertor.tensor2str": _segconv},
    losses={"SegLoss": _losses},
)
