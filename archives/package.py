"""Writes and opens ``NAME.mar``: one zip with model, code and settings.

Layout of an archive::

    MAR-INF/MANIFEST.json     what TorchServe reads first
    MAR-INF/FILES.json        sha256 of every other file
    model-config.yaml         batching, workers, timeouts, handler options
    model.json, *.safetensors the model folder (ocr_models.bundle)
    handler.py                the module that TorchServe imports; it re-exports the task's handle()
    handlers/                 that handler and what the handlers share
    ocr_models/               networks, pre- and post-processing, predictors

TorchServe unpacks it into a folder of its own and puts that folder first on the worker's path, so
this code wins over an installed ocrserve, and none needs to be installed.

We write the zip ourselves because torch-model-archiver stamps it with the time of day, empties a
folder named like the model in the system's temporary directory, and flattens packages. The same
inputs give the same bytes here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import ocr_models
from ocr_models.bundle import MANIFEST_NAME, Bundle
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.predictors import Task
from ocrserve.handlers import base

from . import model_config
from .model_config import ModelConfig

SUFFIX = ".mar"
ENTRY_MODULE = "handler.py"
SERVER_MANIFEST = "MAR-INF/MANIFEST.json"
FILE_HASHES = "MAR-INF/FILES.json"
SHARED_HANDLER_FILES = (
    "__init__.py",
    "base.py",
    "bodies.py",
    "cores.py",
    "metrics.py",
    "options.py",
    "pages.py",
    "requests.py",
    "texts.py",
)
CODE_SUFFIXES = (".py", ".txt", ".typed")

# TorchServe shows it in messages only; a real date would make equal archives differ.
_CREATED_ON = "01/01/1980 00:00:00"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MAX_FILES = 10_000
_MAX_UNPACKED_BYTES = 8 * 1024**3


def write_archive(
    output_folder: Path,
    bundle: Bundle,
    config: ModelConfig,
    *,
    model_name: str,
    model_version: str = "1.0",
    force: bool = False,
) -> Path:
    """Writes ``output_folder/model_name.mar`` in one step: it is there complete, or not at all.

    Raises:
        ConfigError: the name or version is unusable, or the file exists and ``force`` is off.
    """
    _check_name("model name", model_name, _NAME)
    _check_name("model version", model_version, _VERSION)
    target = output_folder / f"{model_name}{SUFFIX}"
    if target.exists() and not force:
        raise ConfigError(f"{target} exists; give another name, or -f / force to replace it")
    output_folder.mkdir(parents=True, exist_ok=True)
    files = _archive_files(bundle, config, model_name, model_version)
    handle, partial = tempfile.mkstemp(prefix=f".{model_name}-", dir=output_folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            _write_zip(stream, files)
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return target


def extract_archive(path: Path, folder: Path) -> dict[str, object]:
    """Unpacks an archive safely, checks its hashes, and returns TorchServe's manifest of it.

    Nothing in it is executed. Paths that leave ``folder``, links, and archives of absurd size are
    refused before anything is written.

    Raises:
        ConfigError: not an archive of ours.
        WeightsError: a file is missing, added or changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            archive.extractall(folder)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ConfigError(f"{path} is not a readable archive: {error}") from error
    manifest = _read_json(path, folder, SERVER_MANIFEST)
    _check_hashes(path, folder, _read_json(path, folder, FILE_HASHES))
    return manifest


def handler_source(task: Task) -> str:
    """Text of the entry module."""
    return (
        f'"""TorchServe imports this module; the work is done in handlers/{task}.py."""\n\n'
        f"from handlers.{task} import handle\n\n"
        '__all__ = ["handle"]\n'
    )


def _archive_files(
    bundle: Bundle, config: ModelConfig, model_name: str, model_version: str
) -> dict[str, bytes]:
    task = bundle.manifest.task
    files = {
        ENTRY_MODULE: handler_source(task).encode(),
        model_config.FILE_NAME: config.to_yaml().encode(),
        MANIFEST_NAME: (bundle.folder / MANIFEST_NAME).read_bytes(),
        SERVER_MANIFEST: _server_manifest(model_name, model_version),
    }
    for role in bundle.manifest.entries:
        weights = bundle.weights_path(role)
        files[weights.name] = weights.read_bytes()
    handlers = Path(base.__file__).parent
    for name in (*SHARED_HANDLER_FILES, f"{task}.py"):
        files[f"handlers/{name}"] = (handlers / name).read_bytes()
    files |= _package_files("ocr_models", Path(ocr_models.__path__[0]))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    files[FILE_HASHES] = _json_bytes(hashes)
    return files


def _package_files(prefix: str, root: Path) -> dict[str, bytes]:
    """Code and character lists of a package; model folders inside it stay where they are."""
    files = {}
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
        if path.is_file() and path.suffix in CODE_SUFFIXES and not hidden:
            files[f"{prefix}/{relative.as_posix()}"] = path.read_bytes()
    return files


def _server_manifest(model_name: str, model_version: str) -> bytes:
    manifest = {
        "createdOn": _CREATED_ON,
        "runtime": "python",
        "model": {
            "modelName": model_name,
            "modelVersion": model_version,
            "handler": ENTRY_MODULE,
            "configFile": model_config.FILE_NAME,
        },
        "archiverVersion": "0.12.0",
    }
    return _json_bytes(manifest)


def _write_zip(stream: object, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w") as archive:  # type: ignore[call-overload]
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            # Weights hardly shrink, and a worker starts sooner when they need no inflating.
            stored = name.endswith(".safetensors")
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_FILES:
        raise ConfigError(f"{path} has {len(members)} files, at most {_MAX_FILES} are allowed")
    size = sum(member.file_size for member in members)
    if size > _MAX_UNPACKED_BYTES:
        raise ConfigError(
            f"{path} unpacks to {size} bytes, at most {_MAX_UNPACKED_BYTES} are allowed"
        )
    for member in members:
        name = PurePosixPath(member.filename)
        outside = name.is_absolute() or ".." in name.parts or "\\" in member.filename
        if outside or ":" in member.filename:
            raise ConfigError(f"{path} has a file outside of its folder: {member.filename!r}")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ConfigError(f"{path} has a link: {member.filename!r}")
    names = [member.filename for member in members]
    if len(names) != len(set(names)):
        raise ConfigError(f"{path} has the same file twice")


def _read_json(path: Path, folder: Path, name: str) -> dict[str, object]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} has no {name}; it was not made by ocrserve convert, or it is damaged"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {name} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: {name} is not a JSON object")
    return data


def _check_hashes(path: Path, folder: Path, expected: Mapping[str, object]) -> None:
    actual = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }
    actual.pop(FILE_HASHES)
    problems = [f"{name} is missing" for name in sorted(set(expected) - set(actual))]
    problems += [f"{name} is not listed" for name in sorted(set(actual) - set(expected))]
    problems += [
        f"{name} has changed"
        for name in sorted(set(actual) & set(expected))
        if expected[name] != actual[name]
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise WeightsError(
            f"{path} is not what was built: {'; '.join(problems[:5])}{more}; build or copy it again"
        )


def _check_name(what: str, name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        raise ConfigError(
            f"{what} is {name!r}; allowed are letters, digits, '_', '-' and '.', starting with a "
            "letter or digit"
        )


def _json_bytes(data: object) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
