"""Checkpoints: written whole or not at all, and enough to continue to the last bit.

A checkpoint is a dictionary that ``torch.load(weights_only=True)`` reads:

==================  =================================================================
``meta``            ``epoch``, ``iter``, ``config`` (text in the config dialect), ``spec``
                    (JSON of the model, charset included), ``metrics``, ``time``,
                    ``ocrserve_version``
``state_dict``      the weights to use: the moving average when there is one
``train_state``     what only continuing needs: raw weights (when averaged), optimizer,
                    gradient scaler, random states, sums of the unfinished log interval
==================  =================================================================

MMOCR's ``optimizer`` entry is kept at top level, where its users expect it.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ocr_models.errors import WeightsError

LATEST = "latest.pth"


def save_atomically(state: Mapping[str, Any], path: Path) -> None:
    """Write ``state`` to ``path``; a crash at any moment leaves the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def point_latest(path: Path) -> None:
    """Make ``latest.pth`` beside ``path`` a link to it (a copy where links are impossible)."""
    link = path.with_name(LATEST)
    unfinished = path.with_name(f".{LATEST}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)
    try:
        unfinished.symlink_to(path.name)
    except OSError:
        unfinished.write_bytes(path.read_bytes())
    unfinished.replace(link)


def remove_old(folder: Path, kind: str, *, newest: int, keep: int) -> None:
    """Delete all but the ``keep`` newest numbered checkpoints.

    Args:
        folder: of the run.
        kind: ``"epoch"`` or ``"iter"``, the name before ``_{number}.pth``.
        newest: number of the one just written; higher ones are left alone, they belong to an
            earlier run in this folder.
        keep: how many to leave; below 0 all.
    """
    if keep < 0:
        return
    numbered = []
    for path in folder.glob(f"{kind}_*.pth"):
        match = re.fullmatch(rf"{kind}_(\d+)\.pth", path.name)
        if match and int(match.group(1)) <= newest:
            numbered.append((int(match.group(1)), path))
    numbered.sort()
    for _, path in numbered[: -max(1, keep)]:
        path.unlink()


def clean_unfinished(work_dir: Path) -> None:
    """Remove the half-written files that a killed run may have left."""
    for path in work_dir.glob(".*.pth.*.tmp"):
        path.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one of our own checkpoints, safely, onto the CPU.

    Raises:
        WeightsError: missing, unreadable, or a file that training did not write.
    """
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a readable checkpoint: {error}") from error
    if not isinstance(state, dict) or "meta" not in state or "train_state" not in state:
        raise WeightsError(
            f"{path} cannot be continued: it holds weights only. "
            "Use load_from to start a new training from them."
        )
    return state


def random_state() -> dict[str, Any]:
    """States of Python's, numpy's and torch's global generators."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (
            kind,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Undo ``random_state``."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
