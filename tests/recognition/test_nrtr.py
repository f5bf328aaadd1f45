"""NRTR, and SATRN, whose decoder it is: decoding, masks, and what the config doors refuse."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.plain_decoding import plain_nrtr
from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.codecs.charsets import DICT36, DICT90
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.attention import AttentionConfig
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.nrtr import (
    NRTR,
    ModalityTransformConfig,
    NRTRConfig,
    NRTRDecoderConfig,
    NRTREncoderConfig,
)
from ocr_models.recognition.satrn import (
    SATRN,
    SATRNConfig,
    SATRNEncoderConfig,
    ShallowCNNConfig,
)
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.recognition.writers import (
    CLASSES,
    END,
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

CONFIGS = Path(__file__).parents[2] / "configs" / "textrecog"
Network = NRTR | SATRN

# Keys and values of different sizes, neither of which is a part of D.
ATTENTION = AttentionConfig(channels=12, heads=3, key_channels=5, value_channels=6, dropout=0.1)
DECODER = NRTRDecoderConfig(
    layers=2,
    attention=ATTENTION,
    inner_channels=9,
    positions=20,
    num_classes=CLASSES["num_classes"],
    start_index=CLASSES["start_index"],
    end_index=END,
    max_seq_len=MAX_SEQ_LEN,
)
SMALL: dict[str, NRTRConfig | SATRNConfig] = {
    "nrtr": NRTRConfig(SMALL_BACKBONE, NRTREncoderConfig(2, ATTENTION, 7), DECODER),
    "nrtr, coarser": NRTRConfig(
        replace(SMALL_BACKBONE, last_stage_pool=True), NRTREncoderConfig(1, ATTENTION, 7), DECODER
    ),
    "satrn": SATRNConfig(
        ShallowCNNConfig(1, 12), SATRNEncoderConfig(2, ATTENTION, 10, positions=40), DECODER
    ),
}


def make(name: str) -> Network:
    config = SMALL[name]
    return NRTR(config) if isinstance(config, NRTRConfig) else SATRN(config)


def small(name: str) -> tuple[Any, tuple[torch.Tensor, ...], torch.Tensor]:
    return lively(lambda: make(name), plain_nrtr, masked=True)


def test_sweep_size() -> None:
    assert len(SMALL) == 3


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_writes_as_the_plain_way_does(name: str) -> None:
    network, encoded, plain = small(name)
    assert_written_as_plain(network, encoded, plain, network.decoder.layer_norm)


@pytest.mark.parametrize("name", SMALL)
def test_a_line_does_not_depend_on_its_neighbours(name: str) -> None:
    network, encoded, _ = small(name)
    assert_alone_as_together(network, encoded)


@pytest.mark.parametrize("name", SMALL)
def test_told_its_own_text_it_says_the_same(name: str) -> None:
    network, _, plain = small(name)
    assert_says_the_same_when_told(network, plain)


@pytest.mark.parametrize("name", SMALL)
def test_the_flattened_map_is_looked_at_up_to_its_valid_share(name: str) -> None:
    network, (encoded,), plain = small(name)
    hidden = encoded.clone()
    cells = encoded.shape[1]
    for row, ratio in zip(hidden, RATIOS.tolist(), strict=True):
        row[math.ceil(cells * ratio - 1e-3) :] = 100
    with torch.inference_mode():
        written = network.decode((hidden,), RATIOS)
    torch.testing.assert_close(written, up_to_the_ends(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_writes_under_autocast(name: str) -> None:
    """In bfloat16 probabilities stay near; steep weights amplify what is rounded, so plain ones."""
    network = make(name).eval()
    formulas.fill(network, 0)
    with torch.inference_mode():
        encoded = (network.encode(lines(), RATIOS),)
        exact = network.decode(encoded, RATIOS)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network.decode(encoded, RATIOS)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded[:, 0], exact[:, 0], rtol=0.1, atol=0.01)


def test_gradients_reach_everything() -> None:
    targets = torch.tensor([[10, 1, 2, 10, 11], [10, 3, 10, 11, 11]])
    for name in SMALL:
        network = make(name)
        logits = network.teacher_forced(lines()[:2], targets, RATIOS[:2])
        assert logits.shape == (2, 5, 11)
        (logits * torch.randn(logits.shape)).sum().backward()
        assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_targets_behind_the_end_change_nothing_before() -> None:
    network, _, _ = small("nrtr")
    targets = torch.tensor([[10, 1, 2, 10, 11, 11]]).expand(len(RATIOS), -1)
    others = torch.tensor([[10, 1, 2, 10, 5, 7]]).expand(len(RATIOS), -1)
    with torch.inference_mode():
        first, second = (
            network.teacher_forced(lines(), classes, RATIOS) for classes in (targets, others)
        )
    torch.testing.assert_close(first[:, :4], second[:, :4])


# --- the config doors --------------------------------------------------------------------------


def spec_of(config: dict[str, Any]) -> RecognizerSpec:
    spec = model_from_mmocr(config)
    assert isinstance(spec, RecognizerSpec)
    return spec


def load(name: str) -> dict[str, Any]:
    return copy.deepcopy(load_config(CONFIGS / name))


def test_the_academic_configs() -> None:
    spec = spec_of(load("nrtr/nrtr_r31_1by16_1by8_academic.py"))
    channels = (32, 64, 128, 256, 512, 512)
    assert spec.network == NRTRConfig(ResNet31Config(channels=channels, last_stage_pool=True))
    assert spec.codec == AttentionCodecConfig(DICT90, max_seq_len=40)
    finer = spec_of(load("nrtr/nrtr_r31_1by8_1by4_academic.py"))
    assert finer.network == NRTRConfig(ResNet31Config(channels=channels))
    modality = spec_of(load("nrtr/nrtr_modality_transform_academic.py"))
    assert modality.network == NRTRConfig(
        ModalityTransformConfig(),
        NRTREncoderConfig(12),
        NRTRDecoderConfig(num_classes=39, start_index=37, end_index=37),
    )
    assert modality.codec == AttentionCodecConfig(DICT36, lower=True, max_seq_len=40)


def test_the_satrn_configs() -> None:
    assert spec_of(load("satrn/satrn_academic.py")).network == SATRNConfig()
    attention = AttentionConfig(channels=256, key_channels=32, value_channels=32)
    assert spec_of(load("satrn/satrn_small.py")).network == SATRNConfig(
        ShallowCNNConfig(feature_channels=256),
        SATRNEncoderConfig(6, attention, 1024),
        NRTRDecoderConfig(6, attention, 1024, max_seq_len=25),
    )


def test_other_tokens() -> None:
    config = load("nrtr/nrtr_r31_1by16_1by8_academic.py")
    config["model"]["label_convertor"]["start_end_same"] = False
    config["model"]["decoder"].update(num_classes=7, start_idx=1, padding_idx=3, max_seq_len=5)
    network = spec_of(config).network
    assert isinstance(network, NRTRConfig)
    assert (network.start_index, network.end_index, network.padding_index) == (91, 92, 93)


R31 = "nrtr/nrtr_r31_1by16_1by8_academic.py"
MODALITY = "nrtr/nrtr_modality_transform_academic.py"
SATRN_SMALL = "satrn/satrn_small.py"
REFUSED: list[tuple[str, str, Any, str]] = [
    (R31, "model.encoder.n_layer", 6, "nothing reads 'n_layer'. Did you mean 'n_layers'"),
    (R31, "model.encoder.d_model", 256, "have 512, 256 and 512 channels"),
    (R31, "model.encoder.type", "SatrnEncoder", "Known: NRTREncoder"),
    (R31, "model.decoder.d_embedding", 256, "d_embedding is 256, but d_model is 512"),
    (R31, "model.decoder.dropout", 1.5, r"dropout must be in \[0, 1\), got 1.5"),
    (R31, "model.decoder.n_head", 0, "must be at least 1"),
    (R31, "model.max_seq_len", 200, "below the 200 positions"),
    (R31, "model.preprocessor", {"type": "TPSPreprocessor"}, "preprocessor"),
    (MODALITY, "data.test.pipeline.1.height", 48, "lines 48 px high, but NRTRModalityTransform"),
    (
        SATRN_SMALL,
        "model.encoder.n_position",
        24,
        "100 px wide, but model.encoder has codes for 96",
    ),
    (SATRN_SMALL, "model.backbone.hidden_dim", 255, "must be even, got 255"),
    (SATRN_SMALL, "model.decoder.type", "SARDecoder", "Known: NRTRDecoder"),
]


@pytest.mark.parametrize(("name", "key", "value", "message"), REFUSED)
def test_refused(name: str, key: str, value: Any, message: str) -> None:
    config = load(name)
    if key.startswith("data."):
        config["data"]["test"]["pipeline"] = copy.deepcopy(config["data"]["test"]["pipeline"])
    *path, last = key.split(".")
    part: Any = config
    for step in path:
        part = part[int(step) if step.isdigit() else step]
    part[last] = value
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


# --- the whole way -----------------------------------------------------------------------------


def small_spec(name: str) -> RecognizerSpec:
    preprocessing = RecognitionPreprocessing(max_width=96, rotate_degrees=(0, 90, 270))
    return RecognizerSpec(
        SMALL[name], preprocessing, AttentionCodecConfig("abcdefghi", max_seq_len=MAX_SEQ_LEN)
    )


@pytest.mark.parametrize("name", SMALL)
def test_survives_json(name: str) -> None:
    spec = small_spec(name)
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", SMALL)
def test_reads_in_every_runtime(name: str, kind: str) -> None:
    """Crops of several widths, so that masks made in the traced part follow their input."""
    pytest.importorskip(kind)
    network, _, _ = small(name)
    sizes = ((32, 90), (20, 31), (60, 20), (32, 33))
    crops = [formulas.image(height, width, 3) for height, width in sizes]
    plain, other = (
        TextRecognizer(
            small_spec(name),
            network.state_dict(),
            RuntimeOptions(kind=each, device="cpu", precision="float32"),  # type: ignore[arg-type]
        ).predict(crops)
        for each in ("torch", kind)
    )
    assert [result.text for result in other] == [result.text for result in plain]
    for ours, theirs in zip(other, plain, strict=True):
        assert ours.char_scores == pytest.approx(theirs.char_scores, abs=1e-4)
        assert ours.rotation == theirs.rotation
