"""Ways to run a network on a CPU, to be compared by ``bench.predict``.

A way is a function that prepares a network and returns a call without arguments that runs it once.
The first is the base of all ratios: what PyTorch does when nothing is asked of it.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace
from torch.fx.experimental.optimization import fuse

from ocr_models import runtime as runtimes
from ocr_models.runtime import RuntimeOptions, make_runtime

Call = Callable[[], np.ndarray]
EXAMPLE_SIDE_PX = 64


@dataclass(frozen=True)
class Subject:
    """What is run.

    Args:
        make_network: gives a new copy.
        path: name of the network's method that inference needs.
        images: float32 (B, C, H, W).
        fixed_height: whether the height never varies.
        threads: CPU threads to use.
    """

    make_network: Callable[[], nn.Module]
    path: str
    images: np.ndarray
    fixed_height: bool
    threads: int

    def module(self) -> nn.Module:
        """The network with the path as its ``forward``."""
        network = self.make_network()
        return runtimes.ForwardPath(network, getattr(network, self.path))

    def tensor(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """The images as a tensor."""
        return torch.from_numpy(self.images).contiguous(memory_format=memory_format)

    @property
    def example(self) -> tuple[int, int, int, int]:
        """A small shape that the network accepts."""
        height = self.images.shape[2] if self.fixed_height else EXAMPLE_SIDE_PX
        return (1, self.images.shape[1], height, EXAMPLE_SIDE_PX)


def eager(subject: Subject) -> Call:
    """The bare forward with all its outputs."""
    network, images = subject.make_network(), subject.tensor()
    return lambda: _run(lambda: network(images))


def eager_path(subject: Subject) -> Call:
    """The same without the outputs that inference does not need."""
    module, images = subject.module(), subject.tensor()
    return lambda: _run(lambda: module(images))


def channels_last(subject: Subject) -> Call:
    """Memory in the order that convolutions like."""
    return _channels_last(subject.module(), subject)


def channels_last_fused(subject: Subject) -> Call:
    """BatchNorm folded into the convolutions by torch.fx."""
    return _channels_last(fuse(symbolic_trace(subject.module())), subject)


def autocast(subject: Subject) -> Call:
    """bfloat16 where PyTorch thinks it safe; our way where OpenVINO is not installed."""
    return _channels_last(subject.module(), subject, autocast=True)


def autocast_fused(subject: Subject) -> Call:
    """The same with BatchNorm folded."""
    return _channels_last(fuse(symbolic_trace(subject.module())), subject, autocast=True)


def all_bfloat16(subject: Subject) -> Call:
    """BatchNorm folded and all weights in bfloat16."""
    module = fuse(symbolic_trace(subject.module())).to(torch.bfloat16)
    return _channels_last(module, subject, dtype=torch.bfloat16)


def inductor(subject: Subject) -> Call:
    """``torch.compile`` over bfloat16 autocast, for this one shape."""
    return _channels_last(torch.compile(subject.module()), subject, autocast=True)


def onnxruntime_float32(subject: Subject) -> Call:
    """ONNX Runtime; it has no bfloat16 on CPUs."""
    return _ours(subject, RuntimeOptions("onnxruntime", "cpu", "float32", subject.threads))


def openvino_float32(subject: Subject) -> Call:
    """OpenVINO, any input size."""
    return _ours(subject, RuntimeOptions("openvino", "cpu", "float32", subject.threads))


def openvino_bfloat16(subject: Subject) -> Call:
    """OpenVINO, any input size; our default on processors with bfloat16."""
    return _ours(subject, RuntimeOptions("openvino", "cpu", "bfloat16", subject.threads))


def openvino_bfloat16_one_size(subject: Subject) -> Call:
    """OpenVINO prepared for this one input size."""
    return _openvino_one_size(subject, nhwc=False)


def openvino_bfloat16_nhwc(subject: Subject) -> Call:
    """The same, fed with channels last."""
    return _openvino_one_size(subject, nhwc=True)


WAYS: dict[str, Callable[[Subject], Call]] = {
    "torch eager float32, whole forward": eager,
    "torch eager float32": eager_path,
    "torch channels_last float32": channels_last,
    "torch channels_last float32, BatchNorm fused": channels_last_fused,
    "torch channels_last bfloat16 autocast": autocast,
    "torch channels_last bfloat16 autocast, BatchNorm fused": autocast_fused,
    "torch channels_last bfloat16 weights, BatchNorm fused": all_bfloat16,
    "torch.compile channels_last bfloat16 autocast": inductor,
    "ONNX Runtime float32": onnxruntime_float32,
    "OpenVINO float32": openvino_float32,
    "OpenVINO bfloat16": openvino_bfloat16,
    "OpenVINO bfloat16, one size": openvino_bfloat16_one_size,
    "OpenVINO bfloat16, one size, NHWC input": openvino_bfloat16_nhwc,
}
BASE = next(iter(WAYS))
COMPILED = "torch.compile channels_last bfloat16 autocast"


def available(way: str) -> bool:
    """Whether what a way needs is installed."""
    if way.startswith("OpenVINO"):
        return importlib.util.find_spec("openvino") is not None
    if way.startswith("ONNX"):
        return importlib.util.find_spec("onnxruntime") is not None
    return way != COMPILED or shutil.which("g++") is not None


def _run(forward: Callable[[], Any]) -> np.ndarray:
    with torch.inference_mode():
        output = forward()
    if isinstance(output, tuple):  # DBMaps: probability first; CRNNOutput: logits last
        output = output[0] if output[0].shape[1] == 1 else output[-1]
    return output.float().numpy()


def _channels_last(
    module: Callable[..., Any],
    subject: Subject,
    *,
    autocast: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Call:
    if isinstance(module, nn.Module):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = subject.tensor(torch.channels_last)

    def call() -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return _run(lambda: module(images.to(dtype)))

    return call


def _ours(subject: Subject, options: RuntimeOptions) -> Call:
    network = subject.make_network()
    path = getattr(network, subject.path)
    runtime = make_runtime(network, path, options, subject.example, subject.fixed_height)
    return lambda: runtime(subject.images)[0]


def _openvino_one_size(subject: Subject, *, nhwc: bool) -> Call:
    openvino = runtimes.import_openvino()
    with runtimes.quiet_exporter():
        example = torch.zeros(subject.example)
        traced = torch.jit.trace(subject.module(), example, check_trace=False)
        model = openvino.convert_model(traced, input=[subject.images.shape])
    images = subject.images
    if nhwc:
        steps = openvino.preprocess.PrePostProcessor(model)
        steps.input().tensor().set_layout(openvino.Layout("NHWC"))
        steps.input().model().set_layout(openvino.Layout("NCHW"))
        model = steps.build()
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": subject.threads,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: np.asarray(request.infer([images], share_inputs=True)[0])
