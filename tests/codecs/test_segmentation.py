"""The segmentation codec: MMOCR's numbers, and every rule about regions on small maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_models.codecs.charsets import built_in_charset
from ocr_models.codecs.segmentation import SegCodec, SegCodecConfig
from ocr_models.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = [
    case
    for case in json.loads((GOLDEN / "codecs" / "convertors.json").read_text())["cases"]
    if case["options"]["type"] == "SegConvertor"
]
CODEC = SegCodec(SegCodecConfig("abc"))
A, B, C, UNKNOWN = 1, 2, 3, 4


def test_sweep_size() -> None:
    assert len(CASES) == 8


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join(map(str, case["options"].values()))
)
def test_encoding_equals_mmocr(case: dict[str, Any]) -> None:
    options = case["options"]
    charset = built_in_charset(options["dict_type"])
    lower = options.get("lower", False)
    codec = SegCodec(SegCodecConfig(charset, options["with_unknown"], lower))
    assert codec.num_classes == case["num_classes"]
    assert codec.unknown_index == case["unknown_idx"]
    assert codec.spelling == case["idx2char"]
    for text, classes in zip(case["strings"], case["str2idx"], strict=True):
        if isinstance(classes, dict):
            with pytest.raises(ConfigError, match="not in the charset"):
                codec.encode([text])
        else:
            assert [own.tolist() for own in codec.encode([text])] == classes


def test_maps_read_as_by_mmocr() -> None:
    case = json.loads((GOLDEN / "postprocess" / "cases.json").read_text())["segconv"]
    with np.load(GOLDEN / "postprocess" / "segconv.npz") as arrays:
        classes = arrays["argmax"].astype(np.float32)
    maps = np.stack([classes, np.full_like(classes, 0.7)], axis=1)
    read = SegCodec(SegCodecConfig()).decode(maps, case["valid_ratio"])
    assert [result.text for result in read] == case["texts"]
    assert [list(result.char_scores) for result in read] == case["scores"]
    assert all(p == pytest.approx(0.7) for result in read for p in result.char_probabilities)


# --- regions -----------------------------------------------------------------------------------


def drawn(*boxes: tuple[int, int, int, int, int], width: int = 40) -> NDArray[np.float32]:
    """(1, 2, 16, width): boxes (class, left, top, right, bottom), all with probability 0.5."""
    line = np.zeros((1, 2, 16, width), np.float32)
    line[0, 1] = 0.5
    for index, left, top, right, bottom in boxes:
        line[0, 0, top:bottom, left:right] = index
    return line


def text(line: NDArray[np.float32], ratio: float = 1.0) -> str:
    return CODEC.decode(line, [ratio])[0].text


def test_regions_are_read_from_left_to_right_by_their_centres() -> None:
    assert text(drawn((C, 30, 2, 36, 8), (A, 2, 9, 8, 15), (B, 16, 0, 22, 6))) == "abc"
    # B begins to the left of A, and still its centre lies to the right.
    assert text(drawn((B, 2, 0, 38, 3), (A, 8, 6, 14, 12))) == "ab"


def test_a_character_needs_twenty_pixels() -> None:
    assert text(drawn((A, 2, 2, 7, 6), (B, 20, 2, 22, 12))) == "ab"
    assert text(drawn((A, 2, 2, 7, 6), (B, 20, 2, 21, 21))) == "a"


def test_corners_connect() -> None:
    (result,) = CODEC.decode(drawn((A, 2, 2, 6, 8), (B, 6, 8, 9, 15)))
    assert result.text == "a"  # 24 pixels of a, 21 of b
    assert result.char_scores == pytest.approx((24 / 45,))


def test_a_score_is_a_share_and_a_probability_the_networks() -> None:
    line = drawn((A, 2, 2, 12, 8), (B, 10, 2, 12, 8))  # 48 pixels of a, 12 of b
    line[0, 1, 2:8, 2:6] = 0.9  # half of the pixels of a
    line[0, 1, 2:8, 10:12] = 0.1  # those of b do not count
    (result,) = CODEC.decode(line)
    assert result.char_scores == pytest.approx((0.8,))
    assert result.char_probabilities == pytest.approx((0.7,))
    assert result.score == pytest.approx(0.8)


def test_pixels_of_the_main_class_count_not_those_of_the_region() -> None:
    assert text(drawn((A, 2, 2, 5, 8), (B, 5, 2, 8, 8), (C, 8, 2, 11, 8))) == ""  # 18 each


def test_the_lower_class_wins_a_tie() -> None:
    assert text(drawn((B, 2, 2, 8, 6), (A, 8, 2, 14, 6))) == "a"


def test_the_unknown_class_is_nothing_but_has_a_score() -> None:
    (result,) = CODEC.decode(drawn((A, 2, 2, 8, 8), (UNKNOWN, 20, 2, 26, 8)))
    assert result.text == "a"
    assert result.char_scores == (1.0, 1.0)
    assert result.score == 2.0  # MMOCR divides by the length of the text
    assert result.probability == 0.5


def test_padding_is_not_read() -> None:
    line = drawn((A, 2, 2, 8, 8), (B, 20, 2, 30, 8))
    assert text(line, 0.5) == "a"  # columns 0..20, where only six pixels of b are
    assert text(line, 0.6) == "ab"
    assert text(line, 0.05) == ""


def test_maps_of_nothing_and_of_one_class() -> None:
    assert CODEC.decode(np.zeros((2, 2, 8, 8), np.float32))[1].char_scores == ()
    assert text(drawn((C, 0, 0, 40, 16))) == "c"
    assert CODEC.decode(np.zeros((0, 2, 8, 8), np.float32)) == []


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(lines, 2, H, W\), got \(1, 5, 8, 8\)"):
        CODEC.decode(np.zeros((1, 5, 8, 8), np.float32))
    with pytest.raises(ValueError, match="2 valid ratios for 1 lines"):
        CODEC.decode(np.zeros((1, 2, 8, 8), np.float32), [1.0, 1.0])
