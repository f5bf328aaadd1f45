"""The table of known models."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.spec import DetectorSpec
from ocr_models.weights import published_hash
from ocr_models.zoo import ZOO, find_model

CONFIGS = Path(__file__).parents[1] / "configs"


def test_size() -> None:
    assert len(ZOO) >= 18
    published = [entry for entry in ZOO.values() if entry.url and entry.task == "detection"]
    assert len(published) == len({entry.url for entry in published}) == 15
    assert len({entry.config for entry in published}) == 14


@pytest.mark.parametrize("name", ZOO)
def test_entries_are_consistent(name: str) -> None:
    entry = ZOO[name]
    addition = "_pretrain" if name == "psenet_r50_fpnf_600e_icdar2015_pretrain" else ""
    assert entry.name == name == Path(entry.config).stem + addition
    spec = model_from_mmocr(load_config(CONFIGS / entry.config))
    assert isinstance(spec, DetectorSpec) == (entry.task == "detection")
    assert all(0 <= metric.value <= 1 for metric in entry.metrics)
    if entry.url is None:
        assert entry.file_name is None
        return
    assert entry.url.startswith("https://download.openmmlab.com/mmocr/text")
    assert entry.sha256_prefix == published_hash(str(entry.file_name))


def test_names_and_aliases_are_unique() -> None:
    spellings = [s.lower() for e in ZOO.values() for s in (e.name, e.alias) if s]
    assert len(spellings) == len(set(spellings))


def test_find_model() -> None:
    assert find_model("DB_r18") is find_model("db_R18") is ZOO["dbnet_r18_fpnc_1200e_icdar2015"]
    assert find_model("crnn_academic_dataset").file_name == "crnn_academic-a723a1c5.pth"
    with pytest.raises(ConfigError, match=r"'CRN'\. Did you mean 'CRNN'\? Known: DB_light, "):
        find_model("CRN")
    with pytest.raises(ConfigError, match=r"no model 'xyz'\. Known: "):
        find_model("xyz")
