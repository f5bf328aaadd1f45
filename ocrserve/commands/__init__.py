"""One module per command of ``ocrserve``; this table is their order and what ``--help`` says."""

from __future__ import annotations

COMMANDS = {
    "read": "Read the text in photos",
    "convert": "Package models as one TorchServe archive",
    "serve": "Serve archives with TorchServe",
    "verify": "Check that an archive or a server answers like the local model",
    "ner": "Find names, places, ... in texts",
    "train": "Train a model",
    "test": "Measure a checkpoint on a test set",
    "data": "Convert annotation files",
    "zoo": "List the known models",
}
