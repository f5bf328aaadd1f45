"""DBNet's config."""

from __future__ import annotations

from typing import Any, Literal

from ocr_models.config_section import Section, several, whole
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNetConfig, DBNetPPConfig
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import detection_backbone
from .training_keys import finish


def dbnet(model: Section, pipeline: object) -> DetectorSpec:
    """DBNet or DBNet++ with ResNet-18, ResNet-50 or a light backbone."""
    backbone = detection_backbone(model.section("backbone"))
    neck = model.section("neck")
    network = DBNetPPConfig if _adaptive_scale_fusion(neck) else DBNetConfig
    joined_channels = _fpnc(neck, backbone.out_channels)
    head = model.section("bbox_head")
    head.type_name(["DBHead"])
    head_channels = head.read("in_channels", int)
    if head_channels != joined_channels:
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {joined_channels}"
        )
    head_bias = head.read("with_bias", bool, False)
    head.fix(downsample_ratio=1.0)
    postprocessing = DBPostprocessing(text_repr_type="quad")
    if head.has("postprocessor"):
        postprocessing = _db_postprocessing(head.section("postprocessor"))
    finish(head, "DBHead")
    finish(model, "DBNet")
    return DetectorSpec(
        network(backbone=backbone, neck_channels=joined_channels, head_bias=head_bias),
        detection_preprocessing(pipeline),
        postprocessing,
    )


def _adaptive_scale_fusion(neck: Section) -> bool:
    """Whether the neck is that of DBNet++."""
    if not neck.has("asf_cfg"):
        return False
    settings = neck.section("asf_cfg")
    settings.fix(attention_type="ScaleChannelSpatial")
    settings.finish()
    return True


def _fpnc(neck: Section, level_channels: tuple[int, ...]) -> int:
    """Channels of the joined pyramid, after checking that the neck fits the backbone."""
    neck.type_name(["FPNC"])
    in_channels = neck.read("in_channels", several(whole))
    if in_channels != level_channels:
        raise ConfigError(
            f"{neck.path}.in_channels is {in_channels}, but the backbone gives {level_channels}"
        )
    lateral = neck.read("lateral_channels", int, 256)
    neck.fix(
        out_channels=lateral // 4, bias_on_lateral=False, bn_re_on_lateral=False,
        bias_on_smooth=False, bn_re_on_smooth=False, conv_after_concat=False,
    )  # fmt: skip
    finish(neck, "FPNC")
    return lateral


def _db_postprocessing(section: Section) -> DBPostprocessing:
    section.type_name(["DBPostprocessor"])
    default = DBPostprocessing()
    config = DBPostprocessing(
        text_repr_type=section.read("text_repr_type", _text_repr_type, default.text_repr_type),
        mask_thr=section.read("mask_thr", float, default.mask_thr),
        min_text_score=section.read("min_text_score", float, default.min_text_score),
        min_text_width=section.read("min_text_width", float, default.min_text_width),
        unclip_ratio=section.read("unclip_ratio", float, default.unclip_ratio),
        epsilon_ratio=section.read("epsilon_ratio", float, default.epsilon_ratio),
        max_candidates=section.read("max_candidates", int, default.max_candidates),
    )
    section.finish()
    return config


def _text_repr_type(value: Any) -> Literal["quad", "poly"]:
    if value == "quad":
        return "quad"
    if value == "poly":
        return "poly"
    raise ValueError(f"expected 'quad' or 'poly', got {value!r:.80}")
