"""PANet's config."""

from __future__ import annotations

from ocr_models.config_section import Section, several, whole
from ocr_models.detection.panet import PANetConfig
from ocr_models.detection.panet_postprocess import PANPostprocessing
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import detection_backbone
from .readers import text_repr_type
from .training_keys import finish


def panet(model: Section, pipeline: object) -> DetectorSpec:
    """PANet with ResNet-18, ResNet-50 or a light backbone."""
    backbone = detection_backbone(model.section("backbone"))
    channels, repeats = _fpem_ffm(model.section("neck"), backbone.out_channels)
    head = model.section("bbox_head")
    head.type_name(["PANHead"])
    head_channels = head.read("in_channels", several(whole))
    if head_channels != (channels,) * 4:
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {(channels,) * 4}"
        )
    out_channels = head.read("out_channels", int)
    if out_channels < 3:
        raise ConfigError(
            f"{head.path}.out_channels is {out_channels}; it must be at least 3: text, kernel and "
            "the embedding"
        )
    head.fix(downsample_ratio=0.25)
    postprocessing = PANPostprocessing()
    if head.has("postprocessor"):
        postprocessing = _postprocessing(head.section("postprocessor"))
    finish(head, "PANHead")
    finish(model, "PANet")
    return DetectorSpec(
        PANetConfig(backbone, channels, repeats, embedding_size=out_channels - 2),
        detection_preprocessing(pipeline),
        postprocessing,
    )


def _fpem_ffm(neck: Section, level_channels: tuple[int, ...]) -> tuple[int, int]:
    """Channels and repeats of the pyramid, after checking that the neck fits the backbone."""
    neck.type_name(["FPEM_FFM"])
    in_channels = neck.read("in_channels", several(whole))
    if in_channels != level_channels:
        raise ConfigError(
            f"{neck.path}.in_channels is {in_channels}, but the backbone gives {level_channels}"
        )
    channels = neck.read("conv_out", int, 128)
    repeats = neck.read("fpem_repeat", int, 2)
    neck.fix(align_corners=False)
    finish(neck, "FPEM_FFM")
    return channels, repeats


def _postprocessing(section: Section) -> PANPostprocessing:
    section.type_name(["PANPostprocessor"])
    default = PANPostprocessing()
    config = PANPostprocessing(
        text_repr_type=section.read("text_repr_type", text_repr_type, default.text_repr_type),
        min_text_confidence=section.read("min_text_confidence", float, default.min_text_confidence),
        min_kernel_confidence=section.read(
            "min_kernel_confidence", float, default.min_kernel_confidence
        ),
        min_text_avg_confidence=section.read(
            "min_text_avg_confidence", float, default.min_text_avg_confidence
        ),
        min_text_area=section.read("min_text_area", float, default.min_text_area),
    )
    section.finish()
    return config
