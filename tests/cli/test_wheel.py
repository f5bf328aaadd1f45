"""A wheel holds everything, and works without the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Folders

ROOT = Path(__file__).parents[2]
FOLDERS = ("ocr_models", "ocrserve", "train", "handlers", "archives")
MOUNTED = ("train", "handlers", "archives")


def project_files() -> list[Path]:
    """Files of the packages, relative to the root, as a fresh clone has them."""
    files = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files.append(path.relative_to(ROOT))
    return files


def installed_name(path: Path) -> str:
    """Where a file lands: the mounted folders are below ocrserve."""
    name = path.as_posix()
    return f"ocrserve/{name}" if path.parts[0] in MOUNTED else name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path_factory.mktemp("source")
    for path in [*project_files(), *map(Path, ("pyproject.toml", "setup.py", "README.md"))]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    shutil.copyfile(ROOT / "LICENSE", source / "LICENSE")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    target = ["--no-build-isolation", "--wheel-dir", "dist", "."]
    subprocess.run([*command, *target], cwd=source, check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {installed_name(path) for path in project_files()}
    assert len(expected) > 80
    assert expected <= names, sorted(expected - names)
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"ocr_models", "ocrserve"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_it_runs_without_the_source_tree(wheel: Path, folders: Folders, tmp_path: Path) -> None:
    unpacked = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    photo = str(folders.photos / "a.png")
    words = ["read", photo, "--det", str(folders.chain), "--recog", str(folders.chain)]
    words += ["--runtime", "torch"]
    # -S runs no .pth files, so the editable install of the source tree is out of sight.
    code = f"""
import sys
sys.path[:0] = [{str(unpacked)!r}]
sys.path += {libraries!r}
import ocr_models, ocrserve
from ocrserve import archives, handlers, train
for module in (ocr_models, ocrserve, archives, handlers, train):
    assert module.__path__[0].startswith({str(unpacked)!r}), module
from ocrserve.train.synth.fonts import find_fonts
assert find_fonts("pip", "train")
from ocrserve.cli import main
sys.exit(main({words!r}))
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
