"""FCENet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ocr_models.detection.fcenet import STRIDES, FCELevel, FCENet, FCENetConfig
from ocr_models.detection.fcenet_postprocess import (
    FCEPostprocessing,
    fcenet_boundaries,
    level_boundaries,
    outlines,
    polygon_nms,
)
from ocr_models.geometry import to_original
from ocr_models.results import Boundary
from ocr_models.spec import DetectorSpec, Spec
from ocrserve.train.objectives.fcenet import FCELoss, FCELossConfig, FCETargetMaps

from .. import boundaries
from ..check import EXACT, Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments
from .target_steps import draw, settings_of

TARGET_MAPS = ("p3_maps", "p4_maps", "p5_maps")
WHOLE_NUMBER_PLANES = 3
ALLOWED_COEFFICIENT = 1e-4
# MMOCR starts an outline at the highest of the points nearest to its middle. In a rectangle two of
# these are equally near, and rounding and an unstable sort choose between them, which shows in the
# fourth digit of the losses. Moving the corners sideways by next to nothing draws the
# choices.
STARTS = 32
JITTER_PX = 1e-5


def _forward(network: nn.Module, _: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, FCENet)
    compare_forward(check, arrays, "backbone_last", network.backbone(images)[-1].numpy())
    for i, level in enumerate(network(images)):
        for j, maps in enumerate(level):
            compare_forward(check, arrays, f"head{i}_{j}", maps.numpy())


def _train_forward(
    network: nn.Module,
    spec: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(network, FCENet)
    assert isinstance(spec, DetectorSpec)
    assert isinstance(spec.network, FCENetConfig)
    levels = network(images)
    for i, level in enumerate(levels):
        for j, maps in enumerate(level):
            compare_flat(check, arrays, f"head{i}_{j}", maps.detach().numpy())
    settings = settings_of(entry["config"], "FCENetTargets")
    config = FCELossConfig(**loss_arguments(model["bbox_head"]["loss"]))
    loss = FCELoss(config, spec.network.fourier_degree)
    generator = np.random.default_rng(0)
    candidates = []
    for jitter_px in (0.0, *[JITTER_PX] * STARTS):
        targets = default_collate(
            [
                draw(settings, _moved(entry[f"image{i}"], jitter_px, generator), *images.shape[-2:])
                for i in range(len(images))
            ]
        )
        candidates.append(loss(levels, targets))
    return min(candidates, key=lambda losses: _distance(losses, entry["losses"]))


def _moved(scene: Entry, jitter_px: float, generator: np.random.Generator) -> Entry:
    polygons = []
    for polygon in scene["polygons"]:
        points = np.reshape(polygon, (-1, 2)).astype(np.float64)
        points[:, 0] += generator.uniform(0, jitter_px, len(points))
        polygons.append(points)
    return {**scene, "polygons": polygons}


def _distance(losses: Mapping[str, Tensor], expected: Mapping[str, float]) -> float:
    return max(abs(loss.item() - expected[name]) for name, loss in losses.items())


def _boundaries(kit: Kit, entry: Entry, check: Check) -> None:
    arrays = kit.arrays(f"postprocess/{entry['input']}")
    settings = {k: v for k, v in entry["args"].items() if k not in ("type", "text_repr_type")}
    config = FCEPostprocessing(**settings, nms_thr=entry["nms_thr"])
    check.equal("strides", entry["scales"], STRIDES)
    levels = [(arrays[f"cls{i}"], arrays[f"reg{i}"]) for i in range(len(STRIDES))]
    for i, (level, stride) in enumerate(zip(levels, STRIDES, strict=True)):
        own = level_boundaries(*level, stride, config)
        boundaries.compare(check, f"level {i}", boundaries.flat(own), entry["per_level"][i])
    got = fcenet_boundaries(levels, config)
    boundaries.compare(check, "boundaries", boundaries.flat(got), entry["boundaries"])
    original = to_original(got, np.array(entry["scale_factor"], np.float32))
    boundaries.compare(check, "rescaled", boundaries.flat(original), entry["boundaries_rescaled"])


def _poly_nms(_: Kit, entry: Entry, check: Check) -> None:
    given = [
        Boundary(np.reshape(values[:-1], (-1, 2)).astype(np.float64), values[-1])
        for values in entry["polygons"]
    ]
    for threshold, expected in entry["results"].items():
        got = boundaries.flat(polygon_nms(given, float(threshold)))
        check.structure(f"threshold {threshold}", got, expected, 1e-6)


def _inverse_fourier(_: Kit, entry: Entry, check: Check) -> None:
    series = np.array(entry["real"]) + 1j * np.array(entry["imag"])
    got = outlines(series, entry["num_points"])
    check.array("points", got.reshape(len(got), -1), entry["result"], EXACT)


def _targets(setting: Entry, scene: Entry, expected: Arrays, check: Check) -> None:
    maps = draw(setting, scene, *scene["img_hw"])
    for name, got in zip(TARGET_MAPS, maps, strict=True):
        regions, wanted = got[:WHOLE_NUMBER_PLANES], expected[name][:WHOLE_NUMBER_PLANES]
        check.array(f"{name} regions", regions, wanted, EXACT)
        check.array(
            f"{name} series",
            got[WHOLE_NUMBER_PLANES:],
            expected[name][WHOLE_NUMBER_PLANES:],
            ALLOWED_COEFFICIENT,
        )


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    inputs = {
        f"{kind}{i}": torch.from_numpy(arrays[f"{kind}{i}"]).requires_grad_()
        for i in range(len(STRIDES))
        for kind in ("cls", "reg")
    }
    levels = [FCELevel(inputs[f"cls{i}"], inputs[f"reg{i}"]) for i in range(len(STRIDES))]
    settings = dict(entry["args"])
    degree = settings.pop("fourier_degree")
    loss = FCELoss(FCELossConfig(**settings), degree)
    targets = FCETargetMaps(*(torch.from_numpy(arrays[name]) for name in TARGET_MAPS))
    return inputs, loss(levels, targets)


FCENET_FAMILY = Family(
    model_type="FCENet",
    part_types={
        "backbone": ("mmdet.ResNet",),
        "neck": ("mmdet.FPN",),
        "bbox_head": ("FCEHead",),
    },
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={
        "FCEHead.get_boundary": _boundaries,
        "poly_nms": _poly_nms,
        "inverse Fourier series, coefficients -5..5": _inverse_fourier,
    },
    targets={"FCENetTargets": _targets},
    losses={"FCELoss": _losses},
)
