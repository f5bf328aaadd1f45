"""How a network is run: PyTorch, OpenVINO or ONNX Runtime behind one small protocol.

``python -m bench.predict`` measures the choices, ``docs/benchmarks.md`` shows them. On a CPU
OpenVINO is the fastest that keeps the results, in bfloat16 where the processor has instructions for
it; then comes PyTorch with channels-last memory in the same precision. ``auto`` takes the first of
these that is installed. Every runtime takes any input size: a network prepared for each size of
photo would be a little faster, but would have to be kept for each.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError

RuntimeKind = Literal["auto", "torch", "openvino", "onnxruntime"]
Precision = Literal["auto", "float32", "bfloat16"]
Forward = Callable[[Tensor], Tensor | tuple[Tensor, ...]]
SecondStage = Callable[[tuple[Tensor, ...], tuple[int, int]], tuple[Tensor, ...]]
"""What follows ``Forward`` where the steps depend on the image: the tensors of one image (1, ...)
and the height and width of its part that is not padding, both in pixels of the input, to tensors
without a batch axis."""


@dataclass(frozen=True)
class RuntimeOptions:
    """Choices about speed; results stay the same up to the precision's rounding.

    Args:
        kind: ``"auto"`` is OpenVINO on a CPU when it is installed, else PyTorch.
        device: ``"auto"`` is ``"cuda"`` when there is one, else ``"cpu"``; or PyTorch's name of it.
        precision: ``"auto"`` is bfloat16 where the device has instructions for it, else float32.
        threads: CPU threads of one prediction; None leaves the runtime's default (all cores).
            PyTorch has one such number for the whole process, so the last runtime made there wins.
    """

    kind: RuntimeKind = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("auto", "torch", "openvino", "onnxruntime"):
            raise ConfigError(
                f"runtime is {self.kind!r}; allowed are auto, torch, openvino, onnxruntime"
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ConfigError(
                f"precision is {self.precision!r}; allowed are auto, float32, bfloat16"
            )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; allowed are 1 and more")


class Runtime(Protocol):
    """A network ready to run; safe to call from several threads."""

    name: str

    def __call__(self, images_BCHW: np.ndarray) -> tuple[np.ndarray, ...]:
        """Float32 (B, C, H, W) in, float32 out with the batch first; a tuple also for one."""
        ...


def make_runtime(
    network: nn.Module,
    forward: Forward,
    options: RuntimeOptions,
    example_BCHW: tuple[int, int, int, int],
    fixed_height: bool = False,
    traceable: bool = True,
) -> Runtime:
    """Prepares ``network`` for inference.

    Args:
        network: with its weights loaded; it is put into evaluation mode.
        forward: a bound method of ``network``: images to what inference needs, a tensor or a tuple
            of tensors.
        options: see ``RuntimeOptions``.
        example_BCHW: an input shape that the network accepts, best a small one: OpenVINO and ONNX
            Runtime learn the network by running it once. Batch and width, and the height unless
            fixed, may vary later.
        fixed_height: whether every input has the example's height.
        traceable: whether ``forward`` does the same steps for every input. Others run in PyTorch.

    Raises:
        ConfigError: the runtime asked for is not installed, or does not run on the device.
    """
    network.eval().requires_grad_(False)
    device = _device(options)
    kind = _kind(options, device) if traceable else _untraced_kind(options)
    if kind == "torch":
        return TorchRuntime(network, forward, device, _precision(options, device), options.threads)
    if device.type != "cpu":
        raise ConfigError(f"runtime {kind!r} runs on the CPU here, not on {device}; use 'torch'")
    varying = (-1, example_BCHW[1], example_BCHW[2] if fixed_height else -1, -1)
    if kind == "openvino":
        precision = _precision(options, device)
        return OpenVinoRuntime(
            ForwardPath(network, forward), example_BCHW, varying, precision, options.threads
        )
    if options.precision == "bfloat16":
        raise ConfigError("onnxruntime has no bfloat16 kernels on CPUs; use float32 or 'openvino'")
    return OnnxRuntime(ForwardPath(network, forward), example_BCHW, fixed_height, options.threads)


class TorchRuntime:
    """PyTorch, channels last; bfloat16 by autocast."""

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        device: torch.device,
        precision: str,
        threads: int | None,
    ) -> None:
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name = f"torch {torch.__version__} {device.type} {precision}"
        self._forward = forward
        self._device = device
        self._bfloat16 = precision == "bfloat16"
        if threads is not None and device.type == "cpu":
            torch.set_num_threads(threads)

    def __call__(self, images_BCHW: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(output.cpu().numpy() for output in self.tensors(images_BCHW))

    def tensors(self, images_BCHW: np.ndarray) -> tuple[Tensor, ...]:
        """The outputs in float32, still on the device."""
        images = torch.from_numpy(images_BCHW).to(self._device)
        images = images.contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            outputs = self._forward(images)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        return tuple(output.float() for output in outputs)


class TwoStageRuntime:
    """A network in two parts, the second of which depends on what the first one found.

    The first runs wherever ``make_runtime`` put it, the second in PyTorch on the same device and in
    the same precision.

    Args:
        first: from ``make_runtime``, which has put the network where it runs.
        second: the bound method that goes on.
        options: those that ``first`` was made with.
    """

    def __init__(self, first: Runtime, second: SecondStage, options: RuntimeOptions) -> None:
        self._first = first
        self._second = second
        self._device = _device(options)
        self._bfloat16 = _precision(options, self._device) == "bfloat16"

    def __call__(
        self, image_1CHW: np.ndarray, content_hw: tuple[int, int]
    ) -> tuple[np.ndarray, ...]:
        """One image in; float32 out, without a batch axis.

        Args:
            image_1CHW: float32, padded on the right and at the bottom.
            content_hw: its height and width without padding.
        """
        if isinstance(self._first, TorchRuntime):
            found = self._first.tensors(image_1CHW)
        else:
            found = tuple(torch.from_numpy(output) for output in self._first(image_1CHW))
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            outputs = self._second(found, content_hw)
        return tuple(output.float().cpu().numpy() for output in outputs)


class OpenVinoRuntime:
    """OpenVINO on the CPU; in bfloat16 the sums and the last layer's output are float32."""

    def __init__(
        self,
        network: nn.Module,
        example_BCHW: tuple[int, int, int, int],
        varying: tuple[int, int, int, int],
        precision: str,
        threads: int | None,
    ) -> None:
        openvino = import_openvino()
        with quiet_exporter():
            # Given a module, OpenVINO traces it and runs it twice more to check the trace.
            traced = torch.jit.trace(network, torch.zeros(example_BCHW), check_trace=False)
            model = openvino.convert_model(traced, input=[openvino.PartialShape(list(varying))])
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            # Every worker of a server would pin its threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.name = f"openvino {openvino.__version__.split('-')[0]} cpu {precision}"
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, images_BCHW: np.ndarray) -> tuple[np.ndarray, ...]:
        with self._lock:  # one request holds one set of buffers
            outputs = self._request.infer([images_BCHW], share_inputs=True)
            return tuple(np.asarray(output) for output in outputs.values())


class OnnxRuntime:
    """ONNX Runtime on the CPU, float32."""

    def __init__(
        self,
        network: nn.Module,
        example_BCHW: tuple[int, int, int, int],
        fixed_height: bool,
        threads: int | None,
    ) -> None:
        import onnxruntime

        varying = (
            {0: "batch", 3: "width"} if fixed_height else {0: "batch", 2: "height", 3: "width"}
        )
        example = torch.zeros(1, *example_BCHW[1:])  # with more, LSTMs would be fixed to that batch
        buffer = io.BytesIO()
        with quiet_exporter():
            torch.onnx.export(
                network, (example,), buffer,  # type: ignore[arg-type]  # takes streams as well
                input_names=["images"], dynamic_axes={"images": varying}, dynamo=False,
            )  # fmt: skip
        settings = onnxruntime.SessionOptions()
        # Idle threads that spin would take the cores from other workers.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            settings.intra_op_num_threads = threads
        self.name = f"onnxruntime {onnxruntime.__version__} cpu float32"
        self._session = onnxruntime.InferenceSession(
            buffer.getvalue(), settings, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images_BCHW: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self._session.run(None, {"images": images_BCHW}))


class ForwardPath(nn.Module):
    """Gives exporters a module whose ``forward`` is the one path that inference needs."""

    def __init__(self, network: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.network = network
        self._path = forward.__name__
        self.eval()  # exporters give the mode of the outermost module to all inside it

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        return getattr(self.network, self._path)(images)


def _device(options: RuntimeOptions) -> torch.device:
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(options.device)
    except RuntimeError as error:
        raise ConfigError(f"device {options.device!r} is unknown: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {options.device!r} was asked for, but PyTorch sees no CUDA device"
        )
    return device


def _untraced_kind(options: RuntimeOptions) -> str:
    if options.kind not in ("auto", "torch"):
        raise ConfigError(
            f"runtime {options.kind!r} cannot run this network, whose steps depend on the image; "
            "use 'auto' or 'torch'"
        )
    return "torch"


def _kind(options: RuntimeOptions, device: torch.device) -> str:
    if options.kind == "auto":
        return "openvino" if device.type == "cpu" and _installed("openvino") else "torch"
    if options.kind != "torch" and not _installed(options.kind):
        raise ConfigError(
            f"runtime {options.kind!r} is not installed; run: pip install {options.kind}, "
            "or use 'auto' or 'torch'"
        )
    return options.kind


def import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which reports to a web service whenever it is imported."""
    if "openvino" not in sys.modules:
        # None makes the import fail; OpenVINO then goes on with a stub of its own.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences PyTorch's remarks about TorchScript, on which OpenVINO's converter still relies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings(
            "ignore", "Exporting a model to ONNX with a batch_size", UserWarning
        )
        yield


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _precision(options: RuntimeOptions, device: torch.device) -> str:
    if options.precision != "auto":
        return options.precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if cpu_has_bfloat16() else "float32"


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; elsewhere it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
