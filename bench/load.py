"""Clients that keep a server busy, and what they saw."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

REQUEST_TIMEOUT_S = 120.0
_SUM = re.compile(r"^(ocr_\w+?_seconds)_(sum|count)\{(.*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """Answers to some clients that each send the next request when the last was answered.

    Args:
        clients: how many.
        seconds: from the first request to the last answer.
        latencies_s: of the good answers.
        errors: other answers, and connections that broke.
    """

    clients: int
    seconds: float
    latencies_s: np.ndarray
    errors: int

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """Latency in milliseconds; NaN without answers."""
        if not len(self.latencies_s):
            return float("nan")
        return float(np.percentile(self.latencies_s, percent)) * 1e3


def run_load(url: str, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Sends ``bodies`` in turns for about ``seconds``; every client sends one at least.

    A client is a thread with one open connection: it costs a fraction of a millisecond of processor
    time per request, and nothing while it waits.
    """
    latencies: list[list[float]] = [[] for _ in range(clients)]
    errors = [0] * clients
    begin = time.perf_counter()
    deadline = begin + seconds

    def client(index: int) -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_TIMEOUT_S)
        turn = index
        while turn == index or time.perf_counter() < deadline:
            body = bodies[turn % len(bodies)]
            turn += clients
            sent = time.perf_counter()
            try:
                connection.request(
                    "POST", parts.path, body, {"Content-Type": "application/octet-stream"}
                )
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                errors[index] += 1
                continue
            if response.status == 200:
                latencies[index].append(time.perf_counter() - sent)
            else:
                errors[index] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    return Load(clients, elapsed, np.array([s for each in latencies for s in each]), sum(errors))


def handler_seconds(metrics_url: str, model: str) -> dict[str, tuple[float, float]]:
    """Sum and count of the histograms ``ocr_..._seconds`` of a model, from Prometheus' text."""
    with urllib.request.urlopen(metrics_url, timeout=REQUEST_TIMEOUT_S) as response:
        text = response.read().decode()
    found: dict[str, dict[str, float]] = {}
    for name, kind, labels, value in _SUM.findall(text):
        if f'ModelName="{model}"' in labels:
            found.setdefault(name, {})[kind] = float(value)
    return {name: (each["sum"], each["count"]) for name, each in found.items()}
