"""BERT with a softmax: what the network sees, its config door, and pretrained weights."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ocr_models.errors import ConfigError, WeightsError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.ner.bert_softmax import (
    FROM_HUGGING_FACE,
    NO_TOKEN,
    BertConfig,
    BertSoftmax,
    BertSoftmaxConfig,
    from_hugging_face,
)
from ocr_models.spec import NerSpec, from_json_dict, to_json_dict
from tests.ner_texts import VOCABULARY_LINES, write_cluener_vocabulary, write_texts

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "ner" / "bert_softmax" / "bert_softmax_cluener_18e.py"
TINY = BertConfig(
    vocab_size=30, hidden_size=8, num_layers=2, num_heads=2, intermediate_size=12, max_positions=9,
    initializer_range=0.5,
)  # fmt: skip


def network(config: BertConfig = TINY, seed: int = 0) -> BertSoftmax:
    torch.manual_seed(seed)
    return BertSoftmax(BertSoftmaxConfig(config, num_labels=5)).eval()


def test_padding_changes_nothing() -> None:
    bert = network()
    tokens = torch.tensor([[2, 7, 8, 9, 3]])
    filled = torch.tensor([[2, 7, 8, 9, 3, NO_TOKEN, NO_TOKEN]])
    other = torch.tensor([[2, 7, 8, 9, 3, 17, 4]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    expected = bert.logits(tokens)
    torch.testing.assert_close(bert.logits(filled)[:, :5], expected)
    torch.testing.assert_close(bert(other, mask).logits[:, :5], expected)
    assert bert(tokens, torch.ones_like(tokens)).hidden.shape == (1, 5, 8)


def test_order_and_context_matter() -> None:
    bert = network()
    logits = bert.logits(torch.tensor([[2, 7, 8, 3], [2, 8, 7, 3]]))
    assert not torch.allclose(logits[0, 1], logits[1, 2], atol=1e-3)


def test_dropout_acts_in_training_only() -> None:
    bert = network()
    tokens = torch.tensor([[2, 7, 8, 3]])
    assert torch.equal(bert.logits(tokens), bert.logits(tokens))
    bert.train()
    assert not torch.equal(bert.logits(tokens), bert.logits(tokens))


def test_both_activations() -> None:
    tanh, exact = network(), network(replace(TINY, activation="gelu"))
    tokens = torch.tensor([[2, 7, 8, 3]])
    difference = (tanh.logits(tokens) - exact.logits(tokens)).abs().max()
    assert 0 < difference < 0.05


WRONG_SIZES = [
    ({"num_heads": 3}, "no multiple"),
    ({"num_layers": 0}, "num_layers must be at least 1"),
    ({"hidden_dropout": 1.0}, "hidden_dropout"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_SIZES)
def test_wrong_sizes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


# --- the config door -----------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """MMOCR's config, with a vocabulary where it expects one."""
    monkeypatch.chdir(tmp_path)
    write_cluener_vocabulary(tmp_path)
    return load_config(CONFIG)


def test_published_config(config: dict[str, Any]) -> None:
    path = ROOT / "tests" / "golden" / "models" / "bert_softmax_cluener_18e.json.gz"
    recorded = json.loads(gzip.decompress(path.read_bytes()))
    model = json.loads(json.dumps(config["model"]))
    assert model["encoder"].pop("init_cfg")["type"] == "Pretrained"
    recorded["model"]["encoder"].pop("init_cfg")
    model["label_convertor"]["vocab_file"] = recorded["model"]["label_convertor"]["vocab_file"]
    assert json.dumps(model) == json.dumps(recorded["model"])
    spec = model_from_mmocr(config)
    assert isinstance(spec, NerSpec)
    assert spec.network == BertSoftmaxConfig(BertConfig(max_positions=512), num_labels=24)
    assert len(spec.codec.vocabulary) == VOCABULARY_LINES
    assert from_json_dict(NerSpec, json.loads(json.dumps(to_json_dict(spec)))) == spec


def _set(*keys: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        for key in keys[:-1]:
            model = model[key]
        model[keys[-1]] = value

    return change


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "misspelt": (_set("encoder", "num_hiden_layers", value=2), "did you mean|Did you mean"),
    "attentions": (_set("encoder", "output_attentions", value=True), "output_attentions"),
    "activation": (_set("encoder", "hidden_act_cfg", value={"type": "Swish"}), "GeluNew, GELU"),
    "labels": (_set("decoder", "num_labels", value=7), "num_labels is 7, but .* has 24"),
    "width": (_set("decoder", "hidden_size", value=7), "hidden_size is 7"),
    "positions": (_set("encoder", "max_position_embeddings", value=64), "max_len is 128"),
    "vocabulary": (_set("encoder", "vocab_size", value=100), "the network only 100"),
    "no file": (_set("label_convertor", "vocab_file", value="none.txt"), "cannot read"),
    "scheme": (_set("label_convertor", "annotation_type", value="iob"), "'bio' or 'bioes'"),
    "other convertor": (_set("label_convertor", "categories", value=["a"]), "NerTransform"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_wrong_configs(name: str, config: dict[str, Any]) -> None:
    assert len(CHANGES) == 10
    change, message = CHANGES[name]
    config = json.loads(json.dumps(config))
    change(config["model"])
    with pytest.raises(ConfigError, match=message):
        model_from_mmocr(config)


# --- pretrained weights --------------------------------------------------------------------------


def hugging_face(prefix: str = "", positions: int = 16, old: bool = False) -> dict[str, Tensor]:
    """A random BERT as Hugging Face's library names its parts, written down by hand."""
    torch.manual_seed(1)
    width, inner = TINY.hidden_size, TINY.intermediate_size
    scale, shift = ("gamma", "beta") if old else ("weight", "bias")
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (TINY.vocab_size, width),
        "embeddings.position_embeddings.weight": (positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        f"embeddings.LayerNorm.{scale}": (width,),
        f"embeddings.LayerNorm.{shift}": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    for layer in range(TINY.num_layers):
        here = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{here}.attention.{part}.weight"] = (width, width)
            shapes[f"{here}.attention.{part}.bias"] = (width,)
        shapes[f"{here}.intermediate.dense.weight"] = (inner, width)
        shapes[f"{here}.intermediate.dense.bias"] = (inner,)
        shapes[f"{here}.output.dense.weight"] = (width, inner)
        shapes[f"{here}.output.dense.bias"] = (width,)
        for part in ("attention.output", "output"):
            shapes[f"{here}.{part}.LayerNorm.{scale}"] = (width,)
            shapes[f"{here}.{part}.LayerNorm.{shift}"] = (width,)
    return {prefix + name: torch.randn(shape) for name, shape in shapes.items()}


HEADS: dict[str, dict[str, Tensor]] = {
    "alone": hugging_face() | {"embeddings.position_ids": torch.arange(16)[None]},
    "masked words": hugging_face("bert.")
    | {
        "bert.embeddings.position_ids": torch.arange(16)[None],
        "cls.predictions.bias": torch.ones(30),
    },
    "somebody's labels": hugging_face("bert.") | {"classifier.weight": torch.ones(9, 8)},
    "converted long ago": hugging_face("bert.", old=True),
}


@pytest.mark.parametrize("name", HEADS)
def test_hugging_face_layout(name: str) -> None:
    assert len(HEADS) == 4
    own = network()
    renamed = from_hugging_face(HEADS[name], TINY, name)
    wanted = {key for key in own.state_dict() if key.startswith("encoder.")}
    assert set(renamed) == wanted
    own.load_state_dict(renamed, strict=False)
    plain = hugging_face()
    torch.testing.assert_close(
        own.encoder.bert.embeddings.position_embeddings.weight,
        plain["embeddings.position_embeddings.weight"][: TINY.max_positions],
    )
    torch.testing.assert_close(
        own.state_dict()["encoder.bert.encoder.layer.1.output.LayerNorm.weight"],
        plain["encoder.layer.1.output.LayerNorm.weight"],
    )


def test_own_names_stay() -> None:
    state = network().state_dict()
    assert from_hugging_face(state, TINY, "own").keys() == state.keys()


def test_other_models_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"distil\.bin: 'distilbert\.embeddings"):
        from_hugging_face({"distilbert.embeddings.x": torch.ones(1)}, TINY, "distil.bin")


def test_the_key_map_has_no_dead_entry() -> None:
    seen = {name for state in HEADS.values() for name in state}
    unused = [p for p in FROM_HUGGING_FACE if not any(name.startswith(p) for name in seen)]
    assert unused == ["qa_outputs."]


def test_tiny_config_is_served(tmp_path: Path) -> None:
    spec = model_from_mmocr(load_config(write_texts(tmp_path)))
    assert isinstance(spec, NerSpec)
    assert spec.codec.max_characters == 38
