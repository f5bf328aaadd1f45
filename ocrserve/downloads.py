"""Fetching published checkpoints.

A file counts as downloaded only when it is whole and its SHA-256 begins as its name says. Until
then it has another name, so that a broken download is never taken for a checkpoint.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ocr_models.errors import OcrError
from ocr_models.zoo import PUBLISHED_BASE_URL, ZooEntry

MIRROR_VARIABLE = "OCRSERVE_ZOO_URL"
"""Environment variable: a mirror of ``PUBLISHED_BASE_URL``."""
TIMEOUT_SECONDS = 30.0
"""Longest silence of the server."""
CHUNK_BYTES = 1 << 20
SECONDS_BETWEEN_LINES = 10.0


class DownloadError(OcrError):
    """A checkpoint could not be fetched."""


def cache_folder() -> Path:
    """Where downloads go: ``ocrserve/checkpoints`` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ocrserve" / "checkpoints"


def download(entry: ZooEntry, folder: Path) -> Path:
    """The checkpoint of a published model, fetched into ``folder`` unless it is there.

    Raises:
        DownloadError: no connection, a broken transfer, another file than the published one, or no
            room for it.
    """
    assert entry.url_path is not None
    assert entry.sha256_prefix is not None
    return _fetched(entry.url_path, folder, entry.sha256_prefix)


def download_dictionary(entry: ZooEntry, folder: Path) -> Path:
    """The dictionary of a published model, likewise; there is no hash to compare it with.

    Raises:
        DownloadError: as ``download``.
    """
    assert entry.dictionary_url_path is not None
    return _fetched(entry.dictionary_url_path, folder, "")


def _fetched(url_path: str, folder: Path, sha256_prefix: str) -> Path:
    path = folder / url_path.rpartition("/")[2]
    if path.is_file():
        return path
    base = os.environ.get(MIRROR_VARIABLE) or PUBLISHED_BASE_URL
    url = f"{base.rstrip('/')}/{url_path}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as file:
            found = _transfer(url, file)
            if not found.startswith(sha256_prefix):
                raise DownloadError(
                    f"{url} is not the published file: its SHA-256 begins with "
                    f"{found[: len(sha256_prefix)]}, expected {sha256_prefix}; try "
                    "again, and if it stays so, do not use that file"
                )
            os.replace(file.name, path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise DownloadError(
            f"cannot download {url}: {_reason(error)}; without a network, copy the file to "
            f"{folder}/"
        ) from error
    except OSError as error:
        raise DownloadError(f"cannot download {url} to {folder}/: {error}") from error
    return path


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path`` that vanishes unless it is renamed."""
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f"{path.name}.", suffix=".part", delete=False
    ) as file:
        try:
            yield file  # type: ignore[misc]  # the wrapper has a BinaryIO's methods
        finally:
            Path(file.name).unlink(missing_ok=True)


def _transfer(url: str, file: BinaryIO) -> str:
    """Write what ``url`` gives to ``file``; its SHA-256 in hex."""
    request = urllib.request.Request(url, headers={"User-Agent": "ocrserve"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise DownloadError(f"{url} leads to {response.url}, which is not encrypted")
        length = response.headers.get("Content-Length")
        expected = int(length) if length else None
        digest = hashlib.sha256()
        received = 0
        show = _display(url.rpartition("/")[2], expected)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            show(len(chunk))
        show(0)
    file.flush()
    if expected is not None and received != expected:
        raise DownloadError(
            f"{url}: the connection broke after {received} of {expected} bytes; try again"
        )
    return digest.hexdigest()


def _display(label: str, total: int | None) -> Callable[[int], None]:
    """To be told of every part's bytes, and of 0 at the end: a bar, or a line now and then."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, unit="B", unit_scale=True, desc=label, dynamic_ncols=True)

        def draw(count: int) -> None:
            if count:
                bar.update(count)
            else:
                bar.close()

        return draw

    received, last = 0, time.monotonic()

    def tell(count: int) -> None:
        nonlocal received, last
        received += count
        if not count or time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            of = f" of {total / 1e6:.1f}" if total else ""
            print(f"{label}: {received / 1e6:.1f}{of} MB", file=sys.stderr, flush=True)

    return tell


def _reason(error: Exception) -> str:
    """What went wrong, for people."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", "") or error)
