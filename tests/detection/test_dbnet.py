"""DBNet's inference path gives what its forward gives, at any size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.layers.doubled_conv import conv3x3_of_doubled
from ocr_models.layers.light_resnet import LightResNetConfig
from tests.conformance import formulas

SHAPES = ((1, 3, 5, 7), (2, 8, 1, 1), (3, 1, 6, 1))
IMAGES = ((1, 3, 64, 96), (2, 3, 32, 160), (1, 3, 72, 100), (1, 3, 65, 33))


@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_of_a_doubled_map(shape: tuple[int, int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, shape[1], 3, 3, generator=generator, dtype=torch.float64)
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    torch.testing.assert_close(conv3x3_of_doubled(x, weight), plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("head_bias", [False, True])
@pytest.mark.parametrize("shape", IMAGES)
def test_probability_equals_forward(shape: tuple[int, int, int, int], head_bias: bool) -> None:
    backbone = LightResNetConfig(3, 8, (8, 16, 16, 24))
    network = DBNet(DBNetConfig(backbone, neck_channels=16, head_bias=head_bias)).eval()
    formulas.fill(network, 3)
    images = torch.from_numpy(formulas.tensor(shape, 1))
    with torch.inference_mode():
        expected = network(images).probability
        assert expected.std() > 0.01
        torch.testing.assert_close(network.probability(images), expected, rtol=0, atol=1e-5)
