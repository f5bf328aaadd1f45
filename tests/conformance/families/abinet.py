"""ABINet and ABINet-Vision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_models.recognition.abinet import ABINet
from ocr_models.spec import RecognizerSpec, Spec
from ocrserve.train.objectives.abinet import ABILoss, ABILossConfig, ABINetObjective
from ocrserve.train.objectives.lines import RecognitionBatch

from ..check import Check
from ..kit import Arrays, compare_flat, compare_forward
from .family import Entry, Family, loss_arguments
from .recognition import amplify_decoder, compare_reading, valid_ratios


def _forward(
    network: nn.Module, described: Spec, images: Tensor, arrays: Arrays, check: Check
) -> None:
    assert isinstance(network, ABINet)
    assert isinstance(described, RecognizerSpec)
    amplify_decoder(network)
    output = network(images)
    compare_forward(check, arrays, "feat", output.features.numpy())
    compare_forward(check, arrays, "encoder_feature", output.vision.features.numpy())
    compare_forward(check, arrays, "encoder_logits", output.vision.logits.numpy())
    compare_forward(check, arrays, "encoder_attn_scores", output.vision.attention.numpy())
    check.equal("has a language model", bool(output.fused_logits), "fuser_logits" in arrays)
    if output.fused_logits:
        compare_forward(check, arrays, "decoder_logits", output.language_logits[-1].numpy())
        compare_forward(check, arrays, "fuser_logits", output.fused_logits[-1].numpy())
    ratios = valid_ratios(arrays["resize_widths"].tolist(), images.shape[-1])
    compare_reading(check, described, network.encode(images).numpy(), ratios, arrays)


def _train_forward(
    network: nn.Module,
    described: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, ABINet)
    assert isinstance(described, RecognizerSpec)
    with torch.no_grad():
        output = network(images)
    compare_flat(check, arrays, "encoder_logits", output.vision.logits.numpy())
    iterations = sum(name.startswith("fuser_logits") for name in arrays)
    check.equal("iterations", len(output.fused_logits), iterations)
    for i in range(min(iterations, len(output.fused_logits))):
        compare_flat(check, arrays, f"decoder_logits{i}", output.language_logits[i].numpy())
        compare_flat(check, arrays, f"fuser_logits{i}", output.fused_logits[i].numpy())
    objective = ABINetObjective.from_model(described, model)
    encoded = objective.codec.encode(entry["texts"])
    stored = entry["targets"]
    check.equal("targets", [own.tolist() for own in encoded.classes], stored["targets"])
    check.equal("padded_targets", encoded.padded, stored["padded_targets"])
    ratios = valid_ratios(entry["resize_widths"], images.shape[-1])
    return objective.losses(network, RecognitionBatch(images, list(entry["texts"]), ratios))


def _losses(
    arrays: Arrays, entry: Entry, remark: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    names = ["logits", *(f"abi_logits{i}" for i in range(4))]
    inputs = [torch.from_numpy(arrays[name]).requires_grad_() for name in names]
    targets = [torch.from_numpy(arrays[f"abi_target{i}"]) for i in range(len(inputs[0]))]
    modules = entry["modules"]
    language = inputs[1:3] if "d" in modules else []
    fused = inputs[3:] if "f" in modules else []
    loss = ABILoss(ABILossConfig(**loss_arguments(entry["args"])))
    by_name = {f"l{i}": value for i, value in enumerate(inputs)}
    return by_name, loss(inputs[0], language, fused, targets)


ABINET_FAMILY = Family(
    model_type="ABINet",
    part_types={
        "preprocessor": (None,),
        "backbone": ("ResNetABI",),
        "encoder": ("ABIVisionModel",),
        "decoder": (None, "ABILanguageDecoder"),
        "fuser": (None, "ABIFuser"),
    },
    pipeline=[
        {"type": "LoadImageFromFile"},
        {
            "type": "ResizeOCR",
            "height": 32,
            "min_width": 128,
            "max_width": 128,
            "keep_aspect_ratio": False,
        },
        {"type": "ToTensorOCR"},
        {"type": "NormalizeOCR", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["resize_shape", "valid_ratio"]},
    ],
    forward=_forward,
    train_forward=_train_forward,
    losses={"ABILoss": _losses},
)
