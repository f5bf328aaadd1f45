"""Where the weights of a training come from, and what is said about the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError
from ocr_models.ner.bert_softmax import BertConfig, BertSoftmax, BertSoftmaxConfig
from ocrserve.train import initial_weights
from ocrserve.train.initial_weights import PretrainedPart, pretrained_parts


class Part(nn.Module):
    """A convolution, its normalisation and a linear layer."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.cls = nn.Linear(4, classes)


class Network(nn.Module):
    """Three parts with equal weight names, the shape of ABINet."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.backbone = Part()
        self.encoder = nn.Module()
        self.encoder.decoder = Part(classes)
        self.fuser = nn.Linear(4, 2)


PER_PART = 8  # weights; the counter of the normalisation does not count
ALL = 2 * PER_PART + 2


def network(seed: int, classes: int = 3) -> Network:
    torch.manual_seed(seed)
    made = Network(classes)
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def saved(state: dict[str, Tensor], path: Path) -> str:
    torch.save({"state_dict": state}, path)
    return str(path)


def equal(own: nn.Module, other: nn.Module) -> dict[str, bool]:
    """By the name of each parameter: whether both have the same."""
    given = dict(other.named_parameters())
    return {name: torch.equal(value, given[name]) for name, value in own.named_parameters()}


def pretrained(checkpoint: str, **settings: Any) -> dict[str, Any]:
    return {"init_cfg": {"type": "Pretrained", "checkpoint": checkpoint, **settings}}


def test_nothing_named_changes_nothing() -> None:
    own = network(0)
    assert initial_weights.start(own, {"backbone": {"init_cfg": [{"type": "Xavier"}]}}) == []
    assert all(equal(own, network(0)).values())


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    own, given = network(0), network(1)
    source = saved(given.state_dict(), tmp_path / "all.pth")
    assert initial_weights.start(own, {}, source) == []
    assert all(equal(own, given).values())


def test_what_is_missing_shaped_otherwise_or_unused_is_told(tmp_path: Path) -> None:
    """As ``abinet_pretrain`` for another dictionary: no fuser, other classes."""
    own, given = network(0), network(1, classes=5)
    state = {k: v for k, v in given.state_dict().items() if not k.startswith("fuser")}
    state |= {"neck.a.weight": torch.zeros(2), "neck.b": torch.zeros(2)}
    source = saved(state, tmp_path / "pretrain.pth")
    shapes, unused, left = initial_weights.start(own, {}, source)
    assert shapes.startswith(f"load_from {source}: 2 weights have another shape: ")
    assert "encoder.decoder.cls.weight (5, 4) instead of (3, 4)" in shapes
    assert unused.endswith("2 of its weights have no place in this network: all 2 of neck")
    assert left == (
        f"4 of {ALL} weights start at random: all 2 of fuser, encoder.decoder.cls.weight, "
        "encoder.decoder.cls.bias"
    )
    assert [name for name, kept in equal(own, network(0)).items() if kept] == [
        "encoder.decoder.cls.weight", "encoder.decoder.cls.bias", "fuser.weight", "fuser.bias",
    ]  # fmt: skip


def test_counters_may_be_missing(tmp_path: Path) -> None:
    state = {k: v for k, v in network(1).state_dict().items() if "num_batches" not in k}
    assert initial_weights.start(network(0), {}, saved(state, tmp_path / "old.pth")) == []


def test_parts_come_from_their_own_files(tmp_path: Path) -> None:
    """A file of the part alone, and a part of a larger file, named with and without a final dot."""
    alone, whole = network(1), network(2)
    backbone = saved(alone.backbone.state_dict(), tmp_path / "backbone.pth")
    everything = saved(whole.state_dict(), tmp_path / "all.pth")
    for prefix in ("encoder.decoder", "encoder.decoder."):
        own = network(0)
        model = {
            "backbone": pretrained(backbone),
            "encoder": {"decoder": pretrained(everything, prefix=prefix)},
        }
        assert initial_weights.start(own, model) == []
        assert all(equal(own.backbone, alone.backbone).values())
        assert all(equal(own.encoder, whole.encoder).values())
        assert all(equal(own.fuser, network(0).fuser).values())


def test_load_from_goes_before_the_parts(tmp_path: Path) -> None:
    """Vision from an own training, the rest from a published file."""
    vision, published = network(1), network(2)
    kept = {k: v for k, v in vision.state_dict().items() if k.startswith("backbone")}
    source = saved(kept, tmp_path / "vision.pth")
    everything = saved(published.state_dict(), tmp_path / "published.pth")
    model = {
        "backbone": pretrained("torchvision://not_here"),
        "encoder": {"decoder": pretrained(everything, prefix="encoder.decoder")},
    }
    own = network(0)
    assert initial_weights.start(own, model, source) == [
        f"2 of {ALL} weights start at random: all 2 of fuser"
    ]
    assert all(equal(own.backbone, vision.backbone).values())
    assert all(equal(own.encoder, published.encoder).values())
    whole = network(0)
    assert initial_weights.start(whole, pretrained(everything), source) == []
    assert all(equal(whole.backbone, vision.backbone).values())
    assert all(equal(whole.fuser, published.fuser).values())


def test_a_part_that_fits_in_part(tmp_path: Path) -> None:
    source = saved(network(1, classes=5).encoder.state_dict(), tmp_path / "part.pth")
    left, shapes = initial_weights.start(network(0), {"encoder": pretrained(source)})
    assert left.endswith(
        "2 weights of model.encoder start at random: decoder.cls.weight, decoder.cls.bias"
    )
    assert "2 weights have another shape" in shapes


def test_files_from_the_download_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    address = "https://example.org/models/abinet_pretrain.pth"
    model = {"fuser": pretrained(address)}
    (note,) = initial_weights.start(network(0), model)
    assert note == (
        f"model.fuser starts at random: {address} is not on this machine; download it into "
        f"{cache}, or name a file"
    )
    with pytest.raises(ConfigError, match=f"there is no such file; download it into {cache}"):
        initial_weights.start(network(0), {}, address)
    given, own = network(1), network(0)
    saved(given.state_dict(), cache / "abinet_pretrain.pth")
    assert initial_weights.start(own, {}, address) == []
    assert all(equal(own, given).values())


def test_older_key_of_recognisers_and_detectors() -> None:
    assert pretrained_parts({"label_convertor": {}, "pretrained": "a.pth"}) == [
        PretrainedPart("", "a.pth")
    ]
    assert pretrained_parts({"pretrained": "a.pth", "bbox_head": {}}) == [
        PretrainedPart("backbone", "a.pth")
    ]
    assert pretrained_parts(
        {"type": "NerClassifier", "label_convertor": {}, "pretrained": "a"}
    ) == [PretrainedPart("encoder", "a")]
    assert pretrained_parts({"pretrained": None}) == []


@pytest.mark.parametrize("layout", ["MMOCR", "Hugging Face"])
def test_bert_in_both_layouts(layout: str, tmp_path: Path) -> None:
    """Without the pooled token's layer, which nothing reads, and with other labels."""
    size = BertConfig(
        vocab_size=7, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=4, max_positions=6
    )
    own, given = (BertSoftmax(BertSoftmaxConfig(size, labels)) for labels in (3, 5))
    state = {k: v for k, v in given.state_dict().items() if ".pooler." not in k}
    if layout == "Hugging Face":
        state = {
            k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")
        }
    source = saved(state, tmp_path / "bert.pth")
    model = {"type": "NerClassifier", "encoder": pretrained(source)}
    assert initial_weights.start(own, model) == []
    same = {k: kept for k, kept in equal(own.encoder, given.encoder).items() if "pooler" not in k}
    assert len(same) > 15
    assert all(same.values())
    smaller = BertSoftmax(BertSoftmaxConfig(replace(size, vocab_size=6), 3))
    with pytest.raises(
        ConfigError, match=r"does not fit model.encoder: 1 weights .* \(7, 8\) instead"
    ):
        initial_weights.start(smaller, model)


@pytest.mark.parametrize(
    ("model", "load_from", "message"),
    [
        ({}, "nowhere.pth", "load_from nowhere.pth: there is no such file$"),
        ({}, "OTHER", "none of its weights fit this network"),
        ({"fuser": pretrained("OTHER")}, None, "does not fit model.fuser: 2 weights"),
        ({"fuser": pretrained("WHOLE", prefix="x")}, None, "under 'x' does not fit model.fuser"),
        ({"backbone": pretrained("PART")}, None, "does not fit model.backbone: 1 weights"),
        ({"neck": pretrained("WHOLE")}, None, "model.neck.init_cfg .* no part of that name"),
        ({"fuser": {"init_cfg": {"type": "Pretrained"}}}, None, "model.fuser.init_cfg: .* needs"),
    ],
)
def test_mistakes(
    model: dict[str, Any], load_from: str | None, message: str, tmp_path: Path
) -> None:
    backbone = network(1).backbone.state_dict()
    del backbone["conv.bias"]
    states = {
        "OTHER": {"a": torch.zeros(1)}, "WHOLE": network(1).state_dict(), "PART": backbone,
    }  # fmt: skip
    paths = {name: saved(state, tmp_path / f"{name}.pth") for name, state in states.items()}
    for section in model.values():
        named = section["init_cfg"].get("checkpoint")
        if named is not None:
            section["init_cfg"]["checkpoint"] = paths[named]
    with pytest.raises(ConfigError, match=message):
        initial_weights.start(network(0), model, paths.get(str(load_from), load_from))
