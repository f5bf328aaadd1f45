"""FCENet from network to boundaries, against MMOCR's numbers and in odd cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ocr_models.detection.fcenet import STRIDES, FCENet, FCENetConfig
from ocr_models.detection.fcenet_postprocess import (
    FCEPostprocessing,
    fcenet_boundaries,
    level_boundaries,
    outlines,
    polygon_nms,
)
from ocr_models.errors import ConfigError
from ocr_models.layers.fpn import FPN
from ocr_models.layers.resnet import ResNetConfig
from ocr_models.results import Boundary
from ocrserve.train.objectives.fcenet import fourier_series

GOLDEN = Path(__file__).parents[1] / "golden" / "postprocess"
CASES = json.loads((GOLDEN / "cases.json").read_text())
BOUNDARY_CASES = sorted(
    name for name, case in CASES.items() if case["type"] == "FCEHead.get_boundary"
)
CONFIG = FCEPostprocessing()

Level = tuple[NDArray[np.float32], NDArray[np.float32]]


def empty_levels(height: int, width: int) -> list[Level]:
    """Maps without text."""
    levels = []
    for stride in STRIDES:
        classes = np.zeros((4, height // stride, width // stride), np.float32)
        classes[::2] = 6
        levels.append((classes, np.zeros((22, *classes.shape[1:]), np.float32)))
    return levels


def put_word(level: Level, stride: int, left: int, top: int, right: int, bottom: int) -> None:
    """Let a level see an upright word, given in pixels of the image."""
    classes, coefficients = level
    quad = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    series = fourier_series(quad / stride, 5)
    rows = slice(top // stride, max(bottom // stride, top // stride + 1))
    columns = slice(left // stride, max(right // stride, left // stride + 1))
    classes[1::2, rows, columns], classes[::2, rows, columns] = 6, 0
    y, x = np.mgrid[rows, columns]
    for i, value in enumerate(series):
        coefficients[i, rows, columns] = value.real - (x if i == 5 else 0)
        coefficients[11 + i, rows, columns] = value.imag - (y if i == 5 else 0)


# --- network -----------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 5])
def test_network_has_three_levels(degree: int) -> None:
    network = FCENet(FCENetConfig(ResNetConfig(18), 32, degree)).eval()
    with torch.inference_mode():
        levels = network(torch.zeros(1, 3, 64, 96))
        flat = network.maps(torch.zeros(1, 3, 64, 96))
    assert len(levels) == len(STRIDES)
    for level, stride in zip(levels, STRIDES, strict=True):
        assert level.classes.shape == (1, 4, 64 // stride, 96 // stride)
        assert level.coefficients.shape == (1, 4 * degree + 2, 64 // stride, 96 // stride)
    assert [tensor.shape for tensor in flat] == [t.shape for level in levels for t in level]


def test_pyramid_of_more_levels_than_the_backbone_has() -> None:
    levels = tuple(torch.rand(1, c, 32 // 2**i, 48 // 2**i) for i, c in enumerate((8, 16, 24)))
    outputs = FPN((8, 16, 24), 4, num_outs=5)(levels)
    assert [tuple(o.shape[2:]) for o in outputs] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert torch.equal(outputs[3], outputs[2][:, :, ::2, ::2])
    with pytest.raises(ValueError, match="num_outs is 2; it must be at least 3"):
        FPN((8, 16, 24), 4, num_outs=2)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="fourier_degree must be at least 1"):
        FCENetConfig(fourier_degree=0)
    with pytest.raises(ConfigError, match="num_reconstr_points is 3"):
        FCEPostprocessing(num_reconstr_points=3)


# --- series and suppression --------------------------------------------------------------------


def test_inverse_fourier_equals_mmocr() -> None:
    case = CASES["fourier2poly"]
    series = np.array(case["real"]) + 1j * np.array(case["imag"])
    got = outlines(series, case["num_points"])
    assert len(got) >= 3
    np.testing.assert_array_equal(got.reshape(len(got), -1), case["result"])


def test_outlines_follow_the_plain_sum() -> None:
    generator = np.random.default_rng(0)
    series = generator.normal(size=(6, 11)) + 1j * generator.normal(size=(6, 11))
    series *= 20
    angles = 2 * np.pi * np.outer(np.arange(-5, 6), np.arange(50) / 50)
    curve = series @ np.exp(1j * angles)
    expected = np.stack([curve.real, curve.imag], axis=-1)
    assert np.abs(outlines(series, 50) - expected).max() < 1 + 1e-9


def test_suppression_equals_mmocr() -> None:
    case = CASES["poly_nms"]
    given = [Boundary(np.reshape(p[:-1], (-1, 2)).astype(float), p[-1]) for p in case["polygons"]]
    assert len(case["results"]) >= 3
    for threshold, expected in case["results"].items():
        kept = polygon_nms(given, float(threshold))
        assert [boundary.flat() for boundary in kept] == expected
    assert polygon_nms([], 0.1) == []


def test_suppression_of_polygons_without_area_and_crossed_ones() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    point, elsewhere = np.zeros((4, 2)), np.full((4, 2), 50.0)
    crossed = square[[0, 2, 1, 3]]
    given = [
        Boundary(points, score)
        for points, score in ((square, 0.9), (point, 0.8), (elsewhere, 0.7), (crossed, 0.6))
    ]
    kept = polygon_nms(given, 0.1)
    # Two polygons without area count as the same, wherever they are, as in MMOCR.
    assert [boundary.score for boundary in kept] == [0.9, 0.8]


# --- boundaries --------------------------------------------------------------------------------


def test_sweep_size() -> None:
    assert len(BOUNDARY_CASES) == 4


@pytest.mark.parametrize("name", BOUNDARY_CASES)
def test_boundaries_equal_mmocr(name: str) -> None:
    case = CASES[name]
    settings = {k: v for k, v in case["args"].items() if k not in ("type", "text_repr_type")}
    config = FCEPostprocessing(**settings, nms_thr=case["nms_thr"])
    with np.load(GOLDEN / case["input"]) as arrays:
        levels = [(arrays[f"cls{i}"], arrays[f"reg{i}"]) for i in range(3)]
    found = [
        level_boundaries(*level, stride, config)
        for level, stride in zip(levels, STRIDES, strict=True)
    ]
    for own, expected in zip(
        [*found, fcenet_boundaries(levels, config)],
        [*case["per_level"], case["boundaries"]],
        strict=True,
    ):
        assert len(own) == len(expected) > 0
        for ours, theirs in zip(own, expected, strict=True):
            assert np.abs(ours.points.ravel() - theirs[:-1]).max() <= 1
            assert ours.score == pytest.approx(theirs[-1], abs=1e-5)


def test_words_of_all_levels_are_found_once() -> None:
    levels = empty_levels(320, 640)
    boxes = [(40, 32, 120, 64), (200, 96, 400, 144), (64, 192, 576, 288)]
    for level, stride, box in zip(levels, STRIDES, boxes, strict=True):
        put_word(level, stride, *box)
    found = fcenet_boundaries(levels, CONFIG)
    assert len(found) == 3
    extents = sorted((*b.points.min(axis=0), *b.points.max(axis=0)) for b in found)
    # Five frequencies round off the corners.
    np.testing.assert_allclose(extents, sorted(boxes), atol=16)
    assert all(boundary.points.shape == (50, 2) for boundary in found)


def test_empty_full_and_random_maps() -> None:
    assert fcenet_boundaries(empty_levels(64, 96), CONFIG) == []
    generator = np.random.default_rng(0)
    dtypes: tuple[type[np.floating[Any]], ...] = (np.float16, np.float32)
    for dtype in dtypes:
        levels = [
            (
                (4 * generator.standard_normal((4, 128 // s, 160 // s))).astype(dtype),
                generator.standard_normal((22, 128 // s, 160 // s)).astype(dtype),
            )
            for s in STRIDES
        ]
        for boundary in fcenet_boundaries(levels, CONFIG):
            assert np.isfinite(boundary.points).all()
            assert 0 <= boundary.score <= 1
    full = empty_levels(64, 96)
    for classes, _ in full:
        classes[::2], classes[1::2] = -6, 6
    assert len(fcenet_boundaries(full, CONFIG)) > 0


def test_every_word_of_a_page_is_found() -> None:
    levels = empty_levels(736, 1280)
    for row in range(20):
        for column in range(10):
            left, top = 16 + 124 * column, 8 + 36 * row
            put_word(levels[0], 8, left, top, left + 90, top + 24)
    assert len(fcenet_boundaries(levels, CONFIG)) == 200
