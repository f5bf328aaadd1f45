"""``ocrserve zoo``: the models that are known by name."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocr_models.zoo import ZooEntry

DESCRIPTION = """
Published weights are downloaded by 'ocrserve convert NAME --download', or put the file into
checkpoints/; then use the model's name wherever a command takes a model. Figures are the published
ones.
"""
EXAMPLES = """\
  {prog}
  {prog} DB_r18
  {prog} --json
"""
HEADINGS = ("name", "task", "trained on", "figures", "weights")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show all about one model")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a Markdown table")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table, or one entry."""
    from ocr_models.zoo import ZOO, find_model

    entries = [find_model(arguments.name)] if arguments.name else list(ZOO.values())
    if arguments.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=1))
    elif arguments.markdown:
        print(markdown_table(entries), end="")
    elif arguments.name:
        print(_details(entries[0]))
    else:
        print(_plain_table(entries))
    return 0


def markdown_table(entries: Iterable[ZooEntry]) -> str:
    """The table of models in the README."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|--|--|--|--|--|"]
    for entry in entries:
        name, *others = _cells(entry)
        weights = "in this package" if entry.url is None else f"[{entry.file_name}]({entry.url})"
        lines.append(f"| {' | '.join([f'`{name}`', *others[:-1], weights])} |")
    return "\n".join(lines) + "\n"


def _plain_table(entries: Iterable[ZooEntry]) -> str:
    rows = [HEADINGS, *(_cells(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(entry: ZooEntry) -> tuple[str, ...]:
    return (
        entry.alias or entry.name,
        entry.task,
        entry.training_data,
        _headline(entry),
        entry.file_name or "in this package",
    )


def _headline(entry: ZooEntry) -> str:
    """The figure that models of one kind are compared by."""
    wanted = {
        "detection": "hmean",
        "recognition": "word_acc",
        "kie": "macro_f1",
        "ner": "f1-score",
    }[entry.task]
    chosen = [metric for metric in entry.metrics if wanted in metric.name]
    return ", ".join(f"{metric.dataset} {metric.value:.3f}" for metric in chosen) or "none"


def _details(entry: ZooEntry) -> str:
    from ocr_models.zoo import PUBLISHED_BASE_URL

    facts = {
        "name": entry.name,
        "short name": entry.alias or "none",
        "task": entry.task,
        "config": f"configs/{entry.config}",
        "weights": entry.url or "in this package",
        "sha256": f"{entry.sha256_prefix}..." if entry.sha256_prefix else "in its model.json",
        "trained on": entry.training_data,
    }
    if entry.dictionary_url_path is not None:
        facts["dictionary"] = PUBLISHED_BASE_URL + entry.dictionary_url_path
    lines = [f"{name:{max(map(len, facts))}}  {value}" for name, value in facts.items()]
    lines += [f"  {m.dataset}: {m.name} {m.value:.3f}" for m in entry.metrics]
    return "\n".join(lines)
