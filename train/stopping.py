"""Stopping a run politely: finish the iteration, write a checkpoint, leave."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked for the end; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def name(self) -> str:
        """Of the signal."""
        return self.signal.name if self.signal is not None else "nothing"

    def __call__(self, number: int, _: FrameType | None) -> None:
        """The signal handler."""
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextmanager
def listen_for_stop(enabled: bool) -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM while the context lasts.

    Args:
        enabled: false with several processes: each would stop at another iteration. ``torchrun``
            ends them, and the last regular checkpoint continues.
    """
    request = StopRequest()
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
