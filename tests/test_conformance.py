"""The conformance runner: agrees with the stored numbers, and notices every kind of change."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance import formulas
from tests.conformance.__main__ import main
from tests.conformance.check import Check
from tests.conformance.runner import FOLDERS, Outcome, run

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[1]
SLOW_FOLDERS = ("models", "forward", "train_forward", "e2e")
LOSS_CASES = len(json.loads((GOLDEN / "losses" / "cases.json").read_text()))

Edit = Callable[[Path], object]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A copy of the stored numbers that a test may spoil."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "kit", copy_function=shutil.copyfile))


def outcomes(root: Path, *patterns: str) -> dict[str, Outcome]:
    """Outcomes by name, of the cases that match one of the patterns."""
    found = run(root, lambda name: any(fnmatch(name, pattern) for pattern in patterns))
    return {outcome.name: outcome for outcome in found}


def edit_json(file: str, change: Callable[[Any], object]) -> Edit:
    """Change the contents of a JSON file in place."""

    def edit(root: Path) -> None:
        path = root / file
        packed = path.suffix == ".gz"
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        content = json.loads(data)
        change(content)
        data = json.dumps(content).encode()
        path.write_bytes(gzip.compress(data) if packed else data)

    return edit


def edit_array(file: str, array: str, change: float) -> Edit:
    """Add to the first value of an array."""

    def edit(root: Path) -> None:
        with np.load(root / file) as stored:
            arrays = {name: stored[name].copy() for name in stored.files}
        first = (0,) * arrays[array].ndim
        arrays[array][first] = arrays[array][first] + arrays[array].dtype.type(change)
        np.savez(root / file, **arrays)

    return edit


def remove(file: str) -> Edit:
    return lambda root: (root / file).unlink()


def truncate(file: str) -> Edit:
    return lambda root: (root / file).write_bytes((root / file).read_bytes()[:200])


def set_at(*keys: Any, value: Any) -> Callable[[Any], None]:
    """Assign ``content[keys[0]][keys[1]]... = value``; a callable value gets the old one."""

    def change(content: Any) -> None:
        *parents, last = keys
        for key in parents:
            content = content[key]
        content[last] = value(content[last]) if callable(value) else value

    return change


# --- the stored numbers ------------------------------------------------------------------------


def test_everything_but_the_networks_matches() -> None:
    quick = [f"{folder}/*" for folder in FOLDERS if folder not in SLOW_FOLDERS]
    found = outcomes(GOLDEN, *quick)
    assert [outcome.line() for outcome in found.values() if outcome.status == "DIFFERS"] == []
    matched = {folder: 0 for folder in FOLDERS if folder not in SLOW_FOLDERS}
    for name, outcome in found.items():
        matched[name.partition("/")[0]] += outcome.status == "ok"
    assert matched == {
        "preprocess": 64,
        "targets": 20,
        "postprocess": 59,
        "losses": 59,
        "codecs": 46,
        "metrics": 43,
        "geometry": 107,
        "config": 73,
    }


@pytest.mark.slow
def test_networks_match() -> None:
    found = outcomes(GOLDEN, *(f"{folder}/*" for folder in SLOW_FOLDERS))
    assert [outcome.line() for outcome in found.values() if outcome.status == "DIFFERS"] == []
    assert sum(outcome.status == "ok" for outcome in found.values()) == 143


# --- what it must notice -----------------------------------------------------------------------

DBNET, CRNN = "dbnet_r18_fpnc_1200e_icdar2015", "crnn_academic_dataset"

# What is changed, and the one case in which that must show.
CHANGES: dict[str, tuple[Edit, str]] = {
    "a shape": (
        edit_json(f"models/{CRNN}.json.gz", set_at("state", 0, 1, value=[64, 3, 3, 3])),
        f"models/{CRNN}",
    ),
    "a missing entry": (
        edit_json(f"models/{CRNN}.json.gz", lambda content: content["state"].pop()),
        f"models/{CRNN}",
    ),
    "a type of number": (
        edit_json(f"models/{CRNN}.json.gz", set_at("state", 0, 2, value="float16")),
        f"models/{CRNN}",
    ),
    "a parameter": (
        edit_json(f"models/{CRNN}.json.gz", lambda content: content["parameters"].pop()),
        f"models/{CRNN}",
    ),
    "a logit": (edit_array(f"forward/{CRNN}.npz", "decoder", 0.02), f"forward/{CRNN}"),
    "a thinned feature": (edit_array(f"forward/{CRNN}.npz", "feat", 0.01), f"forward/{CRNN}"),
    "the sum of features": (
        edit_array(f"forward/{CRNN}.npz", "feat__abssum", 20),
        f"forward/{CRNN}",
    ),
    "a seed": (edit_array(f"forward/{CRNN}.npz", "fill_seed", 1), f"forward/{CRNN}"),
    "a pixel": (
        edit_array(f"preprocess/{CRNN}.npz", "0_0_sample", 0.001),
        f"preprocess/{CRNN}/0",
    ),
    "statistics": (
        edit_array(f"preprocess/{CRNN}.npz", "1_0_stats", 0.001),
        f"preprocess/{CRNN}/1",
    ),
    "a character's pixel": (
        edit_array("targets/ocrseg_char_quads_0.npz", "gt_kernels", 1),
        "targets/ocrseg_char_quads_0",
    ),
    "a kernel pixel": (edit_array("targets/dbnet_a.npz", "gt_shrink", 1), "targets/dbnet_a"),
    "a threshold": (edit_array("targets/dbnet_b.npz", "gt_thr", 0.001), "targets/dbnet_b"),
    "a vertex": (
        edit_json(
            "postprocess/cases.json",
            set_at("db_a_poly_default", "boundaries", 0, 0, value=lambda x: x + 30),
        ),
        "postprocess/db_a_poly_default",
    ),
    "a score": (
        edit_json(
            "postprocess/cases.json",
            set_at("db_a_quad_default", "boundaries", 1, 8, value=lambda x: x + 0.002),
        ),
        "postprocess/db_a_quad_default",
    ),
    "one boundary less": (
        edit_json(
            "postprocess/cases.json",
            lambda content: content["db_b_quad_default"]["boundaries"].pop(),
        ),
        "postprocess/db_b_quad_default",
    ),
    "an expanded polygon": (
        edit_json(
            "postprocess/cases.json",
            set_at("unclip", "cases", 0, "expanded", 0, 0, 0, value=lambda x: x + 1),
        ),
        "postprocess/unclip",
    ),
    "a loss": (
        edit_json(
            "losses/cases.json",
            set_at("db_bbce", "losses", "loss_thr", value=lambda x: x * 1.001),
        ),
        "losses/db_bbce",
    ),
    "a relation": (
        edit_json(
            "e2e/kie_inputs.json",
            set_at("cases", 0, "output", "relations", 0, 1, 0, value=lambda x: x + 0.001),
        ),
        "e2e/kie_inputs/0",
    ),
    "a link": (
        edit_json("metrics/metrics.json", set_at("openset", 2, "pred_pairs", 2, 1, value=[4, 5])),
        "metrics/openset/2",
    ),
    "a gradient": (
        edit_json(
            "losses/cases.json",
            set_at("ctc_sum", "grad_abs_sum", "logits", value=lambda x: x * 1.01),
        ),
        "losses/ctc_sum",
    ),
    "a logged loss": (
        edit_json(
            "train_forward/index.json",
            set_at(CRNN, "loss_log", "loss", value=lambda x: x * 1.001),
        ),
        f"train_forward/{CRNN}",
    ),
    "a target": (
        edit_json("train_forward/index.json", set_at(CRNN, "targets", "targets", 0, 0, value=1)),
        f"train_forward/{CRNN}",
    ),
    "a class": (
        edit_json(
            "codecs/convertors.json",
            lambda content: set_at("str2idx", 0, 0, 0, value=1)(_first_ctc(content)),
        ),
        "codecs/cases/2",
    ),
    "a decoded score": (
        edit_json(
            "codecs/convertors.json",
            lambda content: set_at("tensor2idx", "scores", 0, 0, value=lambda x: x + 1e-4)(
                _first_ctc(content)
            ),
        ),
        "codecs/cases/2",
    ),
    "a runner-up": (
        edit_json(
            "codecs/convertors.json",
            lambda content: set_at("topk3", "indexes", 0, 0, 1, value=5)(_first_ctc(content)),
        ),
        "codecs/cases/2",
    ),
    "a dictionary": (
        edit_json("codecs/convertors.json", set_at("dict_files", 0, "content", value="a\nb\nd\n")),
        "codecs/dict_files/plain",
    ),
    "a text": (
        edit_json("e2e/index.json", lambda cases: _first_text(cases).update(text="no")),
        f"e2e/{CRNN}_0",
    ),
    "a crop": (
        edit_json(
            "e2e/readtext_glue.json", set_at("cases", 0, "crops", 0, 1, value=lambda x: x + 1)
        ),
        "e2e/readtext_glue/0",
    ),
    "a recall": (
        edit_json(
            "metrics/metrics.json",
            set_at("hmean_iou", "(0.5, 0.5)", 1, 0, "recall", value=lambda x: x - 1e-4),
        ),
        "metrics/hmean_iou/(0.5,0.5)",
    ),
    "an accuracy": (
        edit_json("metrics/metrics.json", set_at("ocr", 0, "acc", "1-N.E.D", value=0.7334)),
        "metrics/ocr/0",
    ),
    "an intersection": (
        edit_json("metrics/metrics.json", set_at("polygons", "pairs", 3, 2, value=25.001)),
        "metrics/polygons/pairs",
    ),
    "a sorted point": (
        edit_json("geometry/geometry.json", set_at("sort_points", 0, "sorted", 0, 0, value=31.0)),
        "geometry/sort_points/0",
    ),
    "a cropped pixel": (edit_array("geometry/crops.npz", "warp3", 1), "geometry/crops/3"),
    "a config value": (
        edit_json(
            "config/expected.json",
            set_at("fromfile", "multi.py", "result", "model", "neck", "channels", 0, value=4),
        ),
        "config/fromfile/multi.py",
    ),
    "an order of keys": (
        edit_json(
            "config/expected.json", set_at("keys_in_order", "multi.py", value=lambda x: x[::-1])
        ),
        "config/keys_in_order/multi.py",
    ),
    "an error that is none": (
        edit_json("config/expected.json", set_at("cli", 0, value={"args": ["a=1"], "error": "X"})),
        "config/cli/0",
    ),
}


def _first_text(cases: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = next(c["result"] for c in cases if c["config"] == CRNN)
    return result


def _first_ctc(content: Any) -> Any:
    return next(case for case in content["cases"] if case["options"]["type"] == "CTCConvertor")


def test_sweep_is_complete() -> None:
    assert len(CHANGES) == 37
    assert {name.partition("/")[0] for _, name in CHANGES.values()} == set(FOLDERS)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed(what: str, kit: Path) -> None:
    edit, name = CHANGES[what]
    edit(kit)
    outcome = outcomes(kit, name)[name]
    assert outcome.status == "DIFFERS"
    assert outcome.reason
    assert outcome.line().startswith(f"DIFFERS {name} ")


def test_neighbours_of_a_change_still_match(kit: Path) -> None:
    CHANGES["a loss"][0](kit)
    found = outcomes(kit, "losses/*")
    assert len(found) == LOSS_CASES
    assert [name for name, outcome in found.items() if outcome.status != "ok"] == ["losses/db_bbce"]


DAMAGES: dict[str, tuple[Edit, str, str]] = {
    "no folder": (lambda root: shutil.rmtree(root / "losses"), "losses/*", "cases.json is missing"),
    "no index": (remove("metrics/metrics.json"), "metrics/*", "metrics.json is missing"),
    "broken index": (truncate("geometry/geometry.json"), "geometry/*", "cannot be read"),
    "index of another kind": (
        lambda root: (root / "losses" / "cases.json").write_text("[1, 2]"),
        "losses/*",
        "AttributeError",
    ),
    "no arrays": (remove("losses/dbnet.npz"), "losses/db_dice", "dbnet.npz is missing"),
    "broken arrays": (truncate("targets/dbnet_a.npz"), "targets/dbnet_a", "cannot be read"),
    "no scene": (remove("targets/scene_b.json"), "targets/dbnet_b", "scene_b.json is missing"),
    "no outputs": (remove(f"forward/{CRNN}.npz"), f"forward/{CRNN}", "npz is missing"),
    "no model": (remove(f"models/{CRNN}.json.gz"), f"e2e/{CRNN}_0", "json.gz is missing"),
    "broken model": (truncate(f"models/{CRNN}.json.gz"), f"models/{CRNN}", "cannot be read"),
    "no kind": (
        edit_json("losses/cases.json", lambda content: content["db_dice"].pop("type")),
        "losses/db_dice",
        "KeyError",
    ),
    "no seed": (remove("functional_versions.json"), f"train_forward/{CRNN}", "is missing"),
    "leads nowhere": (
        edit_json("train_forward/index.json", set_at(CRNN, value={"same_as": "nothing"})),
        f"train_forward/{CRNN}",
        "leads nowhere",
    ),
}


def test_damages_are_complete() -> None:
    assert len(DAMAGES) == 13


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_a_difference_and_no_crash(what: str, kit: Path) -> None:
    edit, pattern, reason = DAMAGES[what]
    edit(kit)
    found = outcomes(kit, pattern)
    if not found:  # a folder without an index has no names to match
        found = {o.name: o for o in run(kit, lambda name: False)}
    assert any(
        outcome.status == "DIFFERS" and reason in outcome.reason for outcome in found.values()
    ), [outcome.line() for outcome in found.values()]


# --- what it must not be fooled by -------------------------------------------------------------


def test_names_do_not_decide(kit: Path) -> None:
    """A renamed DBNet is still compared, and a CRNN with an unknown part is not yet."""
    models = kit / "models"
    (models / f"{DBNET}.json.gz").rename(models / "something_else.json.gz")
    edit_json(
        f"models/{CRNN}.json.gz", set_at("model", "preprocessor", value={"type": "Straightener"})
    )(kit)
    found = outcomes(kit, "models/*")
    assert found["models/something_else"].status == "ok"
    assert found[f"models/{CRNN}"].status == "not-yet"


def test_order_and_number_of_cases_do_not_matter(kit: Path) -> None:
    def shuffle(content: dict[str, Any]) -> None:
        kept = {f"{i}_{key}": content[key] for i, key in enumerate(sorted(content)[::2])}
        content.clear()
        content.update(kept)

    edit_json("losses/cases.json", shuffle)(kit)
    found = outcomes(kit, "losses/*")
    assert len(found) == len(range(0, LOSS_CASES, 2))
    assert all(outcome.status == "ok" for outcome in found.values())


def test_another_seed(kit: Path) -> None:
    """Truth for other seeds comes from what must not depend on them: images moved between cases."""

    def swap(content: dict[str, Any]) -> None:
        content["images"].reverse()
        for kind in ("hmean_iou", "hmean_ic13"):
            for _, images in content[kind].values():
                images.reverse()
        content["ignore_pred"] = []

    edit_json("metrics/metrics.json", swap)(kit)
    found = outcomes(kit, "metrics/hmean*", "metrics/eval*")
    assert len(found) == 9
    assert all(outcome.status == "ok" for outcome in found.values())


# --- the command -------------------------------------------------------------------------------


def test_command_line(kit: Path) -> None:
    CHANGES["a loss"][0](kit)
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", str(kit), "--only", "losses/*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[-1] == f"{LOSS_CASES - 1} matched, 1 differ, 0 not yet"
    assert [line.split()[:2] for line in lines if line.startswith("DIFFERS")] == [
        ["DIFFERS", "losses/db_bbce"]
    ]
    assert all(line.split()[0] in ("ok", "DIFFERS", "not-yet") for line in lines[:-1])


def test_exit_status_and_summary(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(kit), "--only", "losses/*"]) == 0
    summary = f"{LOSS_CASES} matched, 0 differ, 0 not yet"
    assert capsys.readouterr().out.splitlines()[-1] == summary
    of_tomorrow = set_at("other", 0, "args", "type", value="TomorrowsConvertor")
    edit_json("codecs/convertors.json", of_tomorrow)(kit)
    assert main([str(kit), "--only", "codecs/other/0"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not-yet codecs/other/0 - -",
        "0 matched, 0 differ, 1 not yet",
    ]


@pytest.mark.parametrize("arguments", [["nowhere"], [str(GOLDEN), "--only", "no such case"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


# --- its own tools -----------------------------------------------------------------------------


def test_formulas_draw_from_fixed_streams() -> None:
    """First values written down from the formulas' definition."""
    assert formulas.weight("a.running_var", (3,), 0).min() >= 0.5
    np.testing.assert_array_equal(formulas.weight("a.num_batches_tracked", (), 5), 0)
    with np.load(GOLDEN / "preprocess" / "inputs.npz") as images:
        assert len(images.files) == 5
        for name in images.files:
            height, width, seed = (int(part.lstrip("hwsed")) for part in name.split("_"))
            np.testing.assert_array_equal(formulas.image(height, width, seed), images[name])


@pytest.mark.parametrize(
    ("compare", "ok"),
    [
        (lambda check: check.number("x", 1.0, 1.0005, 1e-3), True),
        (lambda check: check.number("x", 1.0, 1.002, 1e-3), False),
        (lambda check: check.number("x", float("nan"), 1.0, 1e9), False),
        (lambda check: check.number("x", float("inf"), float("inf"), 1e-3), True),
        (lambda check: check.array("x", [1, np.nan], [1, 2], 1e9), False),
        (lambda check: check.array("x", [1, 2, 3], [1, 2], 1), False),
        (lambda check: check.array("x", [], [], 1), True),
        (lambda check: check.structure("x", {"a": [1, (2.0,)]}, {"a": [1, [2]]}, 0), True),
        (lambda check: check.structure("x", {"a": 1}, {"a": 1, "b": 2}, 1), False),
        (lambda check: check.structure("x", [1], [1, 2], 1), False),
        (lambda check: check.structure("x", True, 1, 1), False),
        (lambda check: check.structure("x", float("inf"), "inf", 0), True),
        (lambda check: check.structure("x", "nan", "nan", 0), True),
        (lambda check: check.equal("x", (1, "a"), [1, "a"]), True),
        (lambda check: check.raises("x", lambda: int("a"), ValueError), True),
        (lambda check: check.raises("x", lambda: 1, ValueError), False),
        (lambda check: None, False),
    ],
)
def test_check(compare: Callable[[Check], None], ok: bool) -> None:
    check = Check()
    compare(check)
    assert check.ok == ok
