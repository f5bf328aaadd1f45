"""``targets/``: the maps that detectors, and SegOCR, learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from .check import Check
from .families import TARGETS
from .families.segocr import compare_character_maps
from .kit import Case, Kit, KitError


def cases(kit: Kit) -> Iterator[Case]:
    """Every kind of target on every scene, and the segmentation targets."""
    index = kit.json("targets/index.json")
    settings = index["target_settings"]
    scenes = {name.removeprefix("scene_") for name in kit.stems("targets", ".json")} - {"index"}
    for kind in settings:  # a scene whose own file is missing shows by its maps
        prefix = f"{kind}_"
        stems = (stem for stem in kit.stems("targets", ".npz") if stem.startswith(prefix))
        scenes |= {stem.removeprefix(prefix) for stem in stems}
    if not scenes:
        raise KitError("targets/ holds no scene")
    for kind, setting in settings.items():
        for scene in sorted(scenes):
            compare = partial(_compare, kit, kind, scene, setting)
            yield Case(f"{kind}_{scene}", compare, partial(_covered, setting))
    for entry in index.get("ocrseg", []):
        yield Case(entry["file"].removesuffix(".npz"), partial(_compare_characters, kit, entry))


def _covered(setting: Mapping[str, Any]) -> bool:
    return setting["type"] in TARGETS


def _compare(kit: Kit, kind: str, scene: str, setting: Mapping[str, Any], check: Check) -> None:
    content = kit.json(f"targets/scene_{scene}.json")
    expected = kit.arrays(f"targets/{kind}_{scene}.npz")
    TARGETS[setting["type"]](setting, content, expected, check)


def _compare_characters(kit: Kit, entry: Mapping[str, Any], check: Check) -> None:
    compare_character_maps(entry, kit.arrays(f"targets/{entry['file']}"), check)
