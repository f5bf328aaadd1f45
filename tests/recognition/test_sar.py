"""SAR: both decoders with all their options, and what its config door refuses."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.plain_decoding import plain_sar
from ocr_models.codecs.attention import AttentionCodecConfig
from ocr_models.codecs.charsets import DICT90
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.sar import SAR, SARConfig, SARDecoderConfig, SAREncoderConfig
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from ocrserve.archives.build import ModelSource, build_archive
from ocrserve.archives.verify import verify_archive
from tests.conformance import formulas
from tests.recognition.writers import (
    CLASSES,
    MAX_SEQ_LEN,
    RATIOS,
    SMALL_BACKBONE,
    assert_alone_as_together,
    assert_says_the_same_when_told,
    assert_written_as_plain,
    lengths,
    lines,
    lively,
    up_to_the_ends,
)

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "configs" / "_base_" / "recog_pipelines" / "sar_pipeline.py"
CONFIG = ROOT / "configs" / "textrecog" / "sar" / "sar_r31_parallel_decoder_academic.py"
ENCODER = SAREncoderConfig(in_channels=12, hidden=10)
DECODER = SARDecoderConfig(attention=8, joined=True)


def small(encoder: SAREncoderConfig = ENCODER, decoder: SARDecoderConfig = DECODER) -> SARConfig:
    return SARConfig(SMALL_BACKBONE, encoder, decoder, **CLASSES)


CONFIGS = {
    "parallel": small(),
    "parallel, from glimpses alone": small(decoder=replace(DECODER, joined=False)),
    "parallel gru": small(decoder=replace(DECODER, gru=True)),
    "parallel, both directions": small(decoder=replace(DECODER, bidirectional=True)),
    "parallel gru, both directions": small(decoder=replace(DECODER, gru=True, bidirectional=True)),
    "parallel, unmasked": small(replace(ENCODER, masked=False), replace(DECODER, masked=False)),
    "sequential": small(decoder=replace(DECODER, sequential=True)),
    "sequential gru": small(decoder=replace(DECODER, sequential=True, gru=True)),
    "encoder gru": small(replace(ENCODER, gru=True)),
    "encoder gru, both ways": small(replace(ENCODER, gru=True, bidirectional=True)),
    "sequential, encoder both ways": small(
        replace(ENCODER, bidirectional=True), replace(DECODER, sequential=True)
    ),
}


def test_sweep_size() -> None:
    assert len(CONFIGS) == 11


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_writes_as_the_plain_way_does(name: str) -> None:
    network, encoded, plain = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    assert_written_as_plain(network, encoded, plain, network.decoder.prediction)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_line_does_not_depend_on_its_neighbours(name: str) -> None:
    network, encoded, _ = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    assert_alone_as_together(network, encoded)


# A decoder that reads both ways sees start tokens where targets would be.
@pytest.mark.parametrize("name", [name for name in CONFIGS if "both directions" not in name])
def test_told_its_own_text_it_says_the_same(name: str) -> None:
    network, _, plain = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    assert_says_the_same_when_told(network, plain)


@pytest.mark.parametrize("name", ["parallel", "parallel gru", "sequential"])
def test_padding_is_not_looked_at(name: str) -> None:
    network, encoded, plain = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    keys, features, read = (part.clone() for part in encoded)
    width = keys.shape[2]
    for i, ratio in enumerate(RATIOS.tolist()):
        first = int(np.ceil(width * ratio - 1e-3))
        for part in (keys[i], features[i]):
            part[:, first:] = 100
        read[i, first:] = 100
    with torch.inference_mode():
        written = network.decode((keys, features, read), RATIOS)
    torch.testing.assert_close(written, up_to_the_ends(plain), rtol=1e-3, atol=1e-4)


def test_gradients_reach_everything() -> None:
    for config in (CONFIGS["parallel"], CONFIGS["sequential"]):
        network = SAR(config)
        targets = torch.tensor([[10, 1, 2, 10, 11], [10, 3, 10, 11, 11]])
        logits = network.teacher_forced(lines()[:2], targets, RATIOS[:2])
        assert logits.shape == (2, 5, 11)
        logits.sum().backward()
        # The energies' bias moves all of them alike.
        assert [
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.any()
        ] in (["decoder.conv1x1_2.bias"], [])


# --- beam search -------------------------------------------------------------------------------


def with_beam(network: SAR, width: int) -> SAR:
    wider = copy.deepcopy(network)
    wider.config = replace(
        network.config, decoder=replace(network.config.decoder, beam_width=width)
    )
    wider.decoder.config = wider.config
    return wider


def log_probability(network: SAR, written_BTK: torch.Tensor) -> torch.Tensor:
    """Of each line's text with its end, by teacher forcing."""
    classes = written_BTK.argmax(-1)
    start = torch.full((len(classes), 1), network.config.start_index)
    with torch.inference_mode():
        logs = network.teacher_forced(
            lines(), torch.cat([start, classes[:, :-1]], 1), RATIOS
        ).log_softmax(-1)
    taken = logs.gather(-1, classes[..., None])[..., 0]
    return torch.stack(
        [row[:length].sum() for row, length in zip(taken, lengths(written_BTK), strict=True)]
    )


@pytest.mark.parametrize("name", ["parallel", "parallel gru"])
def test_a_beam_finds_texts_that_are_at_least_as_likely(name: str) -> None:
    network, encoded, plain = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    with torch.inference_mode():
        wide = with_beam(network, 30).decode(encoded, RATIOS)
    greedy_logs, wide_logs = log_probability(network, plain), log_probability(network, wide)
    assert (wide_logs >= greedy_logs - 1e-4).all()
    assert (wide_logs > greedy_logs + 0.01).any()


def test_a_beam_in_both_directions() -> None:
    """Its state is of another kind."""
    network, encoded, _ = lively(lambda: SAR(CONFIGS["parallel, both directions"]), plain_sar)
    wider = with_beam(network, 4)
    assert_alone_as_together(wider, encoded)


# --- the config door ---------------------------------------------------------------------------


def model() -> dict[str, Any]:
    return copy.deepcopy(load_config(CONFIG))


def spec_of(config: dict[str, Any]) -> RecognizerSpec:
    spec = model_from_mmocr(config)
    assert isinstance(spec, RecognizerSpec)
    return spec


def test_the_academic_config() -> None:
    spec = spec_of(model())
    assert spec.network == SARConfig(
        ResNet31Config(),
        SAREncoderConfig(dropout=0.1),
        SARDecoderConfig(attention=512, prediction_dropout=0.1, joined=True),
        num_classes=93,
        start_index=91,
        end_index=91,
        padding_index=92,
        max_seq_len=30,
    )
    assert spec.codec == AttentionCodecConfig(DICT90, max_seq_len=30)
    assert spec.preprocessing.rotate_degrees == (0, 90, 270)


def test_beam_search_is_chosen_by_the_decoder() -> None:
    config = model()
    config["model"]["decoder"]["type"] = "ParallelSARDecoderWithBS"
    assert spec_of(config).network.decoder.beam_width == 5  # type: ignore[union-attr]
    config["model"]["decoder"]["beam_width"] = 3
    spec = spec_of(config)
    assert spec.network.decoder.beam_width == 3  # type: ignore[union-attr]
    # Its weights are the parallel decoder's.
    names = [set(SAR(each.network).state_dict()) for each in (spec, spec_of(model()))]  # type: ignore[arg-type]
    assert names[0] == names[1]


def test_both_directions_and_other_tokens() -> None:
    config = model()
    config["model"]["encoder"].update(enc_bi_rnn=True, enc_gru=True)
    config["model"]["decoder"].update(
        enc_bi_rnn=True, dec_bi_rnn=True, dec_gru=True, num_classes=7, start_idx=1, padding_idx=3
    )
    config["model"]["label_convertor"].update(start_end_same=False)
    network = spec_of(config).network
    assert isinstance(network, SARConfig)
    assert (network.embedding_channels, network.state_channels) == (1024, 2048)
    assert (network.start_index, network.end_index, network.padding_index) == (91, 92, 93)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("encoder", {"d_enc": 256}, r"decoder\.d_enc is 512, but the encoder has 256"),
    ("encoder", {"d_model": 256}, r"decoder\.d_model is 512, but the encoder has 256"),
    ("encoder", {"enc_bi_rnn": True}, r"decoder\.enc_bi_rnn is False, but the encoder has True"),
    ("encoder", {"enc_birnn": True}, "nothing reads 'enc_birnn'. Did you mean 'enc_bi_rnn'"),
    ("decoder", {"beam_width": 5}, "nothing reads 'beam_width'"),
    ("decoder", {"type": "SARDecoder"}, "Known: ParallelSARDecoder, SequentialSARDecoder, "),
    ("decoder", {"type": "ParallelSARDecoderWithBS", "beam_width": 0}, "at least 1, got 0"),
    (
        "decoder",
        {"type": "SequentialSARDecoder", "dec_bi_rnn": True},
        "sequential decoder has neither a second direction",
    ),
    ("backbone", {"channels": [64, 128]}, "needs 6 channels .* and 4 layers"),
    ("backbone", {"out_indices": [1]}, "out_indices"),
]


@pytest.mark.parametrize(("part", "changes", "message"), REFUSED)
def test_refused(part: str, changes: dict[str, Any], message: str) -> None:
    config = model()
    config["model"][part].update(changes)
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


def test_a_preprocessor_is_refused() -> None:
    config = model()
    config["model"]["preprocessor"] = {"type": "TPSPreprocessor"}
    with pytest.raises(ConfigError, match="preprocessor"):
        model_from_mmocr(config)


# --- the whole way -----------------------------------------------------------------------------


def small_spec(config: SARConfig) -> RecognizerSpec:
    preprocessing = RecognitionPreprocessing(max_width=96, rotate_degrees=(0, 90, 270))
    return RecognizerSpec(
        config, preprocessing, AttentionCodecConfig("abcdefghi", max_seq_len=MAX_SEQ_LEN)
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_survives_json(name: str) -> None:
    spec = small_spec(CONFIGS[name])
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", ["parallel", "encoder gru, both ways"])
def test_reads_in_every_runtime(name: str, kind: str) -> None:
    pytest.importorskip(kind)
    network, _, _ = lively(lambda: SAR(CONFIGS[name]), plain_sar)
    crops = [formulas.image(height, width, 3) for height, width in ((32, 90), (20, 31), (60, 20))]
    plain, other = (
        TextRecognizer(
            small_spec(CONFIGS[name]),
            network.state_dict(),
            RuntimeOptions(kind=each, device="cpu", precision="float32"),  # type: ignore[arg-type]
        ).predict(crops)
        for each in ("torch", kind)
    )
    assert [result.text for result in other] == [result.text for result in plain]
    for ours, theirs in zip(other, plain, strict=True):
        assert ours.char_scores == pytest.approx(theirs.char_scores, abs=1e-4)
        assert ours.rotation == theirs.rotation


SMALL_MODEL = """
model = dict(
    type='SARNet',
    backbone=dict(type='ResNet31OCR', layers=[1, 1, 1, 1], channels=[8, 8, 8, 8, 12, 12, 12]),
    encoder=dict(type='SAREncoder', d_model=12, d_enc=10),
    decoder=dict(
        type='ParallelSARDecoder', d_model=12, d_enc=10, d_k=8, pred_dropout=0.1,
        pred_concat=True),
    loss=dict(type='SARLoss'),
    label_convertor=dict(type='AttnConvertor', dict_list=list('abcdefghi'), with_unknown=True),
    max_seq_len=12)
"""


@pytest.mark.slow
def test_an_archive_answers_as_the_model_does(tmp_path: Path) -> None:
    """By default also in bfloat16, where rounding must not make a line depend on its batch."""
    config = tmp_path / "sar.py"
    config.write_text(f"_base_ = [{str(PIPELINE)!r}]\n{SMALL_MODEL}", encoding="utf-8")
    spec = spec_of(load_config(config))
    assert isinstance(spec.network, SARConfig)
    network = SAR(spec.network)
    formulas.fill(network, 1)
    checkpoint = tmp_path / "sar.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": network.state_dict()}, checkpoint)
    archive = build_archive([ModelSource(checkpoint, config)], tmp_path, model_name="sar")
    report = verify_archive(archive)
    assert report.ok, report.comparisons
    assert report.describe["models"]["recognizer"]["network"] == "SAR"
