"""ABINet's targets and readings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ocr_models.codecs.abi import ABICodec, ABICodecConfig
from ocr_models.codecs.attention import AttentionCodec, AttentionCodecConfig
from ocr_models.codecs.families import build_codec
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr.codecs import abi_codec

GOLDEN = Path(__file__).parents[1] / "golden" / "codecs" / "convertors.json"
CASES = [
    case
    for case in json.loads(GOLDEN.read_text())["cases"]
    if case["options"]["type"] == "ABIConvertor"
]
ABC = ABICodecConfig(charset="abc", with_unknown=False, max_seq_len=4)


def test_sweep_is_complete() -> None:
    assert len(CASES) == 8
    assert {case["options"].get("start_end_same", True) for case in CASES} == {True, False}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["options"]["dict_type"])
def test_targets_equal_mmocr(case: dict[str, object]) -> None:
    codec = ABICodec(abi_codec(case["options"]))  # type: ignore[arg-type]
    assert codec.spelling == case["idx2char"]
    targets = case["batch_str2tensor"]
    encoded = codec.encode(case["batch_strings"])  # type: ignore[arg-type]
    assert [own.tolist() for own in encoded.classes] == targets["targets"]  # type: ignore[index]
    assert encoded.padded.tolist() == targets["padded_targets"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "classes", "padded"),
    [
        ("", [3], [3, 3, 4, 4]),
        ("a", [0, 3], [3, 0, 3, 4]),
        ("abc", [0, 1, 2, 3], [3, 0, 1, 2]),
        ("abcabc", [0, 1, 2, 3], [3, 0, 1, 2]),
    ],
)
def test_end_is_always_learnt(text: str, classes: list[int], padded: list[int]) -> None:
    """Attention decoders lose it where a text is too long."""
    encoded = ABICodec(ABC).encode([text])
    assert encoded.classes[0].tolist() == classes
    assert encoded.padded.tolist() == [padded]


def test_reading_is_that_of_attention_decoders() -> None:
    outputs = np.random.default_rng(0).standard_normal((5, 4, 4)).astype(np.float32)
    fields = {"charset": "abc", "with_unknown": False, "max_seq_len": 4}
    other = AttentionCodec(AttentionCodecConfig(**fields))  # type: ignore[arg-type]
    read = build_codec(ABC).decode(outputs)
    assert read == other.decode(outputs)
    assert any(result.text for result in read)
    assert all(result.char_probabilities == result.char_scores for result in read)


def test_unknown_characters() -> None:
    with pytest.raises(ConfigError, match="'x' of 'ax' is not in the charset"):
        ABICodec(ABC).encode(["ax"])
    known = ABICodec(ABICodecConfig(charset="abc", max_seq_len=4))
    assert known.encode(["ax"]).classes[0].tolist() == [0, 3, 4]


def test_config_door() -> None:
    options = {"type": "ABIConvertor", "dict_list": ["b", "a"], "with_padding": False}
    assert abi_codec(options, 26) == ABICodecConfig(charset="ba", max_seq_len=26)
    assert abi_codec({**options, "max_seq_len": 7}).max_seq_len == 7
    with pytest.raises(ConfigError, match="AttnConvertor"):
        abi_codec({"type": "AttnConvertor"})
    with pytest.raises(ConfigError, match="with_paddin"):
        abi_codec({"type": "ABIConvertor", "with_paddin": False})
