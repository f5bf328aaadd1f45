"""From MMOCR's dictionaries to our configs: published models go through, the rest is told."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from ocr_models.codecs.charsets import DICT36, DICT90
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNetConfig, DBNetPPConfig
from ocr_models.detection.families import build_network
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import FROM_MMOCR, WITH_DICTIONARY, model_from_mmocr
from ocr_models.from_mmocr.codecs import ctc_codec
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.layers.tps import TPSConfig
from ocr_models.mmocr_config import dump_config, load_config
from ocr_models.mmocr_pipelines import detection_preprocessing, recognition_preprocessing
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing
from ocr_models.recognition.crnn import CRNNConfig, VeryDeepVggConfig
from ocr_models.recognition.families import build_network as build_recognizer
from ocr_models.spec import DetectorSpec, RecognizerSpec, Spec, from_json_dict, to_json_dict
from tests.stand_in_files import with_stand_in_files

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "models"
CONFIGS = ROOT / "configs"
OWN_CONFIGS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob("*.py")
    if "_base_" not in path.relative_to(CONFIGS).parts
)
PUBLISHED = [
    "textdet/dbnet/dbnet_r18_fpnc_1200e_icdar2015.py",
    "textdet/dbnet/dbnet_r18_fpnc_100k_iters_synthtext.py",
    "textrecog/crnn/crnn_academic_dataset.py",
    "textrecog/crnn/crnn_toy_dataset.py",
    "textrecog/tps/crnn_tps_academic_dataset.py",
    "textdet/dbnet/dbnet_r50dcnv2_fpnc_100k_iters_synthtext.py",
    "textdet/dbnet/dbnet_r50dcnv2_fpnc_1200e_icdar2015.py",
    "textdet/dbnetpp/dbnetpp_r50dcnv2_fpnc_100k_iter_synthtext.py",
    "textdet/dbnetpp/dbnetpp_r50dcnv2_fpnc_1200e_icdar2015.py",
    "textdet/panet/panet_r18_fpem_ffm_600e_ctw1500.py",
    "textdet/panet/panet_r18_fpem_ffm_600e_icdar2015.py",
    "textdet/panet/panet_r50_fpem_ffm_600e_icdar2017.py",
    "textdet/psenet/psenet_r50_fpnf_600e_ctw1500.py",
    "textdet/psenet/psenet_r50_fpnf_600e_icdar2015.py",
    "textdet/psenet/psenet_r50_fpnf_600e_icdar2017.py",
    "textdet/drrg/drrg_r50_fpn_unet_1200e_ctw1500.py",
    "textdet/fcenet/fcenet_r50_fpn_1500e_icdar2015.py",
    "textdet/fcenet/fcenet_r50dcnv2_fpn_1500e_ctw1500.py",
    "textdet/textsnake/textsnake_r50_fpn_unet_1200e_ctw1500.py",
    "textdet/maskrcnn/mask_rcnn_r50_fpn_160e_ctw1500.py",
    "textdet/maskrcnn/mask_rcnn_r50_fpn_160e_icdar2015.py",
    "textdet/maskrcnn/mask_rcnn_r50_fpn_160e_icdar2017.py",
]


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress((GOLDEN / name).read_bytes()))
    return content


def load(name: str) -> dict[str, Any]:
    return load_config(CONFIGS / name)


def network_of(spec: Spec) -> nn.Module:
    if isinstance(spec, DetectorSpec):
        return build_network(spec.network)
    assert isinstance(spec, RecognizerSpec)
    return build_recognizer(spec.network)


def test_sweep_sizes() -> None:
    assert not set(FROM_MMOCR) & set(WITH_DICTIONARY)
    assert len({*FROM_MMOCR, *WITH_DICTIONARY}) == 17  # all of MMOCR 0.6.1
    assert len(OWN_CONFIGS) >= 26
    assert set(PUBLISHED) <= set(OWN_CONFIGS)


@pytest.mark.parametrize("name", OWN_CONFIGS)
def test_every_config_of_ours_is_served(name: str, tmp_path: Path) -> None:
    config = with_stand_in_files(load(name), tmp_path)
    spec = model_from_mmocr(config)
    assert from_json_dict(type(spec), json.loads(json.dumps(to_json_dict(spec)))) == spec
    (tmp_path / "dumped.py").write_text(dump_config(config))
    assert load_config(tmp_path / "dumped.py") == config


@pytest.mark.parametrize("name", PUBLISHED)
def test_models_equal_the_recorded_ones(name: str) -> None:
    recorded = golden(Path(name).stem + ".json.gz")
    config = load(name)
    assert recorded["config"] == name
    assert json.dumps(config["model"]) == json.dumps(recorded["model"])  # key order too
    network = network_of(model_from_mmocr(config))
    assert [
        [entry, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for entry, tensor in network.state_dict().items()
    ] == recorded["state"]


@pytest.mark.parametrize(
    "name", [n for n in OWN_CONFIGS if n.startswith("kie/") and "synthetic" not in n]
)
def test_models_of_key_information_equal_the_recorded_ones(name: str) -> None:
    """Ours also name a class list, where MMOCR's show numbers."""
    recorded = golden(Path(name).stem + ".json.gz")
    model = load(name)["model"]
    assert recorded["config"] == name
    assert {**model, "class_list": None} == recorded["model"]
    assert len([n for n in OWN_CONFIGS if n.startswith("kie/")]) == 3 + 1


def test_dbnet() -> None:
    assert model_from_mmocr(load(PUBLISHED[0])) == DetectorSpec(
        DBNetConfig(backbone=ResNetConfig(depth=18, style="caffe"), neck_channels=256),
        DetectionPreprocessing(image_scale=(1333, 736), exif=False),
        DBPostprocessing(text_repr_type="quad"),
    )


def test_dbnetpp() -> None:
    backbone = ResNetConfig(50, "pytorch", deform_stages=(False, True, True, True))
    assert model_from_mmocr(load("textdet/dbnetpp/dbnetpp_r50dcnv2_fpnc_1200e_icdar2015.py")) == (
        DetectorSpec(
            DBNetPPConfig(backbone=backbone),
            DetectionPreprocessing(
                image_scale=(4068, 1024), mean=(122.67891434, 116.66876762, 104.00698793),
                exif=False,
            ),
            DBPostprocessing(text_repr_type="quad", epsilon_ratio=0.002),
        )
    )  # fmt: skip


def test_crnn() -> None:
    spec = model_from_mmocr(load(PUBLISHED[2]))
    assert isinstance(spec, RecognizerSpec)
    assert spec.network == CRNNConfig(VeryDeepVggConfig(1, leaky_relu=False), num_classes=37)
    assert spec.preprocessing == RecognitionPreprocessing()
    assert (spec.codec.charset, spec.codec.with_unknown, spec.codec.lower) == (DICT36, False, True)
    toy = model_from_mmocr(load(PUBLISHED[3]))
    assert toy.network.num_classes == 38  # type: ignore[union-attr]


def test_crnn_with_tps() -> None:
    config = load("textrecog/tps/crnn_tps_academic_dataset.py")
    spec = model_from_mmocr(config)
    assert spec.network == CRNNConfig(  # type: ignore[union-attr]
        VeryDeepVggConfig(1, leaky_relu=False),
        num_classes=37,
        preprocessor=TPSConfig(1, 20, (32, 100)),
    )
    for key, value, message in (
        ("num_fiducial", 21, "even"),
        ("rectified_img_size", [48, 100], "32 px high"),
        ("rectified_img_size", [32], "rectified_img_size: "),
        ("num_fiducials", 20, "Did you mean 'num_fiducial'"),
        ("type", "TPS", "Known: TPSPreprocessor"),
    ):
        changed = copy.deepcopy(config)
        changed["model"]["preprocessor"][key] = value
        with pytest.raises(ConfigError, match=message):
            model_from_mmocr(changed)


DET, REC = PUBLISHED[0], PUBLISHED[2]
DCN = "textdet/dbnet/dbnet_r50dcnv2_fpnc_1200e_icdar2015.py"
MISTAKES: list[tuple[str, str, Any, str]] = [
    (DET, "model.type", "DBNett", "Did you mean 'DBNet'?"),
    (DET, "model.backbone.type", "mmdet.ResNeXt", "Did you mean 'mmdet.ResNet'?"),
    (DET, "model.backbone.depth", 101, "depth must be one of"),
    (DET, "model.backbone.depth", "18", "model.backbone.depth: expected a whole number"),
    (DET, "model.backbone.dept", 18, "nothing reads 'dept'. Did you mean 'depth'?"),
    (DET, "model.backbone.dcn", {"type": "DCN"}, "Did you mean 'DCNv2'?"),
    (DET, "model.backbone.dcn", {"type": "DCNv2", "fallback_on_stride": True}, "only has"),
    (DET, "model.backbone.stage_with_dcn", [True, True], "for each of the 4 stages, got 2"),
    (DCN, "model.backbone.depth", 18, "need bottlenecks"),
    (DCN, "model.backbone.dcn.deform_groups", 3, "deform_groups must be a power of two"),
    (DET, "model.backbone.out_indices", [0, 1], "only has out_indices=(0, 1, 2, 3)"),
    (DET, "model.backbone.norm_cfg.type", "GN", "norm_cfg.type is 'GN'"),
    (DET, "model.backbone.norm_cfg.eps", 1e-3, "eps"),
    (DET, "model.backbone.style", "tensorflow", "style must be"),
    (DET, "model.neck.asf_cfg", {"attention_type": "x"}, "attention_type='ScaleChannelSp"),
    (DET, "model.neck.in_channels", [64, 128], "but the backbone gives (64, 128, 256, 512)"),
    (DET, "model.neck.out_channels", 32, "only has out_channels=64"),
    (DET, "model.bbox_head.in_channels", 128, "but the neck gives 256"),
    (DET, "model.bbox_head.postprocessor.text_repr_type", "circle", "'quad' or 'poly'"),
    (DET, "model.bbox_head.postprocessor.min_text_scor", 0.5, "Did you mean 'min_text_score'?"),
    (DET, "model.bbox_head.text_repr_type", "quad", "nothing reads 'text_repr_type'"),
    (DET, "model.neck", None, "model.neck: expected a dict(...)"),
    (DET, "model.spare", 1, "Only training reads train_cfg"),
    (DET, "data.test.pipeline.0.color_type", "grayscale", "loads grey images"),
    (DET, "data.test.pipeline.0.color_type", "colour", "Did you mean 'color'?"),
    (DET, "data.test.pipeline.1.flip", True, "only has flip=False"),
    (DET, "data.test.pipeline.1.img_scale", [(1333, 736), (2000, 800)], "one pair"),
    (DET, "data.test.pipeline.1.transforms.0.type", "Resise", "Did you mean 'Resize'?"),
    (DET, "data.test.pipeline.1.transforms.1.mean", [1.0], "expected 3 numbers"),
    (DET, "data.test.pipeline.1.transforms.1.type", "Pad", "cannot stand here"),
    (DET, "data.test.pipeline.1.transforms.2.type", "Resize", "cannot stand here"),
    (DET, "data.test.pipeline", "x", "no test pipeline"),
    (REC, "model.decoder.in_channels", 256, "but the backbone gives 512"),
    (REC, "model.decoder.num_classes", 38, "has 37"),
    (REC, "model.encoder", {"type": "X"}, "only has encoder=None"),
    (REC, "model.label_convertor.dict_type", "DICT99", "DICT99"),
    (REC, "model.label_convertor.dict_list", ["a", "bc"], "single characters"),
    (REC, "model.label_convertor.dict_list", ["a", "a"], "more than once"),
    (REC, "model.label_convertor.dict_file", "nowhere.txt", "nowhere.txt"),
    (REC, "model.label_convertor.type", "AttnConvertor", "AttnConvertor"),
    (REC, "data.test.pipeline.1.heigth", 32, "Did you mean 'height'?"),
    (REC, "data.test.pipeline.1.height", None, "expected a whole number"),
    (REC, "data.test.pipeline.1.keep_aspect_ratio", False, "needs max_width"),
]


def test_number_of_mistakes() -> None:
    assert len(MISTAKES) == 43


@pytest.mark.parametrize(("name", "key", "value", "message"), MISTAKES)
def test_mistakes_are_told(name: str, key: str, value: Any, message: str) -> None:
    config = load(name)
    if key == "data.test.pipeline":
        # The last place to look is the variable test_pipeline, which CRNN's config has.
        config["data"]["test"]["pipeline"] = None
    else:
        *parents, last = key.split(".")
        target: Any = config
        for step in parents:
            target = target[int(step) if step.isdigit() else step]
        target[last] = value
    with pytest.raises(ConfigError) as caught:
        model_from_mmocr(config)
    assert message in str(caught.value)


def test_where_the_test_pipeline_is_found() -> None:
    config = load(REC)
    whole = model_from_mmocr(config)
    pipeline = config["data"]["test"]["pipeline"]
    model = config["model"]
    places: list[dict[str, Any]] = [
        {"data": {"test": {"type": "OCRDataset", "pipeline": pipeline}}},
        {"data": {"test": {"datasets": [{"pipeline": pipeline}, {"pipeline": pipeline}]}}},
        {"data": {"test": {"datasets": [{}], "pipeline": [pipeline, pipeline]}}},
        {"data": {"test": {"type": "RepeatDataset", "dataset": {"pipeline": pipeline}}}},
        {"data": {"test": [{"pipeline": pipeline}]}},
        {"test_pipeline": pipeline},
        {"data": {"test": {"pipeline": None}}, "test_pipeline": pipeline},
    ]
    for place in places:
        assert model_from_mmocr({"model": model, **place}) == whole
    other = copy.deepcopy(pipeline)
    other[1]["height"] = 48
    broken: list[tuple[dict[str, Any], str]] = [
        ({}, "no test pipeline"),
        ({"data": {"test": [{"pipeline": pipeline}, {"pipeline": other}]}}, "differ"),
        ({"test_pipeline": []}, "list of steps"),
        ({"test_pipeline": pipeline[1:]}, "does not begin"),
        ({"test_pipeline": pipeline[:1]}, "no step ResizeOCR"),
    ]
    for place, message in broken:
        with pytest.raises(ConfigError, match=message):
            model_from_mmocr({"model": model, **place})
    with pytest.raises(ConfigError, match="no 'model'"):
        model_from_mmocr({"test_pipeline": pipeline})


def test_detection_pipelines() -> None:
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "img_scale": [640, 480], "keep_ratio": False},
        {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": False},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img"]},
    ]
    assert detection_preprocessing(steps) == DetectionPreprocessing(
        image_scale=(640, 480),
        keep_ratio=False,
        mean=(1, 2, 3),
        std=(4, 5, 6),
        to_rgb=False,
        size_divisor=1,
        exif=True,
    )


def test_recognition_pipelines() -> None:
    resize = {"type": "ResizeOCR", "height": 48, "max_width": 160, "width_downsample_ratio": 0.25}
    steps: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        {
            "type": "MultiRotateAugOCR",
            "rotate_degrees": [90, 270],
            "transforms": [
                resize,
                {"type": "ToTensorOCR"},
                {"type": "NormalizeOCR", "mean": [0.5] * 3, "std": [0.5] * 3},
                {"type": "Collect", "keys": ["img"], "meta_keys": ["filename"]},
            ],
        },
    ]
    assert recognition_preprocessing(steps) == RecognitionPreprocessing(
        height=48,
        min_width=None,
        max_width=160,
        width_downsample_ratio=0.25,
        color="bgr",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        unit_range=True,
        rotate_degrees=(90, 270, 0),
    )
    colour = [steps[0], resize, {"type": "Normalize", "mean": [127] * 3, "std": [127] * 3}]
    assert recognition_preprocessing(colour).color == "rgb"


def test_ctc_codecs(tmp_path: Path) -> None:
    assert ctc_codec({"type": "CTCConvertor"}).charset == DICT90
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("b\na\n \n", encoding="utf-8")
    codec = ctc_codec({"type": "CTCConvertor", "dict_file": str(dictionary), "dict_list": ["z"]})
    assert codec.charset == "ba "
    with pytest.raises(ConfigError, match="Did you mean 'with_unknown'"):
        ctc_codec({"type": "CTCConvertor", "with_unknow": False})
