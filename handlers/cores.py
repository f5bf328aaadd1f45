"""How many processor cores a worker should use."""

from __future__ import annotations

import os


def worker_threads(chosen: int | None, max_workers: object) -> int:
    """CPU threads for one worker: as chosen, ``OMP_NUM_THREADS``, or cores / workers.

    Workers that each take all cores slow each other down; together they should take them once.

    Args:
        chosen: the archive's option ``threads``.
        max_workers: the archive's ``maxWorkers``; anything but a positive int counts as 1.
    """
    if chosen is not None:
        return chosen
    from_environment = os.environ.get("OMP_NUM_THREADS", "")
    if from_environment.isdecimal() and int(from_environment) > 0:
        return int(from_environment)
    workers = max_workers if isinstance(max_workers, int) and max_workers > 0 else 1
    return max(1, available_cores() // workers)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
