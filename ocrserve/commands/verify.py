"""``ocrserve verify``: an archive or a running server against the local model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ocr_models.errors import ConfigError

if TYPE_CHECKING:
    from ocrserve.archives.verify import Report

DESCRIPTION = """
With an ARCHIVE: checks its hashes, runs it in a process of its own that has no ocrserve, and
compares its answers with those of the local model, number by number. With --server: compares the
answers of a running server instead. Without images an archive is tried on a few drawn words.
"""
EXAMPLES = """\
  {prog} model_store/ocr.mar
  {prog} model_store/ocr.mar --image photo.jpg other.jpg
  {prog} model_store/ocr.mar --server http://127.0.0.1:8080 --image photo.jpg
  {prog} --server http://127.0.0.1:8080/predictions/ocr --image photo.jpg
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument(
        "archive", nargs="?", type=Path, metavar="ARCHIVE",
        help="a .mar file; with --server also a model folder",
    )  # fmt: skip
    parser.add_argument("--server", metavar="URL", help="http://HOST:PORT of the inference API")
    parser.add_argument(
        "--image", nargs="+", type=Path, default=[], metavar="FILE", help="images to compare on"
    )
    parser.add_argument(
        "--model-store", type=Path, default=Path("model_store"), metavar="DIR",
        help="where to look for the server's archive when none is given; default: model_store",
    )  # fmt: skip
    parser.add_argument("--token", metavar="KEY", help="inference token of the server")
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="T",
        help="largest difference that counts as equal, in pixels and scores; default: 1e-4",
    )  # fmt: skip
    parser.add_argument("--describe", action="store_true", help="print what is inside as JSON, too")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line per image; exit code 1 when anything differs."""
    if arguments.server is None and arguments.archive is None:
        arguments.usage_error("give an ARCHIVE, or --server URL with --image FILE")
    if arguments.server is not None and not arguments.image:
        arguments.usage_error("--server needs --image FILE")

    from ocrserve.archives.verify import verify_archive, verify_server

    if arguments.server is None:
        report = verify_archive(arguments.archive, arguments.image, tolerance=arguments.tolerance)
    else:
        token = arguments.token
        report = verify_server(
            arguments.server,
            arguments.image,
            arguments.archive or _archive_of(arguments.server, arguments.model_store),
            headers={"Authorization": f"Bearer {token}"} if token else None,
            tolerance=arguments.tolerance,
        )
    _print(report, describe=arguments.describe)
    return 0 if report.ok else 1


def _archive_of(url: str, model_store: Path) -> Path:
    """The archive that a server's URL speaks of: by name, or the only one that there is."""
    path = urlsplit(url if "//" in url else f"http://{url}").path
    name = path.rpartition("/predictions/")[2].partition("/")[0]
    archives = sorted(model_store.glob("*.mar"))
    wanted = [archive for archive in archives if archive.stem == name] if name else archives
    if len(wanted) == 1:
        return wanted[0]
    there = ", ".join(archive.name for archive in archives) or "none"
    raise ConfigError(
        f"which archive does the server run? Name it: ocrserve verify ARCHIVE --server {url} ... "
        f"(in {model_store}: {there})"
    )


def _print(report: Report, *, describe: bool) -> None:
    if describe:
        print(json.dumps(dict(report.describe), indent=1, ensure_ascii=False))
    for comparison in report.comparisons:
        verdict = "differs" if comparison.differences else "equal"
        largest = comparison.largest_difference
        print(f"{comparison.image}: {verdict}, largest difference {largest:g}")
        for difference in comparison.differences:
            print(f"  {difference}")
    print(f"{report.subject}: {'ok' if report.ok else 'NOT the same as the local model'}")
