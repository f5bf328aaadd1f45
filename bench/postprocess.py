"""Post-processing of a page with 200 words beside the network that the maps would come from.

    python -m bench.postprocess [--threads 1] [--clock wall] [--write docs/benchmarks.md]

The page has 1280 x 720 pixels. Its maps are those of a network that has learnt its targets
perfectly, softened and with noise (``bench.page``); the network that is timed has weights by
formula and runs eagerly in float32. Network and post-processing take turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import torch

from .detectors import DETECTORS, TEXTDET, load_detector
from .document import markdown_table, replace_part
from .machine import describe_machine
from .page import PADDED_HW, PAGE_HW, matched_words, page_case, page_words
from .predict import CLOCKS

PART = "postprocess"
GOAL = 1 / 5
POST_PER_NETWORK = 5
"""Post-processing is quick, so it runs this often in a turn."""


def measure(name: str, turns: int, clock: Callable[[], float]) -> tuple[list[str], float]:
    """A row of the table, and post-processing's share of the network's time."""
    detector = load_detector(TEXTDET / DETECTORS[name])
    words = page_words()
    images = torch.rand(1, 3, *PADDED_HW, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        case = page_case(detector.spec, detector.network(), words, PAGE_HW, PADDED_HW)
        boundaries = case.postprocess()
        case.run_eagerly(images)
        networks, posts = [], []
        for _ in range(turns):
            begin = clock()
            case.run_eagerly(images)
            between = clock()
            for _ in range(POST_PER_NETWORK):
                case.postprocess()
            networks.append(between - begin)
            posts.append((clock() - between) / POST_PER_NETWORK)
    share = statistics.median(p / n for n, p in zip(networks, posts, strict=True))
    found = matched_words(boundaries, words)
    row = [
        name,
        f"{found} of {len(words)}",
        str(len(boundaries) - found),
        f"{statistics.median(networks) * 1e3:.0f} ms",
        f"{statistics.median(posts) * 1e3:.1f} ms",
        f"{share:.1%}",
        "yes" if share < GOAL else "no",
    ]
    return row, share


def rows(names: Sequence[str], turns: int, clock: Callable[[], float]) -> Iterator[list[str]]:
    """Rows of the table, one by one."""
    for name in names:
        row, _ = measure(name, turns, clock)
        print(" | ".join(row), flush=True)
        yield row


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.postprocess", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DETECTORS))
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of PyTorch")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(DETECTORS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(DETECTORS)}")
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    header = [
        "detector", "words found", "others", "network, eager", "post-processing", "share",
        "below a fifth",
    ]  # fmt: skip
    table = markdown_table(
        header, list(rows(options.names or list(DETECTORS), options.turns, CLOCKS[options.clock]))
    )
    note = "Times are processor time, not wall-clock time. " if options.clock == "cpu" else ""
    text = f"{describe_machine()} {note}PyTorch threads: {options.threads}.\n\n{table}"
    print(text)
    if options.write is not None:
        replace_part(options.write, PART, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
