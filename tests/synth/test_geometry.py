import cv2
import numpy as np
import pytest

from ocrserve.train.synth.geometry import (
    Bend,
    Placement,
    outline_height,
    quad_to_quad,
    rectangle,
    translation,
)

TILT = quad_to_quad(
    rectangle(0, 0, 100, 40), np.array([[12, 9], [118, 3], [110, 60], [8, 52]], dtype=np.float32)
)


@pytest.mark.parametrize("radius_px", [80.0, -80.0, 400.0, -400.0])
def test_a_bend_and_its_inverse_cancel(radius_px: float) -> None:
    bend = Bend(50.0, 30.0, radius_px)
    points = np.random.default_rng(0).uniform([0, 5], [100, 40], (200, 2)).astype(np.float32)
    moved = bend.forward(points)
    x, y = bend.inverse(moved[:, 0], moved[:, 1])
    np.testing.assert_allclose(np.stack([x, y], axis=1), points, atol=2e-3)
    fixed = np.array([[50.0, 30.0]], dtype=np.float32)
    np.testing.assert_allclose(bend.forward(fixed), fixed, atol=1e-4)


@pytest.mark.parametrize("bend", [None, Bend(50.0, 30.0, 90.0), Bend(50.0, 30.0, -120.0)])
def test_pixels_go_where_points_go(bend: Bend | None) -> None:
    """Soft dots drawn flat are found, after the warp, exactly where their centres are sent."""
    placement = Placement(translation(20, 15) @ TILT, bend)
    for x, y in [(20, 12), (50, 25), (80, 20)]:
        flat = np.zeros((50, 110), dtype=np.uint8)
        flat[y, x] = 255
        soft = np.asarray(cv2.GaussianBlur(flat, (0, 0), 2.0) * 8, dtype=np.uint8)
        warped = placement.warp(soft[..., None], 180, 110)[..., 0].astype(np.float64)
        ys, xs = np.mgrid[:110, :180]
        found = np.array([(xs * warped).sum(), (ys * warped).sum()]) / warped.sum()
        expected = placement.points(np.array([[x, y]], dtype=np.float32))[0]
        np.testing.assert_allclose(found, expected, atol=0.25)


def test_outlines_run_clockwise_from_the_top_left() -> None:
    straight = Placement(translation(3, 4)).outline(0, 0, 10, 5)
    np.testing.assert_allclose(straight, [[3, 4], [13, 4], [13, 9], [3, 9]])
    arched = Placement(translation(0, 0), Bend(50, 40, 60)).outline(0, 20, 100, 45)
    assert len(arched) > 4
    assert len(arched) % 2 == 0
    assert cv2.contourArea(arched, oriented=True) > 0
    assert arched[0, 0] < arched[len(arched) // 2 - 1, 0]
    assert arched[len(arched) // 4, 1] < arched[0, 1], "an arch is highest in the middle"


def test_outline_height_is_that_of_the_ends() -> None:
    assert outline_height(rectangle(0, 0, 50, 7)) == pytest.approx(7)
    turned = np.array([[0, 0], [0, 50], [-7, 50], [-7, 0]], dtype=np.float32)
    assert outline_height(turned) == pytest.approx(7)
