"""A strict reader and writer of safetensors files, the weight format of archives.

A file is an 8-byte little-endian length, a JSON header of that length, and the bytes of all
tensors without gaps. The header maps a name to ``{"dtype", "shape", "data_offsets": [start, end]}``
and ``__metadata__`` to a table of strings.
Format: https://github.com/huggingface/safetensors#format

Written here because an archive must not need one more package on the server; files are
interchangeable with the ``safetensors`` package's.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ocr_models.errors import WeightsError

MAX_HEADER_BYTES = 32 * 2**20
MAX_DIMENSIONS = 16
METADATA_KEY = "__metadata__"
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_DTYPE_NAMES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}


def read_safetensors(source: str | Path | bytes) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU, each owning its memory.

    Args:
        source: a path, or the content of a file.

    Raises:
        WeightsError: anything about the file is not as the format demands.
    """
    content, name = _content(source)
    header, start = _header(content, name)
    data = memoryview(content)[start:]
    return {
        tensor_name: _tensor(data[entry.start : entry.end], entry, f"{name}: {tensor_name!r}")
        for tensor_name, entry in _entries(header, len(data), name).items()
    }


def read_safetensors_metadata(source: str | Path | bytes) -> dict[str, str]:
    """The table of strings that a file carries beside its tensors; empty if it has none.

    Raises:
        WeightsError: as :func:`read_safetensors`.
    """
    content, name = _content(source)
    header, start = _header(content, name)
    _entries(header, len(content) - start, name)
    metadata: dict[str, str] = header.get(METADATA_KEY, {})
    return metadata


def serialize_safetensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The content of a file. Equal tensors and metadata give equal bytes.

    Tensors are ordered by item size, largest first, then by name, so that each starts at a
    multiple of its item size.

    Raises:
        WeightsError: a name, a dtype or the metadata has no place in the format.
    """
    header: dict[str, Any] = {}
    if metadata:
        _check_metadata(metadata, "the metadata")
        header[METADATA_KEY] = dict(sorted(metadata.items()))
    chunks, position = [], 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name]
        if not name or name == METADATA_KEY:
            raise WeightsError(f"a tensor cannot be called {name!r}")
        if tensor.dtype not in _DTYPE_NAMES or tensor.layout != torch.strided:
            raise WeightsError(
                f"{name!r}: a {tensor.dtype} tensor with layout {tensor.layout} cannot be saved; "
                f"known: {', '.join(str(dtype) for dtype in _DTYPE_NAMES)}"
            )
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        chunk = flat.view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + len(chunk)],
        }
        chunks.append(chunk)
        position += len(chunk)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *chunks])


def save_safetensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file; it appears whole or not at all.

    Raises:
        WeightsError: as :func:`serialize_safetensors`.
    """
    content = serialize_safetensors(tensors, metadata)
    path = Path(path)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


class _Entry(NamedTuple):
    """One tensor of the header, checked: where its bytes are, relative to the end of the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "the safetensors content"
    try:
        return Path(source).read_bytes(), str(source)
    except OSError as error:
        raise WeightsError(f"{source}: cannot be read: {error.strerror}") from error


def _header(content: bytes, name: str) -> tuple[dict[str, Any], int]:
    """The parsed header, and where the bytes of the tensors start."""
    if len(content) < 8:
        raise WeightsError(f"{name}: not a safetensors file: {len(content)} bytes long")
    length = int.from_bytes(content[:8], "little")
    if length > min(MAX_HEADER_BYTES, len(content) - 8):
        raise WeightsError(
            f"{name}: not a safetensors file, or incomplete: its header should be {length} bytes "
            f"long, the file has {len(content) - 8} (limit {MAX_HEADER_BYTES})"
        )
    text = content[8 : 8 + length]
    if not text.startswith(b"{"):
        raise WeightsError(f"{name}: not a safetensors file: the header is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise WeightsError(f"{name}: the header has duplicate names")
        return table

    def refuse_constant(constant: str) -> None:
        raise WeightsError(f"{name}: the header holds {constant}")

    try:
        header = json.loads(
            text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse_constant
        )
    except WeightsError:
        raise
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{name}: the header is not valid JSON: {error}") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{name}: the header is not a table")
    if METADATA_KEY in header:
        _check_metadata(header[METADATA_KEY], f"{name}: {METADATA_KEY}")
    return header, 8 + length


def _entries(header: dict[str, Any], data_bytes: int, name: str) -> dict[str, _Entry]:
    """Every tensor of the header, after checking that they tile the data without gap or overlap."""
    entries = {
        tensor_name: _entry(entry, f"{name}: {tensor_name!r}")
        for tensor_name, entry in header.items()
        if tensor_name != METADATA_KEY
    }
    position = 0
    for tensor_name, entry in sorted(
        entries.items(), key=lambda item: (item[1].start, item[1].end)
    ):
        if entry.start != position:
            raise WeightsError(
                f"{name}: {tensor_name!r} starts at byte {entry.start} where {position} was due: "
                "the tensors overlap or leave a gap"
            )
        position = entry.end
    if position != data_bytes:
        raise WeightsError(
            f"{name}: the tensors end at byte {position} of {data_bytes}: the file is incomplete "
            "or damaged"
        )
    return entries


def _entry(entry: Any, where: str) -> _Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{where}: an entry holds exactly dtype, shape and data_offsets")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise WeightsError(f"{where}: dtype {entry['dtype']!r:.40} is none of {', '.join(DTYPES)}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole_numbers(shape) or len(shape) > MAX_DIMENSIONS:
        raise WeightsError(f"{where}: a shape is up to {MAX_DIMENSIONS} whole numbers")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise WeightsError(f"{where}: data_offsets are two whole numbers")
    start, end = offsets
    if math.prod(shape) * dtype.itemsize != end - start:
        raise WeightsError(
            f"{where}: {shape} of {entry['dtype']} do not fill the {end - start} bytes given"
        )
    return _Entry(dtype, tuple(shape), start, end)


def _tensor(data: memoryview, entry: _Entry, where: str) -> Tensor:
    if not len(data):
        try:
            return torch.empty(entry.shape, dtype=entry.dtype)
        except RuntimeError as error:  # strides of (0, 2**40, 2**40)
            raise WeightsError(f"{where}: the shape {entry.shape} is too large") from error
    own = bytearray(data)
    if entry.dtype == torch.bool and max(own) > 1:
        raise WeightsError(f"{where}: a BOOL is neither 0 nor 1")
    return torch.frombuffer(own, dtype=entry.dtype).reshape(entry.shape)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number < 2**48 for number in value
    )


def _check_metadata(metadata: Any, where: str) -> None:
    if not isinstance(metadata, Mapping) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in metadata.items()
    ):
        raise WeightsError(f"{where} must be a table of strings")
