"""Anchors and box deltas."""

from __future__ import annotations

import pytest
import torch

from ocr_models.layers.anchors import decode_boxes, encode_boxes, grid_anchors

STDS = (0.1, 0.1, 0.2, 0.2)


def test_anchors_row_by_row() -> None:
    anchors = grid_anchors((2, 3), 16, (9 / 16,), (1.0,))
    corners = [[x, y] for y in (0, 16) for x in (0, 16, 32)]
    expected = [[x - 4.5, y - 4.5, x + 4.5, y + 4.5] for x, y in corners]
    torch.testing.assert_close(anchors, torch.tensor(expected))


def test_ratios_keep_the_area() -> None:
    anchors = grid_anchors((1, 1), 8, (2.0, 4.0), (0.25, 1.0, 4.0))
    sizes = anchors[:, 2:] - anchors[:, :2]
    torch.testing.assert_close(sizes.prod(dim=1), torch.tensor([256.0, 1024.0]).repeat(3))
    ratios = torch.tensor([0.25, 0.25, 1, 1, 4, 4])
    torch.testing.assert_close(sizes[:, 1] / sizes[:, 0], ratios)


def test_there_and_back() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes, targets = (
        torch.cat([corner, corner + 5 + 50 * torch.rand(40, 2, generator=generator)], dim=1)
        for corner in (100 * torch.rand(40, 2, generator=generator) for _ in range(2))
    )
    deltas = encode_boxes(boxes, targets, STDS)
    torch.testing.assert_close(
        decode_boxes(boxes, deltas, STDS, (500, 500)), targets, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([0.0, 0, 0, 0], [10, 20, 30, 40]),
        ([10.0, 0, 0, 0], [30, 20, 50, 40]),  # by one width
        ([0.0, -1000, 0, 0], [10, 0, 30, 0]),  # out of the image
        ([0.0, 0, 1e9, 1e9], [0, 0, 60, 50]),  # as large as it gets
    ],
)
def test_decoding(deltas: list[float], expected: list[float]) -> None:
    box = torch.tensor([[10.0, 20, 30, 40]])
    decoded = decode_boxes(box, torch.tensor([deltas]), STDS, (50, 60))
    torch.testing.assert_close(decoded, torch.tensor([expected]).float())
