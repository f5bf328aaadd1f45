"""What the conformance runner said about one config."""

from __future__ import annotations

import re
from collections.abc import Sequence

CONFORMANCE_LINE = re.compile(r"^(ok|DIFFERS|not-yet)\s+(\S+)")
_OTHERS = {"DIFFERS": "differ", "not-yet": "not yet"}


def kit_result(lines: Sequence[str], config: str, shared: tuple[str, ...] = ()) -> str:
    """How many cases are about a config, in words; empty when there are none.

    Args:
        lines: output of ``python -m tests.conformance``.
        config: stem of its file; cases that bear its name are its own.
        shared: beginnings of the names of other cases that are about it.
    """
    counts = {"ok": 0, "DIFFERS": 0, "not-yet": 0}
    for line in lines:
        match = CONFORMANCE_LINE.match(line)
        if match is None:
            continue
        status, name = match.groups()
        own = re.fullmatch(rf"[a-z0-9_]+/{re.escape(config)}([_/]\d+)?", name)
        if own or (shared and name.startswith(shared)):
            counts[status] += 1
    if not any(counts.values()):
        return ""
    parts = [f"{counts['ok']} matched"]
    parts += [f"{counts[key]} {text}" for key, text in _OTHERS.items() if counts[key]]
    return ", ".join(parts)
