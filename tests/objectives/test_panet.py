"""PANet's loss: equal to MMOCR's numbers, and well-behaved where there is no text."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from ocr_models.detection.panet import PANetConfig
from ocr_models.errors import ConfigError
from ocrserve.train.objectives.detection import DETECTION_OBJECTIVES
from ocrserve.train.objectives.panet import PANLoss, PANLossConfig, PANObjective
from ocrserve.train.objectives.text_kernels import KernelMaps, KernelTargets, make_targets
from tests.objectives.test_text_kernels import DEGENERATE, GOOD

GOLDEN = Path(__file__).parents[1] / "golden"
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "PANLoss"
}
NAMES = ["loss_text", "loss_kernel", "loss_aggregation", "loss_discrimination"]
TARGETS = KernelTargets((1.0, 0.5))


def split(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return maps[:, :1], maps[:, 1:2], maps[:, 2:]


def test_sweep_size() -> None:
    assert sorted(LOSSES) == [
        f"panet_{data}_{kind}"
        for data, kind in itertools.product(("ctw", "ic15"), ("default", "empty", "sum"))
    ]


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    with np.load(GOLDEN / "losses" / case["input"]) as arrays:
        maps = torch.from_numpy(arrays["preds"]).requires_grad_()
        targets = KernelMaps(
            torch.from_numpy(arrays["gt_kernels"]), torch.from_numpy(arrays["gt_mask"][:, 0])
        )
    losses = PANLoss(PANLossConfig(**case["args"]))(*split(maps), targets)
    assert list(losses) == NAMES
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    assert maps.grad is not None
    for key, got in (("grad_abs_sum", maps.grad.abs().sum()), ("grad_sum", maps.grad.sum())):
        assert got.item() == pytest.approx(case[key]["preds"], rel=1e-4, abs=1e-7)


def plain_embedding_losses(
    embedding: torch.Tensor, texts: torch.Tensor, kernels: torch.Tensor
) -> tuple[float, float]:
    """Equations 2 and 3 of one image, text by text and pair by pair."""
    means, aggregation = [], []
    for number in range(1, int(texts.max()) + 1):
        if not (texts == number).any() or not (kernels == number).any():
            continue
        mean = embedding[:, kernels == number].mean(dim=1)
        distance = (embedding[:, texts == number] - mean[:, None]).norm(dim=0)
        aggregation.append(((distance - 0.5).clamp(min=0) ** 2 + 1).log().mean().item())
        means.append(mean)
    pairs = sum(
        float(((3 - (a - b).norm()).clamp(min=0) ** 2 + 1).log())
        for a, b in itertools.combinations(means, 2)
    )
    count = len(means)
    return sum(aggregation) / max(count, 1), pairs / max(count * (count - 1), 1)


@pytest.mark.parametrize("seed", range(8))
def test_embedding_losses_equal_the_plain_formula(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    embedding = 1.5 * torch.randn(4, 4, 12, 16, generator=generator)
    texts = torch.randint(0, 6, (4, 12, 16), generator=generator)
    texts[0] = 0  # an image without text
    texts[1].clamp_(max=1)  # and one with a single text
    kernels = torch.where(torch.rand(4, 12, 16, generator=generator) < 0.2, texts, 0)
    kernels[2][kernels[2] == 3] = 0  # a text whose kernel vanished
    texts[3][texts[3] == 2] = 0  # a text that another covers
    maps = KernelMaps(torch.stack([texts, kernels], 1), torch.ones(4, 12, 16))
    logits = torch.zeros(4, 1, 12, 16)
    config = PANLossConfig(alpha=0, beta=1, reduction="sum")
    losses = PANLoss(config)(logits, logits, embedding, maps)
    expected = np.array(
        [plain_embedding_losses(embedding[i], texts[i], kernels[i]) for i in range(4)]
    ).sum(axis=0)
    assert losses["loss_aggregation"].item() == pytest.approx(expected[0], rel=1e-5)
    assert losses["loss_discrimination"].item() == pytest.approx(expected[1], rel=1e-5)


def test_speedup_draws_texts_at_random() -> None:
    outlines = [[8 + 40 * i, 8, 40 + 40 * i, 8, 40 + 40 * i, 24, 8 + 40 * i, 24] for i in range(6)]
    targets = default_collate([make_targets(outlines, [], 32, 256, TARGETS)])
    embedding = torch.randn(1, 4, 8, 64, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(1, 1, 8, 64)

    def aggregation(limit: int) -> float:
        loss = PANLoss(PANLossConfig(speedup_bbox_thr=limit))
        return loss(logits, logits, embedding, targets)["loss_aggregation"].item()

    everything = aggregation(-1)
    assert aggregation(6) == pytest.approx(everything)
    assert aggregation(100) == pytest.approx(everything)
    drawn = {round(aggregation(1), 5) for _ in range(60)}
    assert 2 <= len(drawn) <= 6
    # Each text is as likely as any other, so their mean is the whole.
    values = [aggregation(2) for _ in range(300)]
    assert np.mean(values) == pytest.approx(everything, rel=0.1)


EMPTY_SCENES: dict[str, tuple[list[Any], list[Any]]] = {
    "no text": ([], []),
    "only ignored": ([], [GOOD]),
    "all ignored": ([], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "only degenerate": ([DEGENERATE["bow tie"], DEGENERATE["flat"], DEGENERATE["thin"]], []),
    "text under ignored": ([GOOD], [[-1, -1, 200, -1, 200, 200, -1, 200]]),
    "text everywhere": ([DEGENERATE["larger than the image"]], []),
}


@pytest.mark.parametrize("scene", EMPTY_SCENES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4], ids=["zero", "moderate", "saturated"])
def test_strange_scenes_keep_loss_and_gradient_finite(scene: str, scale: float) -> None:
    targets = default_collate([make_targets(*EMPTY_SCENES[scene], 64, 96, TARGETS)] * 2)
    maps = torch.linspace(-1, 1, 2 * 6 * 16 * 24).reshape(2, 6, 16, 24).mul(scale)
    maps.requires_grad_()
    losses = PANLoss()(*split(maps), targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_perfect_maps_cost_next_to_nothing() -> None:
    outlines = [GOOD, [100, 20, 170, 20, 170, 44, 100, 44]]
    targets = default_collate([make_targets(outlines, [], 64, 192, TARGETS)])
    text, kernel = targets.kernels[:, :1, ::4, ::4], targets.kernels[:, 1:, ::4, ::4]
    embedding = 10.0 * text.expand(-1, 4, -1, -1)
    losses = PANLoss()(200.0 * (text > 0) - 100, 200.0 * (kernel > 0) - 100, embedding, targets)
    assert sum(loss.item() for loss in losses.values()) < 1e-4


def test_ignored_text_is_free() -> None:
    learnt = [[100, 12, 180, 12, 180, 52, 100, 52]]
    targets = default_collate([make_targets(learnt, [GOOD], 64, 192, TARGETS)])
    maps = torch.randn(1, 6, 16, 48, generator=torch.Generator().manual_seed(0))
    other = maps.clone()
    # Below the hardest background elsewhere, whose choice ignored areas take part in.
    other[:, :2, 6:10, 4:18] = maps[:, :2].amin() - 1
    maps[:, :2, 6:10, 4:18] = maps[:, :2].amin() - 2
    loss = PANLoss()
    for key, value in loss(*split(maps), targets).items():
        assert value.item() == pytest.approx(loss(*split(other), targets)[key].item())


def test_autocast_computes_in_float32() -> None:
    targets = default_collate([make_targets([GOOD], [], 64, 96, TARGETS)])
    maps = torch.randn(1, 6, 16, 24, generator=torch.Generator().manual_seed(0)).bfloat16()
    loss = PANLoss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss(*split(maps), targets)
    for key, value in loss(*split(maps.float()), targets).items():
        assert rounded[key].dtype == torch.float32
        assert rounded[key].item() == value.item()


def test_other_numbers_of_kernels_are_refused() -> None:
    config = KernelTargets((1.0, 0.7, 0.4))
    targets = default_collate([make_targets([GOOD], [], 64, 96, config)])
    with pytest.raises(ValueError, match="have 3 maps"):
        PANLoss()(*split(torch.zeros(1, 6, 16, 24)), targets)


@pytest.mark.parametrize(
    "settings", [{"reduction": "none"}, {"alpha": -1}, {"ohem_ratio": -1}, {"beta": -0.1}]
)
def test_impossible_loss_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        PANLossConfig(**settings)  # type: ignore[arg-type]


def test_objective_reads_the_loss_of_the_head() -> None:
    model = {"bbox_head": {"loss": {"type": "PANLoss", "speedup_bbox_thr": 32}}}
    objective = DETECTION_OBJECTIVES[PANetConfig](None, model)  # type: ignore[arg-type]
    assert isinstance(objective, PANObjective)
    assert objective.loss.config == PANLossConfig(speedup_bbox_thr=32)
    with pytest.raises(ConfigError, match="is PANLoss, got 'PSELoss'"):
        PANObjective.from_model(None, {"bbox_head": {"loss": {"type": "PSELoss"}}})  # type: ignore[arg-type]
