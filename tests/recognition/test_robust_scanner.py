"""RobustScanner: writing, masks, and what its config door refuses."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.plain_decoding import plain_robust_scanner
from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.robust_scanner import RobustScanner, RobustScannerConfig
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.recognition.writers import (
    CLASSES,
    MAX_SEQ_LEN,
    RATIOS,
    SMALL_BACKBONE,
    assert_alone_as_together,
    assert_says_the_same_when_told,
    assert_written_as_plain,
    lines,
    lively,
    up_to_the_ends,
)

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "textrecog" / "robust_scanner" / "robustscanner_r31_academic.py"
SMALL = replace(RobustScannerConfig(SMALL_BACKBONE, model_channels=16), **CLASSES)
CONFIGS = {
    "plain": SMALL,
    "values reduced": replace(SMALL, values_reduced=True),
    "unmasked": replace(SMALL, masked=False),
    "more layers": replace(SMALL, hybrid_layers=3, position_layers=1),
}


def test_sweep_size() -> None:
    assert len(CONFIGS) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_writes_as_the_plain_way_does(name: str) -> None:
    network, encoded, plain = lively(lambda: RobustScanner(CONFIGS[name]), plain_robust_scanner)
    assert_written_as_plain(network, encoded, plain, network.decoder.prediction)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_line_does_not_depend_on_its_neighbours(name: str) -> None:
    network, encoded, _ = lively(lambda: RobustScanner(CONFIGS[name]), plain_robust_scanner)
    assert_alone_as_together(network, encoded)


@pytest.mark.parametrize("name", CONFIGS)
def test_told_its_own_text_it_says_the_same(name: str) -> None:
    network, _, plain = lively(lambda: RobustScanner(CONFIGS[name]), plain_robust_scanner)
    assert_says_the_same_when_told(network, plain)


def test_padding_is_not_looked_at() -> None:
    network, encoded, plain = lively(lambda: RobustScanner(SMALL), plain_robust_scanner)
    changed = tuple(part.clone() for part in encoded)
    for i, ratio in enumerate(RATIOS.tolist()):
        first = int(np.ceil(changed[0].shape[2] * ratio - 1e-3))
        for part in changed:
            part[i, :, first:] = 100
    with torch.inference_mode():
        written = network.decode(changed, RATIOS)
    torch.testing.assert_close(written, up_to_the_ends(plain), rtol=1e-3, atol=1e-4)


def test_gradients_reach_everything() -> None:
    network = RobustScanner(SMALL)
    targets = torch.tensor([[10, 1, 2, 10, 11], [10, 3, 10, 11, 11]])
    logits = network.teacher_forced(lines()[:2], targets, RATIOS[:2])
    assert logits.shape == (2, 5, 11)
    logits.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() or name.endswith("mixer.2.bias"), name


def test_longer_targets_than_positions() -> None:
    targets = torch.zeros(1, MAX_SEQ_LEN + 1, dtype=torch.long)
    with pytest.raises(ValueError, match="targets of 13 classes; the network has positions for 12"):
        RobustScanner(SMALL).teacher_forced(lines()[:1], targets, RATIOS[:1])


# --- the config door ---------------------------------------------------------------------------


def model() -> dict[str, Any]:
    return copy.deepcopy(load_config(CONFIG))


def test_the_academic_config() -> None:
    config = model()
    spec = model_from_mmocr(config)
    assert spec.network == RobustScannerConfig(ResNet31Config(), max_seq_len=30)
    # What MMOCR hands down to the inner decoders counts, whatever they say themselves.
    config["model"]["decoder"]["hybrid_decoder"].update(dim_model=7, max_seq_len=3, mask=False)
    config["model"]["decoder"]["position_decoder"].update(dim_input=7, encode_value=True)
    assert model_from_mmocr(config) == spec
    config["model"]["decoder"]["hybrid_decoder"].update(rnn_layers=3, dropout=0.5)
    config["model"]["decoder"]["position_decoder"].update(rnn_layers=1)
    config["model"]["decoder"].update(encode_value=True, mask=False)
    assert model_from_mmocr(config).network == RobustScannerConfig(
        hybrid_layers=3,
        hybrid_dropout=0.5,
        position_layers=1,
        values_reduced=True,
        masked=False,
        max_seq_len=30,
    )


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("encoder", {"in_channels": 256}, r"encoder\.in_channels is 256, .* has 512"),
    ("encoder", {"out_channels": 64}, r"encoder\.out_channels is 64, .* has 128"),
    ("decoder", {"dim_input": 64}, r"decoder\.dim_input is 64, .* has 512"),
    ("decoder", {"rnn_layers": 2}, "nothing reads 'rnn_layers'"),
    ("decoder", {"hybrid_decoder": {"type": "PositionAttentionDecoder"}}, "hybrid_decoder.type"),
    (
        "decoder",
        {"position_decoder": {"type": "PositionAttentionDecoder", "dropout": 0.1}},
        "nothing reads 'dropout'",
    ),
    (
        "decoder",
        {"position_decoder": {"type": "PositionAttentionDecoder", "rnn_layers": 0}},
        "must be at least 1",
    ),
]


@pytest.mark.parametrize(("part", "changes", "message"), REFUSED)
def test_refused(part: str, changes: dict[str, Any], message: str) -> None:
    config = model()
    config["model"][part].update(changes)
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


# --- the whole way -----------------------------------------------------------------------------


def small_spec(config: RobustScannerConfig) -> RecognizerSpec:
    preprocessing = RecognitionPreprocessing(max_width=96, rotate_degrees=(0, 90, 270))
    codec = AttentionCodecConfig("abcdefghi", max_seq_len=MAX_SEQ_LEN)
    return RecognizerSpec(config, preprocessing, codec)


@pytest.mark.parametrize("name", CONFIGS)
def test_survives_json(name: str) -> None:
    spec = small_spec(CONFIGS[name])
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
def test_reads_in_every_runtime(kind: str) -> None:
    pytest.importorskip(kind)
    network, _, _ = lively(lambda: RobustScanner(SMALL), plain_robust_scanner)
    crops = [formulas.image(height, width, 3) for height, width in ((32, 90), (20, 31), (60, 20))]
    plain, other = (
        TextRecognizer(
            small_spec(SMALL),
            network.state_dict(),
            RuntimeOptions(kind=each, device="cpu", precision="float32"),  # type: ignore[arg-type]
        ).predict(crops)
        for each in ("torch", kind)
    )
    assert [result.text for result in other] == [result.text for result in plain]
    for ours, theirs in zip(other, plain, strict=True):
        assert ours.char_scores == pytest.approx(theirs.char_scores, abs=5e-3)
        assert ours.rotation == theirs.rotation
