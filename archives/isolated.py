"""Loads an unpacked archive as a TorchServe worker would, in a process without ocrserve.

Run as a file, never imported: ``python -I -S isolated.py`` starts without user settings, without
``PYTHONPATH`` and without site-packages; the paths come in the request, the archive's folder first.
An installed ocrserve is hidden, so an archive that needs one fails here and not on a user's server.

Standard input is one JSON object: ``{"folder", "paths", "images"}`` (folder of the archive,
import paths, image files). Standard output ends with one JSON line: ``{"modules", "describe",
"answers", "batch"}``, where each answer is ``{"status", "content_type", "body"}``, ``answers`` has
the images one by one and ``batch`` all of them at once after a request that is not an image. Texts
take the place of images where the archive reads texts.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

NEITHER_IMAGE_NOR_TEXT = b"not an image, and not UTF-8: \xff"


class HideOcrserve(importlib.abc.MetaPathFinder):
    """Makes ``import ocrserve`` fail, installed or not."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuses the one name, leaves all others to the next finder."""
        if fullname.partition(".")[0] == "ocrserve":
            raise ModuleNotFoundError(f"{fullname} is not to be used by an archive", name=fullname)
        return None


class WorkerContext:
    """The part of TorchServe's context that a handler may use, for one batch."""

    metrics = None

    def __init__(self, folder: Path, headers: list[dict[str, str]]) -> None:
        import yaml

        self.model_name = "verify"
        self.manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text("utf-8"))
        config_path = folder / self.manifest["model"]["configFile"]
        self.model_yaml_config = yaml.safe_load(config_path.read_text("utf-8"))
        self.system_properties = {"model_dir": str(folder), "gpu_id": None, "batch_size": 1}
        self.headers = headers
        self.statuses = [200] * len(headers)
        self.content_types = [""] * len(headers)

    def get_request_id(self, index: int) -> str:
        """An id for messages."""
        return f"verify-{index}"

    def get_request_header(self, index: int, name: str) -> str | None:
        """One header of a request."""
        return self.headers[index].get(name)

    def get_all_request_header(self, index: int) -> dict[str, str]:
        """All headers of a request."""
        return self.headers[index]

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Status of one answer."""
        self.statuses[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Content type of one answer."""
        self.content_types[idx] = value


def main() -> None:
    """Serves the request on standard input."""
    request = json.load(sys.stdin)
    folder = Path(request["folder"])
    sys.path[:] = request["paths"]
    sys.meta_path.insert(0, HideOcrserve())
    os.chdir(folder)
    # Libraries print as they please; the answer goes where the parent looks for it.
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    context = WorkerContext(folder, [])
    entry = context.manifest["model"]["handler"].removesuffix(".py")
    module = importlib.import_module(entry)
    module.handle(None, context)

    images = [Path(path).read_bytes() for path in request["images"]]
    described = _ask(module, folder, [b""], [{"describe": "True"}])
    answer = {
        "modules": _foreign_modules(folder),
        "describe": json.loads(described[0]["body"]),
        "answers": [_ask(module, folder, [image], [{}])[0] for image in images],
        "batch": _ask(module, folder, [NEITHER_IMAGE_NOR_TEXT, *images], [{}] * (len(images) + 1)),
    }
    answer_stream.write(json.dumps(answer))
    answer_stream.close()


def _ask(
    module: ModuleType, folder: Path, bodies: list[bytes], headers: list[dict[str, str]]
) -> list[dict[str, Any]]:
    context = WorkerContext(folder, headers)
    rows = [{"body": bytearray(body)} for body in bodies]
    answers = module.handle(rows, context)
    return [
        {"status": status, "content_type": content_type, "body": bytes(body).decode()}
        for status, content_type, body in zip(
            context.statuses, context.content_types, answers, strict=True
        )
    ]


def _foreign_modules(folder: Path) -> list[str]:
    """Modules of ours that did not come out of the archive; there must be none."""
    foreign = []
    for name, module in sorted(sys.modules.items()):
        ours = name.partition(".")[0] in ("ocr_models", "handlers", "ocrserve", "handler")
        file = getattr(module, "__file__", None)
        if ours and not (file and Path(file).resolve().is_relative_to(folder.resolve())):
            foreign.append(f"{name} ({file})")
    return foreign


if __name__ == "__main__":
    main()
