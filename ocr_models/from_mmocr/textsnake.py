"""TextSnake's config."""

from __future__ import annotations

from ocr_models.config_section import Section
from ocr_models.detection.textsnake import TextSnakeConfig
from ocr_models.detection.textsnake_postprocess import TextSnakePostprocessing
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import resnet
from .necks import fpn_unet
from .training_keys import finish


def textsnake(model: Section, pipeline: object) -> DetectorSpec:
    """TextSnake with ResNet-18 or ResNet-50."""
    backbone = resnet(model.section("backbone"))
    neck_channels = fpn_unet(model.section("neck"), backbone.out_channels)
    head = model.section("bbox_head")
    head.type_name(["TextSnakeHead"])
    head_channels = head.read("in_channels", int)
    if head_channels != neck_channels:
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {neck_channels}"
        )
    head.fix(out_channels=5, downsample_ratio=1.0)
    postprocessing = TextSnakePostprocessing()
    if head.has("postprocessor"):
        postprocessing = _postprocessing(head.section("postprocessor"))
    finish(head, "TextSnakeHead")
    finish(model, "TextSnake")
    return DetectorSpec(
        TextSnakeConfig(backbone, neck_channels), detection_preprocessing(pipeline), postprocessing
    )


def _postprocessing(section: Section) -> TextSnakePostprocessing:
    section.type_name(["TextSnakePostprocessor"])
    section.fix(text_repr_type="poly")
    # MMOCR reads this threshold, but nothing there depends on it.
    section.read("min_text_region_confidence", float, 0.6)
    default = TextSnakePostprocessing()
    config = TextSnakePostprocessing(
        min_center_region_confidence=section.read(
            "min_center_region_confidence", float, default.min_center_region_confidence
        ),
        min_center_area=section.read("min_center_area", float, default.min_center_area),
        disk_overlap_thr=section.read("disk_overlap_thr", float, default.disk_overlap_thr),
        radius_shrink_ratio=section.read("radius_shrink_ratio", float, default.radius_shrink_ratio),
    )
    section.finish()
    return config
