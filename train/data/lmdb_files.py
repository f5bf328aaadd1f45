"""lmdb data sets; the ``lmdb`` package is needed only when a config asks for one."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from ocr_models.errors import ConfigError


def open_lmdb(path: Path) -> Any:
    """A read-only environment, opened once per process.

    Raises:
        ConfigError: the ``lmdb`` package is not installed, or there is no data set at ``path``.
    """
    # An environment must not be used after a fork, and workers are forks.
    return _open(path, os.getpid())


@cache
def _open(path: Path, process: int) -> Any:
    try:
        import lmdb
    except ImportError:
        raise ConfigError(
            f"{path} is read with the lmdb package, which is not installed: pip install lmdb"
        ) from None
    try:
        return lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise ConfigError(f"cannot open the lmdb data set {path}: {error}") from None


def read_value(path: Path, key: str) -> bytes:
    """The value of one key.

    Raises:
        OSError: there is no such key.
    """
    with open_lmdb(path).begin(buffers=False) as transaction:
        value = transaction.get(key.encode())
    if value is None:
        raise OSError(f"no key {key!r} in {path}")
    return bytes(value)
