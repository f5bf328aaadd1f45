"""SegOCR's config."""

from __future__ import annotations

from typing import Any, Literal

from ocr_models.codecs.segmentation import SegCodec
from ocr_models.config_section import Section, optional, several, whole
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.recognition.segocr import Enlargement, SegOCRConfig
from ocr_models.spec import RecognizerSpec

from .backbones import resnet31
from .codecs import segmentation_codec
from .training_keys import finish

Mode = Literal["nearest", "bilinear"]


def segocr(model: Section, pipeline: object) -> RecognizerSpec:
    """SegOCR with ResNet-31, all of whose stages the neck reads."""
    model.fix(preprocessor=None)
    backbone = resnet31(model.section("backbone"), out_indices=(0, 1, 2, 3))
    neck = model.section("neck")
    neck.type_name(["FPNOCR"])
    in_channels = neck.read("in_channels", several(whole))
    if in_channels != backbone.channels[2:]:
        raise ConfigError(
            f"{neck.path}.in_channels is {in_channels}, but the backbone gives "
            f"{backbone.channels[2:]}"
        )
    neck_channels = neck.read("out_channels", int, 256)
    neck.skip(("last_stage_only",))  # the head reads the finest level whether there are more or not
    finish(neck, "FPNOCR")
    codec = segmentation_codec(model.section("label_convertor"))
    num_classes = SegCodec(codec).num_classes
    network = SegOCRConfig(
        backbone=backbone,
        neck_channels=neck_channels,
        num_classes=num_classes,
        enlargement=_head(model.section("head"), neck_channels, num_classes),
    )
    finish(model, "SegRecognizer")
    return RecognizerSpec(network, recognition_preprocessing(pipeline), codec)


def _head(head: Section, neck_channels: int, num_classes: int) -> Enlargement | None:
    """How the head enlarges its map, after checking that it fits neck and dictionary."""
    head.type_name(["SegHead"])
    in_channels = head.read("in_channels", int, 128)
    if in_channels != neck_channels:
        raise ConfigError(
            f"{head.path}.in_channels is {in_channels}, but the neck gives {neck_channels}"
        )
    stated_classes = head.read("num_classes", optional(whole), None)
    if stated_classes not in (None, num_classes):
        raise ConfigError(
            f"{head.path}.num_classes is {stated_classes}, but model.label_convertor has "
            f"{num_classes}; leave it out"
        )
    enlargement = None
    if head.has("upsample_param"):
        upsample = head.section("upsample_param")
        upsample.fix(align_corners=None)
        enlargement = Enlargement(
            scale_factor=upsample.read("scale_factor", float),
            mode=upsample.read("mode", _mode, Enlargement.mode),
        )
        upsample.finish()
    finish(head, "SegHead")
    return enlargement


def _mode(value: Any) -> Mode:
    if value == "nearest":
        return "nearest"
    if value == "bilinear":
        return "bilinear"
    raise ValueError(f"expected 'nearest' or 'bilinear', got {value!r:.80}")
