"""Typical mistakes: each ends with one line that helps, and the right exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrserve.cli import main, mmocr2torchserve
from tests.cli.conftest import Folders

USAGE_MISTAKES = [
    (["raed", "x.jpg"], "ocrserve: there is no command 'raed'; did you mean 'read'?"),
    (["xyzzy"], "ocrserve: there is no command 'xyzzy'; commands: read, convert, serve"),
    (["--verison"], "ocrserve: there is no option --verison; did you mean --version?"),
    (["read"], "ocrserve read: the following arguments are required: IMAGE"),
    (["read", "x.jpg", "--jsn"], "ocrserve read: there is no option --jsn; did you mean --json?"),
    (["read", "x.jpg", "--imshow"], "there is no option --imshow: use --draw DIR"),
    (["read", "README.md", "--det", "None", "--recog", "None"], "leave nothing to do"),
    (["train", "c.py", "--work_dir", "w"], "no option --work_dir; did you mean --work-dir?"),
    (["train", "c.py", "--gpus", "2"], "--gpus: start several processes with torchrun"),
    (["train", "c.py", "--resume", "--load-from", "x"], "not allowed with argument --resume"),
    (["test", "c.py", "x.pth", "--out", "x.pkl"], "--out writes JSON; got x.pkl"),
    (["convert", "--output-folder", "d"], "give a MODEL, or --det, --recog and perhaps --kie"),
    (["convert", "a", "b", "c", "--output-folder", "d"], "one or two words; got a b c"),
    (["convert", "a", "--det", "b", "--output-folder", "d"], "give a MODEL, or --det"),
    (["convert", "a", "b"], "the following arguments are required: --output-folder"),
    (["verify"], "give an ARCHIVE, or --server URL"),
    (["verify", "--server", "http://127.0.0.1:1"], "--server needs --image"),
    (["serve", "--start"], "there is no option --start: 'ocrserve serve' always starts"),
    (["serve", "--port", "http"], "argument --port: invalid int value: 'http'"),
]
FAILURES = [
    (["read", "missing.jpg"], "ocrserve read: missing.jpg: no such file"),
    (["convert", "defualt", "--output-folder", "d"], "did you mean 'default'?"),
    (["convert", "DB_r81", "--output-folder", "d"], "Did you mean 'DB_r18'?"),
    (["convert", "crnn", "--output-folder", "d"], "download them from https://"),
    (["convert", "PS_ic15", "--output-folder", "d"], "'ocrserve convert PS_IC15 --download'"),
    (["convert", "no.py", "no.pth", "--output-folder", "d"], "the config no.py does not exist"),
    (["convert", "no.pth", "--output-folder", "d"], "the model no.pth does not exist"),
    (["convert", "no/no.pth", "--output-folder", "d"], "there is no folder no"),
    (["train", "no.py"], "no such config file"),
    (["test", "no.py", "no.pth"], "no such config file"),
    (["verify", "no.mar"], "no.mar does not exist"),
    (["verify", "--server", "http://127.0.0.1:1", "--image", "x.png"], "Name it: ocrserve verify"),
    (["serve", "--model-store", "no"], "ocrserve serve: the model store no is not a folder"),
    (["serve", "--models", "a=b.mar"], "a model has the name of its archive"),
    (["zoo", "CRN"], "Did you mean 'CRNN'?"),
]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_tables_are_whole() -> None:
    assert (len(USAGE_MISTAKES), len(FAILURES)) == (19, 15)


@pytest.mark.parametrize(("words", "message"), USAGE_MISTAKES)
def test_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "README.md" in words:
        Path("README.md").write_text("not a photo", encoding="utf-8")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    first, advice = error.splitlines()
    assert advice == f"Try: {first.partition(':')[0]} --help"


@pytest.mark.parametrize(("words", "message"), FAILURES)
def test_failure(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith(f"ocrserve {words[0]}: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_debug_shows_where(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["train", "no.py", "--debug"])


def test_nearest_file_name_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model_final.pth").write_bytes(b"")
    assert main(["convert", "modle_final.pth", "--output-folder", "d"]) == 1
    assert "did you mean model_final.pth?" in capsys.readouterr().err


def test_a_config_that_is_wrong_is_named_with_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("bad.py").write_text("a = 1\nimport os\nos.system('true')\n", encoding="utf-8")
    assert main(["train", "bad.py"]) == 1
    error = capsys.readouterr().err
    assert "bad.py" in error
    assert "line 3" in error or ":3" in error or "line 2" in error or ":2" in error


def test_a_misspelt_key_of_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.py").write_text("model = dict()\ndata = dict()\noptimiser = dict()\n", "utf-8")
    assert main(["train", "c.py"]) == 1
    assert "optimizer" in capsys.readouterr().err


def test_a_model_of_the_wrong_kind(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    photo = str(folders.photos / "a.png")
    assert main(["read", photo, "--det", str(folders.recognizer)]) == 1
    assert "is not a detector, but a recognition model" in capsys.readouterr().err


def test_an_unknown_handler_option(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(folders.detector)
    words = ["convert", model, "--output-folder", "d", "--option"]
    for option, message in (
        ("min_scor=1", "Did you mean 'min_score'?"),
        ("min_score=high", "min_score must be a number"),
        ("min_score", "expected KEY=VALUE"),
        ("batchsize=2", "unknown option 'batchsize'"),
        ("batchSize=two", "batchSize must be a whole number"),
    ):
        assert main([*words, option]) == 1
        assert message in capsys.readouterr().err
    assert not Path("d").exists()


def test_mmocr2torchserve_speaks_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert mmocr2torchserve(["a.py", "b.pth", "--output-folder", "d"]) == 1
    assert capsys.readouterr().err.startswith("mmocr2torchserve: the config a.py does not exist")
