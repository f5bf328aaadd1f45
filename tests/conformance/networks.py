"""Building the networks that a kit describes, with weights by formula."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.detection.families import build_network
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.kie.sdmgr import SDMGR
from ocr_models.ner.bert_softmax import BertSoftmax
from ocr_models.recognition.families import FAMILIES as RECOGNIZERS
from ocr_models.recognition.families import build_network as build_recognizer
from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, RecognizerSpec, Spec

from . import formulas, landed
from .families import FAMILIES
from .kit import Kit, KitError

# The dictionary that stands in for one that is not published with its model.
STAND_IN_FIRST = 0x4E00
STAND_IN_CHARACTERS = 11_377


def covered(kit: Kit, name: str) -> bool:
    """Whether ``models/NAME`` belongs to a family that landed."""
    return landed.model_landed(kit.model(name)["model"])


def spec(kit: Kit, name: str, with_pipeline: bool = True, characters: Sequence[str] = ()) -> Spec:
    """The model of a config, through the config door.

    Args:
        kit: where the model is described.
        name: of the config.
        with_pipeline: together with the config's own test pipeline; False where only the network
            and the codec matter.
        characters: what the file holds that the config of a KIE model names.
    """
    model = with_stand_in(kit.model(name)["model"])
    if not with_pipeline:
        pipeline = FAMILIES[model["type"]].pipeline
    elif name in kit.pipelines:
        pipeline = kit.pipelines[name]
    else:
        raise KitError(f"preprocess/index.json names no pipeline of {name}")
    test: dict[str, Any] = {"pipeline": pipeline}
    with FAMILIES[model["type"]].stand_ins(model) as complete, tempfile.TemporaryDirectory() as tmp:
        if model["type"] == "SDMGR":
            path = Path(tmp) / "dict.txt"
            path.write_text("".join(f"{c}\n" for c in characters), encoding="utf-8")
            test["dict_file"] = str(path)
        return model_from_mmocr({"model": complete, "data": {"test": test}})


def with_stand_in(model: dict[str, Any]) -> dict[str, Any]:
    """A ``model`` dictionary in which a dictionary file that the kit describes becomes a list."""
    convertor = model.get("label_convertor") or {}
    if not str(convertor.get("dict_file")).startswith("stand_in/"):
        return model
    characters = [chr(STAND_IN_FIRST + i) for i in range(STAND_IN_CHARACTERS)]
    replaced = {key: value for key, value in convertor.items() if key != "dict_file"}
    return {**model, "label_convertor": {**replaced, "dict_list": characters}}


def network(described: Spec) -> nn.Module:
    """The network as constructed, in evaluation mode."""
    if isinstance(described, DetectorSpec):
        return build_network(described.network).eval()
    if isinstance(described, KieSpec):
        return SDMGR(described.network).eval()
    if isinstance(described, NerSpec):
        return BertSoftmax(described.network).eval()
    return build_recognizer(described.network).eval()


def recognizer_outputs(
    network: nn.Module, described: RecognizerSpec, images: Tensor, valid_ratios: Sequence[float]
) -> Tensor:
    """What the codec reads, (B, T, K), by the methods that prediction calls."""
    family = RECOGNIZERS[type(described.network)]
    ratios = torch.tensor(valid_ratios, dtype=torch.float32)
    with torch.inference_mode():
        inputs = (images, ratios) if family.masked else (images,)
        outputs = getattr(network, family.encode)(*inputs)
        if family.decode is None:
            return outputs
        found = outputs if isinstance(outputs, tuple) else (outputs,)
        return getattr(network, family.decode)(found, ratios)


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
