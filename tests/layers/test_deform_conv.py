"""Modulated deformable convolution against its definition, one read at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ocr_models.layers.deform_conv import ModulatedDeformConv2d
from ocr_models.layers.resnet import ResNet, ResNetConfig

# channels in, out, kernel, stride, padding, groups, height, width
SHAPES = [
    (4, 3, 3, 1, 1, 1, 7, 9),
    (4, 5, 3, 2, 1, 2, 8, 7),
    (6, 2, 3, 1, 0, 3, 6, 5),
    (2, 2, 1, 1, 0, 1, 4, 4),
    (3, 2, 5, 3, 2, 1, 11, 10),
    (2, 1, 3, 1, 1, 2, 1, 1),
]


def layer_of(shape: tuple[int, ...], bias: bool = True) -> ModulatedDeformConv2d:
    """A layer whose taps reach far: also well outside the image."""
    channels_in, out, kernel, stride, padding, groups = shape[:6]
    layer = ModulatedDeformConv2d(channels_in, out, kernel, stride, padding, groups, bias)
    nn.init.normal_(layer.conv_offset.weight, std=0.8)
    assert layer.conv_offset.bias is not None
    nn.init.normal_(layer.conv_offset.bias, std=1.5)
    return layer


def read(plane: np.ndarray, y: float, x: float) -> float:
    """Bilinear sampling of (H, W) at a point in pixels, zero outside."""
    top, left = int(np.floor(y)), int(np.floor(x))
    total = 0.0
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
            total += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def by_definition(layer: ModulatedDeformConv2d, image: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (O, h, w), equation 1 of the paper in plain loops."""
    learnt = layer.conv_offset(torch.from_numpy(image)[None])[0].detach().double().numpy()
    kernel, groups = layer.kernel_size, layer.deform_groups
    taps = kernel**2
    weight = layer.weight.detach().double().numpy()
    assert layer.bias is not None
    out = (
        np.zeros((weight.shape[0], *learnt.shape[1:])) + layer.bias.detach().numpy()[:, None, None]
    )
    for row, column in np.ndindex(*learnt.shape[1:]):
        for channel, tap in np.ndindex(image.shape[0], taps):
            group = channel // (image.shape[0] // groups)
            down, right = learnt[2 * (group * taps + tap) :][:2, row, column]
            strength = 1 / (
                1 + np.exp(-learnt[2 * groups * taps + group * taps + tap, row, column])
            )
            y = row * layer.stride - layer.padding + tap // kernel + down
            x = column * layer.stride - layer.padding + tap % kernel + right
            value = strength * read(image[channel].astype(np.float64), y, x)
            out[:, row, column] += weight[:, channel, tap // kernel, tap % kernel] * value
    return out


def test_the_sweep_is_complete() -> None:
    assert len(SHAPES) == 6


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_its_definition(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = layer_of(shape)
    images = torch.randn(2, shape[0], *shape[6:])
    with torch.no_grad():
        got = layer(images).numpy()
    for image, result in zip(images.numpy(), got, strict=True):
        np.testing.assert_allclose(result, by_definition(layer, image), atol=2e-5)


def test_a_new_layer_is_half_an_ordinary_convolution() -> None:
    layer = ModulatedDeformConv2d(8, 6, 3, stride=2, padding=1, deform_groups=2)
    images = torch.randn(2, 8, 9, 12)
    assert layer.bias is not None
    ordinary = F.conv2d(images, layer.weight, None, 2, 1) / 2 + layer.bias[:, None, None]
    torch.testing.assert_close(layer(images), ordinary)


def test_names_are_those_of_mmcv() -> None:
    state = layer_of((4, 3, 3, 1, 1, 2, 7, 9)).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "weight": (3, 4, 3, 3),
        "bias": (3,),
        "conv_offset.weight": (54, 4, 3, 3),
        "conv_offset.bias": (54,),
    }
    assert layer_of(SHAPES[0], bias=False).bias is None


def test_gradients() -> None:
    torch.manual_seed(1)
    layer = layer_of((2, 2, 3, 1, 1, 1, 5, 4))
    images = torch.randn(1, 2, 5, 4, requires_grad=True)
    layer(images).square().sum().backward()
    assert images.grad is not None
    moved = [*layer.parameters(), images]
    for tensor in moved:
        assert tensor.grad is not None
        # A small step along the gradient changes the loss by its square, to first order.
        length = float(tensor.grad.square().sum())
        assert length > 0
        before = float(layer(images).detach().square().sum())
        with torch.no_grad():
            step = 1e-3 / length**0.5
            tensor += step * tensor.grad
            after = float(layer(images).square().sum())
            tensor -= step * tensor.grad
        assert after - before == pytest.approx(step * length, rel=0.1, abs=2e-4)


def test_runs_in_bfloat16() -> None:
    torch.manual_seed(2)
    layer = layer_of((16, 8, 3, 1, 1, 1, 20, 30), bias=False)
    with torch.no_grad():
        layer.conv_offset.weight *= 0.1
        images = torch.randn(1, 16, 20, 30)
        exact = layer(images)
        with torch.autocast("cpu", torch.bfloat16):
            under_autocast = layer(images)
        low = layer.bfloat16()(images.bfloat16())
    assert low.dtype == torch.bfloat16
    for got in (under_autocast, low):
        assert (got.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_groups_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of deform_groups, got 4 and 3"):
        ModulatedDeformConv2d(4, 4, 3, deform_groups=3)


def test_stages_of_a_resnet() -> None:
    network = ResNet(ResNetConfig(50, deform_stages=(False, False, False, True), deform_groups=2))
    deformable = [
        name for name, part in network.named_modules() if isinstance(part, ModulatedDeformConv2d)
    ]
    assert deformable == [f"layer4.{block}.conv2" for block in range(3)]
    assert [tuple(level.shape[-2:]) for level in network.eval()(torch.zeros(1, 3, 64, 96))] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
    ]
    with pytest.raises(ValueError, match="depth 50; got 18"):
        ResNetConfig(18, deform_stages=(False, True, True, True))
    with pytest.raises(ValueError, match="power of two"):
        ResNetConfig(50, deform_groups=3)
