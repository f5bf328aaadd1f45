"""Backbones that several families use."""

from __future__ import annotations

from typing import Any

from ocr_models.config_section import Section, flag, several, whole
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.layers.resnet31 import ResNet31Config

from .training_keys import finish


def resnet(backbone: Section, out_indices: tuple[int, ...] = (0, 1, 2, 3)) -> ResNetConfig:
    """mmdet's ResNet-18 or ResNet-50; ``out_indices`` are the levels that the neck reads."""
    name = backbone.type_name(["mmdet.ResNet"])
    backbone.fix(
        in_channels=3, num_stages=4, out_indices=out_indices, stem_channels=None,
        base_channels=64, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), deep_stem=False,
        avg_down=False, conv_cfg=None, plugins=None,
    )  # fmt: skip
    if backbone.has("norm_cfg"):
        norm = backbone.section("norm_cfg")
        norm.type_name(["BN", "SyncBN"])
        norm.fix(eps=1e-5)
        norm.skip(("requires_grad", "momentum"))
        norm.finish()
    deform_stages, deform_groups = _deformable(backbone)
    config = ResNetConfig(
        depth=backbone.read("depth", int),
        style=backbone.read("style", str, "pytorch"),
        deform_stages=deform_stages,
        deform_groups=deform_groups,
    )
    finish(backbone, name)
    return config


def _deformable(backbone: Section) -> tuple[tuple[bool, bool, bool, bool], int]:
    """The stages with deformable convolutions, and the groups of these."""
    none: tuple[bool, ...] = (False, False, False, False)
    stages = backbone.read("stage_with_dcn", several(flag), none)
    if len(stages) != 4:
        raise ConfigError(
            f"{backbone.path}.stage_with_dcn needs a value for each of the 4 stages, "
            f"got {len(stages)}"
        )
    if not backbone.has("dcn"):
        # mmdet looks at stage_with_dcn only when there is a dcn.
        return (False, False, False, False), 1
    dcn = backbone.section("dcn")
    dcn.type_name(["DCNv2"])
    groups = dcn.read("deform_groups", int, 1)
    dcn.fix(fallback_on_stride=False)
    dcn.finish()
    return (stages[0], stages[1], stages[2], stages[3]), groups


def detection_backbone(backbone: Section) -> ResNetConfig | LightResNetConfig:
    """mmdet's ResNet or a light one, for detectors that take either."""
    if backbone.type_name(["mmdet.ResNet", "LightResNet"]) == "mmdet.ResNet":
        return resnet(backbone)
    light = light_resnet(backbone)
    finish(backbone, "LightResNet")
    return light


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


def resnet31(backbone: Section, out_indices: tuple[int, ...] | None = None) -> ResNet31Config:
    """MMOCR's ``ResNet31OCR``; ``out_indices`` are the stages that are read, None for the last."""
    name = backbone.type_name(["ResNet31OCR"])
    default = ResNet31Config()
    backbone.fix(out_indices=out_indices)
    channels = backbone.read("channels", several(whole), tuple(default.channels))
    blocks = backbone.read("layers", several(whole), tuple(default.blocks))
    # MMOCR's own lists of channels end in a seventh number that nothing uses.
    if len(channels) not in (6, 7) or len(blocks) != 4:
        raise ConfigError(
            f"{backbone.path} needs 6 channels (and perhaps a seventh, unused) and 4 layers, got "
            f"{list(channels)} and {list(blocks)}"
        )
    stage3_pool = default.stage3_pool
    if backbone.has("stage4_pool_cfg"):
        pool = backbone.section("stage4_pool_cfg")
        stage3_pool = pool.read("stride", _one_or_two)
        kernel = pool.read("kernel_size", _one_or_two)
        if kernel != stage3_pool:
            raise ConfigError(
                f"{pool.path}: kernel_size is {kernel}; it must equal the stride, {stage3_pool}"
            )
        pool.finish()
    config = ResNet31Config(
        in_channels=backbone.read("base_channels", int, default.in_channels),
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        channels=(
            channels[0], channels[1], channels[2], channels[3], channels[4], channels[5]
        ),
        stage3_pool=stage3_pool,
        last_stage_pool=backbone.read("last_stage_pool", bool, default.last_stage_pool),
    )  # fmt: skip
    finish(backbone, name)
    return config


def _one_or_two(value: Any) -> tuple[int, int]:
    """(vertical, horizontal), from a pair or from one number for both."""
    return (value, value) if type(value) is int else _pair(value)


def _pair(value: Any) -> tuple[int, int]:
    numbers = several(whole)(value)
    if len(numbers) != 2:
        raise ValueError(f"expected pairs (vertical, horizontal), got {value!r:.80}")
    return numbers[0], numbers[1]
