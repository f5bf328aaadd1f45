"""Front door of the project: command line and Python API.

>>> from ocrserve import OCR                              # doctest: +SKIP
>>> print(OCR().read("photo.jpg").text)                   # doctest: +SKIP

Names are imported when they are first used, so ``import ocrserve`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocr_models.detector import TextDetector
    from ocr_models.ocr import OcrOptions
    from ocr_models.recognizer import TextRecognizer
    from ocr_models.runtime import RuntimeOptions
    from ocrserve.api import OCR, load
    from ocrserve.drawing import draw_result
    from ocrserve.server import Server, ServerOptions

__version__ = "0.1.0"

__all__ = [
    "OCR",
    "OcrOptions",
    "RuntimeOptions",
    "Server",
    "ServerOptions",
    "TextDetector",
    "TextRecognizer",
    "__version__",
    "draw_result",
    "load",
]

_HOMES = {
    "OCR": "ocrserve.api",
    "OcrOptions": "ocr_models.ocr",
    "RuntimeOptions": "ocr_models.runtime",
    "Server": "ocrserve.server",
    "ServerOptions": "ocrserve.server",
    "TextDetector": "ocr_models.detector",
    "TextRecognizer": "ocr_models.recognizer",
    "draw_result": "ocrserve.drawing",
    "load": "ocrserve.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
