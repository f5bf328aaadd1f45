"""The fonts that text is drawn with, and their split into training and held-out families.

``faces.tsv`` lists every face we use, one per line: source, package, family and file. A face is
there because it was looked at: it has a readable glyph of its own for each of the 94 printable
ASCII characters, upper and lower case differ, and no two characters are the same drawing.

A family belongs to the held-out split when its name is in ``HELDOUT_FAMILIES``; every other family
is for training. The list is by name, so no change of packages or versions moves a face across.

Two sources: ``pip`` fonts come with the ``train`` extra and need no root; ``debian`` fonts come
with the packages in ``DEBIAN_FONT_PACKAGES``. All of them are under free licences.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from PIL import ImageFont

from ocr_models.errors import OcrError

PRINTABLE = "".join(c for c in string.printable if c.isprintable() and c != " ")
"""The 94 printable ASCII characters other than the space: what every face must be able to draw."""

Source = Literal["pip", "debian", "all"]
Split = Literal["train", "heldout", "all"]

PIP_FONT_PACKAGES = (
    "font-caladea",
    "font-fredoka-one",
    "font-hanken-grotesk",
    "font-manrope",
    "font-roboto",
    "font-source-sans-pro",
    "font-source-serif-pro",
)

DEBIAN_FONT_PACKAGES = (
    "fonts-3270",
    "fonts-adf-accanthis",
    "fonts-adf-baskervald",
    "fonts-adf-gillius",
    "fonts-adf-mekanus",
    "fonts-adf-tribun",
    "fonts-adf-universalis",
    "fonts-adf-verana",
    "fonts-anonymous-pro",
    "fonts-averia-sans-gwf",
    "fonts-averia-serif-gwf",
    "fonts-b612",
    "fonts-cabin",
    "fonts-cantarell",
    "fonts-century-catalogue",
    "fonts-clear-sans",
    "fonts-cmu",
    "fonts-comfortaa",
    "fonts-comic-neue",
    "fonts-courier-prime",
    "fonts-crosextra-caladea",
    "fonts-crosextra-carlito",
    "fonts-dancingscript",
    "fonts-dejavu-core",
    "fonts-dejavu-extra",
    "fonts-dosis",
    "fonts-dustin",
    "fonts-fantasque-sans",
    "fonts-firacode",
    "fonts-freefont-ttf",
    "fonts-georgewilliams",
    "fonts-go",
    "fonts-hack",
    "fonts-inconsolata",
    "fonts-inter",
    "fonts-jetbrains-mono",
    "fonts-jura",
    "fonts-karla",
    "fonts-kaushanscript",
    "fonts-lato",
    "fonts-league-spartan",
    "fonts-liberation2",
    "fonts-linuxlibertine",
    "fonts-lobster",
    "fonts-lobstertwo",
    "fonts-manrope",
    "fonts-monofur",
    "fonts-mononoki",
    "fonts-noto-mono",
    "fonts-ocr-a",
    "fonts-ocr-b",
    "fonts-oldstandard",
    "fonts-open-sans",
    "fonts-opendyslexic",
    "fonts-paratype",
    "fonts-play",
    "fonts-quattrocento",
    "fonts-quicksand",
    "fonts-roboto-slab",
    "fonts-roboto-unhinted",
    "fonts-sil-andika",
    "fonts-sil-charis",
    "fonts-sil-gentium",
    "fonts-sora",
    "fonts-stix",
    "fonts-tuffy",
    "fonts-urw-base35",
    "fonts-yanone-kaffeesatz",
)

HELDOUT_FAMILIES = frozenset(
    {
        "Anonymous Pro",
        "Averia Sans GWF",
        "Averia Serif GWF",
        "B612",
        "B612 Mono",
        "Cabin",
        "Caslon",
        "Century Catalogue",
        "Charis SIL",
        "Clear Sans",
        "Hanken Grotesk",
        "Karla",
        "Kaushan Script",
        "League Spartan",
        "PT Serif",
        "Play",
        "Quattrocento",
        "Sora",
        "Source Serif Pro",
        "mononoki",
    }
)
"""Families never trained on. Each was chosen to have no close relative among the others."""

_DEBIAN_ROOT = Path("/usr/share/fonts")
_FACES_FILE = Path(__file__).with_name("faces.tsv")


class FontError(OcrError):
    """Fonts are missing or cannot draw what they must."""


@dataclass(frozen=True, order=True)
class FontFace:
    """One font file: a single weight and style of a family."""

    family: str
    path: Path
    source: str
    package: str

    @property
    def heldout(self) -> bool:
        """Whether the family is reserved for evaluation."""
        return self.family in HELDOUT_FAMILIES


@lru_cache(maxsize=1)
def _listed_faces() -> tuple[tuple[str, str, str, str], ...]:
    """Rows of ``faces.tsv``: (source, package, family, file)."""
    rows = []
    for line in _FACES_FILE.read_text(encoding="utf-8").splitlines():
        source, package, family, file = line.split("\t")
        rows.append((source, package, family, file))
    return tuple(rows)


@lru_cache(maxsize=1)
def _pip_roots() -> dict[str, Path]:
    """Where each installed pip font package lives: its site-packages folder."""
    roots = {}
    for package in PIP_FONT_PACKAGES:
        try:
            roots[package] = Path(str(metadata.distribution(package).locate_file("")))
        except metadata.PackageNotFoundError:
            continue
    return roots


def _resolve(source: str, package: str, file: str) -> Path | None:
    if source == "debian":
        path = _DEBIAN_ROOT / file
    else:
        root = _pip_roots().get(package)
        if root is None:
            return None
        path = root / file
    return path if path.is_file() else None


def find_fonts(source: Source = "all", split: Split = "train") -> tuple[FontFace, ...]:
    """Find the font files of a source and a split on this machine.

    Args:
        source: ``"pip"`` (small, comes with the ``train`` extra), ``"debian"`` (the full list), or
            ``"all"`` for both.
        split: ``"train"``, ``"heldout"`` or ``"all"``.

    Returns:
        Faces sorted by family and path, so that the same packages give the same order everywhere.

    Raises:
        FontError: a package of the list is missing; the message names the missing packages and
            the command that installs them.
    """
    if source not in get_args(Source):
        raise FontError(f"source is {source!r}; it must be one of {list(get_args(Source))}")
    if split not in get_args(Split):
        raise FontError(f"split is {split!r}; it must be one of {list(get_args(Split))}")
    faces: list[FontFace] = []
    missing: dict[str, set[str]] = {"pip": set(), "debian": set()}
    for row_source, package, family, file in _listed_faces():
        if source not in ("all", row_source):
            continue
        path = _resolve(row_source, package, file)
        if path is None:
            missing[row_source].add(package)
            continue
        face = FontFace(family=family, path=path, source=row_source, package=package)
        if split == "all" or face.heldout == (split == "heldout"):
            faces.append(face)
    if missing["pip"] or missing["debian"]:
        raise FontError(_missing_message(sorted(missing["pip"]), sorted(missing["debian"])))
    return tuple(sorted(faces))


def _missing_message(pip: list[str], debian: list[str]) -> str:
    lines = ["fonts are missing."]
    if pip:
        lines.append(f"{len(pip)} pip package(s): install with\n  pip install {' '.join(pip)}")
    if debian:
        lines.append(
            f"{len(debian)} Debian package(s): install with\n"
            f"  apt-get install --no-install-recommends {' '.join(debian)}\n"
            'or use the small set that comes with pip: find_fonts(source="pip")'
        )
    return "\n".join(lines)


def check_face(path: Path) -> str | None:
    """Say why a font file cannot be used, or ``None`` when it can.

    A usable face draws each of ``PRINTABLE`` with ink and none of them as the "missing glyph" box,
    has a lower case of its own (no small capitals), and a zero taller than the letter o.
    """
    try:
        font = ImageFont.truetype(str(path), 40, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        return f"not a readable font: {error}"
    drawings = {c: bytes(font.getmask(c, mode="L")) for c in PRINTABLE}
    missing_glyph = bytes(font.getmask("\ufffe", mode="L"))
    absent = [c for c in PRINTABLE if drawings[c] == missing_glyph or not any(drawings[c])]
    if absent:
        return f"no glyph for {''.join(absent)}"
    heights = {c: font.getbbox(c)[3] - font.getbbox(c)[1] for c in "ahn0oO"}
    # 'h' rises above 'a' and 'n' in every drawing of lower case, and in no small capitals.
    if heights["h"] <= heights["n"] * 1.08 and heights["h"] <= heights["a"] * 1.08:
        return "lower case is drawn as small capitals"
    if heights["0"] < 0.8 * heights["O"]:
        return "old-style figures: the zero is drawn like the letter o"
    return None
