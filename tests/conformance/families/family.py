"""What the runner has to know about one family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ocr_models.spec import Spec

from ..check import Check
from ..kit import Arrays, Kit

Entry = Mapping[str, Any]
Forward = Callable[[nn.Module, Spec, Tensor, Arrays, Check], None]
TrainForward = Callable[[nn.Module, Spec, Tensor, Entry, Entry, Arrays, Check], dict[str, Tensor]]
PostprocessCase = Callable[[Kit, Entry, Check], None]
TargetCase = Callable[[Entry, Entry, Arrays, Check], None]
StandIns = Callable[[Entry], AbstractContextManager[Entry]]
LossCase = Callable[[Arrays, Entry, str], tuple[dict[str, Tensor], dict[str, Tensor]]]


@dataclass(frozen=True)
class Family:
    """Models of one type, and how each folder's cases of them are compared.

    Args:
        model_type: ``model.type`` of its configs.
        part_types: allowed ``type`` of parts of the model; None for a part that must be absent.
        pipeline: any test pipeline that the config door accepts for it.
        forward: compares outputs in evaluation mode: network, spec, images, stored arrays, check.
        train_forward: compares what training sees and returns the losses by name: network, spec,
            images, the ``model`` dictionary, the case, stored arrays, check.
        without: keys that a part must not have, or must have set to None.
        postprocess: comparisons of ``postprocess/`` by the case's type.
        targets: comparisons of ``targets/`` by the type of their settings: settings, scene, stored
            arrays, check.
        losses: by type of loss; stored arrays, case and remark to the inputs that have gradients
            and the losses, both by name.
        stand_ins: gives a ``model`` dictionary whose files exist as long as it is open, where the
            kit only says what they hold.
    """

    model_type: str
    part_types: Mapping[str, tuple[str | None, ...]]
    pipeline: Sequence[Mapping[str, Any]]
    forward: Forward
    train_forward: TrainForward
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    postprocess: Mapping[str, PostprocessCase] = field(default_factory=dict)
    targets: Mapping[str, TargetCase] = field(default_factory=dict)
    losses: Mapping[str, LossCase] = field(default_factory=dict)
    stand_ins: StandIns = nullcontext


DETECTION_PIPELINE: Sequence[Mapping[str, Any]] = [
    {"type": "LoadImageFromFile"},
    {
        "type": "MultiScaleFlipAug",
        "img_scale": (1333, 736),
        "flip": False,
        "transforms": [
            {"type": "Resize", "keep_ratio": True},
            {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "to_rgb": True},
            {"type": "Pad", "size_divisor": 32},
            {"type": "ImageToTensor", "keys": ["img"]},
            {"type": "Collect", "keys": ["img"]},
        ],
    },
]


def loss_arguments(loss: Entry) -> dict[str, Any]:
    """The settings of a loss without its type."""
    return {key: value for key, value in loss.items() if key != "type"}
