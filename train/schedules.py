"""Learning-rate schedules, numerically those of mmcv's ``lr_config``.

A schedule is a pure function of the position in training: nothing to save, nothing to restore.

Progress is the number of finished epochs when ``by_epoch`` is true, else the number of finished
iterations. Warm-up always counts iterations and bends the rate that the schedule would give now.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocr_models.errors import ConfigError

POLICIES = {
    "fixed": (),
    "step": ("step", "gamma", "min_lr"),
    "exp": ("gamma",),
    "poly": ("power", "min_lr"),
    "inv": ("gamma", "power"),
    "CosineAnnealing": ("min_lr", "min_lr_ratio"),
}
POLICY_ALIASES = {"cosine": "CosineAnnealing", "CosineAnnealingLrUpdaterHook": "CosineAnnealing"}
WARMUPS = ("constant", "linear", "exp")
COMMON_KEYS = ("policy", "by_epoch", "warmup", "warmup_iters", "warmup_ratio", "warmup_by_epoch")


@dataclass(frozen=True)
class Schedule:
    """One ``lr_config``.

    Args:
        policy: a key of ``POLICIES``.
        by_epoch: progress counts epochs instead of iterations.
        step: "step": progress values at which the rate drops, or one interval.
        gamma: factor per drop ("step"), per unit of progress ("exp"), slope ("inv").
        power: exponent of "poly" and "inv".
        min_lr: floor of the rate.
        min_lr_ratio: the same for "CosineAnnealing", as a share of the base rate.
        warmup: ``None`` or one of ``WARMUPS``.
        warmup_iters: iterations (epochs with ``warmup_by_epoch``) of warm-up.
        warmup_ratio: share of the rate at which warm-up starts.
    """

    policy: str = "fixed"
    by_epoch: bool = True
    step: tuple[int, ...] | int = ()
    gamma: float = 0.1
    power: float = 1.0
    min_lr: float = 0.0
    min_lr_ratio: float | None = None
    warmup: str | None = None
    warmup_iters: int = 0
    warmup_ratio: float = 0.1
    warmup_by_epoch: bool = False

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(
                f"lr_config.policy is {self.policy!r}; known: {', '.join(sorted(POLICIES))}"
            )
        if self.warmup is not None and self.warmup not in WARMUPS:
            raise ConfigError(f"lr_config.warmup is {self.warmup!r}; known: {', '.join(WARMUPS)}")
        if self.warmup is not None and self.warmup_iters <= 0:
            raise ConfigError("lr_config.warmup needs warmup_iters above 0")
        if self.warmup is not None and not 0 < self.warmup_ratio <= 1:
            raise ConfigError(f"lr_config.warmup_ratio must be in (0, 1], got {self.warmup_ratio}")
        if isinstance(self.step, int) and self.step <= 0:
            raise ConfigError(f"lr_config.step must be above 0, got {self.step}")

    def regular_lr(self, base_lr: float, progress: int, max_progress: int) -> float:
        """The rate without warm-up after ``progress`` of ``max_progress`` units."""
        if self.policy == "fixed":
            return base_lr
        if self.policy == "step":
            drops = (
                progress // self.step
                if isinstance(self.step, int)
                else bisect_right(sorted(self.step), progress)
            )
            return max(base_lr * self.gamma**drops, self.min_lr)
        if self.policy == "exp":
            return base_lr * self.gamma**progress
        if self.policy == "poly":
            remaining = (1 - progress / max_progress) ** self.power
            return (base_lr - self.min_lr) * remaining + self.min_lr
        if self.policy == "inv":
            return base_lr * (1 + self.gamma * progress) ** -self.power
        low = self.min_lr if self.min_lr_ratio is None else base_lr * self.min_lr_ratio
        return low + 0.5 * (base_lr - low) * (math.cos(math.pi * progress / max_progress) + 1)

    def lr(
        self, base_lr: float, *, iteration: int, iterations_per_epoch: int, max_iterations: int
    ) -> float:
        """The rate of one iteration.

        Args:
            base_lr: the optimizer's own rate for the parameter group.
            iteration: finished iterations, so 0 for the first one.
            iterations_per_epoch: length of an epoch.
            max_iterations: length of the training.
        """
        if self.by_epoch:
            progress = iteration // iterations_per_epoch
            max_progress = max(1, -(-max_iterations // iterations_per_epoch))
        else:
            progress, max_progress = iteration, max_iterations
        rate = self.regular_lr(base_lr, progress, max_progress)
        warmup_iterations = self.warmup_iters * (
            iterations_per_epoch if self.warmup_by_epoch else 1
        )
        if self.warmup is None or iteration >= warmup_iterations:
            return rate
        done = iteration / warmup_iterations
        if self.warmup == "constant":
            return rate * self.warmup_ratio
        if self.warmup == "linear":
            return rate * (1 - (1 - done) * (1 - self.warmup_ratio))
        return rate * self.warmup_ratio ** (1 - done)


def schedule_from_config(lr_config: Mapping[str, Any] | None, *, by_epoch: bool) -> Schedule:
    """Read MMOCR's ``lr_config``.

    Args:
        lr_config: the dictionary; ``None`` is a fixed rate.
        by_epoch: default of its ``by_epoch`` key (true for ``EpochBasedRunner``).

    Raises:
        ConfigError: unknown policy, or a key that the policy does not read.
    """
    if lr_config is None:
        return Schedule(by_epoch=by_epoch)
    settings = dict(lr_config)
    if "policy" not in settings:
        raise ConfigError(f"lr_config needs policy; known: {', '.join(sorted(POLICIES))}")
    policy = POLICY_ALIASES.get(settings["policy"], settings["policy"])
    if policy not in POLICIES:
        raise ConfigError(f"lr_config.policy is {policy!r}; known: {', '.join(sorted(POLICIES))}")
    allowed = (*COMMON_KEYS, *POLICIES[policy])
    unknown = sorted(set(settings) - set(allowed))
    if unknown:
        raise ConfigError(
            f"lr_config with policy {policy!r} does not read {', '.join(unknown)}; "
            f"it reads {', '.join(allowed)}"
        )
    settings["policy"] = policy
    settings.setdefault("by_epoch", by_epoch)
    if isinstance(settings.get("step"), list):
        settings["step"] = tuple(settings["step"])
    return Schedule(**settings)
