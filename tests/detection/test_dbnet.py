"""DBNet's network; its numbers are compared with MMOCR's in ``tests/test_conformance.py``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ocr_models.detection.dbnet import ASFFPNC, DBNet, DBNetConfig, DBNetPPConfig
from ocr_models.layers.doubled_conv import conv3x3_of_doubled
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.runtime import RuntimeOptions, make_runtime

DEFORMABLE = ResNetConfig(50, deform_stages=(False, True, True, True))
LIGHT = LightResNetConfig()
CONFIGS = {
    "light": DBNetConfig(LIGHT, neck_channels=64),
    "light, fused": DBNetPPConfig(LIGHT, neck_channels=64),
    "resnet18": DBNetConfig(ResNetConfig(18, "caffe"), neck_channels=32),
    "resnet50, deformable, fused": DBNetPPConfig(DEFORMABLE, neck_channels=32),
}

# Even and odd numbers of pixels, and sizes whose levels do not halve exactly.
DOUBLED = ((1, 3, 5, 7), (2, 8, 1, 1), (3, 1, 6, 1))
IMAGES = ((2, 3, 64, 96), (1, 3, 32, 160), (1, 3, 72, 100), (1, 3, 65, 33))


def trained(config: DBNetConfig) -> DBNet:
    """A network none of whose parts does nothing."""
    torch.manual_seed(0)
    network = DBNet(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    for name, parameter in network.named_parameters():
        if "conv_offset" in name:
            nn.init.normal_(parameter, std=0.01)
    return network


def test_the_sweep_is_complete() -> None:
    assert (len(CONFIGS), len(DOUBLED), len(IMAGES)) == (4, 3, 4)


@pytest.mark.parametrize("shape", DOUBLED)
def test_convolution_of_a_doubled_map(shape: tuple[int, int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, shape[1], 3, 3, generator=generator, dtype=torch.float64)
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    torch.testing.assert_close(conv3x3_of_doubled(x, weight), plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", CONFIGS)
def test_inference_gives_the_map_of_the_forward_pass(
    name: str, shape: tuple[int, int, int, int]
) -> None:
    network = trained(CONFIGS[name])
    images = torch.randn(shape)
    with torch.inference_mode():
        maps = network(images)
        probability = network.probability(images)
    assert probability.shape == maps.probability.shape
    torch.testing.assert_close(probability, maps.probability, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_other_runtimes_agree_on_sizes_they_were_not_traced_with(name: str) -> None:
    pytest.importorskip("openvino")
    network = trained(CONFIGS[name])
    options = RuntimeOptions(kind="openvino", device="cpu", precision="float32")
    runtime = make_runtime(network, network.probability, options, (1, 3, 64, 64))
    images = np.random.default_rng(0).normal(size=(1, 3, 96, 128)).astype(np.float32)
    with torch.inference_mode():
        expected = network.probability(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(runtime(images)[0], expected, atol=1e-4)


def test_fusion_weighs_each_level_at_each_place() -> None:
    torch.manual_seed(0)
    plus = ASFFPNC((4, 8, 12, 16), 32)
    levels = tuple(torch.randn(2, 4 * (i + 1), 16 >> i, 24 >> i) for i in range(4))
    joined = super(ASFFPNC, plus).forward(levels)
    attention = plus.asf_attn(plus.asf_conv(joined))
    assert attention.shape == (2, 4, 16, 24)
    assert 0 < attention.min() < attention.max() < 1
    fused = plus(levels)
    for level in range(4):
        part = slice(8 * level, 8 * level + 8)
        torch.testing.assert_close(fused[:, part], joined[:, part] * attention[:, level, None])
