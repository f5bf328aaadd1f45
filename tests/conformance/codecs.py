"""``codecs/``: texts to classes and network outputs to texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ocr_models.codecs.abi import ABICodec
from ocr_models.codecs.attention import AttentionCodec
from ocr_models.codecs.charsets import UNKNOWN_TOKEN, parse_dictionary
from ocr_models.codecs.ctc import CTCCodec
from ocr_models.codecs.ner import NerCodec, NerCodecConfig, Span
from ocr_models.codecs.segmentation import SegCodec
from ocr_models.errors import ConfigError, InputError
from ocr_models.from_mmocr.codecs import (
    abi_codec,
    attention_codec,
    ctc_codec,
    segmentation_codec,
)

from .check import Check
from .kit import Arrays, Case, Kit

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
        yield Case("ner", partial(_entities, kit.json("codecs/ner.json")))


def _covered(entry: Mapping[str, Any], arguments: str) -> bool:
    return entry[arguments]["type"] in CONVERTORS


def _convertor(kit: Kit, entry: Mapping[str, Any], check: Check) -> None:
    convertor = CONVERTORS[entry["options"]["type"]]
    codec = convertor.build(entry["options"])
    check.equal("idx2char", convertor.spelling(codec), entry["idx2char"])
    for key, got in convertor.indices(codec).items():
        check.equal(key, got, entry[key])
    _encoding(check, convertor, codec, entry)
    if convertor.decoding is not None:
        convertor.decoding(check, codec, kit.arrays("codecs/logits.npz"), entry)


def _encoding(check: Check, convertor: Convertor, codec: Any, entry: Mapping[str, Any]) -> None:
    strings = entry["strings"]
    # Segmentation has no tensors of texts.
    all_tensors = entry.get("str2tensor", [None] * len(strings))
    for text, indices, tensors in zip(strings, entry["str2idx"], all_tensors, strict=True):
        what = f"{{}} {text[:12]!r}"
        if isinstance(indices, Mapping) and "error" in indices:
            check.raises(
                what.format("str2idx"), lambda text=text: codec.encode([text]), ConfigError
            )
        else:
            check.equal(what.format("str2idx"), convertor.classes(codec, text), indices)
        if tensors is None:
            continue
        if isinstance(tensors, Mapping) and "error" in tensors:
            check.raises(
                what.format("str2tensor"), lambda text=text: codec.encode([text]), ConfigError
            )
        else:
            check.equal(what.format("str2tensor"), convertor.targets(codec, [text]), tensors)
    if "batch_str2tensor" in entry:
        got = convertor.targets(codec, entry["batch_strings"])
        check.equal("batch_str2tensor", got, entry["batch_str2tensor"])


@dataclass(frozen=True)
class Convertor:
    """How the cases of one kind of convertor are compared.

    Args:
        build: from its dictionary to our codec.
        spelling: how every class is spelled.
        indices: its special classes by the kit's names.
        classes: of one text, in a list of one.
        targets: of several texts, by the kit's names.
        decoding: compares what the codec reads with what is stored; None: ``postprocess/`` does.
    """

    build: Callable[[Mapping[str, Any]], Any]
    spelling: Callable[[Any], list[str]]
    indices: Callable[[Any], dict[str, int | None]]
    classes: Callable[[Any, str], list[list[int]]]
    targets: Callable[[Any, Sequence[str]], dict[str, Any]]
    decoding: Callable[[Check, Any, Arrays, Mapping[str, Any]], None] | None


# --- CTCConvertor ------------------------------------------------------------------------------


def _ctc_spelling(codec: CTCCodec) -> list[str]:
    unknown = [UNKNOWN_TOKEN] * (codec.unknown_index is not None)
    return [BLANK_TOKEN, *codec.config.charset, *unknown]


def _ctc_indices(codec: CTCCodec) -> dict[str, int | None]:
    return {
        "num_classes": codec.num_classes,
        "unknown_idx": codec.unknown_index,
        "blank_idx": codec.blank_index,
    }


def _ctc_targets(codec: CTCCodec, texts: Sequence[str]) -> dict[str, Any]:
    encoded = codec.encode(texts)
    ends = np.cumsum(encoded.lengths)[:-1]
    return {
        "targets": [part.tolist() for part in np.split(encoded.classes, ends)],
        "flatten_targets": encoded.classes.tolist(),
        "target_lengths": encoded.lengths.tolist(),
    }


def _ctc_decoding(check: Check, codec: CTCCodec, arrays: Arrays, entry: Mapping[str, Any]) -> None:
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


# --- AttnConvertor -----------------------------------------------------------------------------


def _attention_indices(codec: AttentionCodec) -> dict[str, int | None]:
    return {
        "num_classes": codec.num_classes,
        "unknown_idx": codec.unknown_index,
        "start_idx": codec.start_index,
        "end_idx": codec.end_index,
        "padding_idx": codec.padding_index,
    }


def _attention_targets(codec: AttentionCodec, texts: Sequence[str]) -> dict[str, Any]:
    encoded = codec.encode(texts)
    return {
        "targets": [own.tolist() for own in encoded.classes],
        "padded_targets": encoded.padded.tolist(),
    }


def _attention_decoding(
    check: Check, codec: AttentionCodec, arrays: Arrays, entry: Mapping[str, Any]
) -> None:
    expected = entry["tensor2idx"]
    logits = arrays[expected["logits"]]
    read = codec.decode(logits, expected["valid_ratio"])
    check.equal("strings", [result.text for result in read], expected["strings"])
    lengths = [len(own) for own in expected["indexes"]]
    check.equal("numbers of characters", [len(result.char_scores) for result in read], lengths)
    char_scores = [result.char_scores for result in read]
    check.structure("scores", char_scores, expected["scores"], ALLOWED_SCORE)
    plain = [result.char_probabilities for result in read]
    check.structure("probabilities", plain, expected["scores"], ALLOWED_SCORE)


# --- SegConvertor ------------------------------------------------------------------------------


def _segmentation_indices(codec: SegCodec) -> dict[str, int | None]:
    # MMOCR's base class leaves these three at 0, the background.
    unused = dict.fromkeys(("start_idx", "end_idx", "padding_idx"), codec.background_index)
    return {"num_classes": codec.num_classes, "unknown_idx": codec.unknown_index, **unused}


def _segmentation_classes(codec: SegCodec, texts: Sequence[str]) -> list[list[int]]:
    return [classes.tolist() for classes in codec.encode(texts)]


CONVERTORS: Mapping[str, Convertor] = {
    "CTCConvertor": Convertor(
        build=lambda options: CTCCodec(ctc_codec(options)),
        spelling=_ctc_spelling,
        indices=_ctc_indices,
        classes=lambda codec, text: _ctc_targets(codec, [text])["targets"],
        targets=_ctc_targets,
        decoding=_ctc_decoding,
    ),
    "AttnConvertor": Convertor(
        build=lambda options: AttentionCodec(attention_codec(options)),
        spelling=lambda codec: codec.spelling,
        indices=_attention_indices,
        classes=lambda codec, text: _attention_targets(codec, [text])["targets"],
        targets=_attention_targets,
        decoding=_attention_decoding,
    ),
    "ABIConvertor": Convertor(
        build=lambda options: ABICodec(abi_codec(options)),
        spelling=lambda codec: codec.spelling,
        indices=_attention_indices,
        # The classes of a text alone are those of attention decoders, without the end.
        classes=lambda codec, text: _attention_targets(AttentionCodec(codec.config), [text])[
            "targets"
        ],
        targets=_attention_targets,
        decoding=_attention_decoding,
    ),
    "SegConvertor": Convertor(
        build=lambda options: SegCodec(segmentation_codec(options)),
        spelling=lambda codec: codec.spelling,
        indices=_segmentation_indices,
        classes=lambda codec, text: _segmentation_classes(codec, [text]),
        targets=lambda codec, texts: {"targets": _segmentation_classes(codec, texts)},
        decoding=None,
    ),
}
"""By the convertor's type."""


# --- dictionaries and wrong arguments ----------------------------------------------------------


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
    convertor = CONVERTORS[entry["args"]["type"]]
    if isinstance(expected, Mapping):
        check.raises("error", lambda: convertor.build(entry["args"]), ConfigError)
    else:
        check.equal("idx2char", convertor.spelling(convertor.build(entry["args"])), expected)


def _entities(entry: Mapping[str, Any], check: Check) -> None:
    options = entry["options"]
    codec = NerCodec(
        NerCodecConfig(
            vocabulary=tuple(options["vocab"]),
            categories=tuple(options["categories"]),
            annotation_type=options["annotation_type"],
            max_len=options["max_len"],
        )
    )
    names = {str(number): label for number, label in enumerate(codec.labels)}
    check.equal("vocab_size", len(codec.config.vocabulary), entry["vocab_size"])
    check.equal("num_labels", codec.num_labels, entry["num_labels"])
    check.equal("id2label", names, entry["id2label"])
    label_numbers = {
        category: [codec.labels.index(f"{prefix}-{category}") for prefix in "BI"]
        for category in codec.config.categories
    }
    check.equal("label2id", label_numbers, entry["label2id"])
    check.equal("ignore_id", codec.outside, entry["ignore_id"])
    for i, text in enumerate(entry["texts"]):
        labels = codec.encode_entities(_spans(entry["labels"][i]), len(text))
        check.equal(f"label_ids {i}", labels, entry["label_ids"][i])
        for key, expected in (("ids", entry["ids"][i]), ("transform", entry["transform"][i])):
            if isinstance(expected, Mapping) and "error" in expected:
                check.raises(f"{key} {i}", lambda text=text: codec.tokens(text), InputError)
                continue
            tokens = codec.tokens(text)
            got = _filled(tokens, codec)
            if key == "transform":
                got = {
                    "input_ids": got,
                    "attention_masks": _filled(np.ones_like(tokens), codec),
                    "labels": labels,
                    "token_type_ids": _filled(np.zeros_like(tokens), codec),
                }
            check.equal(f"{key} {i}", got, expected)
    for i, (labels, mask) in enumerate(zip(entry["preds"], entry["masks"], strict=True)):
        # The first token is [CLS]; behind the mask nothing counts.
        spans = [list(span) for span in codec.decode(labels[1 : sum(mask)])]
        check.equal(f"entities {i}", [spans], entry["entities"][i])
        check.equal(f"entities_batch {i}", spans, entry["entities_batch"][i])


def _spans(label: Mapping[str, Mapping[str, Any]]) -> list[Span]:
    return [
        Span(category, *place)
        for category, by_text in label.items()
        for places in by_text.values()
        for place in places
    ]


def _filled(values: Any, codec: NerCodec) -> Any:
    filled = np.full(codec.config.max_len, codec.padding)
    filled[: len(values)] = values
    return filled
