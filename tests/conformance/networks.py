"""Building the networks that a kit describes, with weights by formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ocr_models.detection.dbnet import DBNet
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.recognition.crnn import CRNN
from ocr_models.spec import DetectorSpec, Spec

from . import formulas, landed
from .kit import Kit, KitError

Network = DBNet | CRNN


def covered(kit: Kit, name: str) -> bool:
    """Whether ``models/NAME`` belongs to a family that landed."""
    return landed.model_landed(kit.model(name)["model"])


# The config door wants a whole config, but the network alone does not depend on its pipeline.
ANY_PIPELINE: Mapping[str, list[dict[str, Any]]] = {
    "DBNet": [
        {"type": "LoadImageFromFile"},
        {
            "type": "MultiScaleFlipAug",
            "img_scale": (1333, 736),
            "flip": False,
            "transforms": [
                {"type": "Resize", "keep_ratio": True},
                {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "to_rgb": True},
                {"type": "Pad", "size_divisor": 32},
                {"type": "ImageToTensor", "keys": ["img"]},
                {"type": "Collect", "keys": ["img"]},
            ],
        },
    ],
    "CRNNNet": [
        {"type": "LoadImageFromFile", "color_type": "grayscale"},
        {"type": "ResizeOCR", "height": 32, "min_width": 32, "max_width": None},
        {"type": "Normalize", "mean": [127], "std": [127]},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["resize_shape", "valid_ratio"]},
    ],
}


def spec(kit: Kit, name: str, with_pipeline: bool = True) -> Spec:
    """The model of a config, through the config door.

    Args:
        kit: where the model is described.
        name: of the config.
        with_pipeline: together with the config's own test pipeline; False where only the network
            and the codec matter.
    """
    model = kit.model(name)["model"]
    if not with_pipeline:
        pipeline = ANY_PIPELINE[model["type"]]
    elif name in kit.pipelines:
        pipeline = kit.pipelines[name]
    else:
        raise KitError(f"preprocess/index.json names no pipeline of {name}")
    return model_from_mmocr({"model": model, "data": {"test": {"pipeline": pipeline}}})


def network(described: Spec) -> Network:
    """The network as constructed, in evaluation mode."""
    if isinstance(described, DetectorSpec):
        return DBNet(described.network).eval()
    return CRNN(described.network).eval()


def filled_network(described: Spec, seed: int) -> Network:
    """The network with weights by formula, in evaluation mode."""
    result = network(described)
    formulas.fill(result, seed)
    return result


def amplify_decoder(module: nn.Module) -> None:
    """Five times the decoder's matrices, which makes texts of random weights less uniform."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("decoder.") and parameter.dim() >= 2:
                parameter.mul_(5)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
