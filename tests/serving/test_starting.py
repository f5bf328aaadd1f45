"""Starting and stopping: in the foreground with tokens, by plain torchserve, and in vain."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ocrserve.archives.verify import VerificationError, post
from ocrserve.server import Server, ServerError, ServerOptions, local_options
from ocrserve.server_config import free_ports
from tests.serving.conftest import Store
from tests.serving_models import drawn_image, encoded

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
IMAGE = encoded(drawn_image(2))
FOREGROUND = """
import sys
from pathlib import Path
from ocrserve.server import ServerOptions, serve
options = ServerOptions(Path(sys.argv[1]), models=["recognition"], workers=2, port=0,
                        management_port=0, metrics_port=0)
sys.exit(serve(options, lambda line: print(line, flush=True)))
"""


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def test_foreground_with_tokens_until_sigterm(store: Store) -> None:
    command = [sys.executable, "-c", FOREGROUND, str(store.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("try: curl"):
                lines.append(process.stdout.readline())
                assert lines[-1], "it ended early"
            family = [process.pid, *(c.pid for c in psutil.Process(process.pid).children(True))]
            (url,) = re.findall(r"^recognition: (\S+)$", lines[0])
            (management,) = re.findall(r"management: (\S+)/models", lines[1])
            (keys,) = re.findall(r"tokens: (\S+)", lines[2])
            key = json.loads(Path(keys).read_text())
            assert Path(keys).stat().st_mode & 0o077 == 0, "keys are private"
            token = {"Authorization": f"Bearer {key['inference']['key']}"}
            assert post(url, IMAGE, token)[0] == 200
            assert post(url, IMAGE, {})[0] == 400
            assert post(url, IMAGE, {"Authorization": "Bearer wrong"})[0] == 400
            request = urllib.request.Request(
                f"{management}/models/recognition",
                headers={"Authorization": f"Bearer {key['management']['key']}"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                workers = json.load(answer)[0]["workers"]
            assert [worker["status"] for worker in workers] == ["READY", "READY"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stdout.read() == "stopped\n"
        finally:
            process.kill()
    assert len(family) >= 4, "ocrserve, Java, two workers"
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in family), 20)
    assert not Path(keys).parent.exists(), "its private folder is gone"


def test_plain_torchserve_from_the_repository_root(store: Store, tmp_path: Path) -> None:
    ports = free_ports(5)
    text = (ROOT / "config.properties").read_text()
    for usual, free in zip((8080, 8081, 8082, 7070, 7071), ports, strict=True):
        text, count = re.subn(rf"(:|port=){usual}$", rf"\g<1>{free}", text, flags=re.MULTILINE)
        assert count == 1
    (tmp_path / "config.properties").write_text(text)
    (tmp_path / "metrics.yaml").write_bytes((ROOT / "metrics.yaml").read_bytes())
    (tmp_path / "model_store").mkdir()
    (tmp_path / "model_store" / "recognition.mar").symlink_to(store.folder / "recognition.mar")
    torchserve = [sys.executable, "-m", "ts.model_server", "--ncs"]
    with tempfile.TemporaryDirectory(prefix="ts-") as short:
        environment = {**os.environ, "TMPDIR": short, "TEMP": short}

        def run(*arguments: str) -> None:
            subprocess.run(
                [*torchserve, *arguments], cwd=tmp_path, env=environment, check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        url = f"http://127.0.0.1:{ports[0]}/predictions/recognition"

        def answers() -> bool:
            try:
                return post(url, IMAGE, {})[0] == 200
            except VerificationError:
                return False

        run("--start", "--ts-config", "config.properties", "--models", "all")
        try:
            wait_for(answers)
            body = post(url, IMAGE, {})[1]
            assert json.loads(body) == store.local["recognition"].answer(IMAGE)
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/metrics") as metrics:
                assert b"ocr_images_total{" in metrics.read()
        finally:
            run("--stop", "--foreground")


def test_a_model_that_does_not_load_says_why(store: Store, tmp_path: Path) -> None:
    broken = tmp_path / "store" / "broken.mar"
    broken.parent.mkdir()
    with (
        zipfile.ZipFile(store.folder / "recognition.mar") as source,
        zipfile.ZipFile(broken, "w") as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name == "model-config.yaml":
                data = data.replace(b"threads:", b"treads:")
            target.writestr(name, data)
    server = Server(local_options(ServerOptions(broken.parent)))
    with pytest.raises(ServerError, match=r"unknown option 'treads'\. Did you mean 'threads'\?"):
        server.start()
    with pytest.raises(ServerError, match="not running"):
        _ = server.folder
