"""The safetensors reader and writer against the ``safetensors`` package, and against damage."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from ocr_models.errors import WeightsError
from ocr_models.safetensors_io import (
    DTYPES,
    read_safetensors,
    read_safetensors_metadata,
    save_safetensors,
    serialize_safetensors,
)
from ocr_models.weights import load_state_dict


def every_dtype() -> dict[str, Tensor]:
    torch.manual_seed(0)
    tensors = {f"t.{name}": (torch.rand(3, 5) * 2).to(dtype) for name, dtype in DTYPES.items()}
    return {
        **tensors,
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 4),
        "turned": torch.rand(3, 2).T,
        'name with ünïcode " and \\': torch.ones(1),
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


def assert_same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert (tensor.dtype, tensor.shape) == (right[name].dtype, right[name].shape)
        bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (tensor, right[name])]
        assert torch.equal(*bits), name


def test_number_of_dtypes() -> None:
    assert len(DTYPES) == 10


def test_own_files_are_read_by_the_safetensors_package(tmp_path: Path) -> None:
    tensors, metadata = every_dtype(), {"format": "pt", "note": "é"}
    path = tmp_path / "w.safetensors"
    save_safetensors(path, tensors, metadata)
    assert_same_bits(safetensors.torch.load_file(path), tensors)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == metadata
    assert_same_bits(read_safetensors(path), tensors)
    assert_same_bits(load_state_dict(path), tensors)
    assert read_safetensors_metadata(path) == metadata


def test_files_of_the_safetensors_package_are_read(tmp_path: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in every_dtype().items()}
    content = safetensors.torch.save(tensors, {"a": "b"})
    assert_same_bits(read_safetensors(content), tensors)
    assert read_safetensors_metadata(content) == {"a": "b"}
    assert read_safetensors_metadata(serialize_safetensors(tensors)) == {}


def test_equal_tensors_give_equal_bytes() -> None:
    tensors = every_dtype()
    backwards = dict(reversed(list(tensors.items())))
    first = serialize_safetensors(tensors, {"a": "1", "b": "2"})
    assert first == serialize_safetensors(backwards, {"b": "2", "a": "1"})
    header_length = int.from_bytes(first[:8], "little")
    assert header_length % 8 == 0
    for entry in json.loads(first[8 : 8 + header_length]).values():
        if "dtype" in entry:
            assert entry["data_offsets"][0] % DTYPES[entry["dtype"]].itemsize == 0


def test_tensors_own_their_memory() -> None:
    content = serialize_safetensors({"a": torch.zeros(2), "b": torch.zeros(2)})
    loaded = read_safetensors(content)
    loaded["a"].fill_(7)
    assert torch.equal(loaded["b"], torch.zeros(2))
    assert torch.equal(read_safetensors(content)["a"], torch.zeros(2))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for tensors, metadata in [
        ({"a": torch.ones(1, dtype=torch.complex64)}, None),
        ({"a": torch.ones(1).to_sparse()}, None),
        ({"": torch.ones(1)}, None),
        ({"__metadata__": torch.ones(1)}, None),
        ({"a": torch.ones(1)}, {"x": 1}),
    ]:
        with pytest.raises(WeightsError):
            save_safetensors(path, tensors, metadata)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def with_header(header: Any, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BROKEN_HEADERS: list[tuple[bytes, str]] = [
    (b"", "0 bytes long"),
    (b"\0" * 7, "7 bytes long"),
    (with_header({"a": entry()}, length=10**6), "header should be"),
    (with_header({"a": entry()}, length=2**63), "header should be"),
    (with_header({"a": entry()}, length=0), "not JSON"),
    (with_header(b" {}", b""), "not JSON"),
    (with_header(b"[1]"), "not JSON"),
    (with_header(b"{"), "not valid JSON"),
    (with_header(b"{\xff}"), "not valid JSON"),
    (with_header(b'{"a":' * 10**5), "not valid JSON"),
    (with_header(b'{"a":1,"a":1}'), "duplicate"),
    (with_header(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "duplicate"),
    (with_header({"a": 5}), "exactly dtype"),
    (with_header({"a": {**entry(), "x": 1}}), "exactly dtype"),
    (with_header({"a": {"dtype": "F32", "shape": [2]}}), "exactly dtype"),
    (with_header({"a": entry("F8")}), "'F8'"),
    (with_header({"a": entry(3)}), "dtype"),
    (with_header({"a": entry(["F32"])}), "dtype"),
    (with_header({"a": entry(shape=[-2])}), "whole numbers"),
    (with_header({"a": entry(shape=[2.0])}), "whole numbers"),
    (with_header({"a": entry(shape=[True, 2])}), "whole numbers"),
    (with_header({"a": entry(shape=2)}), "whole numbers"),
    (with_header({"a": entry(shape=[1] * 16 + [2])}), "up to 16"),
    (with_header({"a": entry(shape=[2**64])}), "whole numbers"),
    (with_header({"a": entry(offsets=[0])}), "two whole numbers"),
    (with_header({"a": entry(offsets=[8, 0])}), "do not fill"),
    (with_header({"a": entry(offsets=[0, 4])}), "do not fill"),
    (with_header({"a": entry(shape=[3])}), "do not fill"),
    (with_header({"a": entry(offsets=[-8, 0])}), "whole numbers"),
    (with_header({"a": entry()}, b"\0" * 9), "incomplete"),
    (with_header({"a": entry()}, b"\0" * 7), "incomplete"),
    (with_header({"a": entry(offsets=[8, 16])}, b"\0" * 16), "gap"),
    (with_header({"a": entry(), "b": entry()}), "overlap"),
    (with_header({"a": entry(), "b": entry(offsets=[4, 12])}, b"\0" * 12), "overlap"),
    (with_header({"__metadata__": 5, "a": entry()}), "table of strings"),
    (with_header({"__metadata__": {"a": 5}, "a": entry()}), "table of strings"),
    (with_header(b'{"a":NaN}'), "NaN"),
    (with_header({"a": entry("BOOL", [8])}, b"\1\0\2\0\0\0\0\0"), "BOOL"),
    (with_header({"a": entry(shape=[0, 2**47, 2**47], offsets=[0, 0])}, b""), "too large"),
]


def test_number_of_broken_headers() -> None:
    assert len(BROKEN_HEADERS) == 39


@pytest.mark.parametrize(("content", "message"), BROKEN_HEADERS)
def test_broken_headers(content: bytes, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        read_safetensors(content)
    assert message in str(caught.value)


def test_random_damage_gives_tensors_or_an_error() -> None:
    content = serialize_safetensors(every_dtype(), {"a": "b"})
    rng = random.Random(1)
    header = int.from_bytes(content[:8], "little") + 8
    refused = 0
    for number in range(3000):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        elif number % 3 == 1:
            for _ in range(rng.choice([1, 2, 8])):
                damaged[rng.randrange(header)] = rng.choice(b'0123456789{}[]",:-.eE \0\xff')
        else:
            start = rng.randrange(header)
            damaged[start : start + rng.randrange(20)] = rng.randbytes(rng.randrange(20))
        try:
            read_safetensors(bytes(damaged))
        except WeightsError:
            refused += 1
    assert refused > 2500
