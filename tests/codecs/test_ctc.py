"""The CTC codec against MMOCR's ``CTCConvertor``."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocr_models.codecs.charsets import built_in_charset
from ocr_models.codecs.ctc import CTCCodec, CTCCodecConfig
from ocr_models.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "codecs"
CASES = [
    case
    for case in json.loads((GOLDEN / "convertors.json").read_text())["cases"]
    if case["options"]["type"] == "CTCConvertor"
]


def codec_of(options: dict[str, Any]) -> CTCCodec:
    charset = options.get("dict_list") or built_in_charset(options["dict_type"])
    return CTCCodec(
        CTCCodecConfig(
            charset="".join(charset),
            with_unknown=options.get("with_unknown", True),
            lower=options.get("lower", False),
        )
    )


def case_id(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case["options"].values())


def test_sweep_size() -> None:
    assert len(CASES) == 9


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_classes(case: dict[str, Any]) -> None:
    codec = codec_of(case["options"])
    assert codec.num_classes == case["num_classes"] == len(case["idx2char"])
    assert codec.blank_index == case["blank_idx"]
    assert codec.unknown_index == case["unknown_idx"]
    start = codec.blank_index + 1
    assert list(codec.config.charset) == case["idx2char"][start : start + len(codec.config.charset)]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_encoding_equals_mmocr(case: dict[str, Any]) -> None:
    codec = codec_of(case["options"])
    for text, classes in zip(case["strings"], case["str2idx"], strict=True):
        if isinstance(classes, dict):
            with pytest.raises(ConfigError, match="not in the charset"):
                codec.encode([text])
        else:
            targets = codec.encode([text])
            assert [targets.classes.tolist()] == classes
            assert targets.lengths.tolist() == [len(classes[0])]
    batch = case["batch_str2tensor"]
    if "error" not in batch:
        targets = codec.encode(case["batch_strings"])
        assert targets.classes.tolist() == batch["flatten_targets"]
        assert targets.lengths.tolist() == batch["target_lengths"]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_decoding_equals_mmocr(case: dict[str, Any]) -> None:
    codec, expected = codec_of(case["options"]), case["tensor2idx"]
    with np.load(GOLDEN / "logits.npz") as arrays:
        logits = arrays[expected["logits"]]
    results = codec.decode(logits, expected["valid_ratio"])
    assert [result.text for result in results] == expected["strings"]
    for result, scores in zip(results, expected["scores"], strict=True):
        np.testing.assert_allclose(result.char_scores, scores, rtol=0, atol=1e-6)
        mean = sum(scores) / max(1, len(result.text))
        assert math.isclose(result.score, mean, rel_tol=1e-6)
    whole = case["no_valid_ratio"]
    assert [result.text for result in codec.decode(logits)] == whole["strings"]
    paths = codec.best_paths(logits)
    assert [classes[:, 0].tolist() for classes, _ in paths] == whole["indexes"]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_runners_up_equal_mmocr(case: dict[str, Any]) -> None:
    codec, stored = codec_of(case["options"]), case["topk3"]
    expected = json.loads(stored) if isinstance(stored, str) else stored
    with np.load(GOLDEN / "logits.npz") as arrays:
        logits = arrays[case["tensor2idx"]["logits"]]
    paths = codec.best_paths(logits, case["tensor2idx"]["valid_ratio"], topk=3)
    for line, ((classes, scores), best_scores) in enumerate(
        zip(paths, expected["scores"], strict=True)
    ):
        np.testing.assert_allclose(scores.ravel(), np.ravel(best_scores), rtol=0, atol=1e-6)
        for ours, theirs, values in zip(
            classes.tolist(), expected["indexes"][line], best_scores, strict=True
        ):
            if len(set(values)) == len(values):  # the order among equal scores is free
                assert ours[:-1] == theirs[:-1]


def test_one_line_without_batch_axis_and_nothing_at_all() -> None:
    codec = CTCCodec(CTCCodecConfig("ab"))
    logits = np.full((5, 4), -9.0, np.float32)
    logits[range(5), [1, 1, 0, 1, 2]] = 9
    (result,) = codec.decode(logits)
    assert result.text == "aab"
    assert len(result.char_scores) == 3
    logits[:] = [9, 0, 0, 0]
    (result,) = codec.decode(logits)
    assert (result.text, result.score, result.char_scores) == ("", 0, ())
    assert codec.decode(np.zeros((0, 5, 4), np.float32)) == []


def test_a_line_reads_the_same_alone_and_in_a_batch() -> None:
    codec = CTCCodec(CTCCodecConfig())
    logits = np.random.default_rng(0).normal(size=(7, 31, codec.num_classes)).astype(np.float32)
    assert codec.decode(logits) == [codec.decode(line)[0] for line in logits]


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[[-1e30, 1e30, 0, 0]]], np.float32)
    assert CTCCodec(CTCCodecConfig("ab")).decode(logits)[0].score == 1


def test_wrong_shapes() -> None:
    codec = CTCCodec(CTCCodecConfig("ab"))
    with pytest.raises(ValueError, match=r"\(lines, steps, 4\)"):
        codec.decode(np.zeros((1, 5, 7), np.float32))
    with pytest.raises(ValueError, match="2 valid ratios for 1 lines"):
        codec.decode(np.zeros((1, 5, 4), np.float32), [1, 1])
