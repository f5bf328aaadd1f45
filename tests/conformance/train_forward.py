"""``train_forward/``: outputs, losses and gradients of whole networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from ocr_models.codecs.ctc import CTCCodec
from ocr_models.detection.dbnet import DBNet
from ocr_models.recognition.crnn import CRNN
from ocr_models.spec import RecognizerSpec
from ocrserve.train.objectives.crnn import CTCLoss, CTCLossConfig
from ocrserve.train.objectives.dbnet import DBLoss, DBLossConfig, make_targets

from . import formulas, networks
from .check import Check
from .forward import valid_ratios
from .kit import Arrays, Case, Kit, KitError, compare_flat
from .losses import ALLOWED_GRADIENT, compare_losses

Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``train_forward/index.json``."""
    index = kit.json("train_forward/index.json")
    for name in index:
        yield Case(name, partial(_compare, kit, index, name), partial(networks.covered, kit, name))


def _compare(kit: Kit, index: Mapping[str, Entry], name: str, check: Check) -> None:
    stored = name
    while "same_as" in index[stored]:
        stored = index[stored]["same_as"]
        if stored == name or stored not in index:
            raise KitError(f"same_as of {name} leads nowhere")
    entry, arrays = index[stored], kit.arrays(f"train_forward/{stored}.npz")
    described = networks.spec(kit, name, with_pipeline=False)
    network = networks.filled_network(described, entry.get("fill_seed", kit.seed))
    source = entry["input"]
    images = torch.from_numpy(formulas.tensor(source["shape"], source["seed"]))
    model = kit.model(name)["model"]
    with networks.one_thread():
        if isinstance(network, DBNet):
            losses = _dbnet(network, images, model, entry, arrays, check)
        else:
            assert isinstance(described, RecognizerSpec)
            codec = CTCCodec(described.codec)
            losses = _crnn(network, codec, images, model, entry, arrays, check)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
    compare_losses(check, losses, entry["losses"])
    compare_losses(check, {**losses, "loss": total}, entry["loss_log"])
    for key, expected in entry["grad_abs_sum"].items():
        gradient = network.get_parameter(key).grad
        assert gradient is not None
        check.relative(
            f"gradient of {key}", float(gradient.abs().sum()), expected, ALLOWED_GRADIENT
        )


def _loss_arguments(loss: Entry) -> dict[str, Any]:
    return {key: value for key, value in loss.items() if key != "type"}


def _dbnet(
    network: DBNet, images: Tensor, model: Entry, entry: Entry, arrays: Arrays, check: Check
) -> dict[str, Tensor]:
    maps = network(images)
    compare_flat(check, arrays, "head", torch.cat(maps, dim=1).detach().numpy())
    height, width = images.shape[-2:]
    targets = default_collate(
        [
            make_targets(content["polygons"], content["ignored"], height, width)
            for content in (entry[f"image{i}"] for i in range(len(images)))
        ]
    )
    loss = DBLoss(DBLossConfig(**_loss_arguments(model["bbox_head"]["loss"])))
    return loss(*maps, targets)


def _crnn(
    network: CRNN,
    codec: CTCCodec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    logits = network(images).logits
    compare_flat(check, arrays, "logits", logits.detach().numpy())
    encoded = codec.encode(entry["texts"])
    targets = np.split(encoded.classes, np.cumsum(encoded.lengths)[:-1])
    stored = entry["targets"]
    check.equal("targets", targets, stored["targets"])
    check.equal("flatten_targets", encoded.classes, stored["flatten_targets"])
    check.equal("target_lengths", encoded.lengths, stored["target_lengths"])
    loss = CTCLoss(CTCLossConfig(**_loss_arguments(model["loss"])))
    ratios = valid_ratios(entry["resize_widths"], images.shape[-1])
    return loss(logits, [torch.from_numpy(target) for target in targets], ratios)
