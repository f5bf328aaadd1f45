"""Building the networks that a kit describes, with weights by formula."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ocr_models.detection.families import build_network
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.recognition.crnn import CRNN
from ocr_models.spec import DetectorSpec, Spec

from . import formulas, landed
from .families import FAMILIES
from .kit import Kit, KitError


def covered(kit: Kit, name: str) -> bool:
    """Whether ``models/NAME`` belongs to a family that landed."""
    return landed.model_landed(kit.model(name)["model"])


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
        pipeline = FAMILIES[model["type"]].pipeline
    elif name in kit.pipelines:
        pipeline = kit.pipelines[name]
    else:
        raise KitError(f"preprocess/index.json names no pipeline of {name}")
    return model_from_mmocr({"model": model, "data": {"test": {"pipeline": pipeline}}})


def network(described: Spec) -> nn.Module:
    """The network as constructed, in evaluation mode."""
    if isinstance(described, DetectorSpec):
        return build_network(described.network).eval()
    return CRNN(described.network).eval()


def filled_network(described: Spec, seed: int) -> nn.Module:
    """The network with weights by formula, in evaluation mode."""
    result = network(described)
    formulas.fill(result, seed)
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine: oneDNN's order depends on the processor."""
    threads, mkldnn = torch.get_num_threads(), torch.backends.mkldnn.enabled
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # typed as its descriptor
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.enabled = mkldnn
