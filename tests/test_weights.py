"""The weights door: both kinds of ``.pth``, and what must be refused."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ocr_models.errors import WeightsError
from ocr_models.weights import (
    load_into,
    load_state_dict,
    published_hash,
)

BOTH_KINDS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Linear(4, 2))
    )


def save(content: Any, path: Path, zipped: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert list(left) == list(right)
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype
        assert tensor.shape == right[name].shape
        assert torch.equal(tensor, right[name]), name


# --- .pth --------------------------------------------------------------------------------------


@BOTH_KINDS
def test_mmcv_checkpoint(tmp_path: Path, zipped: bool) -> None:
    net = network()
    optimizer = {
        "state": {0: {"momentum_buffer": torch.ones(4, 3, 3, 3)}},
        "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0]}],
    }
    meta = {
        "mmcv_version": "1.7.2",
        "config": "model = dict()",
        "CLASSES": ("text",),
        "epoch": 3,
        "time": "now",
        "hook_msgs": {"best_score": np.float64(0.5), "n": np.int64(3), "f": np.float32(1)},
        "PALETTE": np.arange(6).reshape(2, 3),
    }
    checkpoint = {"meta": meta, "state_dict": net.state_dict(), "optimizer": optimizer}
    path = save(checkpoint, tmp_path / "latest.pth", zipped)
    assert path.read_bytes().startswith(b"PK" if zipped else b"\x80")
    assert_equal(load_state_dict(path), dict(net.state_dict()))


@BOTH_KINDS
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "network"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_prefixes(
    tmp_path: Path, zipped: bool, wrapper: str | None, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in network().state_dict().items()}
    content: Any = {wrapper: state, "meta": {"CLASSES": 0}} if wrapper else state
    path = save(content, tmp_path / "weights.pth", zipped)
    assert_equal(load_state_dict(path), dict(network().state_dict()))


def test_prefix_stays_when_only_some_names_have_it(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(load_state_dict(save(state, tmp_path / "w.pth", True))) == ["module.a", "b"]


@BOTH_KINDS
def test_parameters_and_unusual_layouts(tmp_path: Path, zipped: bool) -> None:
    big = torch.arange(100.0)
    state = {
        "parameter": nn.Parameter(torch.ones(2)),
        "slice": big[10:20],
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "channels_last": torch.rand(1, 2, 3, 3).to(memory_format=torch.channels_last),
        "tied": big,
        "empty": torch.empty(0, 3),
        "count": torch.tensor(5),
    }
    loaded = load_state_dict(save(state, tmp_path / "w.pth", zipped))
    assert_equal(loaded, {name: tensor.detach() for name, tensor in state.items()})
    assert all(tensor.is_contiguous() for tensor in loaded.values())
    assert not loaded["parameter"].requires_grad


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile_values(marker: Path) -> list[Any]:
    import os
    import subprocess

    return [
        Hostile(os.system, f"touch {marker}"),
        Hostile(subprocess.check_call, ["touch", str(marker)]),
        Hostile(eval, f"open({str(marker)!r}, 'w')"),
        Hostile(exec, f"open({str(marker)!r}, 'w')"),
        Hostile(open, str(marker), "w"),
        Hostile(getattr, "", "__class__"),
        Hostile(np.memmap, str(marker), "uint8", "w+", 0, (1,)),
        Hostile(torch.hub.load, str(marker), "x"),
        Hostile(__import__, "antigravity"),
    ]


@BOTH_KINDS
@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("place", ["alone", "meta", "weights", "optimizer"])
def test_hostile_pickles_do_not_run(tmp_path: Path, zipped: bool, number: int, place: str) -> None:
    marker = tmp_path / "marker"
    value = hostile_values(marker)[number]
    good = dict(network().state_dict())
    content = {
        "alone": value,
        "meta": {"meta": {"x": value}, "state_dict": good},
        "weights": {"state_dict": {**good, "x": value}},
        "optimizer": {"state_dict": good, "optimizer": [value]},
    }[place]
    path = save(content, tmp_path / "hostile.pth", zipped)
    with pytest.raises(WeightsError, match=r"hostile\.pth: refused, and nothing of it was run"):
        load_state_dict(path)
    assert not marker.exists()


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_hostile_pickles_are_real(tmp_path: Path) -> None:
    """Each of the first five would leave the marker if it were unpickled."""
    for number in range(5):
        marker = tmp_path / f"marker{number}"
        pickle.loads(pickle.dumps(hostile_values(marker)[number]))
        assert marker.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_bare_pickles_are_refused(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps(hostile_values(marker)[0], protocol))
    with pytest.raises(WeightsError, match=r"bare\.pth"):
        load_state_dict(path)
    assert not marker.exists()


@BOTH_KINDS
def test_numpy_in_notes_is_not_rebuilt(tmp_path: Path, zipped: bool) -> None:
    """A dtype of Python objects would let NumPy's own unpickling see hostile data."""
    objects = np.array([{"x": 1}, None], dtype=object)
    content = {"meta": {"x": objects}, "state_dict": {"a": torch.ones(1)}}
    assert list(load_state_dict(save(content, tmp_path / "w.pth", zipped))) == ["a"]
    path = save({"a": np.ones(3)}, tmp_path / "array.pth", zipped)
    with pytest.raises(WeightsError, match="'a' is a"):
        load_state_dict(path)


@BOTH_KINDS
def test_what_is_no_table_of_weights(tmp_path: Path, zipped: bool) -> None:
    for number, (content, message) in enumerate(
        [
            (torch.ones(3), "holds a Tensor"),
            ([torch.ones(3)], "holds a list"),
            ({}, "no weights"),
            ({"state_dict": {}}, "no weights"),
            ({"epoch": 3, "notes": "x"}, "'epoch' is a int"),
            ({3: torch.ones(1)}, "not a table of weights"),
            ({"a": torch.ones(2).to_sparse()}, "'a'"),
            ({"a": torch.ones(2, dtype=torch.complex64)}, "complex64"),
            ({"a": torch.ones(1).expand(10**6)}, "claims more values"),
        ]
    ):
        path = save(content, tmp_path / f"file{number}.pth", zipped)
        with pytest.raises(WeightsError, match=rf"file{number}\.pth") as caught:
            load_state_dict(path)
        assert message in str(caught.value)


def test_endless_sharing_is_refused(tmp_path: Path) -> None:
    shared = torch.ones(10**4)
    path = save({str(i): shared for i in range(100)}, tmp_path / "w.pth", True)
    with pytest.raises(WeightsError, match="claim"):
        load_state_dict(path)


@BOTH_KINDS
def test_truncated_files(tmp_path: Path, zipped: bool) -> None:
    path = save({"state_dict": network().state_dict()}, tmp_path / "whole.pth", zipped)
    content = path.read_bytes()
    cuts = [1, 2, 10, 100, len(content) // 2, len(content) - 100, len(content) - 1]
    for cut in cuts:
        (tmp_path / "cut.pth").write_bytes(content[:cut])
        with pytest.raises(WeightsError, match=r"cut\.pth"):
            load_state_dict(tmp_path / "cut.pth")


@BOTH_KINDS
def test_damaged_files_never_crash(tmp_path: Path, zipped: bool) -> None:
    path = save({"state_dict": network().state_dict()}, tmp_path / "whole.pth", zipped)
    content = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 4, 40])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_state_dict(path)
        except WeightsError:
            refused += 1
    assert refused > 10


def test_files_of_other_kinds(tmp_path: Path) -> None:
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    plain_zip = io.BytesIO()
    with zipfile.ZipFile(plain_zip, "w") as archive:
        archive.writestr("readme.txt", b"x")
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("x/data.pkl", b"x")
        archive.writestr("x/constants.pkl", b"x")
    for name, content, message in [
        ("empty.pth", b"", "0 bytes"),
        ("page.pth", b"<!DOCTYPE html><html>404</html>", "web page"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("text.pth", b"hello, this is some text", "neither"),
        ("bomb.pth", compressed.getvalue(), "compressed"),
        ("zip.pth", plain_zip.getvalue(), "data.pkl"),
        ("script.pth", script.getvalue(), "TorchScript"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name) as caught:
            load_state_dict(tmp_path / name)
        assert message in str(caught.value)
    for missing in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            load_state_dict(missing)


def test_published_names(tmp_path: Path) -> None:
    assert published_hash("dbnet_r18_fpnc_sbn_1200e_icdar2015_20210329-ba3ab597.pth") == "ba3ab597"
    assert published_hash("dbnetpp_icdar2015-20220502-d7a76fff.pth") == "d7a76fff"
    assert published_hash("model-20220502.pth") is None
    assert published_hash("model-12345678.pth") == "12345678"
    for name in ("latest.pth", "a-ba3ab59.pth", "a_ba3ab597.pth", "a-BA3AB597.pth", "a-ba3ab597"):
        assert published_hash(name) is None

    path = save({"state_dict": network().state_dict()}, tmp_path / "net.pth", False)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    right, wrong = tmp_path / f"net-{digits}.pth", tmp_path / "net-0badc0de.pth"
    right.write_bytes(path.read_bytes())
    wrong.write_bytes(path.read_bytes())
    assert_equal(load_state_dict(right), dict(network().state_dict()))
    with pytest.raises(WeightsError, match=rf"0badc0de, the content has {digits}"):
        load_state_dict(wrong)
    assert_equal(load_state_dict(wrong, check_hash=False), dict(network().state_dict()))


# --- load_into ---------------------------------------------------------------------------------


def test_load_into() -> None:
    source, target = network(), network()
    with torch.no_grad():
        for tensor in source.state_dict().values():
            tensor.add_(1)
    load_into(target, source.state_dict(), source="here")
    assert_equal(dict(target.state_dict()), dict(source.state_dict()))


def test_missing_counters_are_as_in_torch() -> None:
    state = dict(network().state_dict())
    del state["bn.num_batches_tracked"]
    net = network()
    load_into(net, state, source="here")
    assert net.state_dict()["bn.num_batches_tracked"] == 0
    extra = {**network().state_dict(), "conv.num_batches_tracked": torch.tensor(0)}
    with pytest.raises(WeightsError, match=r"1 unexpected: conv\.num_batches_tracked"):
        load_into(network(), extra, source="here")


def test_every_mismatch_is_told_at_once() -> None:
    state = dict(network().state_dict())
    state["head.weight"] = torch.ones(7, 4)
    del state["conv.bias"]
    state |= {f"extra{i}": torch.ones(1) for i in range(7)}
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_into(net, state, source="w.pth")
    message = str(caught.value)
    assert "w.pth does not fit Sequential (9 entries, 7 of them fit)" in message
    assert "1 missing: conv.bias" in message
    assert "7 unexpected: extra0, extra1, extra2, extra3, extra4, ..." in message
    assert "1 of wrong shape: head.weight (7, 4) instead of (2, 4)" in message
    assert_equal(dict(net.state_dict()), before)


def test_key_map() -> None:
    state = dict(network().state_dict())
    renamed = {
        name.replace("conv.", "stem.").replace("head.weight", "w"): tensor
        for name, tensor in state.items()
    }
    key_map = {"stem.": "conv.", "w": "head.weight", "extra.": None, "extra.kept.": "head."}
    net = network()
    load_into(net, {**renamed, "extra.x": torch.ones(1)}, source="here", key_map=key_map)
    with pytest.raises(WeightsError, match=r"two entries would both become 'conv\.weight'"):
        load_into(net, {**renamed, "conv.weight": torch.ones(1)}, source="x", key_map=key_map)
    with pytest.raises(WeightsError, match=r"1 unexpected: head\.q"):
        load_into(net, {**renamed, "extra.kept.q": torch.ones(1)}, source="x", key_map=key_map)
