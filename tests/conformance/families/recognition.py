"""What all recognisers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_models.codecs.families import build_codec
from ocr_models.recognition.families import FAMILIES
from ocr_models.spec import RecognizerSpec, Spec
from ocrserve.train.objectives.lines import RecognitionBatch
from ocrserve.train.objectives.sequence import LOSSES, SequenceObjective, sequence_loss

from ..check import Check
from ..kit import Arrays, compare_flat, compare_forward
from .family import Entry, Forward, loss_arguments

ALLOWED_SCORE = 1e-3


def valid_ratios(widths_px: Sequence[int], tensor_width_px: int) -> list[float]:
    """Share of each line's tensor that is not padding."""
    return [min(1.0, width / tensor_width_px) for width in widths_px]


def amplify_decoder(module: nn.Module) -> None:
    """Five times the decoder's matrices, which makes texts of random weights less uniform."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("decoder.") and parameter.dim() >= 2:
                parameter.mul_(5)


@contextmanager
def another_order() -> Iterator[None]:
    """Inside ``networks.one_thread``: sums in oneDNN's order, which shows what rounding does."""
    torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]


def compare_writing(
    check: Check, arrays: Arrays, name: str, got: NDArray[np.floating], again: NDArray[np.floating]
) -> None:
    """What a decoder writes by itself: probabilities (B, T, K).

    The amplified weights make steep decoders, which turn the last digits of features into more than
    1e-3 of the probabilities' spread. ``again`` is what the network gives with its sums in another
    order; stored numbers may be three times as far away as the two are from each other. Behind a
    line's end there is nothing to compare.
    """
    check.equal(f"{name} shape", got.shape, arrays.get(f"{name}__shape", arrays[name].shape))
    step = int(arrays.get(f"{name}__step", 1))
    written = np.broadcast_to(got.any(axis=-1, keepdims=True), got.shape).ravel()[::step]
    expected = arrays[name].ravel()[written]
    scale = float(expected.std()) or 1.0
    ours, other = (values.ravel()[::step][written] for values in (got, again))
    rounding = float(np.abs(ours - other).max()) / scale
    check.array(name, ours, expected, max(1e-3, 3 * rounding), scale)


def compare_reading(
    check: Check,
    described: RecognizerSpec,
    outputs: NDArray[np.floating],
    ratios: Sequence[float],
    arrays: Arrays,
) -> None:
    """Texts of what a network gave, and the means of their characters' scores."""
    probabilities = FAMILIES[type(described.network)].probabilities
    read = build_codec(described.codec).decode(outputs, ratios, probabilities=probabilities)
    check.equal("texts", [result.text for result in read], arrays["texts"])
    # The mean over the characters' scores, while a result's own score is per letter of its text.
    scores = [float(np.mean(result.char_scores or (0.0,))) for result in read]
    check.array("scores", scores, arrays["scores"], ALLOWED_SCORE)


def writing_forward(
    encoder: str | None, written: str = "probabilities", masked: bool = True
) -> Forward:
    """Compares features, what decoding begins with, and what is written.

    Args:
        encoder: field of the network's output that the kit calls ``encoder``; None: it has none.
        written: field of what the decoder writes.
        masked: whether the network takes valid ratios.
    """

    def compare(
        network: nn.Module, described: Spec, images: Tensor, arrays: Arrays, check: Check
    ) -> None:
        assert isinstance(described, RecognizerSpec)
        amplify_decoder(network)
        ratios = valid_ratios(arrays["resize_widths"].tolist(), images.shape[-1])
        inputs = (images, torch.tensor(ratios)) if masked else (images,)
        output = network(*inputs)
        compare_forward(check, arrays, "feat", output.features.numpy())
        if encoder is not None:
            compare_forward(check, arrays, "encoder", getattr(output, encoder).numpy())
        got = getattr(output, written).numpy()
        with another_order():
            again = getattr(network(*inputs), written).numpy()
        compare_writing(check, arrays, "decoder", got, again)
        compare_reading(check, described, got, ratios, arrays)

    return compare


def sequence_train_forward(
    network: nn.Module,
    described: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    """Targets, teacher-forced logits and losses of a network that writes character by character."""
    assert isinstance(described, RecognizerSpec)
    objective = SequenceObjective.from_model(described, model)
    encoded = objective.codec.encode(entry["texts"])
    stored = entry["targets"]
    check.equal("targets", [own.tolist() for own in encoded.classes], stored["targets"])
    check.equal("padded_targets", encoded.padded, stored["padded_targets"])
    ratios = torch.tensor(valid_ratios(entry["resize_widths"], images.shape[-1]))
    targets = torch.from_numpy(encoded.padded)
    logits = network.teacher_forced(images, targets, ratios)  # type: ignore[operator]
    compare_flat(check, arrays, "logits", logits.detach().numpy())
    batch = RecognitionBatch(images, list(entry["texts"]), ratios.tolist())
    total = sum(objective.losses(network, batch).values())
    losses = sequence_loss(objective.loss, logits, targets, objective.codec.padding_index)
    check.number("mean loss", float(total.detach()), float(losses["loss_ce"].detach().mean()), 1e-5)
    return losses


def sequence_losses(
    arrays: Arrays, entry: Mapping[str, Any], remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Cases of ``CELoss``, ``SARLoss`` and ``TFLoss``."""
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    targets = torch.from_numpy(arrays["padded_targets"])
    arguments = dict(entry["args"])
    ignore_index = arguments.pop("ignore_index")
    config = LOSSES[entry["type"]](**loss_arguments(arguments))
    return {"logits": logits}, sequence_loss(config, logits, targets, ignore_index)


def line_pipeline(height: int, max_width: int) -> Sequence[Mapping[str, Any]]:
    """A test pipeline that makes lines of one size, in pixels."""
    resize = {"type": "ResizeOCR", "height": height, "min_width": height, "max_width": max_width}
    return [
        {"type": "LoadImageFromFile"},
        {
            "type": "MultiRotateAugOCR",
            "rotate_degrees": [0, 90, 270],
            "transforms": [
                resize,
                {"type": "ToTensorOCR"},
                {"type": "NormalizeOCR", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
                {"type": "Collect", "keys": ["img"], "meta_keys": ["resize_shape", "valid_ratio"]},
            ],
        },
    ]


SAR_PIPELINE = line_pipeline(height=48, max_width=160)

SEQUENCE_LOSSES = dict.fromkeys(LOSSES, sequence_losses)
