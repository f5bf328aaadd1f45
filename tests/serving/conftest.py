"""One TorchServe for the whole session, whose workers cannot see ocrserve."""

from __future__ import annotations

import site
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocr_models.predictors import TASKS, Task
from ocrserve.archives.build import ModelSource, build_archive
from ocrserve.archives.model_config import parse_model_config
from ocrserve.archives.verify import LocalModel, open_model
from ocrserve.server import Server, ServerOptions, local_options
from tests.serving_models import write_small_bundle

MAX_BYTES = 500_000
# PyTorch, because it starts fastest (tests/archives/test_verify.py has the default runtime), and
# float32, because an untrained network has ties that bfloat16 breaks differently in each batch.
HANDLER = {"threads": 1, "runtime": "torch", "precision": "float32", "max_bytes": MAX_BYTES}


@dataclass(frozen=True)
class Store:
    """A model store with one archive per task, named like the task, and ``receipts``, a chain that
    labels its words."""

    folder: Path
    local: dict[str, LocalModel]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("serving")
    local = {}
    names: dict[str, Task] = {task: task for task in TASKS} | {"receipts": "ocr"}
    for name, task in names.items():
        write_small_bundle(root / name, name)
        handler = HANDLER | ({"details": True} if name == "ocr" else {})
        if task == "ner":
            handler.pop("max_bytes")
        settings = {"batchSize": 8, "maxBatchDelay": 100, "handler": handler}
        path = build_archive(
            [ModelSource(root / name)],
            root / "store",
            model_name=name,
            model_config=parse_model_config(settings, task),
        )
        scratch = root / f"local-{name}"
        scratch.mkdir()
        local[name] = open_model(path, scratch)
    return Store(root / "store", local)


@pytest.fixture(scope="session")
def foreign_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has every installed library except ocrserve."""
    root = tmp_path_factory.mktemp("foreign")
    environment = root / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    libraries = root / "libraries"
    libraries.mkdir()
    for folder in map(Path, site.getsitepackages()):
        for entry in folder.iterdir() if folder.is_dir() else ():
            ours = "ocrserve" in entry.name or entry.name == "ocr_models"
            if not ours and entry.suffix != ".pth" and not (libraries / entry.name).exists():
                (libraries / entry.name).symlink_to(entry)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    (packages / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    code = (
        "import importlib.util as u; import cv2, torch, ts, yaml;"
        "assert not u.find_spec('ocrserve') and not u.find_spec('ocr_models')"
    )
    subprocess.run([python, "-I", "-c", code], check=True, cwd=root)
    return python


@pytest.fixture(scope="session")
def server(
    store: Store, foreign_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    options = ServerOptions(store.folder, model_api=True, python=foreign_python)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")
        with Server(local_options(options)) as running:
            yield running
