"""How fast the renderer draws: words and scenes per second on one core.

    python bench/synth.py [--fonts pip|debian|all] [--words 4000] [--scenes 60]

Rates are counted in seconds of CPU time, so that other work on the machine disturbs them little.
The first rate includes filling the glyph cache, the second does not.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2

from ocrserve.train.synth import SceneRenderConfig, SceneRenderer, WordRenderer, find_fonts
from ocrserve.train.synth.backgrounds import texture_pool


def rate(draw: Callable[[int], object], first_seed: int, count: int) -> float:
    """Calls per second of CPU time over ``count`` seeds."""
    start = time.process_time()
    for seed in range(first_seed, first_seed + count):
        draw(seed)
    return count / (time.process_time() - start)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fonts", choices=("pip", "debian", "all"), default="pip")
    parser.add_argument("--words", type=int, default=4000)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--scene-size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"))
    options = parser.parse_args()
    cv2.setNumThreads(1)

    fonts = find_fonts(options.fonts, "train")
    start = time.process_time()
    texture_pool()
    pool_seconds = time.process_time() - start
    words = WordRenderer(fonts)
    height, width = options.scene_size
    scenes = SceneRenderer(fonts, SceneRenderConfig(size=(height, width)))

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one used; ", end=""
    )
    print(f"{len(fonts)} faces of {len({face.family for face in fonts})} families")
    print(f"textures, once per process   {pool_seconds:8.1f} s")
    print(f"words/s, cold glyph cache    {rate(words.render, 0, options.words):8.0f}")
    print(f"words/s, warm                {rate(words.render, 10**6, options.words):8.0f}")
    scenes.render(0)
    per_second = rate(scenes.render, 1, options.scenes)
    print(
        f"scenes/s of {height}x{width}        {per_second:8.1f}  ({1000 / per_second:.0f} ms each)"
    )


if __name__ == "__main__":
    main()
