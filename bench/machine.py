"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

from ocr_models.runtime import cpu_has_bfloat16
from ocrserve.handlers.cores import available_cores

LIBRARIES = ("torch", "openvino", "onnxruntime", "opencv-python-headless", "numpy", "torchserve")


def describe_machine() -> str:
    """Markdown: processor, memory, load, versions."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    versions = [f"{name} {version}" for name in LIBRARIES if (version := _version(name))]
    return (
        f"Machine: {_cpu_model()}, {available_cores()} cores, "
        f"bfloat16 instructions: {'yes' if cpu_has_bfloat16() else 'no'}, "
        f"{_memory_gib():.0f} GiB memory, GPU: {gpu}, {platform.system()} {platform.release()}; "
        f"load average when this was measured: {os.getloadavg()[0]:.1f}. "
        f"Python {platform.python_version()}, {', '.join(versions)}."
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields: dict[str, str] = {}
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        if "model name" in fields:
            family, model = fields.get("cpu family", "?"), fields.get("model", "?")
            return f"{fields['model name']} (family {family}, model {model})"
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
