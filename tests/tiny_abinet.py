"""A small ABINet for tests: real input size, few channels."""

from __future__ import annotations

from dataclasses import replace

from ocr_models.codecs.abi import ABICodecConfig
from ocr_models.codecs.charsets import DICT36
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.abinet import (
    ABILanguageConfig,
    ABINet,
    ABINetConfig,
    ABIVisionConfig,
    ResNetABIConfig,
    TransformerConfig,
)
from ocr_models.spec import RecognizerSpec
from tests.conformance import formulas

LAYERS = TransformerConfig(layers=1, heads=4, channels=64, hidden=32)
SMALL = ABINetConfig(
    backbone=ResNetABIConfig(stem_channels=8, base_channels=4, blocks=(1, 1, 1, 1, 1)),
    vision=ABIVisionConfig(LAYERS, attention_channels=16),
    language=ABILanguageConfig(replace(LAYERS, layers=2)),
)
SMALL_VISION = replace(SMALL, language=None, iterations=1)
CODEC = ABICodecConfig(charset=DICT36, with_unknown=False, lower=True, max_seq_len=26)
CROPS = RecognitionPreprocessing(
    min_width=128,
    max_width=128,
    keep_aspect_ratio=False,
    color="bgr",
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
    unit_range=True,
    rotate_degrees=(0, 90, 270),
)


def filled(config: ABINetConfig, seed: int = 0) -> ABINet:
    """With weights by formula, in evaluation mode."""
    network = ABINet(config).eval()
    formulas.fill(network, seed)
    return network


def spec(config: ABINetConfig = SMALL) -> RecognizerSpec:
    """A recogniser with that network."""
    return RecognizerSpec(config, CROPS, CODEC)
