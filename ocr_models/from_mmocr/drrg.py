"""DRRG's config."""

from __future__ import annotations

from ocr_models.config_section import Section, several, whole
from ocr_models.detection.drrg import DRRGConfig
from ocr_models.detection.drrg_components import ComponentProposals
from ocr_models.detection.drrg_graphs import GraphConfig
from ocr_models.detection.drrg_postprocess import DRRGPostprocessing
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import detection_backbone
from .necks import fpn_unet
from .training_keys import finish


def drrg(model: Section, pipeline: object) -> DetectorSpec:
    """DRRG with a ResNet or a light backbone."""
    backbone = detection_backbone(model.section("backbone"))
    channels = fpn_unet(model.section("neck"), backbone.out_channels)
    head = model.section("bbox_head")
    head.type_name(["DRRGHead"])
    head_channels = head.read("in_channels", int)
    if head_channels != channels:
        raise ConfigError(
            f"{head.path}.in_channels is {head_channels}, but the neck gives {channels}"
        )
    head.fix(pooling_scale=1.0)
    network = DRRGConfig(
        backbone,
        channels,
        pooling_output_size=head.read("pooling_output_size", _pair, (4, 3)),
        graphs=_graphs(head),
        proposals=_proposals(head),
    )
    postprocessing = DRRGPostprocessing()
    if head.has("postprocessor"):
        postprocessing = _postprocessing(head.section("postprocessor"))
    finish(head, "DRRGHead")
    finish(model, "DRRG")
    return DetectorSpec(network, detection_preprocessing(pipeline), postprocessing)


def _graphs(head: Section) -> GraphConfig:
    default = GraphConfig()
    return GraphConfig(
        k_at_hops=head.read("k_at_hops", _pair, default.k_at_hops),
        num_adjacent_linkages=head.read(
            "num_adjacent_linkages", int, default.num_adjacent_linkages
        ),
        node_geo_feat_len=head.read("node_geo_feat_len", int, default.node_geo_feat_len),
    )


def _proposals(head: Section) -> ComponentProposals:
    default = ComponentProposals()
    return ComponentProposals(
        nms_thr=head.read("nms_thr", float, default.nms_thr),
        min_width=head.read("min_width", float, default.min_width),
        max_width=head.read("max_width", float, default.max_width),
        comp_shrink_ratio=head.read("comp_shrink_ratio", float, default.comp_shrink_ratio),
        comp_ratio=head.read("comp_ratio", float, default.comp_ratio),
        comp_score_thr=head.read("comp_score_thr", float, default.comp_score_thr),
        text_region_thr=head.read("text_region_thr", float, default.text_region_thr),
        center_region_thr=head.read("center_region_thr", float, default.center_region_thr),
        center_region_area_thr=head.read(
            "center_region_area_thr", int, default.center_region_area_thr
        ),
    )


def _postprocessing(section: Section) -> DRRGPostprocessing:
    section.type_name(["DRRGPostprocessor"])
    config = DRRGPostprocessing(link_thr=section.read("link_thr", float))
    section.finish()
    return config


def _pair(value: object) -> tuple[int, int]:
    numbers = several(whole)(value)
    if len(numbers) != 2:
        raise ValueError(f"expected two whole numbers, got {value!r:.80}")
    return numbers[0], numbers[1]
