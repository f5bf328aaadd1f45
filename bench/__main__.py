"""All measurements of ``docs/benchmarks.md``: ``python -m bench --write docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import postprocess, predict, serving, targets


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="document whose measured parts are replaced"
    )
    options = parser.parse_args(arguments)
    write = [] if options.write is None else ["--write", str(options.write)]
    return (
        predict.main(write)
        or postprocess.main(write)
        or targets.main(write)
        or serving.main(["--layouts", *write])
    )


if __name__ == "__main__":
    sys.exit(main())
