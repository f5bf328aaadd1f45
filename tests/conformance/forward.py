"""``forward/``: outputs of every network in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from ocr_models.codecs.ctc import CTCCodec
from ocr_models.detection.dbnet import DBNet
from ocr_models.recognition.crnn import CRNN
from ocr_models.spec import RecognizerSpec

from . import formulas, networks
from .check import Check
from .kit import Arrays, Case, Kit, KitError, compare_forward

ALLOWED_INPUT_SUM = 1e-6
ALLOWED_SCORE = 1e-3


def cases(kit: Kit) -> Iterator[Case]:
    """One case per config that ``models/`` or ``forward/`` names."""
    names = {*kit.stems("models", ".json.gz"), *kit.stems("forward", ".npz")}
    if not names:
        raise KitError("forward/ holds no NAME.npz")
    for name in sorted(names):
        yield Case(name, partial(_compare, kit, name), partial(networks.covered, kit, name))


def _compare(kit: Kit, name: str, check: Check) -> None:
    arrays = kit.arrays(f"forward/{name}.npz")
    described = networks.spec(kit, name, with_pipeline=False)
    network = networks.filled_network(described, int(arrays["fill_seed"]))
    images = formulas.tensor(arrays["input__shape"].tolist(), int(arrays["input_seed"]))
    total = float(images.astype(np.float64).sum())
    check.relative("input sum", total, float(arrays["input__sum"]), ALLOWED_INPUT_SUM)
    with torch.inference_mode(), networks.one_thread():
        if isinstance(network, DBNet):
            _compare_dbnet(network, torch.from_numpy(images), arrays, check)
        else:
            assert isinstance(described, RecognizerSpec)
            codec = CTCCodec(described.codec)
            _compare_crnn(network, codec, torch.from_numpy(images), arrays, check)


def _compare_dbnet(network: DBNet, images: torch.Tensor, arrays: Arrays, check: Check) -> None:
    levels = network.backbone(images)
    compare_forward(check, arrays, "backbone_last", levels[-1].numpy())
    maps = torch.cat(network(images), dim=1).numpy()
    # Our head gives its three maps in either mode, so both stored outputs are this one.
    for name in ("head", "head_train"):
        compare_forward(check, arrays, name, maps)


def _compare_crnn(
    network: CRNN, codec: CTCCodec, images: torch.Tensor, arrays: Arrays, check: Check
) -> None:
    networks.amplify_decoder(network)
    output = network(images)
    compare_forward(check, arrays, "feat", output.features.numpy())
    compare_forward(check, arrays, "decoder", output.logits.numpy())
    read = codec.decode(
        output.logits.numpy(), valid_ratios(arrays["resize_widths"].tolist(), images.shape[-1])
    )
    check.equal("texts", [result.text for result in read], arrays["texts"])
    # The mean over the characters' scores, while a result's own score is per letter of its text.
    scores = [float(np.mean(result.char_scores or (0.0,))) for result in read]
    check.array("scores", scores, arrays["scores"], ALLOWED_SCORE)


def valid_ratios(widths_px: Sequence[int], tensor_width_px: int) -> list[float]:
    """Share of each line's tensor that is not padding."""
    return [min(1.0, width / tensor_width_px) for width in widths_px]
