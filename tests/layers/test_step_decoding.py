"""Step decoders are kept between batches, and never outlive the weights they were made of."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from ocr_models.layers.attention import AttentionConfig
from ocr_models.layers.step_decoding import KeptStepDecoder
from ocr_models.recognition.nrtr import DecoderLayer, NRTRDecoderConfig

CHANNELS = 8


def layer(seed: int) -> DecoderLayer:
    torch.manual_seed(seed)
    attention = AttentionConfig(channels=CHANNELS, heads=2, key_channels=4, value_channels=4)
    return DecoderLayer(NRTRDecoderConfig(attention=attention, inner_channels=16)).eval()


@torch.inference_mode()
def said(kept: KeptStepDecoder, own: DecoderLayer, dtype: torch.dtype) -> torch.Tensor:
    decoder = kept.of([own], dtype)
    state = decoder.start(torch.ones(1, 3, CHANNELS), torch.ones(1, 3, dtype=torch.bool), 2)
    return decoder(torch.ones(1, CHANNELS), 0, state)


def load(own: DecoderLayer) -> None:
    own.load_state_dict(layer(1).state_dict())


def replace(own: DecoderLayer) -> None:
    own.mlp.w_1.weight = layer(1).mlp.w_1.weight


def set_data(own: DecoderLayer) -> None:
    own.mlp.w_1.weight.data = layer(1).mlp.w_1.weight.data


@torch.no_grad()
def double(own: DecoderLayer) -> None:
    own.mlp.w_1.weight.mul_(2)


CHANGES = [load, replace, set_data, double]


def test_kept_while_weights_and_precision_stay() -> None:
    kept, own = KeptStepDecoder(), layer(0)
    first = kept.of([own], torch.float32)
    assert kept.of([own], torch.float32) is first
    assert kept.of([own], torch.bfloat16) is not first


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_made_anew_after_a_change(
    dtype: torch.dtype, change: Callable[[DecoderLayer], None]
) -> None:
    kept, own = KeptStepDecoder(), layer(0)
    before = said(kept, own, dtype)
    change(own)
    after = said(kept, own, dtype)
    assert not torch.equal(after, before)
    assert torch.equal(after, said(KeptStepDecoder(), own, dtype))


def test_a_copy_of_a_network_has_its_own() -> None:
    kept, own = KeptStepDecoder(), layer(0)
    before = said(kept, own, torch.float32)
    kept_too, other = copy.deepcopy((kept, own))
    double(other)
    assert not torch.equal(said(kept_too, other, torch.float32), before)
    assert torch.equal(said(kept, own, torch.float32), before)


@torch.inference_mode()
def test_a_network_made_in_inference_mode() -> None:
    """Its weights have no versions."""
    kept, own = KeptStepDecoder(), layer(0)
    before = said(kept, own, torch.float32)
    double(own)
    assert not torch.equal(said(kept, own, torch.float32), before)
