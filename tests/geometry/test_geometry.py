"""Vertex orders, outlines and crops against MMOCR's numbers, and the chain's own crop."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocr_models.geometry import (
    bezier_polygon,
    bounding_quad,
    instance_outline,
    min_area_quad,
    order_polygon,
    order_quad,
    order_quads,
    order_vertices,
    padded_crop,
    perspective_crop,
    rectified_crop,
    rescale,
    to_original,
    widen_quad,
)
from ocr_models.results import Boundary

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "geometry" / "geometry.json").read_text())


def test_sweep_sizes() -> None:
    assert {name: len(cases) for name, cases in CASES.items()} == {
        "sort_vertex8": 9,
        "sort_vertex": 9,
        "sort_points": 9,
        "stitch": 18,
        "same_line": 13,
        "bezier": 6,
        "crops": 7,
        "points2boundary": 36,
    }


def test_vertex_orders_equal_mmocr() -> None:
    for case in CASES["sort_vertex8"]:
        assert order_vertices(case["points"]).ravel().tolist() == case["sorted"]
    for case in CASES["sort_vertex"]:
        points = np.stack([case["x"], case["y"]], axis=1)
        assert order_vertices(points).T.tolist() == case["sorted"]
    for case in CASES["sort_points"]:
        assert order_polygon(case["points"]).tolist() == case["sorted"]
    with pytest.raises(ValueError, match="got 3"):
        order_vertices([[0, 0], [1, 0], [1, 1]])


def test_bezier_polygons_equal_mmocr() -> None:
    for case in CASES["bezier"]:
        polygon = bezier_polygon(case["control"], case["num_sample"])
        np.testing.assert_allclose(polygon, case["result"], atol=1e-9)


def test_crops_equal_mmocr() -> None:
    with np.load(GOLDEN / "geometry" / "crops.npz") as arrays:
        golden = dict(arrays)
    image = golden["image"]
    for number, case in enumerate(CASES["crops"]):
        box = case["box"]
        np.testing.assert_array_equal(padded_crop(image, box), golden[f"crop{number}"])
        np.testing.assert_array_equal(
            padded_crop(image, box, *case["crop2_ratios"]), golden[f"crop2_{number}"]
        )
        np.testing.assert_array_equal(rectified_crop(image, box), golden[f"warp{number}"])


def test_instance_outlines_equal_mmocr() -> None:
    with np.load(GOLDEN / "geometry" / "masks.npz") as arrays:
        masks = dict(arrays)
    for case in CASES["points2boundary"]:
        if "mask" in case:
            pixels = np.argwhere(masks[f"mask{case['mask']}"])[:, ::-1]
        else:
            pixels = np.array(case["points"])
        outline = instance_outline(pixels, case["type"], case.get("min_width", -1))
        expected = case["result"]
        if expected is None:
            assert outline is None
        else:
            assert outline is not None
            coordinates = np.reshape(expected[: outline.size], (-1, 2))
            assert len(expected) == outline.size + (case["score"] is not None)
            assert any(
                np.allclose(np.roll(outline, shift, axis=0), coordinates, atol=1e-3)
                for shift in range(len(outline))
            )


def test_rescaling_equals_mmocr() -> None:
    case = json.loads((GOLDEN / "postprocess" / "cases.json").read_text())["resize_boundary"]
    boundaries = [Boundary(np.reshape(b[:-1], (-1, 2)), b[-1]) for b in case["boundaries"]]
    factor = np.array(case["scale_factor"], np.float32)
    assert [b.flat() for b in rescale(boundaries, factor)] == case["result"]
    assert len(case["head_rescale"]) >= 2
    for ratio, expected in case["head_rescale"].items():
        assert [b.flat() for b in to_original(boundaries, factor, float(ratio))] == expected


UPRIGHT = np.array([[10, 20], [70, 20], [70, 40], [10, 40]], float)


def turned(quad: np.ndarray, degrees: float) -> np.ndarray:
    """The quad turned clockwise on the screen around its centre."""
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (quad - quad.mean(axis=0)) @ rotation + quad.mean(axis=0)


@pytest.mark.parametrize("degrees", [-44, -20, 0, 5, 30, 44])
@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_order_quad_starts_at_the_texts_top_left(degrees: float, start: int, step: int) -> None:
    expected = turned(UPRIGHT, degrees)
    shuffled = np.roll(expected, start, axis=0)[::step]
    np.testing.assert_allclose(order_quad(shuffled), expected, atol=1e-9)


def test_order_quad_at_45_degrees_follows_the_longer_edge() -> None:
    for degrees in (45, -45):
        quad = order_quad(turned(UPRIGHT, degrees))
        assert np.linalg.norm(quad[1] - quad[0]) == pytest.approx(60)


def test_order_quad_uncrosses() -> None:
    np.testing.assert_array_equal(order_quad(UPRIGHT[[0, 2, 1, 3]]), UPRIGHT)


def test_order_quads_is_order_quad_for_many() -> None:
    rng = np.random.default_rng(0)
    quads = np.stack([rng.permutation(turned(UPRIGHT, a)) for a in rng.uniform(-180, 180, 50)])
    np.testing.assert_array_equal(order_quads(quads), np.stack([order_quad(q) for q in quads]))


def test_bounding_and_min_area_quads() -> None:
    slanted = turned(UPRIGHT, 30)
    np.testing.assert_allclose(min_area_quad(slanted), slanted, atol=1e-3)
    box = bounding_quad(slanted)
    assert box[0].tolist() == slanted.min(axis=0).tolist()
    assert box[2].tolist() == slanted.max(axis=0).tolist()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (9, 9), 0))


def test_an_upright_quad_is_cut_out_unchanged(image: np.ndarray) -> None:
    np.testing.assert_array_equal(perspective_crop(image, UPRIGHT), image[20:40, 10:70])


def test_a_turned_quad_is_cut_out_upright(image: np.ndarray) -> None:
    centre = tuple(UPRIGHT.mean(axis=0))
    for degrees in (-30, 15, 40):
        # OpenCV turns anticlockwise for positive angles, turned() clockwise.
        rotation = cv2.getRotationMatrix2D(centre, -degrees, 1)
        slanted = cv2.warpAffine(image, rotation, (160, 120), flags=cv2.INTER_CUBIC)
        crop = perspective_crop(np.asarray(slanted, np.uint8), turned(UPRIGHT, degrees))
        assert crop.shape == (20, 60, 3)
        difference = np.abs(crop.astype(int) - image[20:40, 10:70])
        # Corners that leave the image are moved in, so only the middle is compared.
        assert difference[2:-2, 15:-15].mean() < 6


def test_long_polygons_are_cut_by_their_smallest_rectangle(image: np.ndarray) -> None:
    middles = (UPRIGHT + np.roll(UPRIGHT, -1, axis=0)) / 2
    polygon = np.stack([UPRIGHT, middles], axis=1).reshape(-1, 2)
    assert perspective_crop(image, polygon).shape == (20, 60, 3)


@pytest.mark.parametrize(
    "quad",
    [
        [[-50, -40], [-10, -40], [-10, -20], [-50, -20]],
        [[5, 5], [5, 5], [5, 5], [5, 5]],
        [[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]],
        [[150, 110], [300, 110], [300, 300], [150, 300]],
        [[10, 10], [60, 10], [60, 10], [10, 10]],
    ],
    ids=["outside", "point", "everything", "corner", "line"],
)
def test_no_quad_gives_an_empty_or_oversized_crop(image: np.ndarray, quad: Any) -> None:
    crop = perspective_crop(image, quad)
    assert 1 <= crop.shape[0] <= 120
    assert 1 <= crop.shape[1] <= 160
    assert rectified_crop(image, quad).size


def test_crops_need_numbers(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        perspective_crop(image, np.full((4, 2), np.nan))


def test_a_widened_quad_has_its_margin_on_every_side() -> None:
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    quad = np.array([[0, 0], [100, 0], [100, 20], [0, 20]]) @ turn
    wide = np.array([[-5, -5], [105, -5], [105, 25], [-5, 25]]) @ turn
    np.testing.assert_allclose(widen_quad(quad, 0.25), wide, atol=1e-9)
    np.testing.assert_array_equal(widen_quad(quad, 0), quad)
    point = np.full((4, 2), 7.0)
    np.testing.assert_array_equal(widen_quad(point, 0.25), point)
