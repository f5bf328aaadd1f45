"""Backbones that several families use."""

from __future__ import annotations

from typing import Any

from ocr_models.config_section import Section, several, whole
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig

from .training_keys import finish


def resnet(backbone: Section) -> ResNetConfig:
    """mmdet's ResNet-18 or ResNet-50 with four levels."""
    name = backbone.type_name(["mmdet.ResNet"])
    if backbone.has("dcn"):
        raise ConfigError(
            f"{backbone.path}.dcn: deformable convolutions are not served by this version; "
            "the dbnet_r18 models do without"
        )
    backbone.fix(
        in_channels=3, num_stages=4, out_indices=(0, 1, 2, 3), stem_channels=None,
        base_channels=64, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), deep_stem=False,
        avg_down=False, conv_cfg=None, plugins=None,
        stage_with_dcn=(False, False, False, False),
    )  # fmt: skip
    if backbone.has("norm_cfg"):
        norm = backbone.section("norm_cfg")
        norm.type_name(["BN", "SyncBN"])
        norm.fix(eps=1e-5)
        norm.skip(("requires_grad", "momentum"))
        norm.finish()
    config = ResNetConfig(
        depth=backbone.read("depth", int), style=backbone.read("style", str, "pytorch")
    )
    finish(backbone, name)
    return config


def light_resnet(backbone: Section) -> LightResNetConfig:
    """The numbers of a light residual backbone; the caller finishes the section."""
    default = LightResNetConfig()
    return LightResNetConfig(
        in_channels=backbone.read("in_channels", int, default.in_channels),
        stem_channels=backbone.read("stem_channels", int, default.stem_channels),
        channels=backbone.read("channels", several(whole), default.channels),
        blocks=backbone.read("blocks", several(whole), default.blocks),
        strides=backbone.read("strides", several(_pair), default.strides),
    )


def _pair(value: Any) -> tuple[int, int]:
    numbers = several(whole)(value)
    if len(numbers) != 2:
        raise ValueError(f"expected pairs (vertical, horizontal), got {value!r:.80}")
    return numbers[0], numbers[1]
