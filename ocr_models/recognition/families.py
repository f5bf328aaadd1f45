"""The recognisers that are served: one row per family.

To add one: its config to the union, and a row to ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ocr_models.codecs.abi import ABICodecConfig
from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.codecs.families import CodecConfig, build_codec
from ocr_models.codecs.segmentation import SegCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.recognition.abinet import ABINet, ABINetConfig
from ocr_models.recognition.crnn import CRNN, CRNNConfig
from ocr_models.recognition.master import MASTER, MASTERConfig
from ocr_models.recognition.nrtr import NRTR, NRTRConfig
from ocr_models.recognition.robust_scanner import RobustScanner, RobustScannerConfig
from ocr_models.recognition.sar import SAR, SARConfig
from ocr_models.recognition.satrn import SATRN, SATRNConfig
from ocr_models.recognition.segocr import SegOCR, SegOCRConfig

NetworkConfig = (
    ABINetConfig
    | CRNNConfig
    | MASTERConfig
    | NRTRConfig
    | RobustScannerConfig
    | SARConfig
    | SATRNConfig
    | SegOCRConfig
)


@dataclass(frozen=True)
class Family:
    """How one kind of recogniser works.

    Args:
        network: makes the network from its config.
        codec: the kind of codec that its outputs are for.
        encode: the network's method that prediction begins with: float32 images (B, C, H, W), and
            the valid ratios (B,) where ``masked``, to a tensor or a tuple of tensors, each with the
            batch first. It does the same steps for every image, so that runtimes other than PyTorch
            can learn it from an example.
        masked: whether ``encode`` needs to know which part of each line is not padding.
        decode: for recognisers that write character by character: the network's method that goes
            on, in PyTorch, from the tensors that ``encode`` gave and the valid ratios (B,) to
            outputs (B, T, K). None: ``encode`` gives the outputs.
        probabilities: whether the outputs are probabilities; else logits.
    """

    network: Callable[[Any], nn.Module]
    codec: type
    encode: str
    masked: bool = False
    decode: str | None = None
    probabilities: bool = False


FAMILIES: Mapping[type, Family] = {
    CRNNConfig: Family(CRNN, CTCCodecConfig, "logits"),
    ABINetConfig: Family(ABINet, ABICodecConfig, "encode"),
    RobustScannerConfig: Family(
        RobustScanner, AttentionCodecConfig, "encode", decode="decode", probabilities=True
    ),
    NRTRConfig: Family(
        NRTR, AttentionCodecConfig, "encode", masked=True, decode="decode", probabilities=True
    ),
    SATRNConfig: Family(
        SATRN, AttentionCodecConfig, "encode", masked=True, decode="decode", probabilities=True
    ),
    MASTERConfig: Family(MASTER, AttentionCodecConfig, "encode", decode="decode"),
    SARConfig: Family(SAR, AttentionCodecConfig, "encode", decode="decode", probabilities=True),
    SegOCRConfig: Family(SegOCR, SegCodecConfig, "class_map"),
}
"""By the network's config."""

# What a network and its codec must agree about, as far as both have it.
_SHARED = ("num_classes", "start_index", "end_index", "padding_index", "max_seq_len")


def build_network(config: NetworkConfig) -> nn.Module:
    """The network that a config describes, with weights as constructed."""
    return FAMILIES[type(config)].network(config)


def check_codec(network: NetworkConfig, codec: CodecConfig) -> None:
    """Raises ``ConfigError`` unless the codec reads what the network gives."""
    expected = FAMILIES[type(network)].codec
    if type(codec) is not expected:
        raise ConfigError(
            f"{type(network).__name__} needs a codec of the kind {expected.__name__}, "
            f"got {type(codec).__name__}"
        )
    built = build_codec(codec)
    for name in _SHARED:
        own, other = getattr(network, name, None), getattr(built, name, getattr(codec, name, None))
        if own is not None and other is not None and own != other:
            raise ConfigError(
                f"the network has {name} {own}, but its dictionary gives {other}; take the one it "
                "was trained with"
            )
