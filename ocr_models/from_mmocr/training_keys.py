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
    "CRNNNet": ("loss", "train_cfg", "test_cfg", "pretrained", "init_cfg", "max_seq_len"),
    "VeryDeepVgg": ("init_cfg",),
    "LightColumns": ("init_cfg",),
    "CRNNDecoder": ("init_cfg",),
}  # fmt: skip
"""By the ``type`` of the dictionary they belong to."""


def finish(section: Section, name: str) -> None:
    """End reading a dictionary of type ``name``.

    Raises:
        ConfigError: it has a key that nobody read and that training does not need either.
    """
    section.skip(TRAINING_KEYS[name])
    section.finish()
