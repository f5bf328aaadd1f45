"""Starts TorchServe, waits until its models really answer, and stops it cleanly.

>>> with Server(Path("model_store")) as server:           # doctest: +SKIP
...     print(server.inference_url, server.models)

TorchServe's ``/ping`` says "Healthy" while models still load and while their workers crash in a
loop, so readiness is asked from the management API, worker by worker.
"""

from __future__ import annotations

import dataclasses
import difflib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from ocr_models.errors import ConfigError, OcrError
from ocrserve import server_config
from ocrserve.handlers.cores import available_cores
from ocrserve.server_config import LOOPBACK

ARCHIVE_SUFFIX = ".mar"
_TOKEN_DAYS = 30
_POLL_SECONDS = 0.2
_STOP_SECONDS = 20.0
# Workers listen on unix sockets in the temporary folder, and those paths must stay below 108 bytes.
_LONGEST_TEMPORARY_FOLDER = 60


class ServerError(OcrError):
    """TorchServe did not start, or a model did not get ready."""


@dataclass(frozen=True)
class ServerOptions:
    """What to serve and how.

    Args:
        model_store: folder of archives.
        models: names of archives in it; all of them when empty.
        workers: worker processes per model; what each archive says when None.
        host: address of the inference API. Management and metrics stay on the loopback interface.
        port: inference API; None for the config file's or TorchServe's usual one, 0 for any free.
        management_port: likewise.
        metrics_port: likewise.
        tokens: whether requests must carry a token (``Authorization: Bearer ...``).
        model_api: whether models can be registered and unregistered while it runs. Registering a
            model runs its code.
        config: a ``config.properties`` whose settings are used where nothing above says otherwise.
        access_log: whether each request is logged.
        python: interpreter of the workers; the running one when None. It needs TorchServe and the
            libraries that the archives use, but no ocrserve.
        startup_timeout_s: how long the models may take to get ready.
    """

    model_store: Path
    models: Sequence[str] = ()
    workers: int | None = None
    host: str | None = None
    port: int | None = None
    management_port: int | None = None
    metrics_port: int | None = None
    tokens: bool = True
    model_api: bool = False
    config: Path | None = None
    access_log: bool = False
    python: Path | None = None
    startup_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; allowed are 1 and more")
        for name in ("port", "management_port", "metrics_port"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 65535:
                raise ConfigError(f"{name} is {value}; allowed are 0 (any free one) to 65535")

    def archives(self) -> dict[str, str]:
        """Model name to file name, for the models asked for; raises ``ConfigError``."""
        if not self.model_store.is_dir():
            raise ConfigError(
                f"the model store {self.model_store} is not a folder; make archives with "
                "ocrserve convert --output-folder, or name another folder"
            )
        found = {path.stem: path.name for path in sorted(self.model_store.glob("*.mar"))}
        if not found:
            raise ConfigError(
                f"no archives in the model store {self.model_store}; make one with ocrserve convert"
            )
        if not self.models:
            return found
        wanted = [name.removesuffix(ARCHIVE_SUFFIX) for name in self.models]
        for name in wanted:
            if name not in found:
                near = difflib.get_close_matches(name, found, 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ConfigError(
                    f"no archive {name!r} in {self.model_store}.{hint} There: {', '.join(found)}"
                )
        return {name: found[name] for name in wanted}

    def properties(self) -> dict[str, str]:
        """The ``config.properties`` that these options make, free ports filled in."""
        properties = server_config.default_properties()
        from_file = server_config.read_properties(self.config) if self.config else {}
        properties |= from_file
        asked = {
            "inference": (self.host, self.port),
            "management": (None, self.management_port),
            "metrics": (None, self.metrics_port),
        }
        free = iter(server_config.free_ports(5))
        for name, (host, port) in asked.items():
            key = f"{name}_address"
            parts = urlsplit(properties[key])
            port = parts.port if port is None else port or next(free)
            properties[key] = f"{parts.scheme}://{host or parts.hostname}:{port}"
        for name in ("grpc_inference_port", "grpc_management_port"):
            if name not in from_file:
                properties[name] = str(next(free))
        properties["disable_token_authorization"] = str(not self.tokens).lower()
        properties["enable_model_api"] = str(self.model_api).lower()
        properties.setdefault("token_expiration_min", str(_TOKEN_DAYS * 24 * 60))
        return properties


class Server:
    """A running TorchServe; a context manager.

    Args:
        options: what to serve and how.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.models: tuple[str, ...] = tuple(options.archives())
        self._properties = options.properties()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._hold: socket.socket | None = None

    @property
    def inference_url(self) -> str:
        """E.g. ``http://127.0.0.1:8080``; predictions are below ``/predictions/NAME``."""
        return self._local_url("inference_address")

    @property
    def management_url(self) -> str:
        """E.g. ``http://127.0.0.1:8081``; models are below ``/models/NAME``."""
        return self._local_url("management_address")

    @property
    def metrics_url(self) -> str:
        """E.g. ``http://127.0.0.1:8082/metrics``."""
        return self._local_url("metrics_address") + "/metrics"

    @property
    def folder(self) -> Path:
        """Its private folder: generated configuration, logs, keys. Gone when it has stopped."""
        if self._folder is None:
            raise ServerError("the server is not running; use it in a with statement or start() it")
        return self._folder

    @property
    def log_file(self) -> Path:
        """What TorchServe and its workers log."""
        return self.folder / "logs" / "torchserve.log"

    @property
    def key_file(self) -> Path:
        """TorchServe's tokens, when they are on: JSON with ``inference`` and ``management``."""
        return self.folder / "key_file.json"

    def headers(self, scope: str = "inference") -> dict[str, str]:
        """Headers that a request needs; ``scope`` is ``"inference"`` or ``"management"``."""
        if not self.options.tokens:
            return {}
        keys = json.loads(self.key_file.read_text(encoding="utf-8"))
        return {"Authorization": f"Bearer {keys[scope]['key']}"}

    def start(self) -> None:
        """Starts TorchServe and returns when every model has all its workers ready.

        Raises:
            ConfigError: TorchServe or Java is missing, or a port is taken.
            ServerError: it ended, a model failed to load, or the time was up.
        """
        if self._process is not None:
            raise ServerError("the server is running already")
        java = server_config.find_java()
        frontend = _torchserve_folder() / "frontend"
        self._check_ports()
        self._folder = _private_folder()
        try:
            self._process = self._launch(java, frontend)
            self._wait_until_ready(time.monotonic() + self.options.startup_timeout_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops TorchServe and its workers, and removes its private folder; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            _stop_group(process)
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def wait(self) -> int:
        """Waits until TorchServe ends by itself and returns its exit status."""
        if self._process is None:
            raise ServerError("the server is not running")
        return self._process.wait()

    def manage(self, method: str, path: str) -> Any:
        """Calls the management API and returns its JSON.

        Raises:
            ServerError: it answers with an error, or not at all.
        """
        status, body = self._management(method, path)
        if status >= 400:
            raise ServerError(f"{method} {path} was answered with {status}: {body[:500]!r}")
        return json.loads(body)

    def scale(self, model: str, workers: int) -> None:
        """Sets the number of workers of a model and waits until they are ready.

        Waiting is done here: during a ``synchronous=true`` call TorchServe answers nothing on the
        connections that share its thread.

        Raises:
            ServerError: TorchServe refuses, or the workers were not there in time.
        """
        self.manage("PUT", f"/models/{quote(model)}?min_worker={workers}&max_worker={workers}")
        deadline = time.monotonic() + self.options.startup_timeout_s
        while True:
            states = [
                each["status"]
                for each in self.manage("GET", f"/models/{quote(model)}")[0]["workers"]
            ]
            if states.count("READY") == len(states) == workers:
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{model} has workers in states {states} after "
                    f"{self.options.startup_timeout_s:.0f} s; {workers} ready ones were asked for"
                )
            time.sleep(_POLL_SECONDS)

    def log_tail(self, lines: int = 30) -> str:
        """The end of the log."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _local_url(self, key: str) -> str:
        parts = urlsplit(self._properties[key])
        host = LOOPBACK if parts.hostname in ("0.0.0.0", "::", None) else parts.hostname
        return f"{parts.scheme}://{host}:{parts.port}"

    def _check_ports(self) -> None:
        for key in ("inference_address", "management_address", "metrics_address"):
            parts = urlsplit(self._properties[key])
            if _listens(urlsplit(self._local_url(key)).hostname or LOOPBACK, parts.port or 0):
                raise ConfigError(
                    f"port {parts.port} ({key}) is in use; stop what uses it, or choose another "
                    "port (0 for any free one)"
                )

    def _launch(self, java: Path, frontend: Path) -> subprocess.Popen[bytes]:
        """Runs TorchServe's Java part directly, so there is one process to signal and to wait for.

        This is the command that the ``torchserve`` script makes; it gets a process group of its
        own, which its workers share.
        """
        folder = self.folder
        for name in ("logs", "tmp"):
            (folder / name).mkdir()
        (folder / "metrics.yaml").write_text(server_config.metrics_yaml(), encoding="utf-8")
        self._hold = server_config.listening_socket()
        logging = server_config.logging_xml(
            folder / "logs",
            access_log=self.options.access_log,
            hold_port=self._hold.getsockname()[1],
        )
        (folder / "log4j2.xml").write_text(logging, encoding="utf-8")
        properties = dict(self._properties)
        given = properties.get("metrics_config")
        properties["metrics_config"] = str(
            Path(given).resolve() if given else folder / "metrics.yaml"
        )
        vm_arguments = properties.pop("vmargs", "").split()
        for key in ("model_store", "load_models"):
            properties.pop(key, None)
        server_config.write_properties(folder / "config.properties", properties)
        command = [
            str(java),
            f"-Dmodel_server_home={frontend.parent.parent}",
            f"-Dlog4j.configurationFile=file://{folder / 'log4j2.xml'}",
            f"-Djava.io.tmpdir={folder / 'tmp'}",
            *vm_arguments,
            "-cp",
            f"{frontend}/*",
            "org.pytorch.serve.ModelServer",
            "--python",
            str(self.options.python or sys.executable),
            "-f",
            str(folder / "config.properties"),
            "-s",
            str(self.options.model_store.resolve()),
            "-ncs",
            "-m",
            *(f"{name}={file}" for name, file in self.options.archives().items()),
        ]
        with (folder / "logs" / "console.log").open("wb") as console:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "TMPDIR": str(self.folder / "tmp")}
        environment["TEMP"] = environment["TMPDIR"]
        environment["LOG_LOCATION"] = environment["METRICS_LOCATION"] = str(self.folder / "logs")
        if self.options.workers is not None and "OMP_NUM_THREADS" not in environment:
            threads = max(1, available_cores() // self.options.workers)
            environment["OMP_NUM_THREADS"] = str(threads)
        return environment

    def _wait_until_ready(self, deadline: float) -> None:
        waiting = dict.fromkeys(self.models, False)  # whether the workers asked for were set
        while waiting:
            self._fail_early()
            if time.monotonic() > deadline:
                raise ServerError(
                    f"not ready after {self.options.startup_timeout_s:.0f} s: "
                    f"{', '.join(waiting)}. The log ends with:\n{self.log_tail()}"
                )
            for model in list(waiting):
                described = self._describe(model)
                if described is None:
                    continue
                if self.options.workers is not None and not waiting[model]:
                    count = self.options.workers
                    self.manage(
                        "PUT", f"/models/{quote(model)}?min_worker={count}&max_worker={count}"
                    )
                    waiting[model] = True
                    continue
                expected = self.options.workers or int(described["minWorkers"])
                states = [worker["status"] for worker in described["workers"]]
                if states.count("READY") >= expected == len(states):
                    del waiting[model]
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _describe(self, model: str) -> dict[str, Any] | None:
        try:
            status, body = self._management("GET", f"/models/{quote(model)}")
        except (ServerError, FileNotFoundError, json.JSONDecodeError):
            return None  # TorchServe is not there yet, or its key file not or not whole
        return json.loads(body)[0] if status == 200 else None

    def _fail_early(self) -> None:
        assert self._process is not None, "start() made it"
        status = self._process.poll()
        if status is not None:
            console = (self.folder / "logs" / "console.log").read_text("utf-8", "replace")
            raise ServerError(
                f"TorchServe ended with status {status}:\n{console[-2000:]}\n{self.log_tail()}"
            )
        try:
            log = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        if "Backend worker process died." in log:
            raise ServerError(f"a model failed to load:\n{_worker_messages(log)}")

    def _management(self, method: str, path: str) -> tuple[int, bytes]:
        request = urllib.request.Request(
            self.management_url + path, method=method, headers=self.headers("management")
        )
        try:
            with urllib.request.urlopen(request, timeout=self.options.startup_timeout_s) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"the management API does not answer: {error}") from error


def serve(options: ServerOptions, announce: Callable[[str], None] = print) -> int:
    """Serves until SIGINT or SIGTERM; the exit status is 0 then, and 1 when TorchServe ends itself.

    Args:
        options: what to serve and how.
        announce: gets the lines to show to the user.
    """
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, _interrupt)
    server = Server(options)
    try:
        with server:
            for line in announcement(server):
                announce(line)
            status = server.wait()
            announce(f"TorchServe ended with status {status}. Its log ends with:")
            announce(server.log_tail())
            return 1
    except KeyboardInterrupt:
        announce("stopped")
        return 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def announcement(server: Server) -> list[str]:
    """What a user wants to know about a server that has just started."""
    lines = [f"{name}: {server.inference_url}/predictions/{name}" for name in server.models]
    lines.append(f"management: {server.management_url}/models   metrics: {server.metrics_url}")
    if server.options.tokens:
        lines.append(f"tokens: {server.key_file} (send: Authorization: Bearer KEY)")
    lines.append(f"log: {server.log_file}")
    token = "-H 'Authorization: Bearer KEY' " if server.options.tokens else ""
    example = f"{server.inference_url}/predictions/{server.models[0]}"
    lines.append(f"try: curl {token}-T photo.jpg {example}")
    return lines


def local_options(options: ServerOptions) -> ServerOptions:
    """The same on free ports and without tokens: for tests, benches and demonstrations."""
    return dataclasses.replace(options, port=0, management_port=0, metrics_port=0, tokens=False)


def _torchserve_folder() -> Path:
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise ConfigError("TorchServe is not installed; run: pip install 'ocrserve[serve]'")
    return Path(spec.origin).parent


def _private_folder() -> Path:
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_TEMPORARY_FOLDER:
        parent = "/tmp"
    return Path(tempfile.mkdtemp(prefix="ocrserve-", dir=parent))


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _worker_messages(log: str) -> str:
    """What the workers said, without TorchServe's prefixes and repetitions."""
    lines = [line.partition(" - ")[2] for line in log.splitlines() if "MODEL_LOG" in line]
    return "\n".join(lines[-40:])
