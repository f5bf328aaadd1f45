"""Learning rates against values worked out by hand from mmcv's formulas."""

from __future__ import annotations

from typing import Any

import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.schedules import schedule_from_config


def rate(
    config: dict[str, Any], iteration: int, *, base: float = 0.1, by_epoch: bool = True
) -> float:
    """10 iterations per epoch, 100 iterations in all."""
    schedule = schedule_from_config(config, by_epoch=by_epoch)
    return schedule.lr(base, iteration=iteration, iterations_per_epoch=10, max_iterations=100)


CASES: list[tuple[dict[str, Any], int, float]] = [
    ({"policy": "fixed"}, 99, 0.1),
    # poly, by epoch: (0.1 - 0.01) * (1 - epoch / 10) ** 2 + 0.01
    ({"policy": "poly", "power": 2, "min_lr": 0.01}, 0, 0.1),
    ({"policy": "poly", "power": 2, "min_lr": 0.01}, 9, 0.1),
    ({"policy": "poly", "power": 2, "min_lr": 0.01}, 50, 0.09 * 0.25 + 0.01),
    ({"policy": "poly", "power": 2, "min_lr": 0.01}, 59, 0.09 * 0.25 + 0.01),
    ({"policy": "poly", "power": 1, "by_epoch": False}, 25, 0.075),
    ({"policy": "poly", "power": 0.9, "min_lr": 1e-7}, 95, (0.1 - 1e-7) * 0.1**0.9 + 1e-7),
    ({"policy": "step", "step": [3, 5]}, 29, 0.1),
    ({"policy": "step", "step": [3, 5]}, 30, 0.01),
    ({"policy": "step", "step": [3, 5]}, 50, 0.001),
    ({"policy": "step", "step": []}, 99, 0.1),
    ({"policy": "step", "step": 4, "gamma": 0.5}, 39, 0.1),
    ({"policy": "step", "step": 4, "gamma": 0.5}, 80, 0.025),
    ({"policy": "step", "step": [1], "gamma": 0.1, "min_lr": 0.05}, 10, 0.05),
    ({"policy": "exp", "gamma": 0.5}, 30, 0.0125),
    ({"policy": "inv", "gamma": 1.0, "power": 2.0}, 10, 0.025),
    ({"policy": "CosineAnnealing", "min_lr": 0.0, "by_epoch": False}, 50, 0.05),
    ({"policy": "CosineAnnealing", "min_lr": 0.02}, 50, 0.06),
    ({"policy": "CosineAnnealing", "min_lr_ratio": 0.2}, 50, 0.06),
    ({"policy": "cosine", "min_lr": 0.0, "by_epoch": False}, 0, 0.1),
    # linear warm-up: lr * (1 - (1 - i / 20) * (1 - 0.1))
    ({"policy": "fixed", "warmup": "linear", "warmup_iters": 20, "warmup_ratio": 0.1}, 0, 0.01),
    ({"policy": "fixed", "warmup": "linear", "warmup_iters": 20, "warmup_ratio": 0.1}, 10, 0.055),
    ({"policy": "fixed", "warmup": "linear", "warmup_iters": 20, "warmup_ratio": 0.1}, 20, 0.1),
    ({"policy": "fixed", "warmup": "constant", "warmup_iters": 20, "warmup_ratio": 0.1}, 19, 0.01),
    # exponential: lr * 0.01 ** (1 - i / 20)
    ({"policy": "fixed", "warmup": "exp", "warmup_iters": 20, "warmup_ratio": 0.01}, 10, 0.01),
    # warm-up bends the rate of the current epoch
    (
        {
            "policy": "step",
            "step": [1],
            "warmup": "linear",
            "warmup_iters": 20,
            "warmup_ratio": 0.1,
        },
        10,
        0.0055,
    ),
    (
        {"policy": "fixed", "warmup": "linear", "warmup_iters": 2, "warmup_by_epoch": True},
        10,
        0.1 * (1 - 0.5 * 0.9),
    ),
]


def test_the_sweep_is_complete() -> None:
    assert len(CASES) == 27


@pytest.mark.parametrize(("config", "iteration", "expected"), CASES)
def test_rate(config: dict[str, Any], iteration: int, expected: float) -> None:
    assert rate(config, iteration) == pytest.approx(expected, rel=1e-12)


def test_progress_follows_the_runner_unless_the_config_says() -> None:
    assert rate({"policy": "poly", "power": 1}, 25, by_epoch=False) == pytest.approx(0.075)
    assert rate(
        {"policy": "poly", "power": 1, "by_epoch": True}, 25, by_epoch=False
    ) == pytest.approx(0.08)


def test_no_lr_config_is_a_fixed_rate() -> None:
    schedule = schedule_from_config(None, by_epoch=True)
    assert schedule.lr(0.3, iteration=7, iterations_per_epoch=2, max_iterations=9) == 0.3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"policy": "polly"}, "polly"),
        ({}, "needs policy"),
        ({"policy": "poly", "gamma": 2}, "does not read gamma"),
        ({"policy": "fixed", "warmup": "slow", "warmup_iters": 3}, "slow"),
        ({"policy": "fixed", "warmup": "linear"}, "warmup_iters"),
        (
            {"policy": "fixed", "warmup": "linear", "warmup_iters": 3, "warmup_ratio": 0},
            "warmup_ratio",
        ),
        ({"policy": "step", "step": 0}, "step"),
    ],
)
def test_mistakes(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schedule_from_config(config, by_epoch=True)
