"""A stranger's config: nothing in it runs, and none of it exhausts the process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config

# Each would create the file MARKER if anything of it ran.
CODE = [
    "__import__('os').system('touch MARKER')",
    "import os\nos.system('touch MARKER')",
    "import os\na = os.path.os.system('touch MARKER')",
    "import os.path as osp\na = osp.os.system('touch MARKER')",
    "import subprocess\nsubprocess.run(['touch', 'MARKER'])",
    "from os import system\nsystem('touch MARKER')",
    "from copy import _copy_dispatch\na = 1",
    "import copy\na = copy.sys.modules",
    "import math\na = math.__loader__.load_module('os')",
    "open('MARKER', 'w')",
    "a = [open('MARKER', 'w') for _ in range(1)]",
    "a = {'x': open('MARKER', 'w')}",
    "a = f\"{open('MARKER', 'w')}\"",
    "eval(\"open('MARKER', 'w')\")",
    "exec(\"open('MARKER', 'w')\")",
    "compile('1', 'x', 'eval')",
    "a = getattr('', '__class__')",
    "a = ''.__class__.__mro__[1].__subclasses__()",
    "a = ().__class__",
    "a = dict.__subclasses__",
    "a = '{0.__class__}'.format(1)",
    "a = '{x}'.format_map({'x': 1})",
    "a = f'{(1).__class__}'",
    "a = (lambda: open('MARKER', 'w'))()",
    "def f():\n    open('MARKER', 'w')\nf()",
    "class A:\n    x = open('MARKER', 'w')",
    "for x in [1]:\n    open('MARKER', 'w')",
    "while True:\n    pass",
    "with open('MARKER', 'w') as f:\n    pass",
    "try:\n    a = 1\nexcept Exception:\n    pass",
    "@open\ndef f():\n    pass",
    "assert open('MARKER', 'w')",
    "a = (b := open('MARKER', 'w'))",
    "a = sorted([1], key=open)",
    "a = max(['MARKER'], key=open)",
    "a = list(map(open, ['MARKER']))",
    "a = open",
    "a = dict\nb = a()",
    "a = type('X', (), {})",
    "a = globals()",
    "a = vars()",
    "a = input()",
    "a = [].__init__.__globals__",
    "a = dict(x=1).__class__",
    "global a",
    "a = str.join",
    "a = yield_ = await_",
    "import builtins\nbuiltins.open('MARKER', 'w')",
    "from . import x",
    "from math import *",
    "a = {}\na.x = 1",
    "del nothing",
    "print('x')",
]

# Generous, for busy machines; what is refused would take hours or all memory.
ALLOWED_SECONDS = 60.0

# Each would need endless time or memory if it were simply done.
BOMBS = [
    "a = 'a' * 10**9",
    "a = 10**9 * 'a'",
    "a = [0] * 10**9",
    "a = (0,) * 10**6 * 10**6",
    "a = 9**9**9",
    "a = 2 ** (2**70)",
    "a = 1 << 10**9",
    "a = 10**200 * 10**200 * 10**200 * 10**200",
    "a = round(1, -10**9)",
    "a = '%1000000000d' % 1",
    "a = '%*d' % (10**9, 1)",
    "a = '%.*f' % (10**9, 1)",
    "a = f'{1:1000000000d}'",
    "a = f'{1.5:.1000000000f}'",
    "w = 10**9\na = f'{1:{w}}'",
    "a = list(range(10**12))",
    "a = [*range(10**12)]",
    "a = sum(range(10**12))",
    "a = max(range(10**12))",
    "a = tuple(range(10**30))",
    "a = {**{i: i for i in range(10**9)}}",
    "a = [0 for i in range(10**5) for j in range(10**5)]",
    "a = [0 for i in range(10**9) if i < 0]",
    "a = 10**9 in range(10**10)",
    "a = 1.5 in range(10**10)",
    "a = '-'.join('-' * 10**5).join('-' * 10**5)",
    "a = ('a' * 10**5).replace('a', 'b' * 10**5)",
    "a = 'x' * 1000\n" + "a = a + a\n" * 60,
    "a = [1]\n" + "a += a\n" * 60,
    "a = [1]\n" + "a.extend(a)\n" * 60,
    "a = [1]\n" + "a = [a, a]\n" * 60,
    "a = [1]\n" + "a = [*a, *a]\n" * 60,
    "a = (1,)\n" + "a = (a, a)\n" * 50 + "b = {a: 1}\n",
    "a = {'x': 1}\n" + "a = dict(x=a, y=a)\n" * 60,
    "a = 'x'\n" + "a = f'{a}{a}'\n" * 60,
    "a = 'x'\n" + "a = '%s%s' % (a, a)\n" * 60,
    "a = []\na.append(a)",
    "a = {}\na['x'] = a",
    "a = {}\na.update(x=a)",
    "a = [[]]\na[0].append(a)",
    "a = [1]\n" + "a = [a]\n" * 2000,
    "a = " + "[" * 150 + "]" * 150,
    "a = " + "[" * 100000 + "]" * 100000,
    "a = " + "(" * 100000,
    "a = " + "1+" * 100000 + "1",
    "a = " + "-" * 100000 + "1",
    "a = " + "not " * 100000 + "1",
    "a = x" + ".x" * 100000,
    "a = x" + "[0]" * 100000,
    "a = " + "1 if 1 else " * 50000 + "1",
    "a = '" + "x" * (5 * 2**20) + "'",
    "a = " + "9" * 100000,
    "a = sum([[1]] * 3, [])",
    "a = b'bytes'",
    "a = 1j",
    "a = (-8) ** 0.5",
    "a = ...",
]


def test_sweep_sizes() -> None:
    assert len(CODE) == 53
    assert len(BOMBS) == 57


@pytest.mark.parametrize("text", CODE)
def test_code_never_runs(text: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    config = tmp_path / "config.py"
    config.write_text(text.replace("MARKER", str(marker)))
    with pytest.raises(ConfigError, match=r"config\.py:\d+: "):
        load_config(config)
    assert not marker.exists()


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:40])
def test_bombs_are_refused_quickly(text: str, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(text)
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=r"config\.py"):
        load_config(config)
    assert time.perf_counter() - started < ALLOWED_SECONDS


def test_many_small_bases_are_refused(tmp_path: Path) -> None:
    (tmp_path / "level0.py").write_text("")
    for level in range(1, 40):
        name = f"level{level - 1}.py"
        (tmp_path / f"level{level}.py").write_text(f"_base_ = ['{name}', '{name}']")
    with pytest.raises(ConfigError, match="more than 200 files"):
        load_config(tmp_path / "level39.py")


def test_long_chains_of_bases(tmp_path: Path) -> None:
    (tmp_path / "level0.py").write_text("a = 0")
    for level in range(1, 300):
        (tmp_path / f"level{level}.py").write_text(f"_base_ = 'level{level - 1}.py'")
    assert load_config(tmp_path / "level9.py") == {"a": 0}
    with pytest.raises(ConfigError):
        load_config(tmp_path / "level299.py")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", '{"a": ' + "[" * 100000 + "]" * 100000 + "}"),
        ("deep.json", '{"a": ' + "[" * 500 + "]" * 500 + "}"),
        ("digits.json", '{"a": ' + "9" * 100000 + "}"),
        ("deep.yaml", "a: " + "[" * 3000 + "]" * 3000),
        ("brackets.yaml", "a: " + "[{" * 100),
        ("indented.yaml", "".join(" " * i + "a:\n" for i in range(300))),
        ("long.yaml", "a: 1\n" * 20000),
        ("self.yaml", "a: &x [*x]"),
        (
            "laughs.yaml",
            "a0: &a0 [x, x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        ),
        (
            "merges.yaml",
            "a0: &a0 {x: 1}\n"
            + "".join(
                f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
            ),
        ),
    ],
)
def test_data_formats(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=name):
        load_config(tmp_path / name)
    assert time.perf_counter() - started < ALLOWED_SECONDS
