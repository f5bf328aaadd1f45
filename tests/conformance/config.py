"""``config/``: reading, merging and options of MMOCR's config dialect."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import dump_config, load_config, merge_options, parse_cli_options

from .check import EXACT, Check
from .kit import Case, Kit

# The file whose contents the "access" entry reads.
ACCESS_FILE = "multi.py"


def cases(kit: Kit) -> Iterator[Case]:
    """Cases of ``config/expected.json``."""
    expected = kit.json("config/expected.json")
    for file, entry in expected.get("fromfile", {}).items():
        yield Case(f"fromfile/{file}", partial(_from_file, kit, file, entry))
    for file, keys in expected.get("keys_in_order", {}).items():
        yield Case(f"keys_in_order/{file}", partial(_keys, kit, file, keys))
    for i, entry in enumerate(expected.get("merge_from_dict", [])):
        yield Case(f"merge_from_dict/{i}", partial(_merge, kit, entry))
    for i, entry in enumerate(expected.get("cli", [])):
        yield Case(f"cli/{i}", partial(_cli, entry))
    for name, entry in expected.get("access", {}).items():
        yield Case(f"access/{name}", partial(_access, kit, name, entry))


def _load(kit: Kit, file: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # one of the files is marked deprecated
        return load_config(kit.root / "config" / "files" / file)


def _from_file(kit: Kit, file: str, entry: Mapping[str, Any], check: Check) -> None:
    if "error" in entry:
        check.raises("error", lambda: _load(kit, file), ConfigError)
        return
    config = _load(kit, file)
    check.structure("result", config, entry["result"], EXACT)
    tuples = [key for key, value in config.items() if isinstance(value, tuple)]
    check.equal("tuples", sorted(tuples), sorted(entry["tuples"]))


def _keys(kit: Kit, file: str, keys: list[str], check: Check) -> None:
    check.equal("keys", list(_load(kit, file)), keys)


def _merge(kit: Kit, entry: Mapping[str, Any], check: Check) -> None:
    config = _load(kit, entry["file"])

    def merge() -> Any:
        return merge_options(config, entry["options"], entry["allow_list_keys"])

    _compare(check, merge, entry)


def _cli(entry: Mapping[str, Any], check: Check) -> None:
    _compare(check, lambda: parse_cli_options(entry["args"]), entry)


def _compare(check: Check, read: Callable[[], Any], entry: Mapping[str, Any]) -> None:
    if "error" in entry:
        check.raises("error", read, ConfigError)
    else:
        check.structure("result", read(), entry["result"], EXACT)


def _access(kit: Kit, name: str, entry: Any, check: Check) -> None:
    config = _load(kit, ACCESS_FILE)
    if isinstance(entry, Mapping) and "error" in entry:
        check.raises(name, lambda: READINGS[name](config), ConfigError)
    else:
        check.structure(name, READINGS[name](config), entry, EXACT)


def _round_trip(config: Any) -> Any:
    config.model.pop("heads")  # as the kit's reading just before did
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dumped.py"
        path.write_text(dump_config(config), encoding="utf-8")
        return load_config(path)


# Ways of reading a loaded config: the kit only names them.
READINGS: Mapping[str, Callable[[Any], Any]] = {
    "attr": lambda config: config.model.neck.channels,
    "item": lambda config: config["model"]["heads"][0]["n"],
    "get_default": lambda config: config.get("no_such_key", 5),
    "missing_attr": lambda config: config.no_such_key,
    "missing_item": lambda config: config["no_such_key"],
    "nested_missing": lambda config: config.model.no_such_key,
    "pop": lambda config: config.model.pop("heads"),
    "dump_roundtrip": _round_trip,
}
