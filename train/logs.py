"""What a training run tells: a bar or lines for people, JSON lines for programs, TensorBoard."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG_FILE = "log.jsonl"


class RunLog:
    """Writes ``log.jsonl`` and, when installed and asked for, TensorBoard events.

    Every line is one JSON object: ``mode`` ("train", "val" or "note"), ``epoch`` (1-based),
    ``iter`` (1-based, over the whole run), and the numbers of that line.

    Args:
        work_dir: folder of the run.
        resume_iteration: drop the lines after this iteration first: a killed run may have logged
            beyond the checkpoint that the new one continues from.
        tensorboard: write events as well.
        show_bar: draw a bar; ``None`` means when standard error is a terminal.
        total: iterations of the whole run.
    """

    def __init__(
        self,
        work_dir: Path,
        *,
        resume_iteration: int,
        tensorboard: bool,
        show_bar: bool | None,
        total: int,
    ) -> None:
        self.path = work_dir / LOG_FILE
        if resume_iteration:
            _keep_lines_until(self.path, resume_iteration)
        else:
            self.path.unlink(missing_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        self._total = total
        self._events = _event_writer(work_dir) if tensorboard else None
        self._bar = _bar(total, resume_iteration, show_bar)

    def write(self, mode: str, epoch: int, iteration: int, values: Mapping[str, Any]) -> None:
        """Append one line and show it."""
        line = {"mode": mode, "epoch": epoch, "iter": iteration, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        eta = ""
        if "time" in values:
            seconds = int(values["time"] * (self._total - iteration))
            eta = f"  eta {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        self.say(f"{mode:5} epoch {epoch} iter {iteration}  {_readable(values)}{eta}")
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{mode}/{name}", value, iteration)

    def say(self, text: str) -> None:
        """Show a line to people without disturbing the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            stamp = time.strftime("%H:%M:%S")
            print(f"{stamp} {text}", file=sys.stderr, flush=True)

    def advance(self) -> None:
        """One iteration is done."""
        if self._bar is not None:
            self._bar.update(1)

    def close(self) -> None:
        """Flush and close everything."""
        self._file.close()
        if self._events is not None:
            self._events.close()
        if self._bar is not None:
            self._bar.close()


class IntervalClock:
    """Seconds per iteration, and seconds of it spent waiting for data, since the last report."""

    def __init__(self) -> None:
        self.data, self.whole, self.steps = 0.0, 0.0, 0
        self._mark = time.perf_counter()

    def restart(self) -> None:
        """Do not count what happened since the last step."""
        self._mark = time.perf_counter()

    def data_ready(self) -> None:
        """The batch is there."""
        self.data += time.perf_counter() - self._mark

    def step_done(self) -> None:
        """The iteration is over."""
        now = time.perf_counter()
        self.whole += now - self._mark
        self.steps += 1
        self._mark = now

    def means(self) -> dict[str, float]:
        """``time`` and ``data_time`` per iteration; starts anew."""
        steps = max(1, self.steps)
        means = {"time": self.whole / steps, "data_time": self.data / steps}
        self.data, self.whole, self.steps = 0.0, 0.0, 0
        return means


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines of a ``log.jsonl``; a last line that a kill cut short is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def _keep_lines_until(path: Path, iteration: int) -> None:
    if not path.exists():
        return
    kept = [line for line in read_log(path) if line["iter"] <= iteration]
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    unfinished.replace(path)


def _readable(values: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _event_writer(work_dir: Path) -> Any:
    """A TensorBoard writer, or ``None`` when TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(work_dir / "tf_logs"))


def _bar(total: int, done: int, show: bool | None) -> Any:
    """A tqdm bar on a terminal, else ``None``."""
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, unit="it", dynamic_ncols=True, smoothing=0.05)
