"""Necks that several families use."""

from __future__ import annotations

from ocr_models.config_section import Section, several, whole
from ocr_models.errors import ConfigError

from .training_keys import finish


def fpn_unet(neck: Section, level_channels: tuple[int, ...]) -> int:
    """Output channels of the neck of TextSnake and DRRG, after checking that it fits."""
    neck.type_name(["FPN_UNet"])
    _check_levels(neck, level_channels)
    out_channels = neck.read("out_channels", int)
    finish(neck, "FPN_UNet")
    return out_channels


def fpn(neck: Section, level_channels: tuple[int, ...], num_outs: int) -> int:
    """Channels of MMDetection's pyramid, after checking that it fits.

    Args:
        neck: the config's dictionary.
        level_channels: of the backbone's levels that the pyramid reads.
        num_outs: levels that the model needs from it.
    """
    neck.type_name(["mmdet.FPN"])
    _check_levels(neck, level_channels)
    out_channels = neck.read("out_channels", int)
    if neck.read("num_outs", int) != num_outs:
        raise ConfigError(
            f"{neck.path}.num_outs is {neck.read('num_outs', int)}; this model needs {num_outs}"
        )
    neck.fix(
        start_level=0, end_level=-1, no_norm_on_lateral=False, conv_cfg=None, norm_cfg=None,
        act_cfg=None, upsample_cfg={"mode": "nearest"},
    )  # fmt: skip
    if num_outs == len(level_channels):
        # They describe levels beyond the backbone's, and there are none.
        neck.skip(("add_extra_convs", "relu_before_extra_convs"))
    else:
        neck.fix(add_extra_convs=False, relu_before_extra_convs=False)
    finish(neck, "mmdet.FPN")
    return out_channels


def _check_levels(neck: Section, level_channels: tuple[int, ...]) -> None:
    in_channels = neck.read("in_channels", several(whole))
    if in_channels != level_channels:
        raise ConfigError(
            f"{neck.path}.in_channels is {in_channels}, but the backbone gives {level_channels}"
        )
