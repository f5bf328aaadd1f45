"""What the dialect of configs means: each expression as Python itself would see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import (
    ConfigDict,
    ConfigTypeError,
    dump_config,
    load_config,
    merge_options,
    parse_cli_options,
)

PROGRAMS = [
    "a = 1\nb = a + 2 * 3 - 4 / 2\nc = 7 // 2, 7 % 4, 2**10, -a, +a, ~a, not a",
    "a = [*range(3), *(4, 5)]\nb = {**dict(x=1), 'y': 2}\nc = (*a, 1)\nd = {1, 2} | {3}",
    "a = dict([('x', 1)], y=2)\nb = list((1, 2))\nc = tuple([1])\nd = set([1, 1])",
    "a = 'x' 'y' + 'z' * 2\nb = '%s-%03d' % ('q', 7)\nc = ', '.join(['a', 'b']).upper()",
    "n = 3.14159\na = f'{n:.2f} {n!r:>10} {{}} {\"q\"}'\nw = 8\nb = f'{5:0{w}d}'",
    "a = [1, 2, 3, 4]\nb = a[1:3], a[-1], a[::2], a[:-1]\nc = dict(x=dict(y=5))['x']['y']",
    "a = 3 if 2 > 1 else 4\nb = 1 < 2 < 3, 1 < 2 > 5, 1 in [1], 'x' not in 'abc', None is None",
    "a = 0 or 5, 1 and 2, None or 'x'\nb = [i for i in range(6) if i % 2]",
    "a = {k: v for k, v in dict(x=1, y=2).items()}\nb = {i % 2 for i in range(4)}\n"
    "c = [i * j for i in range(3) for j in range(i)]\nd = sum(i for i in range(4))",
    "train1 = dict(type='Set', img_prefix='a')\n"
    "train2 = {key: value for key, value in train1.items()}\ntrain2['img_prefix'] = 'b'",
    "a = dict(x=1)\na.update(y=2)\na.pop('x')\nb = [1]\nb.append(2)\nb.extend([3])\nb += (4,)",
    "a, (b, c) = 1, [2, 3]\nd = e = [1]\ne.append(2)\nf: int = 3\nf *= 2\ndel a",
    "import math\nimport os.path as osp\nimport os\nfrom copy import deepcopy\n"
    "a = math.ceil(2.1), math.pi\nb = osp.join('x', 'y.txt')\nc = os.path.basename(b)\n"
    "d = deepcopy([1, 2])",
    "a = max(1, 2), min([3, 4]), abs(-1), round(2.567, 1), len('abc'), sorted([2, 1])\n"
    "b = int('7'), float('1e-3'), str(5), bool([])\nc = list(zip([1], [2])), list(enumerate('ab'))",
    "'''a docstring'''\nx = (\n    1,\n    2,\n)\npass\ny = r'\\d+'\nz = 1_000, 0x10, 1e3, True",
    "a = {1: 'x', (2, 3): 'y', None: 0.5}\nb = 'abc'.startswith('a'), 'a,b'.split(',')",
]


def run_for_real(text: str) -> dict[str, Any]:
    """What Python makes of our own harmless program."""
    scope: dict[str, Any] = {}
    exec(text, scope)
    return {
        name: value
        for name, value in scope.items()
        if not name.startswith("__") and not callable(value) and type(value).__name__ != "module"
    }


def load_text(folder: Path, text: str, name: str = "config.py") -> ConfigDict:
    (folder / name).write_text(text)
    return load_config(folder / name)


def test_number_of_programs() -> None:
    assert len(PROGRAMS) == 16


@pytest.mark.parametrize("text", PROGRAMS)
def test_programs_mean_what_python_says(text: str, tmp_path: Path) -> None:
    expected = run_for_real(text)
    config = load_text(tmp_path, text)
    assert config == expected
    assert list(config) == list(expected)
    assert repr({**config}) == repr(expected)  # types too: tuple or list, 1 or True


@pytest.mark.parametrize("text", PROGRAMS)
def test_dump_loads_back(text: str, tmp_path: Path) -> None:
    config = load_text(tmp_path, text)
    assert repr(load_text(tmp_path, dump_config(config), "dumped.py")) == repr(config)


def test_dump_of_awkward_values(tmp_path: Path) -> None:
    config = {
        "a": {"not a name": 1, "class": 2, 5: 3},
        "b": [float("inf"), -float("inf"), 1e-300, -0.0],
        "c": "quotes ' \" and {{ fileBasename }} and {{_base_.x}} and \\{{{ \n é 文",
        "d": [(), (1,), [], {}, set()],
        "e": {"long": ["word" * 5] * 20, "x": {"y": {"z": [None, True]}}},
    }
    text = dump_config(config)
    assert load_text(tmp_path, text) == config
    assert max(map(len, text.splitlines())) <= 140
    for key in ("not a name", "class", "_base_", "filename", "__x"):
        with pytest.raises(ConfigError, match=key):
            dump_config({key: 1})


def test_references_are_values(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("n = 4\nd = dict(x=[1, 2])\n")
    config = load_text(
        tmp_path,
        "early = {{_base_.n}}\n_base_ = './base.py'\na = {{ _base_.n }} * 2\n"
        "b = f'{early}-{a}'\nc = {{_base_.d.x}}[0]\nd = dict(y={{_base_.d.x}})\n"
        "e = {{_base_.d}}\ne['x'].append(3)\n",
    )
    assert config == {
        "n": 4,
        "d": {"x": [1, 2], "y": [1, 2]},
        "early": 4,
        "a": 8,
        "b": "4-8",
        "c": 1,
        "e": {"x": [1, 2, 3]},
    }


def test_references_in_json_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("n = dict(x=(1, 2))\n")
    expected = {"n": {"x": (1, 2)}, "a": (1, 2), "f": "config"}
    text = '{"_base_": "base.py", "a": {{_base_.n.x}}, "f": "{{fileBasenameNoExtension}}"}'
    assert load_text(tmp_path, text, "config.json") == expected
    text = "_base_: [base.py]\na: {{ _base_.n.x }}\nf: '{{ fileBasenameNoExtension }}'\n"
    assert load_text(tmp_path, text, "config.yaml") == expected


def test_predefined_variables(tmp_path: Path) -> None:
    config = load_text(tmp_path, "a = '{{ fileDirname }}'\nb = f'{{fileBasename}}-{1}'")
    assert config == {"a": tmp_path.as_posix(), "b": "config.py-1"}
    with pytest.raises(ConfigError, match="quotes"):
        load_text(tmp_path, "a = '{{ fileBasename }}'", "x'+'y.py")
    assert load_text(tmp_path, "a = 1", "x'+'y.py") == {"a": 1}


def test_diamonds_and_delete(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("m = dict(a=dict(x=1, y=2), b=[1])\n")
    (tmp_path / "middle.py").write_text("_base_ = 'base.py'\nm = dict(a=dict(x=5))\n")
    config = load_text(tmp_path, "_base_ = ['middle.py']\nm = dict(a=dict(_delete_=False, z=3))")
    assert config.m.a == {"x": 5, "y": 2, "z": 3}
    config = load_text(tmp_path, "_base_ = ['middle.py']\nm = dict(a=dict(_delete_=True, z=3))")
    assert config.m == {"a": {"z": 3}, "b": [1]}


def test_list_elements_can_be_set_by_options() -> None:
    config = {"a": [{"b": 1}, 2], "c": (1, 2)}
    assert merge_options(config, {"a.1": 7, "a.0.b": 5, "a.0.n": None}) == {
        "a": [{"b": 5, "n": None}, 7],
        "c": (1, 2),
    }
    with pytest.raises(ConfigTypeError, match=r"a\.x|'x'"):
        merge_options(config, {"a.x": 1})
    with pytest.raises(ConfigTypeError, match=r"'a\.b'"):
        merge_options(config, {"a": 1, "a.b": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("()", ()),
        ("[]", []),
        ("a,", ["a"]),
        ("-1.5e3", -1500.0),
        ("x)y", "x)y"),
        ('"a,b"', ["a", "b"]),
        ("TRUE", True),
        ("none", "none"),
        ("[(1,[2]),{'a'}]", [(1, [2]), "{'a'}"]),
    ],
)
def test_cli_values(text: str, expected: object) -> None:
    assert repr(parse_cli_options([f"k={text}"])) == repr({"k": expected})


@pytest.mark.parametrize("text", ["(1,2", "[1,(2])", "(" * 5000 + ")" * 5000, "1,]2"])
def test_cli_mistakes(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_cli_options([f"k={text}"])


def test_config_dict() -> None:
    config = ConfigDict(model=ConfigDict(depth=18))
    config.model.depth = 50
    assert config["model"]["depth"] == 50
    del config.model.depth
    assert config == {"model": {}}
    with pytest.raises(AttributeError, match="Did you mean 'model'"):
        _ = config.modle


def test_mistakes_name_file_and_line(tmp_path: Path) -> None:
    for text, message in {
        "\na = undefined_name": "'undefined_name' is not defined",
        "\na = dict(x=1)['y']": "there is no 'y'",
        "\na = 1 / 0": "division by zero",
        "\na = '{{_base_.x}}'": "without quotes",
        "\na = [1, 2] + 3": "can only concatenate list",
        "\ndef f():\n    pass": "'def' has no meaning",
        "\na = {{_base_.x}}": "without _base_",
        "\n_base_ = 3": "_base_ is a path",
        "\na, b = 1, 2, 3": "2 names for 3 values",
    }.items():
        with pytest.raises(ConfigError, match=r"config\.py:2: ") as caught:
            load_text(tmp_path, text)
        assert message in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    for name, content in {
        "a.txt": b"a = 1",
        "latin.py": "a = 'é'".encode("latin-1"),
        "null.py": b"a = 1\0",
        "list.json": b"[1]",
        "broken.json": b'{"a": ',
        "empty.yaml": b"",
        "date.yaml": b"a: 2020-01-01",
        "broken.yaml": b"a: [",
        "object.yaml": b"a: !!python/object/apply:os.system ['true']",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            load_config(tmp_path / name)
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(FileNotFoundError):
        load_config(tmp_path / "folder.py")
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbfa = 1")
    assert load_config(tmp_path / "bom.py") == {"a": 1}


def test_deprecation_warns(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="use new.py instead"):
        load_text(tmp_path, "_deprecation_ = dict(expected='new.py', reference='a page')\na = 1")
