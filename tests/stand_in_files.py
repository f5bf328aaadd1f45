"""Lookalikes of files that MMOCR's configs name and that are not published with their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import wildreceipt

LINES = {"dict_file": 11_377, "vocab_file": 21_128}
"""Characters of the Chinese SAR's dictionary, tokens of the Chinese BERT's vocabulary."""


def with_stand_in_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config, changed in place, with files in ``folder`` wherever it names such a file.

    Args:
        config: a resolved config.
        folder: an existing one.
    """
    if config["model"]["type"] == "SDMGR":
        lists = wildreceipt.write_lists(folder)
        for key, name in wildreceipt.LISTS.items():
            _replace(config, key, lists / name)
        return config
    for key, count in LINES.items():
        if _replace(config, key, folder / key):
            entries = (chr(0x4E00 + i) if key == "dict_file" else f"token{i}" for i in range(count))
            text = "".join(f"{entry}\n" for entry in entries)
            (folder / key).write_text(text, encoding="utf-8")
    return config


def _replace(value: Any, key: str, path: Path) -> int:
    """Put ``path`` at every ``key`` within ``value``; how many there were."""
    if isinstance(value, list | tuple):
        return sum(_replace(part, key, path) for part in value)
    if not isinstance(value, dict):
        return 0
    count = sum(_replace(part, key, path) for part in value.values())
    if value.get(key) is not None:
        value[key] = str(path)
        count += 1
    return count
