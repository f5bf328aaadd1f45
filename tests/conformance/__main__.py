"""Command line: ``python -m tests.conformance DIR``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from .runner import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per case and a summary; 0 if nothing differs, 1 if something does."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Compare this project with the numbers of MMOCR 0.6.1 that a folder holds: "
        "one line per case with 'ok', 'DIFFERS' or 'not-yet', the case's name, the largest "
        "difference and the allowed one. Ends with status 1 if any case differs.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a conformance kit")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="run only cases whose 'folder/case' matches, e.g. 'losses/*' (repeatable)",
    )
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")

    def wanted(name: str) -> bool:
        return not options.only or any(fnmatch(name, pattern) for pattern in options.only)

    counts: Counter[str] = Counter()
    for outcome in run(options.folder, wanted):
        print(outcome.line(), flush=True)
        counts[outcome.status] += 1
    if not counts:
        parser.error("no case matches")
    print(f"{counts['ok']} matched, {counts['DIFFERS']} differ, {counts['not-yet']} not yet")
    return 1 if counts["DIFFERS"] else 0


if __name__ == "__main__":
    sys.exit(main())
