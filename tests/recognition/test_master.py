"""MASTER: decoding, the padding that it may write, and what its config door refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.plain_decoding import plain_master
from ocr_models.codecs.attention import AttentionCodec, AttentionCodecConfig
from ocr_models.codecs.charsets import DICT90
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.master import MASTER, MASTERConfig
from ocr_models.recognition.master_backbone import MASTERBackboneConfig
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.recognition.writers import (
    CLASSES,
    END,
    MAX_SEQ_LEN,
    RATIOS,
    assert_alone_as_together,
    assert_written_as_plain,
    lengths,
    lines,
    lively,
    up_to_the_ends,
)

CONFIG = Path(__file__).parents[2] / "configs" / "textrecog" / "master" / "master_toy_dataset.py"
PADDING = CLASSES["padding_index"]
SMALL = MASTERConfig(
    MASTERBackboneConfig(1, (8, 8), (1, 1, 1, 1), (8, 8, 12, 12), context_ratio=0.25),
    layers=2,
    heads=3,
    inner_channels=10,
    max_cells=96,
    **CLASSES,
)


def without_padding(network: MASTER) -> None:
    """As after training: padding is never what to write."""
    network.decoder.cls.bias[PADDING] = -1e4


def small() -> tuple[Any, tuple[Tensor, ...], Tensor]:
    return lively(lambda: MASTER(SMALL), plain_master, change=without_padding)


# --- writing -----------------------------------------------------------------------------------


def test_writes_as_the_plain_way_does() -> None:
    network, encoded, plain = small()
    assert_written_as_plain(network, encoded, plain, network.decoder.norm, atol=1e-3)


def test_a_line_does_not_depend_on_its_neighbours() -> None:
    network, encoded, _ = small()
    assert_alone_as_together(network, encoded, atol=1e-3)


def test_told_its_own_text_it_says_the_same() -> None:
    network, _, plain = small()
    written = plain.argmax(-1)
    start = torch.full((len(written), 1), network.config.start_index)
    targets = torch.cat([start, written[:, :-1]], 1)
    with torch.inference_mode():
        logits = network.teacher_forced(lines(), targets, RATIOS)
        output = network(lines())
    torch.testing.assert_close(logits, plain, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output.logits, up_to_the_ends(plain), rtol=1e-3, atol=1e-3)


def padded_texts(logits_BLK: Tensor) -> list[bool]:
    """Whether padding stands before a line's end, where later steps read it."""
    classes_BL = logits_BLK.argmax(-1)
    return [
        PADDING in row[: length - 1].tolist()
        for row, length in zip(classes_BL, lengths(logits_BLK), strict=True)
    ]


def test_padding_inside_texts_is_written_as_the_plain_way_does() -> None:
    """A step that reads padding looks at later steps, so all that follows differs."""
    seen: set[bool] = set()
    for seed in range(8):
        network = MASTER(SMALL).eval()
        formulas.fill(network, seed)
        with torch.inference_mode():
            for name, parameter in network.named_parameters():
                if name.startswith("decoder.") and parameter.dim() > 1:
                    parameter.mul_(4)
            network.decoder.cls.bias[PADDING] += 2
            encoded = (network.encode(lines()),)
            plain, written = plain_master(network, encoded, RATIOS), network.decode(encoded, RATIOS)
        # What comes behind the end is free.
        kept = up_to_the_ends(plain)
        torch.testing.assert_close(
            written.where(kept != 0, 0), kept, rtol=1e-3, atol=1e-3, msg=f"seed {seed}"
        )
        seen.update(padded_texts(plain))
    assert seen == {True, False}


def test_padding_makes_a_step_look_at_all_steps() -> None:
    """The oddity itself: what follows changes the logits of a step that reads padding."""
    network, (encoded,), _ = small()
    first = torch.tensor([[10, PADDING, 3, 4]])
    second = torch.tensor([[10, PADDING, 3, 7]])
    with torch.inference_mode():
        one, other = (network.decoder(classes, encoded[:1]) for classes in (first, second))
    torch.testing.assert_close(one[:, 0], other[:, 0])
    assert (one[:, 1] - other[:, 1]).abs().max() > 1e-2
    assert (one[:, 2] - other[:, 2]).abs().max() > 1e-3


def test_writes_under_autocast() -> None:
    network = MASTER(SMALL).eval()
    formulas.fill(network, 0)
    with torch.inference_mode():
        encoded = (network.encode(lines()),)
        exact = network.decode(encoded, RATIOS)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network.decode(encoded, RATIOS)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded[:, 0], exact[:, 0], rtol=0.1, atol=0.05)


def test_gradients_reach_everything() -> None:
    network = MASTER(SMALL)
    targets = torch.tensor([[10, 1, 2, 10, 11], [10, 3, 10, 11, 11]])
    logits = network.teacher_forced(lines()[:2], targets, RATIOS[:2])
    assert logits.shape == (2, 5, CLASSES["num_classes"])
    (logits * torch.randn(logits.shape)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


# --- the config door ---------------------------------------------------------------------------


def load() -> dict[str, Any]:
    return copy.deepcopy(load_config(CONFIG))


def spec_of(config: dict[str, Any]) -> RecognizerSpec:
    spec = model_from_mmocr(config)
    assert isinstance(spec, RecognizerSpec)
    return spec


def test_the_config() -> None:
    spec = spec_of(load())
    assert spec.network == MASTERConfig()
    assert spec.codec == AttentionCodecConfig(DICT90, max_seq_len=30)
    assert spec.preprocessing.max_width == 160


def test_other_tokens_and_one_plugin_without_a_list() -> None:
    config = load()
    config["model"]["label_convertor"]["start_end_same"] = False
    config["model"]["decoder"].update(num_classes=7, start_idx=1, padding_idx=3)
    block = config["model"]["backbone"]["block_cfgs"]
    block["plugins"] = [block["plugins"]]
    network = spec_of(config).network
    assert isinstance(network, MASTERConfig)
    assert (network.start_index, network.end_index, network.padding_index) == (91, 92, 93)


REFUSED: list[tuple[str, Any, str]] = [
    ("model.decoder.d_model", 256, "d_model is 256, but the backbone gives 512"),
    ("model.decoder.n_head", 7, "512 channels cannot be split among 7 heads"),
    ("model.decoder.feat_sise", 240, "nothing reads 'feat_sise'. Did you mean 'feat_size'"),
    ("model.decoder.feat_size", 200, "160 px wide, 240 cells, but model.decoder has codes for 200"),
    ("model.encoder", {"type": "NRTREncoder"}, "encoder"),
    ("model.backbone.strides", [1, 2, 1, 1], "strides"),
    ("model.backbone.arch_channels", [256, 256, 512], "must have an entry per stage"),
    ("model.backbone.plugins.0.cfg.type", "AvgPool2d", "Known: Maxpool2d, ConvModule"),
    ("model.backbone.plugins.0.cfg.kernel_size", 3, "must equal the stride"),
    ("model.backbone.plugins.0.position", "after_stage", "before_stage"),
    ("model.backbone.plugins.2.stages", [True, True, True, False], "every stage must end in"),
    ("model.backbone.plugins.2.cfg.kernel_size", 5, "kernel_size"),
    ("model.backbone.block_cfgs.plugins.cfg.n_head", 8, "n_head"),
    ("model.backbone.block_cfgs.plugins.position", "after_conv1", "after_conv2"),
    ("model.backbone.block_cfgs.plugins.cfg.ratio", 0.001, "leaves no channel of 256"),
]


@pytest.mark.parametrize(("key", "value", "message"), REFUSED)
def test_refused(key: str, value: Any, message: str) -> None:
    config = load()
    *path, last = key.split(".")
    part: Any = config
    for step in path:
        part = part[int(step) if step.isdigit() else step]
    part[last] = value
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


# --- the whole way -----------------------------------------------------------------------------


def small_spec() -> RecognizerSpec:
    preprocessing = RecognitionPreprocessing(max_width=96, rotate_degrees=(0, 90, 270))
    codec = AttentionCodecConfig("abcdefghi", max_seq_len=MAX_SEQ_LEN)
    assert AttentionCodec(codec).end_index == END
    return RecognizerSpec(SMALL, preprocessing, codec)


def test_survives_json() -> None:
    spec = small_spec()
    assert from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
def test_reads_in_every_runtime(kind: str) -> None:
    pytest.importorskip(kind)
    network, _, _ = small()
    crops = [formulas.image(height, width, 3) for height, width in ((32, 90), (20, 31), (60, 20))]
    plain, other = (
        TextRecognizer(
            small_spec(),
            network.state_dict(),
            RuntimeOptions(kind=each, device="cpu", precision="float32"),  # type: ignore[arg-type]
        ).predict(crops)
        for each in ("torch", kind)
    )
    assert [result.text for result in other] == [result.text for result in plain]
    for ours, theirs in zip(other, plain, strict=True):
        assert ours.char_scores == pytest.approx(theirs.char_scores, abs=1e-4)
        assert ours.rotation == theirs.rotation
