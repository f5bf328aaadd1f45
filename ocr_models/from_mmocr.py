"""From MMOCR's dictionaries to our frozen configs: one function per model family.

Behind this door nothing sees ``type=``. Every key must be read, or stand in ``TRAINING_KEYS``;
another one is an error, since ignoring it would give a model that silently differs from MMOCR's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from ocr_models.codecs.charsets import built_in_charset, check_charset, read_dictionary_file
from ocr_models.codecs.ctc import CTCCodec, CTCCodecConfig
from ocr_models.config_section import Section, optional, several, whole
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNetConfig
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.mmocr_pipelines import (
    detection_preprocessing,
    find_test_pipeline,
    recognition_preprocessing,
)
from ocr_models.recognition.crnn import CRNNConfig, LightColumnsConfig, VeryDeepVggConfig
from ocr_models.spec import DetectorSpec, RecognizerSpec, Spec

__all__ = [
    "FAMILIES",
    "FROM_MMOCR",
    "TRAINING_KEYS",
    "crnn",
    "ctc_codec",
    "dbnet",
    "detection_preprocessing",
    "model_from_mmocr",
    "recognition_preprocessing",
]

TRAINING_KEYS: Mapping[str, tuple[str, ...]] = {
    "DBNet": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "mmdet.ResNet": ("frozen_stages", "norm_eval", "with_cp", "zero_init_residual", "pretrained",
                     "init_cfg"),
    "LightResNet": ("init_cfg",),
    "FPNC": ("init_cfg",),
    "DBHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "CRNNNet": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg", "max_seq_len"),
    "VeryDeepVgg": ("init_cfg",),
    "LightColumns": ("init_cfg",),
    "CRNNDecoder": ("init_cfg",),
}  # fmt: skip
"""Keys that change nothing about how a trained model reads an image, by the type they belong to."""

FAMILIES = (
    "ABINet", "CRNNNet", "DBNet", "DRRG", "FCENet", "MASTER", "NRTR", "NerClassifier",
    "OCRMaskRCNN", "PANet", "PSENet", "RobustScanner", "SARNet", "SATRN", "SDMGR",
    "SegRecognizer", "TextSnake",
)  # fmt: skip
"""The ``type`` of every model family of MMOCR 0.6.1."""


def model_from_mmocr(config: Mapping[str, Any]) -> Spec:
    """The model that a whole config describes: its ``model`` and its test pipeline.

    Args:
        config: a loaded config; the pipeline is looked for under ``data.test`` and then under
            ``test_pipeline``.

    Raises:
        ConfigError: something is unknown, missing, or not served by this version.
    """
    if "model" not in config:
        raise ConfigError("the config has no 'model'; is it a whole config, not one of its bases?")
    model = Section(config["model"], "model")
    family = model.type_name(FAMILIES)
    if family not in FROM_MMOCR:
        raise ConfigError(
            f"model.type is {family!r}; this version serves {' and '.join(FROM_MMOCR)}"
        )
    try:
        return FROM_MMOCR[family](model, find_test_pipeline(config))
    except ConfigError:
        raise
    except ValueError as error:  # what the frozen configs say about their values
        raise ConfigError(f"model: {error}") from error


# --- DBNet -------------------------------------------------------------------------------------


def dbnet(model: Section, pipeline: object) -> DetectorSpec:
    """DBNet with ResNet-18, ResNet-50 or a light backbone."""
    backbone = _dbnet_backbone(model.section("backbone"))
    joined_channels = _fpnc(model.section("neck"), backbone.out_channels)
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
    _finish(head, "DBHead")
    _finish(model, "DBNet")
    return DetectorSpec(
        DBNetConfig(backbone=backbone, neck_channels=joined_channels, head_bias=head_bias),
        detection_preprocessing(pipeline),
        postprocessing,
    )


def _dbnet_backbone(backbone: Section) -> ResNetConfig | LightResNetConfig:
    name = backbone.type_name(["mmdet.ResNet", "LightResNet"])
    if name == "LightResNet":
        light = _light_resnet(backbone)
        _finish(backbone, name)
        return light
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
    _finish(backbone, name)
    return config


def _light_resnet(backbone: Section) -> LightResNetConfig:
    default = LightResNetConfig()
    return LightResNetConfig(
        in_channels=backbone.read("in_channels", int, default.in_channels),
        stem_channels=backbone.read("stem_channels", int, default.stem_channels),
        channels=backbone.read("channels", several(whole), default.channels),
        blocks=backbone.read("blocks", several(whole), default.blocks),
        strides=backbone.read("strides", several(_pair), default.strides),
    )


def _fpnc(neck: Section, level_channels: tuple[int, ...]) -> int:
    """Channels of the joined pyramid, after checking that the neck fits the backbone."""
    neck.type_name(["FPNC"])
    if neck.has("asf_cfg"):
        raise ConfigError(f"{neck.path}.asf_cfg: DBNet++ is not served by this version")
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
    _finish(neck, "FPNC")
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


# --- CRNN --------------------------------------------------------------------------------------


def crnn(model: Section, pipeline: object) -> RecognizerSpec:
    """CRNN with the paper's backbone or a light one."""
    if model.has("preprocessor"):
        raise ConfigError(
            "model.preprocessor: rectifying crops before they are read (TPSPreprocessor) is not "
            "served by this version; crnn_academic_dataset.py is the same model without"
        )
    model.fix(encoder=None)
    backbone = _crnn_backbone(model.section("backbone"))
    codec = ctc_codec(model.section("label_convertor"))
    decoder = model.section("decoder")
    decoder.type_name(["CRNNDecoder"])
    in_channels = decoder.read("in_channels", optional(whole), None)
    if in_channels != backbone.feature_channels:
        raise ConfigError(
            f"{decoder.path}.in_channels is {in_channels}, but the backbone gives "
            f"{backbone.feature_channels}"
        )
    num_classes = CTCCodec(codec).num_classes
    stated_classes = decoder.read("num_classes", optional(whole), None)
    if stated_classes not in (None, num_classes):
        raise ConfigError(
            f"{decoder.path}.num_classes is {stated_classes}, but model.label_convertor has "
            f"{num_classes}; leave it out"
        )
    default = CRNNConfig()
    network = CRNNConfig(
        backbone=backbone,
        num_classes=num_classes,
        hidden=decoder.read("hidden", int, default.hidden),
        layers=decoder.read("layers", int, default.layers),
        recurrent=decoder.read("rnn_flag", bool, False),
    )
    _finish(decoder, "CRNNDecoder")
    _finish(model, "CRNNNet")
    return RecognizerSpec(network, recognition_preprocessing(pipeline), codec)


def _crnn_backbone(backbone: Section) -> VeryDeepVggConfig | LightColumnsConfig:
    name = backbone.type_name(["VeryDeepVgg", "LightColumns"])
    config: VeryDeepVggConfig | LightColumnsConfig
    if name == "VeryDeepVgg":
        default = VeryDeepVggConfig()
        config = VeryDeepVggConfig(
            in_channels=backbone.read("input_channels", int, default.in_channels),
            leaky_relu=backbone.read("leaky_relu", bool, default.leaky_relu),
        )
    else:
        feature_channels = backbone.read("feature_channels", int)
        config = LightColumnsConfig(_light_resnet(backbone), feature_channels)
    _finish(backbone, name)
    return config


def ctc_codec(convertor: Section | Mapping[str, Any]) -> CTCCodecConfig:
    """The text codec of a ``CTCConvertor``.

    The characters come from ``dict_file`` (relative to the working folder), else ``dict_list``,
    else ``dict_type``, as in MMOCR.

    Raises:
        ConfigError: unknown keys, or an impossible charset.
    """
    if not isinstance(convertor, Section):
        convertor = Section(convertor, "label_convertor")
    convertor.type_name(["CTCConvertor"])
    dict_type = convertor.read("dict_type", str, "DICT90")
    dict_file = convertor.read("dict_file", optional(str), None)
    dict_list = convertor.read("dict_list", optional(several(_character)), None)
    if dict_file is not None:
        charset = read_dictionary_file(dict_file)
    elif dict_list is not None:
        charset = check_charset("".join(dict_list), source=f"{convertor.path}.dict_list")
    else:
        charset = built_in_charset(dict_type)
    config = CTCCodecConfig(
        charset=charset,
        with_unknown=convertor.read("with_unknown", bool, True),
        lower=convertor.read("lower", bool, False),
    )
    convertor.finish()
    return config


FROM_MMOCR: Mapping[str, Callable[[Section, object], Spec]] = {"DBNet": dbnet, "CRNNNet": crnn}
"""The served families, by the ``type`` of their model."""


def _finish(section: Section, name: str) -> None:
    section.skip(TRAINING_KEYS[name])
    section.finish()


def _text_repr_type(value: Any) -> Literal["quad", "poly"]:
    if value == "quad":
        return "quad"
    if value == "poly":
        return "poly"
    raise ValueError(f"expected 'quad' or 'poly', got {value!r:.80}")


def _pair(value: Any) -> tuple[int, int]:
    numbers = several(whole)(value)
    if len(numbers) != 2:
        raise ValueError(f"expected pairs (vertical, horizontal), got {value!r:.80}")
    return numbers[0], numbers[1]


def _character(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise ValueError(f"expected single characters, got {value!r:.80}")
    return value
