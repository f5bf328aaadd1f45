"""ABINet and ABINet-Vision: network, config door, predictor."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ocr_models.codecs.families import build_codec
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.preprocessing import recognition_inputs
from ocr_models.recognition.abinet import (
    ABINet,
    ABINetConfig,
    ABIVisionConfig,
    MultiheadAttention,
    PositionCodes,
    ResNetABIConfig,
    TransformerConfig,
)
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import RecognizerSpec, from_json_dict, to_json_dict
from tests.conformance import formulas
from tests.tiny_abinet import CODEC, CROPS, SMALL, SMALL_VISION, filled, spec

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "textrecog" / "abinet"
MODELS = ROOT / "tests" / "golden" / "models"
PLAIN = RuntimeOptions(kind="torch", device="cpu", precision="float32")
END = SMALL.end_index


def images(batch: int) -> Tensor:
    return torch.from_numpy(formulas.tensor((batch, 3, 32, 128), 0))


def readings(*texts: str) -> Tensor:
    """Confident logits that say these texts, each with its end, then noise."""
    noise = torch.from_numpy(formulas.tensor((len(texts), 26, 37), 1))
    for line, text in zip(noise, texts, strict=True):
        for step, character in enumerate([CODEC.charset.index(c) for c in text] + [END]):
            line[step, character] = 30
    return noise


# --- network -----------------------------------------------------------------------------------


def test_shapes_and_last_word() -> None:
    network = filled(SMALL)
    with torch.inference_mode():
        output = network(images(2))
        assert torch.equal(network.encode(images(2)), output.fused_logits[-1])
    assert output.features.shape == (2, 64, 8, 32)
    assert output.vision.features.shape == (2, 26, 64)
    assert output.vision.attention.shape == (2, 26, 8, 32)
    torch.testing.assert_close(output.vision.attention.sum((2, 3)), torch.ones(2, 26))
    assert len(output.language_logits) == len(output.fused_logits) == 3
    for logits in (output.vision.logits, *output.language_logits, *output.fused_logits):
        assert logits.shape == (2, 26, 37)


def test_vision_alone() -> None:
    whole, vision = filled(SMALL), filled(SMALL_VISION)
    assert set(vision.state_dict()) == {
        name for name in whole.state_dict() if name.startswith(("backbone.", "encoder."))
    }
    with torch.inference_mode():
        output = vision(images(1))
        assert output.language_logits == output.fused_logits == ()
        assert torch.equal(vision.encode(images(1)), whole(images(1)).vision.logits)


def test_iterations_go_on_from_each_other() -> None:
    with torch.inference_mode():
        three = filled(SMALL)(images(1)).fused_logits
        one = filled(replace(SMALL, iterations=1))(images(1)).fused_logits
    assert torch.equal(three[0], one[0])
    assert not torch.equal(three[1], three[0])


@pytest.mark.parametrize("config", [SMALL, SMALL_VISION])
def test_a_line_does_not_depend_on_its_batch(config: ABINetConfig) -> None:
    network = filled(config)
    with torch.inference_mode():
        together = network.encode(images(3))
        for line, alone in zip(together, images(3).split(1), strict=True):
            torch.testing.assert_close(network.encode(alone)[0], line, rtol=1e-4, atol=1e-5)


def test_a_character_is_guessed_from_the_others() -> None:
    """Changing how character 2 was read changes what is guessed everywhere but there."""
    network = filled(SMALL)
    assert network.decoder is not None
    with torch.inference_mode():
        before = network.decoder(readings("hello"))[1][0]
        after = network.decoder(readings("hexlo"))[1][0]
    same = [torch.allclose(old, new, atol=1e-5) for old, new in zip(before, after, strict=True)]
    assert same == [step == 2 for step in range(26)]


@pytest.mark.parametrize(("text", "seen"), [("hello", 6), ("a", 2), ("", 2)])
def test_nothing_is_guessed_from_what_follows_the_end(text: str, seen: int) -> None:
    """Not even a second end; the first two always count."""
    network = filled(SMALL)
    assert network.decoder is not None
    logits = readings(text)
    changed = logits.clone()
    changed[:, seen:] = readings("z" * 25)[:, : 26 - seen]
    changed[:, -1, END] = 40
    with torch.inference_mode():
        assert torch.allclose(network.decoder(logits)[1], network.decoder(changed)[1], atol=1e-5)
        changed[:, seen - 1] = readings("z" * 25)[:, 0]
        changed[:, seen, END] = 40
        assert not torch.allclose(
            network.decoder(logits)[1], network.decoder(changed)[1], atol=1e-5
        )


@pytest.mark.parametrize("detach", [True, False])
def test_language_loss_and_the_vision_model(detach: bool) -> None:
    assert SMALL.language is not None
    network = filled(replace(SMALL, language=replace(SMALL.language, detach_tokens=detach)))
    output = network(images(1))
    output.language_logits[0].sum().backward()
    assert (network.encoder.decoder.cls.weight.grad is None) == detach


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"feature maps of 8 x 32, but the images give 8 x 25"):
        filled(SMALL)(torch.zeros(1, 3, 32, 100))


def test_other_sizes_can_be_configured() -> None:
    vision = replace(SMALL.vision, attention_size=(16, 16))
    with torch.inference_mode():
        output = filled(replace(SMALL, vision=vision))(torch.zeros(1, 3, 64, 64))
    assert output.vision.attention.shape == (1, 26, 16, 16)


def test_attention_is_pytorchs() -> None:
    """Same names, same numbers."""
    config = TransformerConfig(layers=1, heads=4, channels=16)
    own, other = MultiheadAttention(config).eval(), nn.MultiheadAttention(16, 4).eval()
    formulas.fill(own, 3)
    other.load_state_dict(own.state_dict())
    query, context = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    seen = torch.rand(2, 1, 5, 7) > 0.3
    seen[..., 0] = True
    blocked = ~seen[:, 0].repeat_interleave(4, 0)
    by_step = (query.transpose(0, 1), context.transpose(0, 1), context.transpose(0, 1))
    expected = other(*by_step, attn_mask=blocked, need_weights=False)[0].transpose(0, 1)
    torch.testing.assert_close(own(query, context, seen), expected)


def test_position_codes() -> None:
    codes = PositionCodes(5, 6)
    table = codes.position_table[0]
    assert not dict(codes.named_parameters())
    for position in range(5):
        for channel in range(6):
            angle = position / 10000 ** (channel // 2 * 2 / 6)
            expected = np.cos(angle) if channel % 2 else np.sin(angle)
            assert table[position, channel].item() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(codes(torch.ones(2, 3, 6))[1], table[:3] + 1)


BROKEN: list[tuple[Any, str]] = [
    (lambda: ResNetABIConfig(blocks=(1, 1)), "2 stages of blocks, but 5 strides"),
    (lambda: TransformerConfig(1, heads=3), "512 channels cannot be split into 3 heads"),
    (lambda: ABIVisionConfig(positions=255), "8 x 32 has more than 255 positions"),
    (lambda: ABIVisionConfig(attention_size=(8, 24)), "widths of 16"),
    (lambda: replace(SMALL, end_index=37), "end_index is 37, but there are 37 classes"),
    (lambda: replace(SMALL, iterations=0), "iterations at least 1: 26, 0"),
    (lambda: replace(SMALL, vision=ABIVisionConfig()), "vision model has 512 channels, but the"),
]


@pytest.mark.parametrize(("make", "message"), BROKEN)
def test_configs_check_themselves(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# --- config door -------------------------------------------------------------------------------


def config(name: str) -> dict[str, Any]:
    return load_config(CONFIGS / f"{name}.py")


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("abinet_academic", ABINetConfig()),
        ("abinet_vision_only_academic", ABINetConfig(language=None, iterations=1)),
    ],
)
def test_published_configs(name: str, network: ABINetConfig) -> None:
    recorded = json.loads(gzip.decompress((MODELS / f"{name}.json.gz").read_bytes()))
    loaded = config(name)
    assert json.dumps(loaded["model"]) == json.dumps(recorded["model"])  # key order too
    described = model_from_mmocr(loaded)
    assert isinstance(described, RecognizerSpec)
    assert described.network == network
    assert described.codec == CODEC
    assert described.preprocessing == replace(
        CROPS, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), width_downsample_ratio=0.25
    )
    read_back = from_json_dict(RecognizerSpec, json.loads(json.dumps(to_json_dict(described))))
    assert read_back == described
    assert [
        [entry, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for entry, tensor in ABINet(network).state_dict().items()
    ] == recorded["state"]


MISTAKES: list[tuple[str, Any, str]] = [
    ("model.preprocessor", {"type": "TPSPreprocessor"}, "only has preprocessor=None"),
    ("model.fuser", None, "needs both decoder (the language model) and fuser, or neither"),
    ("model.decoder", None, "needs both decoder (the language model) and fuser, or neither"),
    ("model.iter_size", 0, "iterations at least 1"),
    ("model.max_seq_len", 30, "max_seq_len is 26, but model.label_convertor and model.max_seq_len"),
    ("model.label_convertor.with_unknown", True, "num_chars is 37, but"),
    ("model.label_convertor.type", "CTCConvertor", "Did you mean 'ABIConvertor'?"),
    ("model.backbone.type", "ResNet31OCR", "ResNetABI"),
    ("model.backbone.out_indices", [0], "only has out_indices=None"),
    ("model.backbone.strides", [2, 1, 2], "5 stages of blocks, but 3 strides"),
    ("model.backbone.base_channels", 16, "has 512 channels, but the backbone gives 256"),
    ("model.backbone.base_chanels", 16, "Did you mean 'base_channels'?"),
    ("model.encoder.encoder.d_model", 256, "in_channels is 512, but"),
    ("model.encoder.encoder.n_layer", 3, "Did you mean 'n_layers'?"),
    ("model.encoder.decoder.attn_mode", "cubic", "'nearest' or 'bilinear'"),
    ("model.encoder.decoder.attn_width", 48, "8 x 48 has more than 256 positions"),
    ("model.encoder.decoder.attn_width", 16, "made for 32 x 64 px, keep_aspect_ratio=False"),
    ("model.encoder.decoder.num_chars", 38, "num_chars is 38"),
    ("model.decoder.use_self_attn", True, "only has use_self_attn=False"),
    ("model.decoder.pad_idx", 0, "pad_idx is 0; it must be the end token"),
    ("model.decoder.n_head", 7, "cannot be split into 7 heads"),
    ("model.fuser.d_model", 256, "d_model is 256, but the language model has 512"),
    ("data.test.pipeline.1.transforms.0.keep_aspect_ratio", True, "32 x 128 px, keeping their"),
    ("data.test.pipeline.1.transforms.0.max_width", 100, "resizes crops to 32 x 100 px, without"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_are_told(key: str, value: Any, message: str) -> None:
    broken = config("abinet_academic")
    *parents, last = key.split(".")
    target: Any = broken
    for step in parents:
        target = target[int(step) if step.isdigit() else step]
    target[last] = value
    with pytest.raises(ConfigError) as caught:
        model_from_mmocr(broken)
    assert message in str(caught.value)


def test_number_of_mistakes() -> None:
    assert (len(BROKEN), len(MISTAKES)) == (7, 24)


def test_codec_must_be_the_networks() -> None:
    with pytest.raises(ConfigError, match="num_classes 38, but its dictionary gives 39"):
        RecognizerSpec(SMALL, CROPS, replace(CODEC, with_unknown=True))


# --- predictor ---------------------------------------------------------------------------------

CROP_SIZES = [(37, 111), (20, 300), (48, 48), (90, 40), (32, 128)]


def crops() -> list[np.ndarray]:
    return [formulas.image(*size, seed) for seed, size in enumerate(CROP_SIZES)]


def test_predictor_runs_the_whole_network() -> None:
    """Crops of any size in one batch, tall ones in three rotations; equal to the network itself."""
    described, network = spec(), filled(SMALL)
    read = TextRecognizer(described, network.state_dict(), PLAIN).predict(crops())
    assert len(read) == len(CROP_SIZES)
    for crop, result in zip(crops(), read, strict=True):
        inputs = recognition_inputs(crop, described.preprocessing)
        assert len(inputs) == (3 if crop.shape[0] > crop.shape[1] else 1)
        tensors = torch.from_numpy(np.stack([prepared.tensor for prepared in inputs]))
        with torch.inference_mode():
            outputs = network.encode(tensors).numpy()
        best = max(build_codec(described.codec).decode(outputs), key=lambda own: own.score)
        assert (result.text, result.score) == (best.text, pytest.approx(best.score, abs=1e-5))
        assert result.char_probabilities == result.char_scores


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
def test_other_runtimes_run_the_whole_network(kind: str) -> None:
    pytest.importorskip(kind)
    state = filled(SMALL).state_dict()
    plain = TextRecognizer(spec(), state, PLAIN).predict(crops())
    options = RuntimeOptions(kind=kind, device="cpu", precision="float32")  # type: ignore[arg-type]
    other = TextRecognizer(spec(), state, options).predict(crops())
    assert [result.text for result in other] == [result.text for result in plain]
    for own, given in zip(other, plain, strict=True):
        assert own.char_scores == pytest.approx(given.char_scores, abs=1e-4)
