from __future__ import annotations

import subprocess
import sys

import pytest

from ocrserve import __version__
from ocrserve.cli import command_parser, main, mmocr2torchserve
from ocrserve.commands import COMMANDS

# What starts fast must not import what starts slowly.
SLOW = ("torch", "numpy", "cv2", "PIL", "openvino", "yaml", "tqdm")


def test_help_of_every_command_imports_nothing_slow() -> None:
    code = f"""
import sys
from ocrserve.cli import main
from ocrserve.commands import COMMANDS
codes = [main(words) for words in (["--help"], ["--version"], *([n, "--help"] for n in COMMANDS))]
assert codes == [0] * {len(COMMANDS) + 2}, codes
print("slow:", [name for name in {SLOW!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "slow: []"
    assert done.stderr == ""


def test_the_command_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert f"  {name:8} {summary}" in text
    assert len(COMMANDS) == 9


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: ocrserve {name} ")
    assert f"examples:\n  ocrserve {name}" in text
    assert "{prog}" not in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    actions = command_parser(f"ocrserve {name}", name)._actions
    unexplained = [a.dest for a in actions if not a.help and a.dest != "output_folder"]
    assert unexplained == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ocrserve {__version__}\n"


def test_mmocrs_name_of_convert(capsys: pytest.CaptureFixture[str]) -> None:
    assert mmocr2torchserve(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: mmocr2torchserve ")
    for option in ("--output-folder", "--model-name", "--model-version", "-f, --force"):
        assert option in text
