"""Straightening a crop of curved text before it is read: a thin-plate spline that is predicted.

Papers: Robust Scene Text Recognition with Automatic Rectification, arXiv:1603.03915, and, for the
spline, Principal Warps: Thin-Plate Splines and the Decomposition of Deformations, TPAMI 1989.
Parameter names and numbers are those of MMOCR 0.6.1's ``TPSPreprocessor``.

A small network finds where F fiducial points, half of them along the upper and half along the lower
edge of the text, lie in the crop; the spline that takes the edges of a straight image there tells
for every pixel of that image where to look.

Shapes: B batch, C image channels, H x W crop in pixels, F fiducial points, h x w straight image in
pixels. Points are (x, y), both from -1 to 1 over the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

_EPSILON = 1e-6  # keeps the logarithm finite where a pixel lies on a fiducial point


@dataclass(frozen=True)
class TPSConfig:
    """What fixes the transformation.

    Args:
        in_channels: C.
        num_fiducial: F, even.
        rectified_size: h and w.
    """

    in_channels: int = 1
    num_fiducial: int = 20
    rectified_size: tuple[int, int] = (32, 100)

    def __post_init__(self) -> None:
        if self.num_fiducial < 4 or self.num_fiducial % 2:
            raise ValueError(f"num_fiducial must be even and at least 4, got {self.num_fiducial}")
        if len(self.rectified_size) != 2 or min(self.rectified_size) < 1:
            raise ValueError(
                f"rectified_size must be height and width, at least 1 each: {self.rectified_size}"
            )


class LocalizationNetwork(nn.Module):
    """(B, C, H, W) -> fiducial points (B, F, 2) in the crop; at first the same for every crop."""

    CHANNELS = (64, 128, 256, 512)

    def __init__(self, config: TPSConfig) -> None:
        super().__init__()
        self.num_fiducial = config.num_fiducial
        layers: list[nn.Module] = []
        in_channels = config.in_channels
        for i, channels in enumerate(self.CHANNELS):
            layers += [
                nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, 2) if i < len(self.CHANNELS) - 1 else nn.AdaptiveAvgPool2d(1),
            ]
            in_channels = channels
        self.conv = nn.Sequential(*layers)
        self.localization_fc1 = nn.Sequential(nn.Linear(in_channels, 256), nn.ReLU(inplace=True))
        self.localization_fc2 = nn.Linear(256, 2 * config.num_fiducial)
        nn.init.zeros_(self.localization_fc2.weight)
        with torch.no_grad():
            self.localization_fc2.bias.copy_(_first_points(config.num_fiducial).flatten())

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        features_BD = self.conv(crops_BCHW).flatten(1)
        # Points rounded to bfloat16 would be off by up to a quarter of a pixel in a hundred.
        with torch.autocast(features_BD.device.type, enabled=False):
            points = self.localization_fc2(self.localization_fc1(features_BD.float()))
        return points.reshape(-1, self.num_fiducial, 2)


class GridGenerator(nn.Module):
    """Fiducial points (B, F, 2) -> where the pixels of the straight image lie, (B, h, w, 2)."""

    inv_delta_C: Tensor  # noqa: N815  # named in checkpoints
    P_hat: Tensor

    def __init__(self, config: TPSConfig) -> None:
        super().__init__()
        self.height, self.width = config.rectified_size
        edges_F2 = _edge_points(config.num_fiducial)
        pixels_N2 = _pixel_centres(self.height, self.width)
        # MMOCR's checkpoints hold both, under these names.
        self.register_buffer("inv_delta_C", _tensor(np.linalg.inv(_spline_system(edges_F2))))
        self.register_buffer("P_hat", _tensor(_spline_terms(pixels_N2, edges_F2, _EPSILON)))

    def forward(self, points_BF2: Tensor) -> Tensor:
        with torch.autocast(points_BF2.device.type, enabled=False):
            # OpenVINO multiplies in float32 here, but whatever it reshapes in between it rounds to
            # bfloat16, so the shapes are made to fit before and not after.
            terms = self.P_hat.reshape(self.height, self.width, -1)
            # The system's last three equations have 0 on the right.
            coefficients = self.inv_delta_C[:, :-3] @ points_BF2[:, None].float()
            return terms @ coefficients


class TPSPreprocessor(nn.Module):
    """(B, C, H, W) -> straightened crops (B, C, h, w)."""

    def __init__(self, config: TPSConfig) -> None:
        super().__init__()
        self.LocalizationNetwork = LocalizationNetwork(config)
        self.GridGenerator = GridGenerator(config)

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        grid_BHW2 = self.GridGenerator(self.LocalizationNetwork(crops_BCHW))
        # Beyond its border a crop goes on as it ends there.
        return F.grid_sample(
            crops_BCHW.float(), grid_BHW2, padding_mode="border", align_corners=True
        )


def _edge_points(count: int) -> NDArray[np.float64]:
    """(F, 2): where the fiducial points are in the straight image, along its two edges."""
    x = np.linspace(-1.0, 1.0, count // 2)
    return np.concatenate([np.stack([x, np.full_like(x, y)], axis=1) for y in (-1.0, 1.0)])


def _first_points(count: int) -> Tensor:
    """(F, 2): where an untrained network sees them, the upper edge rising and the lower falling."""
    x = np.linspace(-1.0, 1.0, count // 2)
    upper, lower = np.linspace(0.0, -1.0, count // 2), np.linspace(1.0, 0.0, count // 2)
    points = np.concatenate([np.stack([x, upper], axis=1), np.stack([x, lower], axis=1)])
    return _tensor(points)


def _pixel_centres(height: int, width: int) -> NDArray[np.float64]:
    """(h * w, 2), row by row."""
    x = (np.arange(width) * 2 + 1.0) / width - 1
    y = (np.arange(height) * 2 + 1.0) / height - 1
    grid_x, grid_y = np.meshgrid(x, y)
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)


def _spline_terms(
    points_N2: NDArray[np.float64], centres_F2: NDArray[np.float64], epsilon: float
) -> NDArray[np.float64]:
    """(N, F + 3): 1, x, y, and r^2 log(r + epsilon) for the distance r to every centre."""
    distances = np.linalg.norm(points_N2[:, None] - centres_F2[None], axis=2)
    radial = distances**2 * np.log(distances + epsilon)
    return np.hstack([np.ones((len(points_N2), 1)), points_N2, radial])


def _spline_system(edges_F2: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F + 3, F + 3): takes the spline's coefficients to its values at the edge points, and to the
    three sums of the radial coefficients that must vanish."""
    count = len(edges_F2)
    distances = np.linalg.norm(edges_F2[:, None] - edges_F2[None], axis=2)
    np.fill_diagonal(distances, 1.0)  # r^2 log r is 0 at r = 0 as at r = 1
    radial = distances**2 * np.log(distances)
    system = np.zeros((count + 3, count + 3))
    system[:count] = np.hstack([np.ones((count, 1)), edges_F2, radial])
    system[count : count + 2, 3:] = edges_F2.T
    system[count + 2, 3:] = 1
    return system


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
