"""The config door against recorded results: contents, key order, merges, options, errors."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import dump_config, load_config, merge_options, parse_cli_options

GOLDEN = Path(__file__).parents[1] / "golden" / "config"
FILES = GOLDEN / "files"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def as_json(value: Any) -> Any:
    """`value` as JSON would hold it: tuples become lists."""
    return json.loads(json.dumps(value))


def builtin_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def load_quietly(name: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return load_config(FILES / name)


def test_sweep_sizes() -> None:
    assert len(EXPECTED["fromfile"]) == 26
    assert len(EXPECTED["merge_from_dict"]) == 20
    assert len(EXPECTED["cli"]) == 4
    assert len(EXPECTED["keys_in_order"]) == 15


@pytest.mark.parametrize("name", EXPECTED["fromfile"])
def test_load(name: str) -> None:
    expected = EXPECTED["fromfile"][name]
    if "error" in expected:
        with pytest.raises(ConfigError) as caught:
            load_quietly(name)
        assert expected["error"] in builtin_names(caught.value)
        assert name.rsplit("_", 1)[0] in str(caught.value)
        return
    config = load_quietly(name)
    assert as_json(config) == expected["result"]
    tuples = [key for key, value in config.items() if isinstance(value, tuple)]
    assert tuples == expected["tuples"]


@pytest.mark.parametrize("name", EXPECTED["keys_in_order"])
def test_key_order(name: str) -> None:
    assert list(load_quietly(name)) == EXPECTED["keys_in_order"][name]


@pytest.mark.parametrize("case", EXPECTED["merge_from_dict"])
def test_merge_options(case: dict[str, Any]) -> None:
    config = load_config(FILES / case["file"])
    before = as_json(config)
    if "error" in case:
        with pytest.raises(ConfigError) as caught:
            merge_options(config, case["options"], case["allow_list_keys"])
        assert case["error"] in builtin_names(caught.value)
    else:
        merged = merge_options(config, case["options"], case["allow_list_keys"])
        assert as_json(merged) == case["result"]
        if case["allow_list_keys"]:
            assert load_config(FILES / case["file"], case["options"]) == merged
    assert as_json(config) == before


@pytest.mark.parametrize("case", EXPECTED["cli"])
def test_cli_options(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ConfigError):
            parse_cli_options(case["args"])
    else:
        assert as_json(parse_cli_options(case["args"])) == case["result"]


def test_access(tmp_path: Path) -> None:
    expected = EXPECTED["access"]
    config = load_config(FILES / "multi.py")
    assert config.model.neck.channels == expected["attr"]
    assert config["model"]["heads"][0]["n"] == expected["item"]
    assert config.get("nope", 5) == expected["get_default"]
    with pytest.raises(AttributeError, match="nope"):
        _ = config.nope
    with pytest.raises(KeyError, match="nope"):
        _ = config["nope"]
    with pytest.raises(AttributeError, match="nope"):
        _ = config.model.nope
    assert config.model.pop("heads") == expected["pop"]
    dumped = tmp_path / "dumped.py"
    dumped.write_text(dump_config(config))
    loaded = load_config(dumped)
    assert loaded == config
    assert as_json(loaded) == expected["dump_roundtrip"]
    assert isinstance(loaded["shared"], tuple)
