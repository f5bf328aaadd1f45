"""PSENet's config."""

from __future__ import annotations

from typing import Any, Literal

from ocr_models.config_section import Section, several, whole
from ocr_models.detection.psenet import PSENetConfig
from ocr_models.detection.psenet_postprocess import PSEPostprocessing
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import detection_backbone
from .readers import text_repr_type
from .training_keys import finish

FusionType = Literal["concat", "add"]

_RESNET50_CHANNELS: tuple[int, ...] = (256, 512, 1024, 2048)
_DEFAULT_FUSION: FusionType = "concat"


def psenet(model: Section, pipeline: object) -> DetectorSpec:
    """PSENet with ResNet-18, ResNet-50 or a light backbone."""
    backbone = detection_backbone(model.section("backbone"))
    channels, fusion_type = _fpnf(model.section("neck"), backbone.out_channels)
    head = model.section("bbox_head")
    head.type_name(["PSEHead"])
    head_channels = head.read("in_channels", several(whole))
    if head_channels != (channels,):
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {(channels,)}"
        )
    num_kernels = head.read("out_channels", int)
    head.fix(downsample_ratio=0.25)
    postprocessing = PSEPostprocessing()
    if head.has("postprocessor"):
        postprocessing = _postprocessing(head.section("postprocessor"))
    finish(head, "PSEHead")
    finish(model, "PSENet")
    return DetectorSpec(
        PSENetConfig(backbone, channels, fusion_type, num_kernels),
        detection_preprocessing(pipeline),
        postprocessing,
    )


def _fpnf(neck: Section, level_channels: tuple[int, ...]) -> tuple[int, FusionType]:
    """Channels and fusion of the pyramid, after checking that the neck fits the backbone."""
    neck.type_name(["FPNF"])
    in_channels = neck.read("in_channels", several(whole), _RESNET50_CHANNELS)
    if in_channels != level_channels:
        raise ConfigError(
            f"{neck.path}.in_channels is {in_channels}, but the backbone gives {level_channels}"
        )
    channels = neck.read("out_channels", int, 256)
    fusion_type = neck.read("fusion_type", _fusion_type, _DEFAULT_FUSION)
    neck.fix(upsample_ratio=1)
    finish(neck, "FPNF")
    return channels, fusion_type


def _fusion_type(value: Any) -> FusionType:
    if value == "concat":
        return "concat"
    if value == "add":
        return "add"
    raise ValueError(f"expected 'concat' or 'add', got {value!r:.80}")


def _postprocessing(section: Section) -> PSEPostprocessing:
    section.type_name(["PSEPostprocessor"])
    default = PSEPostprocessing()
    config = PSEPostprocessing(
        text_repr_type=section.read("text_repr_type", text_repr_type, default.text_repr_type),
        min_kernel_confidence=section.read(
            "min_kernel_confidence", float, default.min_kernel_confidence
        ),
        min_text_avg_confidence=section.read(
            "min_text_avg_confidence", float, default.min_text_avg_confidence
        ),
        min_kernel_area=section.read("min_kernel_area", float, default.min_kernel_area),
        min_text_area=section.read("min_text_area", float, default.min_text_area),
    )
    section.finish()
    return config
