"""Tables in Markdown, and a document whose measured parts are replaced in place.

A measured part stands between ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->``; what is around
it is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; columns after the first are aligned right."""
    rule = ["--", *["--:"] * (len(header) - 1)]
    lines = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def replace_part(document: Path, name: str, text: str) -> None:
    """Replaces part ``name`` of a document; raises ``ValueError`` when the document has none."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    content = document.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{document} must have one line {begin} and one line {end}")
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
