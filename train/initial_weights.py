"""Weights that a training starts from: a whole checkpoint, or parts that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError
from ocr_models.ner.bert_softmax import BertSoftmax, from_hugging_face
from ocr_models.weights import load_state_dict

_SHOWN = 5

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class PretrainedPart:
    """A part of the model whose weights come from a file (mmcv's ``init_cfg``).

    Args:
        path: of the part in the network, e.g. ``"backbone"``; empty for the whole network.
        checkpoint: file or address.
        prefix: what the part is called in the file, without a final dot; empty where the file holds
            the part alone.
    """

    path: str
    checkpoint: str
    prefix: str = ""

    @property
    def name(self) -> str:
        """What the config calls the part."""
        return f"model.{self.path}" if self.path else "model"


def _as_they_are(network: nn.Module, weights: Weights, source: str) -> Weights:
    return weights


def _of_bert(network: nn.Module, weights: Weights, source: str) -> Weights:
    assert isinstance(network, BertSoftmax)
    return from_hugging_face(weights, network.config.encoder, source)


@dataclass(frozen=True)
class Pretraining:
    """What files with weights from elsewhere look like for a kind of network.

    Args:
        part: which they usually fill, and then completely.
        may_lack: weights with this in their names may be missing all the same.
        named: network, weights of a file and its name to the weights under the network's names.
    """

    part: str
    may_lack: str
    named: Callable[[nn.Module, Weights, str], Weights]


# Offsets of deformable convolutions start at zero.
IMAGES = Pretraining("backbone", "conv_offset", _as_they_are)
# Nothing reads BERT's pooler.
TEXTS = Pretraining("encoder", ".pooler.", _of_bert)


def _pretraining_of(model: Mapping[str, Any]) -> Pretraining:
    return TEXTS if model.get("type") == "NerClassifier" else IMAGES


def start(network: nn.Module, model: Mapping[str, Any], load_from: str | None = None) -> list[str]:
    """Put the weights that a config names into the network, as far as names and shapes fit.

    Those of ``load_from`` go first; what it leaves open comes from the parts' own files
    (``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)``). ``torchvision://NAME`` and
    addresses are taken from PyTorch's download cache when they are there; nothing is downloaded.

    Args:
        network: changed in place.
        model: the config's ``model`` dictionary.
        load_from: a checkpoint, MMOCR's or ours.

    Returns:
        Notes on what has no counterpart and keeps its random start.

    Raises:
        ConfigError: a file is missing, or nothing of it fits; or it leaves a backbone incomplete.
    """
    notes: list[str] = []
    filled: set[str] = set()
    pretraining = _pretraining_of(model)
    if load_from is not None:
        filled |= _start_whole(network, load_from, pretraining, notes)
    for part in pretrained_parts(model):
        filled |= _start_part(network, part, pretraining, filled, notes)
    if load_from is not None:
        own = _weights(network)
        left = [name for name in own if name not in filled]
        if left:
            notes.append(
                f"{len(left)} of {len(own)} weights start at random: {_summary(left, own)}"
            )
    return notes


def pretrained_parts(model: Mapping[str, Any]) -> list[PretrainedPart]:
    """The parts of a ``model`` dictionary that name a file, outer ones first.

    MMOCR's older key ``pretrained`` names the file of a recogniser, of a detector's backbone, or of
    BERT.

    Raises:
        ConfigError: a part names no file.
    """
    found = list(_parts(model, ""))
    if model.get("pretrained"):
        pretraining = _pretraining_of(model)
        whole = pretraining is IMAGES and "label_convertor" in model
        found.insert(0, PretrainedPart("" if whole else pretraining.part, model["pretrained"]))
    return found


def _parts(section: Mapping[str, Any], path: str) -> Iterator[PretrainedPart]:
    settings = section.get("init_cfg") or ()
    for entry in (settings,) if isinstance(settings, Mapping) else settings:
        if entry.get("type") == "Pretrained":
            if not isinstance(entry.get("checkpoint"), str):
                section_name = f"model.{path}" if path else "model"
                raise ConfigError(f"{section_name}.init_cfg: Pretrained needs checkpoint, a file")
            prefix = str(entry.get("prefix") or "").removesuffix(".")
            yield PretrainedPart(path, entry["checkpoint"], prefix)
    for key, value in section.items():
        if key != "init_cfg" and isinstance(value, Mapping):
            yield from _parts(value, f"{path}.{key}" if path else key)


def _start_whole(
    network: nn.Module, source: str, pretraining: Pretraining, notes: list[str]
) -> set[str]:
    path = _local_file(source)
    if path is None:
        raise ConfigError(f"load_from {source}: there is no such file{_how_to_get(source)}")
    fitting, remarks = _load_fitting(
        network, pretraining.named(network, load_state_dict(path), source)
    )
    if not fitting:
        raise ConfigError(f"load_from {source}: none of its weights fit this network")
    notes += [f"load_from {source}: {remark}" for remark in remarks]
    return fitting


def _start_part(
    network: nn.Module,
    part: PretrainedPart,
    pretraining: Pretraining,
    filled: Collection[str],
    notes: list[str],
) -> set[str]:
    """Fill what is still open of one part; returns names in the network."""
    try:
        module = network.get_submodule(part.path)
    except AttributeError as error:
        raise ConfigError(
            f"{part.name}.init_cfg names {part.checkpoint}, but the network has no part of "
            "that name"
        ) from error
    start = f"{part.path}." if part.path else ""
    open_names = [name for name in _weights(module) if start + name not in filled]
    if not open_names:
        return set()
    path = _local_file(part.checkpoint)
    if path is None:
        notes.append(
            f"{part.name} starts at random: {part.checkpoint} is not on this machine"
            f"{_how_to_get(part.checkpoint)}"
        )
        return set()
    given: Weights = load_state_dict(path)
    if part.prefix:
        given = {
            key.removeprefix(f"{part.prefix}."): value
            for key, value in given.items()
            if key.startswith(f"{part.prefix}.")
        }
    given = pretraining.named(network, given, str(path))
    given = {key.removeprefix(start): value for key, value in given.items()}
    kept = {key: value for key, value in given.items() if start + key not in filled}
    fitting, remarks = _load_fitting(module, kept)
    left = [key for key in open_names if key not in fitting and pretraining.may_lack not in key]
    if not fitting or (left and part.path == pretraining.part):
        where = f" under {part.prefix!r}" if part.prefix else ""
        raise ConfigError(
            f"{path}{where} does not fit {part.name}: {len(left)} weights have no counterpart, "
            f"e.g. {_few(left)}" + "".join(f"; {remark}" for remark in remarks)
        )
    if left:
        shown = _summary(left, _weights(module))
        notes.append(f"{path}: {len(left)} weights of {part.name} start at random: {shown}")
        notes += [f"{path}: {remark}" for remark in remarks]
    return {start + key for key in fitting}


def _load_fitting(module: nn.Module, given: Weights) -> tuple[set[str], list[str]]:
    """Loads what fits.

    Returns:
        The names of what did, and remarks about what is in the file but did not.
    """
    own = module.state_dict()
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and own[name].shape == value.shape
    }
    module.load_state_dict(fitting, strict=False)
    reshaped = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in given.items()
        if name in own and name not in fitting
    ]
    unused = [name for name in given if name not in own and not _is_counter(name)]
    remarks = []
    if reshaped:
        remarks.append(f"{len(reshaped)} weights have another shape: {_few(reshaped)}")
    if unused:
        remarks.append(
            f"{len(unused)} of its weights have no place in this network: {_summary(unused, given)}"
        )
    return set(fitting), remarks


def _weights(module: nn.Module) -> list[str]:
    """Names of all weights; the counters of batch normalisation may be missing in a file."""
    return [name for name in module.state_dict() if not _is_counter(name)]


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"


def _summary(names: Collection[str], all_names: Collection[str]) -> str:
    """The names, those of a part that is concerned as a whole in one."""
    whole: list[str] = []
    single: list[str] = []
    for part in dict.fromkeys(name.partition(".")[0] for name in names):
        own = [name for name in names if name.partition(".")[0] == part]
        total = sum(name.partition(".")[0] == part and not _is_counter(name) for name in all_names)
        if len(own) == total > 1:
            whole.append(f"all {total} of {part}")
        else:
            single += own
    return ", ".join([*whole, *([_few(single)] if single else [])])


def _few(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _local_file(checkpoint: str) -> Path | None:
    if checkpoint.startswith("torchvision://"):
        name = checkpoint.removeprefix("torchvision://")
        return next(iter(sorted(_cache().glob(f"{name}-*.pth"))), None)
    if "://" in checkpoint:
        cached = _cache() / checkpoint.rsplit("/", 1)[-1]
        return cached if cached.is_file() else None
    return Path(checkpoint) if Path(checkpoint).is_file() else None


def _how_to_get(checkpoint: str) -> str:
    if "://" not in checkpoint:
        return ""
    return f"; download it into {_cache()}, or name a file"


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"
