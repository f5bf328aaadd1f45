"""A progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

ItemT = TypeVar("ItemT")
SECONDS_BETWEEN_LINES = 30.0


def progress(items: Iterable[ItemT], *, total: int, label: str) -> Iterator[ItemT]:
    """Passes ``items`` on and shows on standard error how many of ``total`` have passed."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=label, dynamic_ncols=True)
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)
