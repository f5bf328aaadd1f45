"""FCENet's config."""

from __future__ import annotations

from ocr_models.config_section import Section, several, whole
from ocr_models.detection.fcenet import STRIDES, FCENetConfig
from ocr_models.detection.fcenet_postprocess import FCEPostprocessing
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import resnet
from .necks import fpn
from .readers import text_repr_type
from .training_keys import finish


def fcenet(model: Section, pipeline: object) -> DetectorSpec:
    """FCENet with ResNet-18 or ResNet-50, plain or with deformable convolutions."""
    backbone = resnet(model.section("backbone"), out_indices=(1, 2, 3))
    neck_channels = fpn(model.section("neck"), backbone.out_channels[1:], len(STRIDES))
    head = model.section("bbox_head")
    head.type_name(["FCEHead"])
    head_channels = head.read("in_channels", int)
    if head_channels != neck_channels:
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {neck_channels}"
        )
    scales = head.read("scales", several(whole))
    if scales != STRIDES:
        raise ConfigError(f"{head.path}.scales is {scales}; the levels' strides are {STRIDES}")
    network = FCENetConfig(
        backbone, neck_channels, head.read("fourier_degree", int, FCENetConfig().fourier_degree)
    )
    postprocessing = _postprocessing(head)
    finish(head, "FCEHead")
    finish(model, "FCENet")
    return DetectorSpec(network, detection_preprocessing(pipeline), postprocessing)


def _postprocessing(head: Section) -> FCEPostprocessing:
    default = FCEPostprocessing()
    nms_thr = head.read("nms_thr", float, default.nms_thr)
    if not head.has("postprocessor"):
        return FCEPostprocessing(nms_thr=nms_thr)
    section = head.section("postprocessor")
    section.type_name(["FCEPostprocessor"])
    # MMOCR returns polygons whichever it is told, and published configs say "quad".
    section.read("text_repr_type", text_repr_type, "poly")
    config = FCEPostprocessing(
        num_reconstr_points=section.read("num_reconstr_points", int),
        alpha=section.read("alpha", float, default.alpha),
        beta=section.read("beta", float, default.beta),
        score_thr=section.read("score_thr", float, default.score_thr),
        nms_thr=nms_thr,
    )
    section.finish()
    return config
