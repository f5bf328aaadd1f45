"""What the documents say is what the project does."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from ocr_models.zoo import ZOO
from ocrserve.cli import command_parser
from ocrserve.commands import COMMANDS
from ocrserve.commands.zoo import markdown_table

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
FENCE = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def shell_commands(text: str) -> list[list[str]]:
    """Commands of ours in a document's code blocks, without prompts, comments and redirections."""
    found = []
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.removeprefix("$ ").strip()
            program = line.partition(" ")[0]
            if program in ("ocrserve", "mmocr2torchserve"):
                words = shlex.split(re.split(r"\s[>|]|\s2>", line)[0], comments=True)
                found.append(words)
            elif program == "torchrun" and "-m ocrserve " in line:
                found.append(["ocrserve", *shlex.split(line.partition("-m ocrserve ")[2])])
    return found


def check(words: list[str]) -> None:
    """Parses the arguments as the command would; nothing is run."""
    if words[0] == "mmocr2torchserve":
        name, rest, prog = "convert", words[1:], words[0]
    else:
        if words[1] in ("--help", "--version", "help", "COMMAND"):
            return
        name, rest, prog = words[1], words[2:], f"ocrserve {words[1]}"
        assert name in COMMANDS, words
    parser = command_parser(prog, name)
    if "--help" in rest:
        return
    parser.check_options(rest)
    _, unknown = parser.parse_known_args(rest)
    assert not unknown, words


def test_there_are_documents() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= set(NAMES)
    assert {"docs/architecture.md", "docs/dependencies.md", "docs/training.md"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_documents_exist(name: str) -> None:
    for words in shell_commands((ROOT / name).read_text(encoding="utf-8")):
        check(words)


def test_the_readme_shows_every_command() -> None:
    shown = {words[1] for words in shell_commands((ROOT / "README.md").read_text("utf-8"))}
    assert shown >= {"read", "convert", "serve", "train", "test", "verify", "zoo"}


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_exist(name: str) -> None:
    epilog = command_parser(f"ocrserve {name}", name).epilog or ""
    commands = shell_commands(f"```sh\n{epilog}\n```\n")
    assert len(commands) >= 3
    for words in commands:
        check(words)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "#", "mailto:")):
            continue
        path = document.parent / target.partition("#")[0]
        assert path.exists(), f"{name} links to {target}"


def test_the_table_of_models_is_the_zoo() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = markdown_table(ZOO.values())
    assert table in text, f"put this into README.md (ocrserve zoo --markdown):\n{table}"


def declared_dependencies() -> set[tuple[str, str]]:
    """(extra, package) of pyproject.toml; the extra is "" for what is always installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        (group, re.split(r"[<>=!~\[; ]", requirement)[0])
        for group, requirements in groups.items()
        for requirement in requirements
    }


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set()
    group = ""
    for line in text.splitlines():
        if heading := re.match(r"## .*`\[(\w+)\]`", line):
            group = heading.group(1)
        elif line.startswith("## "):
            group = "" if "Always" in line else "?"
        elif row := re.match(r"\| (`[^|]+`) \|", line):
            explained |= {(group, name) for name in re.findall(r"`([^`]+)`", row.group(1))}
    explained = {(group, name) for group, name in explained if group != "?"}
    assert explained == declared_dependencies()


def test_every_dependency_is_pinned() -> None:
    declared = {_normal(package) for _, package in declared_dependencies()}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_normal(line.partition("==")[0]) for line in lines if "==" in line}
    assert declared <= pinned
    assert len(pinned) == sum("==" in line for line in lines), "a package is pinned twice"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
