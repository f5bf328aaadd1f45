"""CRNN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.codecs.ctc import CTCCodec, CTCCodecConfig
from ocr_models.recognition.crnn import CRNN
from ocr_models.spec import RecognizerSpec, Spec
from ocrserve.train.objectives.crnn import CTCLoss, CTCLossConfig

from ..check import Check
from ..kit import Arrays, compare_flat, compare_forward
from .family import Entry, Family, loss_arguments
from .recognition import amplify_decoder, compare_reading, valid_ratios


@contextmanager
def _sums_of_mmocr(described: RecognizerSpec) -> Iterator[None]:
    """oneDNN's convolutions where crops are straightened, as when the kit was made.

    A spline's float32 sums cancel: fiducial points that differ in the last bit move its grid by
    5e-5, which noise for a crop and random weights make a hundred times what may differ. Processors
    without AVX-512 add up in another order and cannot reproduce these cases.
    """
    enabled = torch.backends.mkldnn.enabled
    if getattr(described.network, "preprocessor", None) is not None:
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]  # typed as its descriptor
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled  # type: ignore[assignment]


def _forward(
    network: nn.Module, described: Spec, images: Tensor, arrays: Arrays, check: Check
) -> None:
    assert isinstance(network, CRNN)
    assert isinstance(described, RecognizerSpec)
    amplify_decoder(network)
    with _sums_of_mmocr(described):
        output = network(images)
    compare_forward(check, arrays, "feat", output.features.numpy())
    compare_forward(check, arrays, "decoder", output.logits.numpy())
    ratios = valid_ratios(arrays["resize_widths"].tolist(), images.shape[-1])
    compare_reading(check, described, output.logits.numpy(), ratios, arrays)


def _train_forward(
    network: nn.Module,
    described: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, CRNN)
    assert isinstance(described, RecognizerSpec)
    assert isinstance(described.codec, CTCCodecConfig)
    with _sums_of_mmocr(described):
        logits = network(images).logits
    compare_flat(check, arrays, "logits", logits.detach().numpy())
    encoded = CTCCodec(described.codec).encode(entry["texts"])
    targets = np.split(encoded.classes, np.cumsum(encoded.lengths)[:-1])
    stored = entry["targets"]
    check.equal("targets", targets, stored["targets"])
    check.equal("flatten_targets", encoded.classes, stored["flatten_targets"])
    check.equal("target_lengths", encoded.lengths, stored["target_lengths"])
    loss = CTCLoss(CTCLossConfig(**loss_arguments(model["loss"])))
    ratios = valid_ratios(entry["resize_widths"], images.shape[-1])
    return loss(logits, [torch.from_numpy(target) for target in targets], ratios)


def _losses(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    # "recog.npz (ctc_long*)" names other texts than the usual ones.
    prefix = remark.strip("(*)") or "ctc_target"
    texts = [torch.from_numpy(arrays[f"{prefix}{i}"]) for i in range(len(logits))]
    loss = CTCLoss(CTCLossConfig(**entry["args"]))
    return {"logits": logits}, loss(logits, texts, entry.get("valid_ratio"))


CRNN_FAMILY = Family(
    model_type="CRNNNet",
    part_types={
        "preprocessor": (None, "TPSPreprocessor"),
        "backbone": ("VeryDeepVgg",),
        "encoder": (None,),
        "decoder": ("CRNNDecoder",),
    },
    pipeline=[
        {"type": "LoadImageFromFile", "color_type": "grayscale"},
        {"type": "ResizeOCR", "height": 32, "min_width": 32, "max_width": None},
        {"type": "Normalize", "mean": [127], "std": [127]},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["resize_shape", "valid_ratio"]},
    ],
    forward=_forward,
    train_forward=_train_forward,
    losses={"CTCLoss": _losses},
)
