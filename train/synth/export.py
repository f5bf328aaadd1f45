"""Writes rendered scenes as a data set in MMOCR's format: pictures and one COCO-style json.

Drawing a scene takes longer than learning from it, so a detector's training reads scenes back from
disk several times, each time cropped, turned and coloured anew.

    python -m ocrserve.train.synth.export data/synthetic_scenes --split train --count 6000
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

from ..progress import progress
from .fonts import find_fonts
from .photos import find_photos
from .scenes import SceneRenderConfig, SceneRenderer, SceneWord

JPEG_QUALITY = 95

Style = Literal["plain", "street"]


def export_scenes(
    folder: Path,
    *,
    split: str,
    count: int,
    size: tuple[int, int] = (640, 640),
    seed: int = 0,
    fonts: str = "all",
    processes: int = 1,
    style: Style = "plain",
) -> Path:
    """Renders ``count`` scenes into ``folder/imgs`` and ``folder/instances_SPLIT.json``.

    Pictures that are there already are drawn again: the same arguments give the same data set.

    Args:
        folder: made when missing.
        split: fonts to use, ``"train"`` or ``"heldout"``.
        count: number of scenes.
        size: (height, width) in pixels.
        seed: of the first scene; the next ones count up.
        fonts: ``"all"``, ``"debian"`` or ``"pip"``.
        processes: that draw at the same time.
        style: ``"plain"``, procedural backgrounds; ``"street"``, mostly photographs
            (``photos.PHOTO_PACKAGES``), with smaller boards and some scenes in poor light.

    Returns:
        The json's path.
    """
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, folder, split, size, fonts, style)
    seeds = range(seed, seed + count)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    # Fresh processes: OpenCV's threads do not survive being forked.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_use_one_thread) as pool:
        drawn = pool.map(draw, seeds, chunksize=8) if processes > 1 else map(draw, seeds)
        for image_id, (name, words) in enumerate(progress(drawn, total=count, label=split)):
            images.append({"id": image_id, "file_name": name, "height": size[0], "width": size[1]})
            for word in words:
                annotations.append({"id": len(annotations), "image_id": image_id, **word})
    path = folder / f"instances_{split}.json"
    unfinished = path.with_suffix(".tmp")
    categories = [{"id": 1, "name": "text"}]
    contents = {"images": images, "categories": categories, "annotations": annotations}
    unfinished.write_text(json.dumps(contents), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def _use_one_thread() -> None:
    """The processes already share the cores among them."""
    cv2.setNumThreads(1)


def _draw(
    folder: Path, split: str, size: tuple[int, int], fonts: str, style: Style, seed: int
) -> tuple[str, list[dict[str, Any]]]:
    scene = _renderer(split, size, fonts, style).render(seed)
    name = f"{split}_{seed:06d}.jpg"
    cv2.imwrite(str(folder / "imgs" / name), scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return name, [_annotation(word) for word in scene.words]


def _annotation(word: SceneWord) -> dict[str, Any]:
    points = word.polygon.astype(np.float64).round(2)
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    width, height = round(right - left, 2), round(bottom - top, 2)
    return {
        "category_id": 1,
        "bbox": [float(left), float(top), width, height],
        "segmentation": [points.ravel().tolist()],
        "area": round(width * height, 2),
        "iscrowd": int(word.ignore),
        "text": word.text,
    }


@lru_cache(maxsize=1)
def _renderer(split: str, size: tuple[int, int], fonts: str, style: Style) -> SceneRenderer:
    """One per process: it caches glyphs and textures."""
    found = find_fonts(fonts, split)  # type: ignore[arg-type]
    if style == "plain":
        return SceneRenderer(found, SceneRenderConfig(size=size))
    config = SceneRenderConfig(size=size, smallest_panel_ratio=0.09, dark_ratio=0.2)
    return SceneRenderer(found, config, find_photos(split))  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(
        prog="python -m ocrserve.train.synth.export", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=("train", "heldout"), required=True)
    parser.add_argument("--count", type=int, required=True, help="number of scenes")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fonts", choices=("all", "debian", "pip"), default="all")
    parser.add_argument("--style", choices=get_args(Style), default="plain")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count must be at least 1, got {options.count}")
    path = export_scenes(
        options.folder,
        split=options.split,
        count=options.count,
        size=tuple(options.size),
        seed=options.seed,
        fonts=options.fonts,
        processes=options.processes,
        style=options.style,
    )
    print(path)


if __name__ == "__main__":
    main()
