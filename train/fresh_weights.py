"""Random weights that a training starts from, drawn as MMOCR 0.6.1 and MMDetection draw them.

PyTorch's own choice makes signals smaller with every layer that has no normalisation, so necks such
as TextSnake's would begin almost silent and learn very slowly. Parts that are not in the table keep
PyTorch's weights, or those that their constructors draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from ocr_models.detection.dbnet import ASFFPNC, FPNC
from ocr_models.detection.mask_rcnn import BoxHead, MaskHead, RPNHead
from ocr_models.detection.panet import FPEMFFM, PANHead
from ocr_models.detection.psenet import FPNF, PSEHead
from ocr_models.layers.deform_conv import ModulatedDeformConv2d
from ocr_models.layers.fpn import FPN
from ocr_models.layers.fpn_unet import FPNUNet
from ocr_models.layers.resnet import BasicBlock, Bottleneck, ResNet
from ocr_models.layers.resnet31 import ResNet31
from ocr_models.recognition.crnn import VeryDeepVgg
from ocr_models.recognition.robust_scanner import ChannelReductionEncoder
from ocr_models.recognition.segocr import ConvNormReLU

Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def draw_fresh(network: nn.Module) -> None:
    """Draw new weights for the parts of a network that ``FRESH`` names, in place."""
    for part in network.modules():
        draw = FRESH.get(type(part))
        if draw is not None:
            draw(part)


def _xavier(part: nn.Module) -> None:
    """Uniform, by the numbers of inputs and outputs; biases 0."""
    for layer in _layers(part):
        nn.init.xavier_uniform_(layer.weight)
        _no_bias(layer)


def _kaiming(part: nn.Module) -> None:
    """Normal, by the number of outputs, for layers before a ReLU; biases 0."""
    for layer in _layers(part):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        _no_bias(layer)


def _normal(part: nn.Module, std: float) -> None:
    """Normal with one spread; biases 0."""
    for layer in _layers(part):
        nn.init.normal_(layer.weight, std=std)
        _no_bias(layer)


def _resnet(backbone: nn.Module) -> None:
    """Every block begins as its shortcut: the last BatchNorm on the other path is 0."""
    _kaiming(backbone)
    for module in backbone.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)


def _resnet31(backbone: nn.Module) -> None:
    _kaiming(backbone)
    _uneven_norms(backbone)


def _vgg(backbone: nn.Module) -> None:
    _xavier_normal(backbone)
    _uneven_norms(backbone)


def _uneven_norms(part: nn.Module) -> None:
    """Some channels begin louder than others: the scales of BatchNorm are anything from 0 to 1."""
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)


def _xavier_normal(part: nn.Module) -> None:
    """Normal, by the numbers of inputs and outputs; biases 0."""
    for layer in _layers(part):
        nn.init.xavier_normal_(layer.weight)
        _no_bias(layer)


def _box_head(head: nn.Module) -> None:
    assert isinstance(head, BoxHead)
    _xavier(head.shared_fcs)
    _normal(head.fc_cls, std=0.01)
    _normal(head.fc_reg, std=0.001)


def _layers(part: nn.Module) -> list[Weighted]:
    """Convolutions and linear layers; deformable convolutions draw what they need themselves."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    deformable = [m for m in part.modules() if isinstance(m, ModulatedDeformConv2d)]
    kept = {inner for module in deformable for inner in module.modules()}
    return [m for m in part.modules() if isinstance(m, kinds) and m not in kept]


def _no_bias(layer: Weighted) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


FRESH: Mapping[type, Callable[[nn.Module], None]] = {
    ResNet: _resnet,
    FPNC: _kaiming,
    ASFFPNC: _kaiming,
    FPN: _xavier,
    FPNUNet: _xavier,
    FPEMFFM: _xavier,
    FPNF: _xavier,
    PANHead: partial(_normal, std=0.01),
    PSEHead: partial(_normal, std=0.01),
    RPNHead: partial(_normal, std=0.01),
    BoxHead: _box_head,
    MaskHead: _kaiming,
    ResNet31: _resnet31,
    VeryDeepVgg: _vgg,
    ConvNormReLU: _kaiming,
    ChannelReductionEncoder: _xavier_normal,
}
"""By the class of a part. The heads of TextSnake, FCENet and DRRG draw theirs when they are made;
DBNet's head keeps PyTorch's, as MMOCR's settings for it name no layer that it has."""
