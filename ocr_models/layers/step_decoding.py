"""Writing a text class by class with a transformer decoder, without computing anything twice.

A decoder of pre-normed layers (arXiv:1706.03762 with the order of arXiv:2002.04745) sees at each
step only the classes before it. So the keys and values of earlier steps are kept, and a step costs
one token instead of the whole prefix.

Keys and values of the image are never computed at all: for a query q of one head,
q (W_k m)^T = (q W_k) m^T, and with attention weights p, p (W_v m) = (p m) W_v. Taking the query to
the image's features m costs one product per step; taking all features to keys and values would
cost more than the steps of a word of usual length do, and for each layer as much memory as the
features themselves. A bias of the keys adds the same to all scores, which softmax does not see; one
of the values adds itself, since weights sum to one.

Shapes: B lines, S features of an image, D channels, N heads, E channels of a head's keys, V of its
values, T steps so far, L most steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Linear:
    """Weight (out, in) and bias (out,) of a linear map."""

    weight: Tensor
    bias: Tensor | None = None

    @classmethod
    def of(cls, linear: nn.Linear) -> Linear:
        """That of a module, sharing its memory."""
        return cls(linear.weight, linear.bias)

    def to(self, dtype: torch.dtype) -> Linear:
        """The same in another precision."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Linear(self.weight.to(dtype), bias)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class StepWeights:
    """One decoder layer: attention to the earlier steps, to the image, then two linear maps.

    Args:
        norms: before each of the three.
        self_in: D to queries, keys and values of all heads, in this order.
        self_out: values of all heads to D.
        cross_q: D to queries.
        cross_k: D to keys.
        cross_v: D to values.
        cross_out: values of all heads to D.
        inner: the first of the two maps.
        outer: the second.
        activation: between them.
        heads: N.
    """

    norms: tuple[nn.LayerNorm, nn.LayerNorm, nn.LayerNorm]
    self_in: Linear
    self_out: Linear
    cross_q: Linear
    cross_k: Linear
    cross_v: Linear
    cross_out: Linear
    inner: Linear
    outer: Linear
    activation: Callable[[Tensor], Tensor]
    heads: int


class _StepLayer:
    """A layer that is given one token of each line at a time."""

    def __init__(self, weights: StepWeights, dtype: torch.dtype) -> None:
        heads = weights.heads
        keys = weights.cross_k.weight.shape[0] // heads
        values = weights.cross_v.weight.shape[0] // heads
        self.key_shape, self.value_shape = (heads, keys), (heads, values)
        self._norms = weights.norms
        self._activation = weights.activation
        self._dtype = dtype
        self._scale = keys**-0.5
        self._self_in, self._self_out = weights.self_in.to(dtype), weights.self_out.to(dtype)
        self._cross_q = weights.cross_q.to(dtype)
        self._to_features_NED = weights.cross_k.weight.unflatten(0, self.key_shape).to(dtype)
        values_NVD = weights.cross_v.weight.unflatten(0, self.value_shape)
        self._to_values_NDV = values_NVD.to(dtype).transpose(1, 2)
        cross_out = weights.cross_out
        if weights.cross_v.bias is not None:
            cross_out = Linear(cross_out.weight, cross_out(weights.cross_v.bias))
        self._cross_out = cross_out.to(dtype)
        self._inner, self._outer = weights.inner.to(dtype), weights.outer.to(dtype)

    def __call__(self, x_BD: Tensor, step: int, image: _Image, steps: _Steps) -> Tensor:
        x_BD = x_BD + self._attend_to_steps(self._normed(0, x_BD), step, steps)
        x_BD = x_BD + self._attend_to_image(self._normed(1, x_BD), image)
        return x_BD + self._outer(self._activation(self._inner(self._normed(2, x_BD))))

    def _normed(self, index: int, x_BD: Tensor) -> Tensor:
        return self._norms[index](x_BD).to(self._dtype)

    def _attend_to_steps(self, x_BD: Tensor, step: int, steps: _Steps) -> Tensor:
        keys, values = math.prod(self.key_shape), math.prod(self.value_shape)
        q, k, v = self._self_in(x_BD).split((keys, keys, values), dim=1)
        steps.keys[:, :, step] = k.unflatten(1, self.key_shape)
        steps.values[:, :, step] = v.unflatten(1, self.value_shape)
        keys_BNTE = steps.keys[:, :, : step + 1]
        values_BNTV = steps.values[:, :, : step + 1]
        q_BN1E = q.unflatten(1, self.key_shape)[:, :, None] * self._scale
        weights_BN1T = (q_BN1E @ keys_BNTE.transpose(2, 3)).softmax(3)
        return self._self_out((weights_BN1T @ values_BNTV).flatten(1))

    def _attend_to_image(self, x_BD: Tensor, image: _Image) -> Tensor:
        q_NBE = (self._cross_q(x_BD) * self._scale).unflatten(1, self.key_shape).transpose(0, 1)
        q_BND = torch.bmm(q_NBE, self._to_features_NED).transpose(0, 1)
        features_BSD = image.features
        scores_BNS = torch.baddbmm(image.hidden, q_BND, features_BSD.transpose(1, 2))
        seen_NBD = torch.bmm(scores_BNS.softmax(2), features_BSD).transpose(0, 1)
        values_BNV = torch.bmm(seen_NBD, self._to_values_NDV).transpose(0, 1)
        return self._cross_out(values_BNV.flatten(1))


class _Image(NamedTuple):
    """Features (B, S, D), and what their scores get (B, 1, S): 0, or minus infinity if hidden."""

    features: Tensor
    hidden: Tensor


class _Steps(NamedTuple):
    """Keys (B, N, L, E) and values (B, N, L, V) of one layer, written step by step."""

    keys: Tensor
    values: Tensor


class StepDecoder:
    """Layers that are given one token of each line at a time.

    Matrix products are in ``dtype``; what is added up from layer to layer stays float32.

    Args:
        layers: their weights.
        dtype: float32, or a smaller one.
    """

    def __init__(self, layers: Sequence[StepWeights], dtype: torch.dtype) -> None:
        self._layers = [_StepLayer(own, dtype) for own in layers]
        self._dtype = dtype

    def start(self, features_BSD: Tensor, visible_BS: Tensor, steps: int) -> tuple[Tensor, ...]:
        """The state before the first step, each tensor with the lines first.

        Args:
            features_BSD: of the images.
            visible_BS: bool, which of them may be looked at, one of each image at least.
            steps: L.
        """
        lines, device = len(features_BSD), features_BSD.device
        hidden_BS = torch.zeros(visible_BS.shape, dtype=self._dtype, device=device)
        hidden_BS.masked_fill_(~visible_BS, -torch.inf)
        kept = [
            torch.empty(lines, heads, steps, channels, dtype=self._dtype, device=device)
            for layer in self._layers
            for heads, channels in (layer.key_shape, layer.value_shape)
        ]
        return (features_BSD.to(self._dtype), hidden_BS[:, None], *kept)

    def __call__(self, x_BD: Tensor, step: int, state: tuple[Tensor, ...]) -> Tensor:
        """What the layers make of the tokens (B, D) of a step, counted from 0 without gaps.

        Keys and values of the step are written into ``state``.
        """
        features_BSD, hidden_B1S, *kept = state
        image = _Image(features_BSD, hidden_B1S)
        for layer, keys, values in zip(self._layers, kept[0::2], kept[1::2], strict=True):
            x_BD = layer(x_BD, step, image, _Steps(keys, values))
        return x_BD


class DecoderLayer(Protocol):
    """A module that knows how it is given one token at a time."""

    def step_weights(self) -> StepWeights:
        """Its weights, sharing memory where that is possible."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As of ``nn.Module``."""
        ...


class KeptStepDecoder:
    """The step decoder of a network, made anew when weights or precision are others than before.

    Joining and converting the weights of six layers takes a tenth of the time in which a word is
    written.
    """

    def __init__(self) -> None:
        # One attribute, so that threads never see one half of a change.
        self._kept: tuple[tuple[object, ...], StepDecoder] | None = None

    def of(self, layers: Sequence[DecoderLayer], dtype: torch.dtype) -> StepDecoder:
        """The decoder of these layers as they are now."""
        weights = [weight for layer in layers for weight in layer.parameters()]
        if any(weight.is_inference() for weight in weights):
            # Nothing tells whether such weights changed.
            return _made(layers, dtype)
        # A version counts the changes in place.
        made_of = (dtype, *((weight.data_ptr(), weight._version) for weight in weights))
        kept = self._kept
        if kept is None or kept[0] != made_of:
            kept = self._kept = made_of, _made(layers, dtype)
        return kept[1]


def _made(layers: Sequence[DecoderLayer], dtype: torch.dtype) -> StepDecoder:
    return StepDecoder([layer.step_weights() for layer in layers], dtype)


def product_type(weight: Tensor) -> torch.dtype:
    """The precision of matrix products with this weight here, autocast being on or off."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
