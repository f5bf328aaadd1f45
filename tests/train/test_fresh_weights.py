"""Random weights at the start of a training."""

from __future__ import annotations

import math

import pytest
import torch

from ocr_models.detection.families import build_network
from ocr_models.detection.mask_rcnn import MaskRCNNConfig
from ocr_models.detection.panet import PANet, PANetConfig
from ocr_models.detection.textsnake import TextSnake, TextSnakeConfig
from ocr_models.layers.deform_conv import ModulatedDeformConv2d
from ocr_models.layers.fpn_unet import FPNUNet
from ocr_models.layers.light_resnet import LightResNet, LightResNetConfig
from ocr_models.layers.resnet import Bottleneck, ResNet, ResNetConfig
from ocr_models.layers.resnet31 import ResNet31Config
from ocr_models.layers.tps import TPSConfig
from ocr_models.recognition.crnn import CRNN, CRNNConfig, VeryDeepVggConfig
from ocr_models.recognition.robust_scanner import RobustScanner, RobustScannerConfig
from ocr_models.recognition.segocr import SegOCR, SegOCRConfig
from ocrserve.train.fresh_weights import draw_fresh


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_blocks_of_a_resnet_begin_as_their_shortcut() -> None:
    backbone = ResNet(ResNetConfig(50))
    draw_fresh(backbone)
    block = backbone.get_submodule("layer2.1")
    assert isinstance(block, Bottleneck)
    x = torch.rand(1, 512, 4, 4)
    assert torch.equal(block.eval()(x), x)
    spread = math.sqrt(2 / (64 * 3 * 3))
    weight = backbone.get_parameter("layer1.0.conv2.weight")
    assert weight.std().item() == pytest.approx(spread, rel=0.05)


def test_deformable_convolutions_begin_without_offsets() -> None:
    backbone = ResNet(ResNetConfig(50, deform_stages=(False, True, True, True)))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    draw_fresh(backbone)
    after = backbone.state_dict()
    deformable = [m for m in backbone.modules() if isinstance(m, ModulatedDeformConv2d)]
    assert len(deformable) == 13
    assert not any(bool(module.conv_offset.weight.any()) for module in deformable)
    assert torch.equal(before["layer2.0.conv2.weight"], after["layer2.0.conv2.weight"])
    assert not torch.equal(before["layer2.0.conv1.weight"], after["layer2.0.conv1.weight"])


def test_the_neck_of_textsnake_is_not_silent() -> None:
    """With PyTorch's weights its maps hardly differ from pixel to pixel."""
    network = TextSnake(TextSnakeConfig(ResNetConfig(18)))
    levels = network.backbone(torch.rand(1, 3, 64, 64).repeat_interleave(2, dim=3))
    levels = tuple(torch.randn_like(level).relu() for level in levels)
    quiet = network.neck(levels).std(dim=(2, 3)).mean()
    draw_fresh(network)
    assert network.neck(levels).std(dim=(2, 3)).mean() > 2 * quiet
    neck = network.neck
    assert isinstance(neck, FPNUNet)
    biases = [value for name, value in neck.named_parameters() if name.endswith("bias")]
    assert len(biases) == 13
    assert not any(bool(value.any()) for value in biases)


def test_heads_of_mask_rcnn() -> None:
    network = build_network(MaskRCNNConfig(ResNetConfig(18)))
    draw_fresh(network)
    for name, spread in (
        ("rpn_head.rpn_conv", 0.01),
        ("roi_head.bbox_head.fc_cls", 0.01),
        ("roi_head.bbox_head.fc_reg", 0.001),
        ("roi_head.mask_head.convs.0.conv", math.sqrt(2 / (256 * 9))),
    ):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx(spread, rel=0.05), name
        assert not network.get_parameter(f"{name}.bias").any(), name


def test_the_backbone_of_attention_recognisers() -> None:
    narrow = ResNet31Config(channels=(16, 16, 32, 32, 64, 64))
    network = RobustScanner(RobustScannerConfig(narrow, model_channels=32))
    kept = network.decoder.prediction.weight.clone()
    draw_fresh(network)
    for name, spread in (
        ("backbone.conv5", math.sqrt(2 / (64 * 9))),
        ("encoder.layer", math.sqrt(2 / (64 + 32))),
    ):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx(spread, rel=0.05), name
        assert not network.get_parameter(f"{name}.bias").any(), name
    scales = network.get_parameter("backbone.bn5.weight")
    assert 0 <= scales.min() < 0.2
    assert 0.8 < scales.max() <= 1
    assert torch.equal(network.decoder.prediction.weight, kept)


def test_crnn_and_segocr() -> None:
    crnn = CRNN(CRNNConfig(VeryDeepVggConfig(1), preprocessor=TPSConfig()))
    segocr = SegOCR(
        SegOCRConfig(
            ResNet31Config(3, (1, 1, 1, 1), (8, 8, 16, 16, 16, 16), (2, 2), last_stage_pool=True),
            neck_channels=64,
        )
    )
    kept = crnn.get_parameter("preprocessor.LocalizationNetwork.localization_fc2.bias").clone()
    draw_fresh(crnn)
    draw_fresh(segocr)
    for network, name, spread in (
        (crnn, "backbone.cnn.conv4", math.sqrt(2 / (256 * 9 + 512 * 9))),
        (segocr, "neck.smooth_convs_3x3.0.conv", math.sqrt(2 / (64 * 9))),
        (segocr, "head.seg_conv.conv", math.sqrt(2 / (64 * 9))),
    ):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx(spread, rel=0.05), name
    assert 0 <= crnn.get_parameter("backbone.cnn.batchnorm4.weight").min() < 0.2
    assert not crnn.get_parameter("backbone.cnn.conv4.bias").any()
    after = crnn.get_parameter("preprocessor.LocalizationNetwork.localization_fc2.bias")
    assert torch.equal(after, kept)
    assert bool((segocr.get_parameter("neck.lateral_convs.0.bn.weight") == 1).all())


def test_other_parts_keep_their_weights() -> None:
    light = LightResNetConfig(stem_channels=8, channels=(8, 8, 16, 16))
    network = PANet(PANetConfig(light))
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    draw_fresh(network)
    assert isinstance(network.backbone, LightResNet)
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(before[name], value), name
    assert network.get_parameter("bbox_head.out_conv.weight").std() < 0.012
