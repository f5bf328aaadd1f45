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
    "DBHead": ("loss", "train_cfg", "test_cfg", "init_cfg"),
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
