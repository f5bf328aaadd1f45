"""``e2e/``: from an image to the result, with weights by formula."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ocr_models.detector import TextDetector
from ocr_models.geometry import bounding_quad, padded_crop, stitch_lines
from ocr_models.key_info import KeyInfoExtractor
from ocr_models.preprocessing import detection_input, recognition_inputs
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import mean_char_score
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, KieSpec, RecognizerSpec

from . import boundaries, formulas, kie_pages, networks
from .check import EXACT, Check
from .kit import Case, Kit, compare_flat

ALLOWED_SCORE = 1e-3
# The plain float32 network: what MMOCR ran.
PLAIN = RuntimeOptions(kind="torch", device="cpu", precision="float32")

# What MMOCR's command line demands of words that it merges into lines.
MERGE_MIN_Y_OVERLAP = 0.5

Entry = Mapping[str, Any]


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``e2e/index.json``, and the two files of inputs and glue beside it."""
    for entry in kit.json("e2e/index.json"):
        name = entry["file"].removesuffix(".npz")
        covered = partial(networks.covered, kit, entry["config"])
        yield Case(name, partial(_compare, kit, entry), covered)
    if (kit.root / "e2e" / "kie_inputs.json").is_file():
        inputs = kit.json("e2e/kie_inputs.json")
        for i, case in enumerate(inputs["cases"]):
            compare = partial(kie_pages.compare_inputs, inputs["dictionary"], case)
            yield Case(f"kie_inputs/{i}", compare)
    if (kit.root / "e2e" / "readtext_glue.json").is_file():
        glue = kit.json("e2e/readtext_glue.json")
        for i in range(len(glue["cases"])):
            yield Case(f"readtext_glue/{i}", partial(_glue, glue, glue["cases"][i]))


def _compare(kit: Kit, entry: Entry, check: Check) -> None:
    arrays = kit.arrays(f"e2e/{entry['file']}")
    height, width = entry["size"]
    image = formulas.image(height, width, entry["image_seed"])
    check.array("image", image, arrays["img"], EXACT)
    name = entry["config"]
    described = networks.spec(kit, name, characters=entry.get("dict", ()))
    network = networks.filled_network(described, _fill_seed(kit, entry))
    with networks.one_thread():
        if isinstance(described, KieSpec):
            extractor = KeyInfoExtractor(described, network.state_dict(), PLAIN)
            kie_pages.compare_page(check, extractor, network, image, entry, arrays)
        elif isinstance(described, DetectorSpec):
            prepared = detection_input(image, described.preprocessing)
            with torch.inference_mode():
                maps = network(torch.from_numpy(prepared.tensor[None]))
            compare_flat(check, arrays, "head", torch.cat(maps, dim=1).numpy())
            described = replace(
                described,
                postprocessing=replace(
                    described.postprocessing, **entry.get("postprocessor_overrides", {})
                ),
            )
            detector = TextDetector(described, network.state_dict(), PLAIN)
            got = boundaries.flat(detector.predict([image])[0].boundaries)
            _compare_boundaries(check, got, entry)
        else:
            assert isinstance(described, RecognizerSpec)
            last = recognition_inputs(image, described.preprocessing)[-1]
            outputs = networks.recognizer_outputs(
                network, described, torch.from_numpy(last.tensor[None]), [last.valid_ratio]
            )
            compare_flat(check, arrays, "decoder_last_call", outputs.numpy())
            recognizer = TextRecognizer(described, network.state_dict(), PLAIN)
            _compare_texts(check, recognizer, image, entry)


def _fill_seed(kit: Kit, entry: Entry) -> int:
    """From a remark such as ``common.fill(model, 0)``; the kit's seed where it names none."""
    named = re.search(r"fill\(\w+, (\d+)\)", entry.get("weights", ""))
    return int(named[1]) if named else kit.seed


def _compare_boundaries(check: Check, got: Sequence[Sequence[float]], entry: Entry) -> None:
    """Random weights put many pixels near the threshold, so a few boundaries may differ."""
    count, expected = entry["num_boundaries"], entry["first50"]
    check.number("boundaries", len(got), count, boundaries.ALLOWED_UNMATCHED, max(count, 1))
    missing = boundaries.unmatched(got, expected)
    share = missing / max(len(expected), 1)
    check.measured("boundaries without partner", share, boundaries.ALLOWED_UNMATCHED)
    # Each boundary that differs may take its whole score with it.
    doubtful = missing + abs(len(got) - count)
    total = sum(boundary[-1] for boundary in got)
    check.number(
        "sum of scores", total, entry["score_sum"], boundaries.ALLOWED_SCORE * count + doubtful
    )


def _compare_texts(
    check: Check, recognizer: TextRecognizer, image: NDArray[np.uint8], entry: Entry
) -> None:
    result = recognizer.predict([image])[0]
    check.equal("text", result.text, entry["result"]["text"])
    check.number("score", result.score, entry["result"]["score"], ALLOWED_SCORE)
    # Where MMOCR fails on a batch, a crop must still read the same in company.
    together = recognizer.predict([formulas.image(24, 80, 0), image])[1]
    check.equal("text in a batch", together.text, result.text)
    check.number("score in a batch", together.score, result.score, ALLOWED_SCORE)


def _glue(glue: Entry, case: Entry, check: Check) -> None:
    """From boundaries to crops and texts; a rule stands in for the recogniser."""
    source = glue["image"]
    height, width = source["size"]
    image = formulas.image(height, width, source["seed"])
    crops, words = [], []
    for *points, box_score in glue["boundaries"]:
        crop = padded_crop(image, points)
        crops.append([list(crop.shape), int(crop.sum())])
        text, scores = _stand_in(crop)
        words.append(
            {
                "box": [round(value) for value in points],
                "box_score": box_score,
                "text": text,
                "text_score": mean_char_score(scores, text),
            }
        )
    check.equal("crops", crops, case["crops"])
    if case["merge"]:
        lines = stitch_lines(
            [word["box"] for word in words], case["merge_xdist"], MERGE_MIN_Y_OVERLAP
        )
        words = [
            {
                "text": " ".join(str(words[i]["text"]) for i in line),
                "box": bounding_quad([xy for i in line for xy in words[i]["box"]]).ravel(),
            }
            for line in lines
        ]
    check.structure("words", words, case["result"][0]["result"], 1e-6)


def _stand_in(crop: NDArray[np.uint8]) -> tuple[str, tuple[float, ...]]:
    """Text and character scores by the rule that the file states."""
    height, width = crop.shape[:2]
    if height % 2 == 0:
        return "", ()
    letters = width % 7
    scores = tuple(0.5 + 0.05 * (i % 5) for i in range(letters + 2))
    return f"w{width}" + "y" * letters, scores
