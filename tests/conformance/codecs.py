"""``codecs/``: texts to classes and network outputs to texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ocr_models.codecs.charsets import UNKNOWN_TOKEN, parse_dictionary
from ocr_models.codecs.ctc import CTCCodec
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr.codecs import ctc_codec

from . import landed
from .check import Check
from .kit import Case, Kit, not_yet

ALLOWED_SCORE = 1e-6
BLANK_TOKEN = "<BLK>"


def cases(kit: Kit) -> Iterator[Case]:
    """Convertors, dictionary files, wrong arguments, and the tokens of entity recognition."""
    index = kit.json("codecs/convertors.json")
    for i, entry in enumerate(index.get("cases", [])):
        covered = partial(_covered, entry, "options")
        yield Case(f"cases/{i}", partial(_convertor, kit, entry), covered)
    for entry in index.get("dict_files", []):
        yield Case(f"dict_files/{entry['name']}", partial(_dictionary, entry))
    for i, entry in enumerate(index.get("other", [])):
        yield Case(f"other/{i}", partial(_other, entry), partial(_covered, entry, "args"))
    if (kit.root / "codecs" / "ner.json").is_file():
        yield not_yet("ner")


def _covered(entry: Mapping[str, Any], arguments: str) -> bool:
    return entry[arguments]["type"] in landed.CODECS


def _spelling(codec: CTCCodec) -> list[str]:
    unknown = [UNKNOWN_TOKEN] * (codec.unknown_index is not None)
    return [BLANK_TOKEN, *codec.config.charset, *unknown]


def _convertor(kit: Kit, entry: Mapping[str, Any], check: Check) -> None:
    codec = CTCCodec(ctc_codec(entry["options"]))
    check.equal("idx2char", _spelling(codec), entry["idx2char"])
    for key, got in (
        ("num_classes", codec.num_classes),
        ("unknown_idx", codec.unknown_index),
        ("blank_idx", codec.blank_index),
    ):
        check.equal(key, got, entry[key])
    _encoding(check, codec, entry)
    _decoding(check, codec, kit.arrays("codecs/logits.npz"), entry)


def _targets(codec: CTCCodec, texts: Sequence[str]) -> dict[str, Any]:
    encoded = codec.encode(texts)
    ends = np.cumsum(encoded.lengths)[:-1]
    return {
        "targets": [part.tolist() for part in np.split(encoded.classes, ends)],
        "flatten_targets": encoded.classes.tolist(),
        "target_lengths": encoded.lengths.tolist(),
    }


def _encoding(check: Check, codec: CTCCodec, entry: Mapping[str, Any]) -> None:
    strings = entry["strings"]
    for text, indices, tensors in zip(strings, entry["str2idx"], entry["str2tensor"], strict=True):
        for key, expected in (("str2idx", indices), ("str2tensor", tensors)):
            what = f"{key} {text[:12]!r}"
            if isinstance(expected, Mapping) and "error" in expected:
                check.raises(what, lambda text=text: codec.encode([text]), ConfigError)
            elif key == "str2idx":
                check.equal(what, _targets(codec, [text])["targets"], expected)
            else:
                check.equal(what, _targets(codec, [text]), expected)
    if "batch_str2tensor" in entry:
        got = _targets(codec, entry["batch_strings"])
        check.equal("batch_str2tensor", got, entry["batch_str2tensor"])


def _decoding(
    check: Check, codec: CTCCodec, arrays: Mapping[str, Any], entry: Mapping[str, Any]
) -> None:
    single = entry["tensor2idx"]
    logits, ratios = arrays[single["logits"]], single["valid_ratio"]
    for key, expected, valid_ratios in (
        ("tensor2idx", single, ratios),
        ("no_valid_ratio", entry["no_valid_ratio"], None),
    ):
        read = codec.decode(logits, valid_ratios)
        paths = codec.best_paths(logits, valid_ratios)
        check.equal(f"{key} strings", [result.text for result in read], expected["strings"])
        check.equal(f"{key} indexes", [path[:, 0] for path, _ in paths], expected["indexes"])
        if "scores" in expected:
            char_scores = [result.char_scores for result in read]
            check.structure(f"{key} scores", char_scores, expected["scores"], ALLOWED_SCORE)
    runners_up = entry["topk3"]
    ranked = codec.best_paths(logits, ratios, topk=codec.num_classes)
    first3 = [scores[:, :3] for _, scores in ranked]
    check.structure("topk3 scores", first3, runners_up["scores"], ALLOWED_SCORE)
    for line, ((classes, scores), expected) in enumerate(
        zip(ranked, runners_up["indexes"], strict=True)
    ):
        # Equal scores may come in either order, so a class is compared by the score it has.
        expected_classes = np.reshape(expected, (-1, 3)).astype(np.intp)
        by_class = np.empty_like(scores)
        np.put_along_axis(by_class, classes, scores, axis=1)
        got = np.take_along_axis(by_class, expected_classes, axis=1)
        check.array(f"topk3 indexes of line {line}", got, scores[:, :3], ALLOWED_SCORE)


def _dictionary(entry: Mapping[str, Any], check: Check) -> None:
    expected = entry["idx2char"]
    if isinstance(expected, Mapping):
        check.raises("error", lambda: parse_dictionary(entry["content"]), ConfigError)
        return
    # The list ends in the special tokens of the convertor that read the file.
    characters = [token for token in expected if len(token) == 1]
    check.equal("characters", list(parse_dictionary(entry["content"])), characters)


def _other(entry: Mapping[str, Any], check: Check) -> None:
    expected = entry["result"]
    if isinstance(expected, Mapping):
        check.raises("error", lambda: ctc_codec(entry["args"]), ConfigError)
    else:
        check.equal("idx2char", _spelling(CTCCodec(ctc_codec(entry["args"]))), expected)
