"""The predicted spline against its definition, and crops that come out straight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ocr_models.layers.tps import GridGenerator, TPSConfig, TPSPreprocessor
from ocr_models.recognition.crnn import CRNN, CRNNConfig, VeryDeepVggConfig

CONFIG = TPSConfig(in_channels=3, num_fiducial=12, rectified_size=(16, 40))


def edge_points() -> torch.Tensor:
    """Where the fiducial points of a crop lie whose text is straight and fills it."""
    x = torch.linspace(-1, 1, CONFIG.num_fiducial // 2)
    return torch.stack([x.repeat(2), torch.tensor([-1.0, 1]).repeat_interleave(len(x))], 1)[None]


def pixel_centres() -> torch.Tensor:
    height, width = CONFIG.rectified_size
    x = (torch.arange(width) * 2 + 1) / width - 1
    y = (torch.arange(height) * 2 + 1) / height - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), 2)[None]


def test_straight_text_stays_where_it_is() -> None:
    grid = GridGenerator(CONFIG)(edge_points())
    torch.testing.assert_close(grid, pixel_centres(), atol=1e-4, rtol=0)


def test_turned_and_sheared_text_is_sampled_evenly() -> None:
    """A spline continues an affine map of its points exactly."""
    linear, offset = torch.tensor([[0.7, 0.3], [-0.2, 0.9]]), torch.tensor([0.1, -0.3])
    grid = GridGenerator(CONFIG)(edge_points() @ linear.T + offset)
    torch.testing.assert_close(grid, pixel_centres() @ linear.T + offset, atol=1e-4, rtol=0)


def test_curved_text_follows_its_definition() -> None:
    """f(p) = a + b x + c y + sum_i w_i U(|p - p_i|), f(p_i) = given, no moments in w."""
    edges = edge_points()[0].double().numpy()
    given = edges + np.random.default_rng(1).normal(0, 0.2, edges.shape)
    count = len(edges)
    system = np.zeros((count + 3, count + 3))
    for i, point in enumerate(edges):
        system[i, :3] = system[count:, 3 + i] = 1, *point
        for j, other in enumerate(edges):
            r = np.hypot(*(point - other))
            system[i, 3 + j] = r * r * np.log(r) if i != j else 0
    solved = np.linalg.solve(system, np.vstack([given, np.zeros((3, 2))]))
    points = pixel_centres().double().numpy().reshape(-1, 2)
    r = np.maximum(np.linalg.norm(points[:, None] - edges, axis=2), 1e-12)
    expected = np.hstack([np.ones((len(points), 1)), points, r * r * np.log(r)]) @ solved
    grid = GridGenerator(CONFIG)(torch.from_numpy(given[None]).float())
    assert np.abs(grid.numpy().reshape(-1, 2) - expected).max() < 2e-4


def test_a_bent_stripe_comes_out_straight() -> None:
    network = TPSPreprocessor(CONFIG).eval()
    x = torch.linspace(-1, 1, CONFIG.num_fiducial // 2)
    arc = 0.4 * x**2  # the text's lower and upper edge sag in the middle
    with torch.no_grad():
        points = torch.stack([x.repeat(2), torch.cat([arc - 0.6, arc + 0.2])], 1)
        network.LocalizationNetwork.localization_fc2.bias.copy_(points.flatten())
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 160), indexing="ij"
    )
    crop = (rows - 0.4 * columns**2).repeat(2, 3, 1, 1)  # equal along the arc
    with torch.inference_mode():
        straight = network(crop)
    assert straight.shape == (2, 3, 16, 40)
    assert float(straight.std(dim=3).max()) < 0.02 < float(straight.std(dim=2).min())


def test_what_lies_beyond_the_border_goes_on_as_it_ends() -> None:
    network = TPSPreprocessor(CONFIG).eval()
    with torch.no_grad():
        points = edge_points() + torch.tensor([2.5, 0.0])  # wholly to the right of the crop
        network.LocalizationNetwork.localization_fc2.bias.copy_(points.flatten())
    crop = torch.arange(30.0).expand(1, 3, 20, 30).clone()
    with torch.inference_mode():
        assert torch.all(network(crop) == 29)


def test_an_untrained_network_sees_the_same_points_in_every_crop() -> None:
    network = TPSPreprocessor(CONFIG).eval().LocalizationNetwork
    with torch.inference_mode():
        points = network(torch.randn(2, 3, 24, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(points[0], points[1])
    half = CONFIG.num_fiducial // 2
    torch.testing.assert_close(points[0, :half, 1], torch.linspace(0, -1, half))
    torch.testing.assert_close(points[0, half:, 1], torch.linspace(1, 0, half))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_fiducial": 7}, "even"),
        ({"num_fiducial": 2}, "at least 4"),
        ({"rectified_size": (0, 5)}, "height and width"),
    ],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TPSConfig(**settings)  # type: ignore[arg-type]


def test_crnn_reads_straightened_lines_of_one_width() -> None:
    config = CRNNConfig(VeryDeepVggConfig(1), 37, preprocessor=TPSConfig())
    network = CRNN(config).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 48, 200)).logits.shape == (2, 26, 37)
    with pytest.raises(ValueError, match="32 px high"):
        CRNNConfig(preprocessor=TPSConfig(rectified_size=(48, 100)))
