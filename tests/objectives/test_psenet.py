"""PSENet's loss: equal to MMOCR's numbers, and well-behaved where there is no text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from ocr_models.detection.psenet import PSENetConfig
from ocr_models.errors import ConfigError
from ocrserve.train.objectives.detection import DETECTION_OBJECTIVES
from ocrserve.train.objectives.psenet import PSELoss, PSELossConfig, PSEObjective
from ocrserve.train.objectives.text_kernels import KernelMaps, KernelTargets, make_targets
from tests.objectives.test_panet import EMPTY_SCENES
from tests.objectives.test_text_kernels import GOOD

GOLDEN = Path(__file__).parents[1] / "golden"
LOSSES = {
    name: case
    for name, case in json.loads((GOLDEN / "losses" / "cases.json").read_text()).items()
    if case["type"] == "PSELoss"
}
TARGETS = KernelTargets((1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4))


def split(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return maps[:, :1], maps[:, 1:]


def test_sweep_size() -> None:
    assert sorted(LOSSES) == ["psenet_adaptive", "psenet_empty", "psenet_hard", "psenet_sum"]


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_mmocr(name: str) -> None:
    case = LOSSES[name]
    with np.load(GOLDEN / "losses" / case["input"]) as arrays:
        maps = torch.from_numpy(arrays["preds"]).requires_grad_()
        targets = KernelMaps(
            torch.from_numpy(arrays["gt_kernels"]), torch.from_numpy(arrays["gt_mask"][:, 0])
        )
    losses = PSELoss(PSELossConfig(**case["args"]))(*split(maps), targets)
    assert list(losses) == ["loss_text", "loss_kernel"]
    for key, expected in case["losses"].items():
        assert losses[key].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    torch.stack(list(losses.values())).sum().backward()
    assert maps.grad is not None
    for key, got in (("grad_abs_sum", maps.grad.abs().sum()), ("grad_sum", maps.grad.sum())):
        assert got.item() == pytest.approx(case[key]["preds"], rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", ["adaptive", "hard"])
@pytest.mark.parametrize("scene", EMPTY_SCENES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4], ids=["zero", "moderate", "saturated"])
def test_strange_scenes_keep_loss_and_gradient_finite(scene: str, scale: float, kind: str) -> None:
    targets = default_collate([make_targets(*EMPTY_SCENES[scene], 64, 96, TARGETS)] * 2)
    maps = torch.linspace(-1, 1, 2 * 7 * 16 * 24).reshape(2, 7, 16, 24).mul(scale)
    maps.requires_grad_()
    losses = PSELoss(PSELossConfig(kernel_sample_type=kind))(*split(maps), targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_perfect_maps_cost_next_to_nothing() -> None:
    targets = default_collate([make_targets([GOOD], [], 64, 96, TARGETS)])
    logits = 200.0 * (targets.kernels[..., ::4, ::4] > 0) - 100
    losses = PSELoss()(*split(logits), targets)
    assert sum(loss.item() for loss in losses.values()) < 1e-4


def test_where_kernels_count() -> None:
    """Adaptive: only where the network sees text; hard: only where there is text."""
    targets = default_collate([make_targets([GOOD], [], 64, 96, TARGETS)])
    text = 20.0 * (targets.kernels[:, :1, ::4, ::4] > 0) - 10
    text[..., :8] = 10  # text is seen in the left part, where there partly is some
    kernels = torch.zeros(1, 6, 16, 24)
    changed = kernels.clone()
    changed[..., 1, 2] = 5  # seen as text, is none
    for kind, differs in (("adaptive", True), ("hard", False)):
        loss = PSELoss(PSELossConfig(kernel_sample_type=kind))
        before, after = (loss(text, x, targets)["loss_kernel"] for x in (kernels, changed))
        assert (before.item() != after.item()) == differs


def test_autocast_computes_in_float32() -> None:
    targets = default_collate([make_targets([GOOD], [], 64, 96, TARGETS)])
    maps = torch.randn(1, 7, 16, 24, generator=torch.Generator().manual_seed(0)).bfloat16()
    loss = PSELoss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss(*split(maps), targets)
    for key, value in loss(*split(maps.float()), targets).items():
        assert rounded[key].dtype == torch.float32
        assert rounded[key].item() == value.item()


def test_other_numbers_of_kernels_are_refused() -> None:
    targets = default_collate([make_targets([GOOD], [], 64, 96, TARGETS)])
    with pytest.raises(ValueError, match="the network has 5 maps, but the targets have 7"):
        PSELoss()(*split(torch.zeros(1, 5, 16, 24)), targets)


@pytest.mark.parametrize(
    "settings",
    [{"reduction": "none"}, {"alpha": 1.5}, {"ohem_ratio": -1}, {"kernel_sample_type": "soft"}],
)
def test_impossible_loss_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        PSELossConfig(**settings)  # type: ignore[arg-type]


def test_objective_reads_the_loss_of_the_head() -> None:
    model = {"bbox_head": {"loss": {"type": "PSELoss", "alpha": 0.5}}}
    objective = DETECTION_OBJECTIVES[PSENetConfig](None, model)  # type: ignore[arg-type]
    assert isinstance(objective, PSEObjective)
    assert objective.loss.config == PSELossConfig(alpha=0.5)
    with pytest.raises(ConfigError, match="is PSELoss, got 'DBLoss'"):
        PSEObjective.from_model(None, {"bbox_head": {"loss": {"type": "DBLoss"}}})  # type: ignore[arg-type]
