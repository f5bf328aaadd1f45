"""The .mar file itself: reproducible, atomic, and opened with suspicion."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_models.bundle import Bundle
from ocr_models.errors import ConfigError, OcrError, WeightsError
from ocrserve.archives.model_config import ModelConfig
from ocrserve.archives.package import extract_archive, write_archive
from tests.serving_models import write_small_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"), "recognition")


@pytest.fixture(scope="module")
def archive(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("store"), bundle, ModelConfig(), model_name="word")


def test_same_inputs_same_bytes(bundle: Bundle, archive: Path, tmp_path: Path) -> None:
    again = write_archive(tmp_path, bundle, ModelConfig(), model_name="word")
    assert again.read_bytes() == archive.read_bytes()
    other = write_archive(tmp_path, bundle, ModelConfig(batch_size=2), model_name="other")
    assert other.read_bytes() != archive.read_bytes()


def test_content(archive: Path, tmp_path: Path) -> None:
    manifest = extract_archive(archive, tmp_path)
    assert manifest["model"] == {
        "modelName": "word",
        "modelVersion": "1.0",
        "handler": "handler.py",
        "configFile": "model-config.yaml",
    }
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        modes = {stat.S_IMODE(info.external_attr >> 16) for info in opened.infolist()}
    assert names == sorted(names)
    assert modes == {0o644}
    handlers = [name for name in names if name.startswith("handlers/")]
    assert "handlers/recognition.py" in handlers
    assert not {"handlers/detection.py", "handlers/ocr.py"} & set(handlers), "one handler only"
    assert "ocr_models/recognizer.py" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("ocrserve")]
    assert [name for name in names if name.endswith(".safetensors")] == ["recognizer.safetensors"]
    assert len([name for name in names if name.startswith("ocr_models/")]) >= 30


def test_existing_archives_are_kept(bundle: Bundle, tmp_path: Path) -> None:
    path = write_archive(tmp_path, bundle, ModelConfig(), model_name="word")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists; give another name, or -f"):
        write_archive(tmp_path, bundle, ModelConfig(batch_size=9), model_name="word")
    assert path.read_bytes() == before
    write_archive(tmp_path, bundle, ModelConfig(batch_size=9), model_name="word", force=True)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["word.mar"], "nothing half-written is left"


def test_a_failed_build_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    missing = Bundle(tmp_path / "gone", bundle.manifest)
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "store", missing, ModelConfig(), model_name="word")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "ä", "x" * 200])
def test_bad_names(name: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model name is"):
        write_archive(tmp_path, bundle, ModelConfig(), model_name=name)
    with pytest.raises(ConfigError, match="model version is"):
        write_archive(tmp_path, bundle, ModelConfig(), model_name="word", model_version=name)


Change = Callable[[dict[str, bytes]], None]


def _add(name: str) -> Change:
    return lambda files: files.update({name: b"x"})


def _change(name: str) -> Change:
    return lambda files: files.update({name: files[name] + b" "})


def _remove(name: str) -> Change:
    return lambda files: files.__delitem__(name)


TAMPERED: dict[str, tuple[Change, type[OcrError], str]] = {
    "path upwards": (_add("../evil.py"), ConfigError, "a file outside of its folder"),
    "deep path upwards": (_add("a/../../evil.py"), ConfigError, "a file outside of its folder"),
    "absolute path": (_add("/tmp/evil.py"), ConfigError, "a file outside of its folder"),
    "windows path": (_add("..\\evil.py"), ConfigError, "a file outside of its folder"),
    "drive": (_add("c:evil.py"), ConfigError, "a file outside of its folder"),
    "added file": (_add("extra.py"), WeightsError, "extra.py is not listed"),
    "changed code": (_change("handler.py"), WeightsError, "handler.py has changed"),
    "changed weights": (
        _change("recognizer.safetensors"),
        WeightsError,
        "recognizer.safetensors has changed",
    ),
    "removed file": (_remove("model.json"), WeightsError, "model.json is missing"),
    "no manifest": (_remove("MAR-INF/MANIFEST.json"), ConfigError, "no MAR-INF/MANIFEST.json"),
    "no hashes": (_remove("MAR-INF/FILES.json"), ConfigError, "not made by ocrserve convert"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_archives_are_refused(name: str, archive: Path, tmp_path: Path) -> None:
    change, error, message = TAMPERED[name]
    with zipfile.ZipFile(archive) as opened:
        files = {entry: opened.read(entry) for entry in opened.namelist()}
    change(files)
    path = tmp_path / "tampered.mar"
    with zipfile.ZipFile(path, "w") as written:
        for entry, data in files.items():
            written.writestr(entry, data)
    folder = tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(error, match=message):
        extract_archive(path, folder)
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(folder)]
    assert outside == [path]


def test_links_are_refused(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "links.mar"
    path.write_bytes(archive.read_bytes())
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as written:
        written.writestr(link, "/etc/passwd")
    with pytest.raises(ConfigError, match="has a link"):
        extract_archive(path, tmp_path / "folder")


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        extract_archive(tmp_path / "none.mar", tmp_path)
    path = tmp_path / "text.mar"
    path.write_text("hello")
    with pytest.raises(ConfigError, match="not a readable archive"):
        extract_archive(path, tmp_path)


def test_hashes_cover_everything(archive: Path, tmp_path: Path) -> None:
    extract_archive(archive, tmp_path)
    listed = json.loads((tmp_path / "MAR-INF" / "FILES.json").read_text())
    present = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert present == {*listed, "MAR-INF/FILES.json"}
