"""``ocrserve data``: annotation files from one form to another."""

from __future__ import annotations

import argparse
from pathlib import Path

from ocr_models.errors import ConfigError

DESCRIPTION = """
Converts annotation files. closeset-to-openset takes WildReceipt's classes to keys and values that
are linked: all keys and values of one kind belong together, what is to be ignored becomes
background, and every other word stands alone.
"""
EXAMPLES = """\
  {prog} closeset-to-openset data/wildreceipt/train.txt data/wildreceipt/openset_train.txt
  {prog} closeset-to-openset data/wildreceipt/test.txt data/wildreceipt/openset_test.txt
  {prog} closeset-to-openset mine.txt openset.txt --merge --others 9
"""
CONVERTERS = ("closeset-to-openset",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument(
        "converter", choices=CONVERTERS, metavar="CONVERTER", help=", ".join(CONVERTERS)
    )
    parser.add_argument("source", type=Path, metavar="IN", help="annotation file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="annotation file to write")
    parser.add_argument(
        "--merge", action="store_true", help="give others the class of background, too"
    )
    parser.add_argument(
        "--others", type=int, default=25, metavar="N",
        help="number of the class of others, after value and key of each kind; default: 25, "
        "WildReceipt's",
    )  # fmt: skip
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing OUT")


def run(arguments: argparse.Namespace) -> int:
    """Writes the converted file, complete or not at all."""
    from ocrserve.train.data.pages import convert_to_openset

    source, target = arguments.source, arguments.target
    if target.exists() and not arguments.force:
        raise ConfigError(f"{target} exists; give another name, or -f to replace it")
    lines = list(
        convert_to_openset(source, merge_background=arguments.merge, others=arguments.others)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{target}: {len(lines)} pages")
    return 0
