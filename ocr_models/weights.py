"""The weights door: weight files in, ``{name: tensor}`` out, and nothing in them is ever run.

Read are ``.pth`` files of both kinds (zip archives, and the older plain pickle stream in which
MMOCR's models are published) and safetensors files. Pickles go through PyTorch's restricted
unpickler only; there is no fallback.
"""

from __future__ import annotations

import datetime
import hashlib
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.errors import WeightsError
from ocr_models.safetensors_io import (
    DTYPES,
    read_safetensors,
    read_safetensors_metadata,
    save_safetensors,
    serialize_safetensors,
)

__all__ = [
    "Checkpoint",
    "load_checkpoint",
    "load_into",
    "load_state_dict",
    "published_hash",
    "read_safetensors",
    "read_safetensors_metadata",
    "save_safetensors",
    "serialize_safetensors",
    "sha256_of",
]

MAX_FILE_BYTES = 8 * 2**30
WRAPPERS = ("state_dict", "model", "network")
"""Under which keys a checkpoint may hold its weights: mmcv's, torch hub's, and ours."""
PARALLEL_PREFIX = "module."
"""What ``DataParallel`` puts before every name."""

_PUBLISHED_NAME = re.compile(r"-([0-9a-f]{8})\.(?:pth|pt|safetensors)$")
_SHOWN_KEYS = 5


class _Discarded:
    """Stands in for NumPy values in a checkpoint's notes (``meta``), which are not kept.

    NumPy's own constructors are never called with what a stranger's file says.
    """

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


# mmcv stores scores and class lists in ``meta``; some are NumPy scalars or arrays.
_DISCARDED_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Discarded, name)
    for name in (
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
    )
]


@dataclass(frozen=True)
class Checkpoint:
    """What a weight file holds, optimizer state left out.

    Args:
        state_dict: the weights, on the CPU.
        meta: notes that trainers write beside them; empty where there are none.
    """

    state_dict: dict[str, Tensor]
    meta: Mapping[str, Any]


def load_state_dict(path: str | Path, *, check_hash: bool = True) -> dict[str, Tensor]:
    """The weights in a file; see ``load_checkpoint``."""
    return load_checkpoint(path, check_hash=check_hash).state_dict


def load_checkpoint(path: str | Path, *, check_hash: bool = True) -> Checkpoint:
    """The weights in a file and the notes beside them.

    Args:
        path: ``.pth`` (either kind) or ``.safetensors``; the content decides, not the name.
        check_hash: compare the content with the eight hex digits that published names end in.

    Raises:
        WeightsError: the file is missing, empty, damaged, not a checkpoint, larger than 8 GiB,
            would run code, or does not match its name.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not 0 < size <= MAX_FILE_BYTES:
                raise WeightsError(
                    f"{path}: the file is {size} bytes long; a weight file has between 1 and "
                    f"{MAX_FILE_BYTES}"
                )
            if check_hash:
                _check_published_hash(path, file)
            content = _read(path, file, size)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    state_dict = _strip_parallel_prefix(_unwrap(content, path), path)
    _check_tensors(state_dict, path, size)
    meta = content.get("meta")
    return Checkpoint(
        {name: tensor.detach().contiguous() for name, tensor in state_dict.items()},
        meta if isinstance(meta, dict) else {},
    )


def load_into(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    *,
    source: str,
    key_map: Mapping[str, str | None] | None = None,
) -> None:
    """Load weights; every name and shape must match.

    As in PyTorch, only the ``num_batches_tracked`` counters of batch normalisation may be missing
    (checkpoints written before PyTorch 0.4.1 have none); the module then keeps its own.

    Args:
        module: the network.
        state_dict: name -> tensor.
        source: where the weights come from, for the message.
        key_map: from names in `state_dict`, or prefixes that end in ``"."``, to names or prefixes
            in `module`; ``None`` drops. The longest match wins; names without one stay.

    Raises:
        WeightsError: missing, unexpected and wrongly shaped names, the first five of each.
    """
    own = module.state_dict()
    given = _rename(state_dict, key_map, source) if key_map else dict(state_dict)
    counters = {name for name in own if name.rpartition(".")[2] == "num_batches_tracked"}
    missing = [name for name in own if name not in given and name not in counters]
    unexpected = [name for name in given if name not in own]
    reshaped = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if missing or unexpected or reshaped:
        problems = (("missing", missing), ("unexpected", unexpected), ("of wrong shape", reshaped))
        lines = [
            f"  {len(names)} {what}: {', '.join(names[:_SHOWN_KEYS])}"
            + (", ..." if len(names) > _SHOWN_KEYS else "")
            for what, names in problems
            if names
        ]
        raise WeightsError(
            f"{source} does not fit {type(module).__name__} ({len(own)} entries, "
            f"{len(own) - len(missing) - len(reshaped)} of them fit):\n"
            + "\n".join(lines)
            + "\n  Is it the checkpoint of this config?"
        )
    module.load_state_dict({**{name: own[name] for name in counters}, **given})


def published_hash(path: str | Path) -> str | None:
    """The first eight hex digits of the SHA-256 that a published file name states, if it does.

    Eight digits that are a date (``model-20220502.pth``) state none.
    """
    match = _PUBLISHED_NAME.search(Path(path).name)
    if match is None:
        return None
    try:
        datetime.datetime.strptime(match[1], "%Y%m%d")
    except ValueError:
        return match[1]
    return None


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_published_hash(path: Path, file: BufferedReader) -> None:
    stated = published_hash(path)
    if stated is None:
        return
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if not found.startswith(stated):
        raise WeightsError(
            f"{path}: the name promises a SHA-256 that starts with {stated}, the content has "
            f"{found[:8]}: the file is damaged, incomplete or renamed. Download it again, or, if "
            "you changed it yourself, give it a name without these digits"
        )


def _read(path: Path, file: BufferedReader, size: int) -> Any:
    """What the file holds, by its first bytes."""
    start = file.read(16)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        _check_zip(path, file, size)
        return _unpickle(path, file)
    if start[:1] == b"\x80":  # every pickle since protocol 2
        return _unpickle(path, file)
    if start[8:9] == b"{":
        return read_safetensors(path)
    hint = "it is neither a .pth nor a .safetensors file"
    if start.lstrip()[:1] == b"<":
        hint = "it looks like a web page; did the download fail?"
    elif start.startswith(b"version https://"):
        hint = "it is a Git LFS pointer; fetch the real file with `git lfs pull`"
    raise WeightsError(f"{path}: not a weight file: {hint}")


def _check_zip(path: Path, file: BufferedReader, size: int) -> None:
    """Refuse archives that would grow when unpacked; PyTorch stores, it does not compress."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path}: the file is incomplete or damaged: {error}") from error
    finally:
        file.seek(0)
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise WeightsError(f"{path}: not a checkpoint: it holds compressed members")
    if sum(member.file_size for member in members) > size:
        raise WeightsError(f"{path}: damaged: its members claim more bytes than the file has")
    names = {member.filename.rpartition("/")[2] for member in members}
    if "data.pkl" not in names:
        raise WeightsError(f"{path}: a zip archive, but not a PyTorch checkpoint (no data.pkl)")
    if "constants.pkl" in names:
        raise WeightsError(
            f"{path}: a TorchScript program, which holds code; only plain weights are read"
        )


def _unpickle(path: Path, file: BufferedReader) -> Any:
    try:
        with torch.serialization.safe_globals(_DISCARDED_GLOBALS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly every type on damaged input
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused and isinstance(error, pickle.UnpicklingError):
            raise WeightsError(
                f"{path}: refused, and nothing of it was run: it wants to use {refused[1]}, and a "
                "weight file may hold tensors and plain values only"
            ) from error
        # PyTorch's own text goes on to explain how to load the file unsafely; it is left out.
        reason = re.search(r"WeightsUnpickler error: (.{1,200})", str(error))
        raise WeightsError(
            f"{path}: not a weight file, or incomplete or damaged "
            f"({reason[1].strip() if reason else type(error).__name__})"
        ) from error


def _unwrap(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise WeightsError(
            f"{path}: not a checkpoint: it holds a {type(content).__name__}, not a table of weights"
        )
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not content:
        raise WeightsError(f"{path}: not a checkpoint: it holds no weights")
    for name, value in content.items():
        if not isinstance(name, str) or type(value) not in (Tensor, nn.Parameter):
            raise WeightsError(
                f"{path}: not a table of weights: {name!r:.60} is a {type(value).__name__}. "
                f"Weights stand at the top or under one of {', '.join(WRAPPERS)}; this file has "
                f"{', '.join(f'{key!r:.40}' for key in list(content)[:8])}"
            )
    return content


def _strip_parallel_prefix(state_dict: dict[str, Any], path: Path) -> dict[str, Any]:
    if all(name.startswith(PARALLEL_PREFIX) for name in state_dict):
        return {name.removeprefix(PARALLEL_PREFIX): value for name, value in state_dict.items()}
    return state_dict


def _check_tensors(state_dict: dict[str, Tensor], path: Path, file_bytes: int) -> None:
    """Refuse tensors that are not plain data, or larger than the bytes that came for them."""
    total = 0
    for name, tensor in state_dict.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise WeightsError(f"{path}: {name!r} is not a plain tensor ({tensor.layout})")
        if tensor.dtype not in DTYPES.values():
            raise WeightsError(f"{path}: {name!r} has the unknown type {tensor.dtype}")
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{path}: {name!r} claims more values than the file holds")
        total += tensor.nbytes
    if total > 4 * file_bytes:  # weights may be shared between names, but not endlessly
        raise WeightsError(f"{path}: its tensors claim {total} bytes, the file has {file_bytes}")


def _rename(
    state_dict: Mapping[str, Tensor], key_map: Mapping[str, str | None], source: str
) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    longest_first = sorted(key_map, key=len, reverse=True)
    for name, tensor in state_dict.items():
        new_name: str | None = name
        for old in longest_first:
            if name == old or (old.endswith(".") and name.startswith(old)):
                new = key_map[old]
                new_name = None if new is None else new + name[len(old) :]
                break
        if new_name is None:
            continue
        if new_name in renamed:
            raise WeightsError(f"{source}: two entries would both become {new_name!r}")
        renamed[new_name] = tensor
    return renamed
