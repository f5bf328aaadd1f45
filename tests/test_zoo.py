"""The table of known models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.mmocr_config import load_config
from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, RecognizerSpec
from ocr_models.weights import published_hash
from ocr_models.zoo import ZOO, find_model
from tests.stand_in_files import with_stand_in_files

CONFIGS = Path(__file__).parents[1] / "configs"
SPECS = {
    "detection": DetectorSpec,
    "recognition": RecognizerSpec,
    "kie": KieSpec,
    "ner": NerSpec,
}


def test_size() -> None:
    assert len(ZOO) == 36
    published = [entry for entry in ZOO.values() if entry.url]
    assert len(published) == len({entry.url for entry in published}) == 33
    tasks = Counter(entry.task for entry in published)
    assert tasks == {"detection": 15, "recognition": 14, "kie": 3, "ner": 1}
    detectors = [entry for entry in published if entry.task == "detection"]
    assert len({entry.config for entry in detectors}) == 14


def test_figures_of_recognisers() -> None:
    published = [e for e in ZOO.values() if e.url and e.task == "recognition"]
    figures = {e.alias or e.name: [metric.value for metric in e.metrics] for e in published}
    assert sum(map(len, figures.values())) == 12 * 6 + 4
    assert figures["SAR_CN"] == []
    assert figures["MASTER"] == [0.9527, 0.898, 0.9517, 0.7703, 0.8295, 0.8993]
    assert [metric.dataset for metric in ZOO["seg_r31_1by16_fpnocr_academic"].metrics] == [
        "IIIT5K", "SVT", "ICDAR 2013", "CUTE80",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_entries_are_consistent(name: str, tmp_path: Path) -> None:
    entry = ZOO[name]
    addition = "_pretrain" if name == "psenet_r50_fpnf_600e_icdar2015_pretrain" else ""
    assert entry.name == name == Path(entry.config).stem + addition
    config = load_config(CONFIGS / entry.config)
    if entry.dictionary_name is not None:
        assert Path(config["model"]["label_convertor"]["dict_file"]).name == entry.dictionary_name
    spec = model_from_mmocr(with_stand_in_files(config, tmp_path))
    assert type(spec) is SPECS[entry.task]
    assert all(0 <= metric.value <= 1 for metric in entry.metrics)
    if entry.url is None:
        assert entry.file_name is None
        return
    assert entry.url.startswith(f"https://download.openmmlab.com/mmocr/{entry.config[:3]}")
    assert entry.sha256_prefix == published_hash(str(entry.file_name))


def test_names_and_aliases_are_unique() -> None:
    spellings = [s.lower() for e in ZOO.values() for s in (e.name, e.alias) if s]
    assert len(spellings) == len(set(spellings))


def test_find_model() -> None:
    assert find_model("DB_r18") is find_model("db_R18") is ZOO["dbnet_r18_fpnc_1200e_icdar2015"]
    assert find_model("satrn_SM") is ZOO["satrn_small"]
    assert (
        find_model("nrtr_1/8-1/4").file_name == "nrtr_r31_1by8_1by4_academic_20211123-e1fdb322.pth"
    )
    assert find_model("crnn_academic_dataset").file_name == "crnn_academic-a723a1c5.pth"
    with pytest.raises(ConfigError, match=r"'CRN'\. Did you mean 'CRNN'\? Known: DB_light, "):
        find_model("CRN")
    with pytest.raises(ConfigError, match=r"no model 'xyz'\. Known: "):
        find_model("xyz")
