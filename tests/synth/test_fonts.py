from pathlib import Path

import pytest
from PIL import ImageFont

from ocrserve.train.synth import (
    DEBIAN_FONT_PACKAGES,
    HELDOUT_FAMILIES,
    PIP_FONT_PACKAGES,
    FontError,
    find_fonts,
)
from ocrserve.train.synth import fonts as fonts_module
from ocrserve.train.synth.fonts import PRINTABLE, check_face


def test_printable_is_the_94_ascii_characters() -> None:
    assert len(PRINTABLE) == len(set(PRINTABLE)) == 94
    assert all(32 < ord(c) < 127 for c in PRINTABLE)


def test_pip_fonts_are_split_by_family() -> None:
    train, heldout = find_fonts("pip", "train"), find_fonts("pip", "heldout")
    train_families = {face.family for face in train}
    heldout_families = {face.family for face in heldout}
    assert len(train_families) == 5
    assert len(heldout_families) == 2
    assert train_families.isdisjoint(heldout_families)
    assert heldout_families <= HELDOUT_FAMILIES
    assert sorted(train + heldout) == list(find_fonts("pip", "all"))


def test_the_whole_list_is_split_by_family() -> None:
    rows = fonts_module._listed_faces()
    families = {family for _, _, family, _ in rows}
    assert families >= HELDOUT_FAMILIES, "a held-out name that no listed face has"
    assert len(families - HELDOUT_FAMILIES) > 60
    assert {package for source, package, _, _ in rows if source == "debian"} == set(
        DEBIAN_FONT_PACKAGES
    )
    assert {package for source, package, _, _ in rows if source == "pip"} == set(PIP_FONT_PACKAGES)
    files = [(source, file) for source, _, _, file in rows]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("face", find_fonts("pip", "all"), ids=lambda face: face.path.stem)
def test_every_pip_face_draws_the_whole_charset(face: fonts_module.FontFace) -> None:
    assert check_face(face.path) is None
    font = ImageFont.truetype(str(face.path), 30)
    assert all(font.getmask(c).getbbox() for c in PRINTABLE)


def test_the_sweep_over_pip_faces_is_complete() -> None:
    assert len(find_fonts("pip", "all")) == 51


def test_missing_packages_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fonts_module, "_DEBIAN_ROOT", tmp_path)
    with pytest.raises(FontError) as error:
        find_fonts("debian")
    message = str(error.value)
    assert f"{len(DEBIAN_FONT_PACKAGES)} Debian package(s)" in message
    assert "apt-get install --no-install-recommends fonts-3270" in message
    assert all(package in message for package in DEBIAN_FONT_PACKAGES)
    assert len(find_fonts("pip")) > 0


@pytest.mark.parametrize(
    ("source", "split", "part"),
    [("ubuntu", "train", "'ubuntu'"), ("pip", "test", "'test'")],
)
def test_unknown_names_are_refused(source: str, split: str, part: str) -> None:
    with pytest.raises(FontError, match=part):
        find_fonts(source, split)  # type: ignore[arg-type]


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"not a font")
    assert "not a readable font" in str(check_face(path))
