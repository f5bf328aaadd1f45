"""Archives in a real TorchServe: requests per second, latencies, errors, and where the time goes.

    python -m bench.serving [--seconds 6] [--layouts] [--write docs/benchmarks.md]

Builds the archives, serves them one after the other on this machine, and sends a 1280 x 720 photo,
or crops of the size of words, over HTTP from 1, 4, 8 and 16 clients that each wait for their
answer. The clients share the machine with the server.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ocr_models.clock import STAGES
from ocrserve.archives.build import ModelSource, build_archive
from ocrserve.handlers.cores import available_cores
from ocrserve.server import Server, ServerOptions, local_options

from .document import markdown_table, replace_part
from .load import Load, handler_seconds, run_load
from .machine import describe_machine
from .models import SAMPLE_PHOTO, jpeg, load_model, photo

PART = "serving"
CLIENTS = (1, 4, 8, 16)
WARM_UP_SECONDS = 1.0
CROP_SIZE = (100, 32)
# Requests per second of MMOCR's own handler at 8 clients, on two cores of the same kind.
MMOCR_PER_SECOND = {"DBNet-R18": 0.6, "CRNN": 54.0}


@dataclass(frozen=True)
class Archive:
    """What is served.

    Args:
        name: of the archive.
        models: names that ``bench.models`` knows.
        sends: ``"photo"`` or ``"crops"``.
    """

    name: str
    models: tuple[str, ...]
    sends: str

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} ({' + '.join(self.models)})"


ARCHIVES = (
    Archive("detection", ("light DBNet",), "photo"),
    Archive("recognition", ("light CRNN",), "crops"),
    Archive("ocr", ("light DBNet", "light CRNN"), "photo"),
    Archive("mmocr_dbnet", ("DBNet-R18",), "photo"),
    Archive("mmocr_crnn", ("CRNN",), "crops"),
)


@dataclass(frozen=True)
class Breakdown:
    """Mean milliseconds of one request when there is one client.

    Args:
        stages: by stage of the handler.
        handler: the whole handler.
        client: what the client waits.
    """

    stages: Mapping[str, float]
    handler: float
    client: float

    @property
    def beside_network(self) -> float:
        """All that is not the network, as a part of the network's time."""
        return (self.client - self.stages["network"]) / self.stages["network"]


@dataclass(frozen=True)
class Layout:
    """Worker processes, and CPU threads of each."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads}"


def build_archives(store: Path, archives: Sequence[Archive]) -> None:
    """Writes the archives into ``store``."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {
            name: load_model(name).write_folder(Path(scratch) / name.replace(" ", "_"))
            for name in {model for archive in archives for model in archive.models}
        }
        for archive in archives:
            sources = [ModelSource(folders[model]) for model in archive.models]
            build_archive(sources, store, model_name=archive.name)


def bodies_of(archive: Archive, path: Path) -> list[bytes]:
    """What the clients send: the photo, or pieces of it of the size of words."""
    image = photo(path)
    if archive.sends == "photo":
        return [jpeg(image)]
    width, height = CROP_SIZE
    rng = np.random.default_rng(0)
    corners = [
        (int(rng.integers(image.shape[0] - height)), int(rng.integers(image.shape[1] - width)))
        for _ in range(32)
    ]
    return [jpeg(image[top : top + height, left : left + width]) for top, left in corners]


@contextmanager
def served(store: Path, archive: Archive, layout: Layout) -> Iterator[Server]:
    """A server with one archive, warm."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(layout.threads)
    try:
        options = ServerOptions(store, models=(archive.name,), workers=layout.workers)
        with Server(local_options(options)) as server:
            yield server
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def url_of(server: Server, archive: Archive) -> str:
    """Where its predictions are."""
    return f"{server.inference_url}/predictions/{archive.name}"


def measure(
    server: Server, archive: Archive, bodies: Sequence[bytes], seconds: float
) -> tuple[list[Load], Breakdown]:
    """Loads by number of clients, and the breakdown from the one client."""
    url = url_of(server, archive)
    run_load(url, bodies, 2 * available_cores(), WARM_UP_SECONDS)
    loads, breakdown = [], None
    for clients in CLIENTS:
        before = handler_seconds(server.metrics_url, archive.name)
        load = run_load(url, bodies, clients, seconds)
        loads.append(load)
        if clients == 1:
            after = handler_seconds(server.metrics_url, archive.name)
            breakdown = _breakdown(before, after, load)
    assert breakdown is not None, "CLIENTS has 1"
    return loads, breakdown


def _breakdown(
    before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]], load: Load
) -> Breakdown:
    def mean_ms(name: str) -> float:
        earlier = before.get(name, (0.0, 0.0))
        count = after[name][1] - earlier[1]
        return (after[name][0] - earlier[0]) / max(count, 1.0) * 1e3

    stages = {stage: mean_ms(f"ocr_{stage}_seconds") for stage in STAGES}
    client = statistics.mean(load.latencies_s) * 1e3 if len(load.latencies_s) else float("nan")
    return Breakdown(stages, mean_ms("ocr_batch_seconds"), client)


def loads_table(measured: Mapping[Archive, tuple[list[Load], Breakdown]]) -> str:
    """Requests per second, latencies and errors."""
    header = ["archive", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms", "errors", "MMOCR"]
    rows = []
    for archive, (loads, _) in measured.items():
        for load in loads:
            theirs = MMOCR_PER_SECOND.get(archive.models[0]) if load.clients == 8 else None
            rows.append(
                [
                    archive.title,
                    str(load.clients),
                    f"{load.per_second:.1f}",
                    *(f"{load.percentile_ms(percent):.0f}" for percent in (50, 95, 99)),
                    str(load.errors),
                    f"{theirs:g} ({load.per_second / theirs:.1f}x)" if theirs else "",
                ]
            )
    return markdown_table(header, rows)


def breakdown_table(measured: Mapping[Archive, tuple[list[Load], Breakdown]]) -> str:
    """Where the milliseconds of a request go."""
    header = ["archive", *STAGES, "rest of handler", "HTTP and queue", "whole", "beside network"]
    rows = []
    for archive, (_, each) in measured.items():
        parts = [each.stages[stage] for stage in STAGES]
        parts += [each.handler - sum(parts), each.client - each.handler, each.client]
        rows.append(
            [archive.title, *(f"{part:.1f}" for part in parts), f"{each.beside_network:.0%}"]
        )
    return markdown_table(header, rows)


def layouts_table(store: Path, archives: Sequence[Archive], path: Path, seconds: float) -> str:
    """Worker processes against threads."""
    cores = available_cores()
    layouts = dict.fromkeys([Layout(cores, 1), Layout(1, cores), Layout(cores, cores)])
    rows = []
    for archive in archives:
        bodies = bodies_of(archive, path)
        for layout in layouts:
            with served(store, archive, layout) as server:
                url = url_of(server, archive)
                run_load(url, bodies, 2 * cores, WARM_UP_SECONDS)
                loads = [run_load(url, bodies, clients, seconds) for clients in (1, 8)]
            speeds = [f"{load.per_second:.1f}" for load in loads]
            rows.append([archive.title, str(layout), *speeds, f"{loads[0].percentile_ms(50):.0f}"])
    header = ["archive", "workers x threads", "1 client, requests/s", "8 clients, requests/s"]
    return markdown_table([*header, "1 client, p50 ms"], rows)


def report(archives: Sequence[Archive], path: Path, seconds: float, layouts: bool) -> Iterator[str]:
    """The parts of the document's part, one by one."""
    layout = Layout(available_cores(), 1)
    yield f"{describe_machine()} Workers x threads of each: {layout}."
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = Path(folder)
        build_archives(store, archives)
        measured = {}
        for archive in archives:
            print(f"measuring {archive.title}", file=sys.stderr, flush=True)
            with served(store, archive, layout) as server:
                measured[archive] = measure(server, archive, bodies_of(archive, path), seconds)
        yield f"**Load**\n\n{loads_table(measured)}"
        yield f"**Milliseconds of a request, one client**\n\n{breakdown_table(measured)}"
        if layouts:
            ours = [archive for archive in archives if archive.name in ("detection", "ocr")]
            yield f"**Workers x threads**\n\n{layouts_table(store, ours, path, seconds)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="per archive and client count")
    parser.add_argument("--photo", type=Path, default=SAMPLE_PHOTO, help="what is sent")
    parser.add_argument("--layouts", action="store_true", help="compare workers with threads, too")
    parser.add_argument("--archives", nargs="+", choices=[archive.name for archive in ARCHIVES])
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace this part of FILE")
    options = parser.parse_args(arguments)
    chosen = [each for each in ARCHIVES if not options.archives or each.name in options.archives]
    parts = []
    for part in report(chosen, options.photo, options.seconds, options.layouts):
        parts.append(part.strip())
        print(f"{part.strip()}\n", flush=True)
    if options.write is not None:
        replace_part(options.write, PART, "\n\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
