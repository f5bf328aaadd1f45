"""Mask R-CNN's config."""

from __future__ import annotations

from typing import Any

from ocr_models.config_section import Section, number, several
from ocr_models.detection.mask_rcnn import (
    BOX_BINS,
    MASK_BINS,
    POOLED_STRIDES,
    STRIDES,
    DetectionSettings,
    MaskRCNNConfig,
    ProposalSettings,
)
from ocr_models.detection.mask_rcnn_postprocess import MaskRCNNPostprocessing
from ocr_models.mmocr_pipelines import detection_preprocessing
from ocr_models.spec import DetectorSpec

from .backbones import resnet
from .necks import fpn
from .readers import text_repr_type
from .training_keys import finish


def mask_rcnn(model: Section, pipeline: object) -> DetectorSpec:
    """Mask R-CNN with ResNet-18 or ResNet-50."""
    backbone = resnet(model.section("backbone"))
    channels = fpn(model.section("neck"), backbone.out_channels, len(STRIDES))
    test = model.section("test_cfg")
    detections, mask_thr = _detections(test.section("rcnn"))
    network = MaskRCNNConfig(
        backbone=backbone,
        channels=channels,
        proposals=proposal_settings(test.section("rpn")),
        detections=detections,
        **_rpn_head(model.section("rpn_head"), channels),
        **_roi_head(model.section("roi_head"), channels),
    )
    test.finish()
    postprocessing = MaskRCNNPostprocessing(
        model.read("text_repr_type", text_repr_type, "quad"), mask_thr
    )
    finish(model, "OCRMaskRCNN")
    return DetectorSpec(network, detection_preprocessing(pipeline), postprocessing)


def proposal_settings(section: Section) -> ProposalSettings:
    """``test_cfg.rpn``; for training ``train_cfg.rpn_proposal`` has the same form."""
    settings = ProposalSettings(
        nms_pre=section.read("nms_pre", int),
        max_per_img=section.read("max_per_img", int),
        iou_threshold=_nms(section.section("nms")),
        min_bbox_size=section.read("min_bbox_size", float, 0.0),
    )
    section.fix(nms_across_levels=False)
    section.skip(("nms_post",))  # MMDetection has long read max_per_img instead
    section.finish()
    return settings


def _detections(section: Section) -> tuple[DetectionSettings, float]:
    settings = DetectionSettings(
        score_thr=section.read("score_thr", float),
        iou_threshold=_nms(section.section("nms")),
        max_per_img=section.read("max_per_img", int),
    )
    mask_thr = section.read("mask_thr_binary", float)
    section.finish()
    return settings, mask_thr


def _nms(section: Section) -> float:
    section.type_name(["nms"])
    threshold = section.read("iou_threshold", float)
    section.finish()
    return threshold


def _rpn_head(head: Section, channels: int) -> dict[str, Any]:
    head.type_name(["RPNHead"])
    head.fix(in_channels=channels, feat_channels=channels, num_convs=1)
    anchors = head.section("anchor_generator")
    anchors.type_name(["AnchorGenerator"])
    anchors.fix(
        strides=STRIDES, base_sizes=None, scale_major=True, octave_base_scale=None,
        scales_per_octave=None, centers=None, center_offset=0.0,
    )  # fmt: skip
    scales = anchors.read("scales", several(number))
    ratios = anchors.read("ratios", several(number))
    anchors.finish()
    stds = _box_coder(head.section("bbox_coder"))
    finish(head, "RPNHead")
    return {"anchor_scales": scales, "anchor_ratios": ratios, "proposal_stds": stds}


def _box_coder(coder: Section) -> tuple[float, ...]:
    coder.type_name(["DeltaXYWHBBoxCoder"])
    coder.fix(target_means=(0.0,) * 4, clip_border=True, add_ctr_clip=False, ctr_clamp=32)
    stds = coder.read("target_stds", _four)
    coder.finish()
    return stds


def _four(value: Any) -> tuple[float, ...]:
    numbers = several(number)(value)
    if len(numbers) != 4:
        raise ValueError(f"expected four numbers, got {value!r:.80}")
    return numbers


def _roi_head(head: Section, channels: int) -> dict[str, Any]:
    head.type_name(["StandardRoIHead"])
    _pooling(head.section("bbox_roi_extractor"), channels, BOX_BINS)
    _pooling(head.section("mask_roi_extractor"), channels, MASK_BINS)
    boxes, masks = head.section("bbox_head"), head.section("mask_head")
    boxes.type_name(["Shared2FCBBoxHead"])
    boxes.fix(
        in_channels=channels, roi_feat_size=BOX_BINS, reg_class_agnostic=False,
        reg_decoded_bbox=False,
    )  # fmt: skip
    classes = boxes.read("num_classes", int)
    masks.type_name(["FCNMaskHead"])
    masks.fix(
        in_channels=channels, num_classes=classes, roi_feat_size=MASK_BINS, conv_kernel_size=3,
        class_agnostic=False, upsample_cfg={"type": "deconv", "scale_factor": 2}, conv_cfg=None,
        norm_cfg=None,
    )  # fmt: skip
    settings: dict[str, Any] = {
        "num_classes": classes,
        "fc_channels": boxes.read("fc_out_channels", int, 1024),
        "box_stds": _box_coder(boxes.section("bbox_coder")),
        "mask_convs": masks.read("num_convs", int, 4),
        "mask_channels": masks.read("conv_out_channels", int, 256),
    }
    for section, name in ((boxes, "Shared2FCBBoxHead"), (masks, "FCNMaskHead")):
        finish(section, name)
    finish(head, "StandardRoIHead")
    return settings


def _pooling(extractor: Section, channels: int, bins: int) -> None:
    extractor.type_name(["SingleRoIExtractor"])
    extractor.fix(featmap_strides=POOLED_STRIDES, out_channels=channels, finest_scale=56)
    layer = extractor.section("roi_layer")
    layer.type_name(["RoIAlign"])
    # sample_num is an older name of sampling_ratio.
    layer.fix(output_size=bins, sampling_ratio=0, sample_num=0, pool_mode="avg", aligned=True)
    layer.finish()
    extractor.finish()
