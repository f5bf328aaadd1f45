"""Keys of configs that change nothing about how a trained model reads an image."""

from __future__ import annotations

from collections.abc import Mapping

from ocr_models.config_section import Section

TRAINING_KEYS: Mapping[str, tuple[str, ...]] = {
    "DBNet": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "mmdet.ResNet": ("frozen_stages", "norm_eval", "with_cp", "zero_init_residual", "pretrained",
                     "init_cfg"),
    "LightResNet": ("init_cfg",),
    "FPNC": ("init_cfg",),
    "FPN_UNet": ("init_cfg",),
    "mmdet.FPN": ("init_cfg",),
    "DBHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "PANet": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "FPEM_FFM": ("init_cfg",),
    "PANHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "PSENet": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "FPNF": ("init_cfg",),
    "PSEHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "TextSnake": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "TextSnakeHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "FCENet": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "FCEHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "DRRG": ("train_cfg", "test_cfg", "pretrained", "init_cfg", "show_score"),
    "DRRGHead": ("loss", "local_graph_thr", "train_cfg", "test_cfg", "init_cfg"),
    "OCRMaskRCNN": ("train_cfg", "pretrained", "init_cfg", "show_score"),
    "RPNHead": ("loss_cls", "loss_bbox", "init_cfg"),
    "StandardRoIHead": ("init_cfg",),
    "Shared2FCBBoxHead": ("loss_cls", "loss_bbox", "init_cfg"),
    "FCNMaskHead": ("loss_mask", "init_cfg"),
    "ABINet": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "ResNetABI": ("init_cfg",),
    "ABIVisionModel": ("init_cfg",),
    "TransformerEncoder": ("init_cfg",),
    "ABIVisionDecoder": ("init_cfg",),
    "ABILanguageDecoder": ("init_cfg",),
    "ABIFuser": ("init_cfg",),
    "CRNNNet": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg", "max_seq_len"),
    "TPSPreprocessor": ("init_cfg",),
    "VeryDeepVgg": ("init_cfg",),
    "LightColumns": ("init_cfg",),
    "CRNNDecoder": ("init_cfg",),
    "SDMGR": ("train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "UNet": ("init_cfg",),
    "SDMGRHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
    "SegRecognizer": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "FPNOCR": ("init_cfg",),
    "SegHead": ("init_cfg",),
    "NerClassifier": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "BertEncoder": ("init_cfg",),
    "FCDecoder": ("init_cfg",),
    "ResNet31OCR": ("init_cfg",),
    "NRTR": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "NRTRModalityTransform": ("init_cfg",),
    "NRTREncoder": ("init_cfg",),
    "NRTRDecoder": ("init_cfg",),
    "SATRN": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "ShallowCNN": ("init_cfg",),
    "SatrnEncoder": ("init_cfg",),
    "MASTER": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "ResNet": ("init_cfg",),
    "MasterDecoder": ("init_cfg",),
    "SARNet": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "SAREncoder": ("init_cfg",),
    "ParallelSARDecoder": ("init_cfg",),
    "ParallelSARDecoderWithBS": ("init_cfg",),
    "SequentialSARDecoder": ("init_cfg",),
    "RobustScanner": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg"),
    "ChannelReductionEncoder": ("init_cfg",),
    "RobustScannerDecoder": ("init_cfg",),
    "SequenceAttentionDecoder": ("init_cfg",),
    "PositionAttentionDecoder": ("init_cfg",),
}  # fmt: skip
"""By the ``type`` of the dictionary they belong to."""


def finish(section: Section, name: str) -> None:
    """End reading a dictionary of type ``name``.

    Raises:
        ConfigError: it has a key that nobody read and that training does not need either.
    """
    section.skip(TRAINING_KEYS[name])
    section.finish()
