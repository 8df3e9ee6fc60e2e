"""What runs the transforms: ONNX Runtime or torch, which is ten times as large and takes far longer to load.

A run time gives a model with numpy going in and out. torch has the GPU, bfloat16, batches of tensors and the
gradients that efforts above 1 take, and it needs no graphs. ONNX Runtime has the rest: on a CPU it is no
slower than torch in float32, and it starts in a fraction of the time.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from contextlib import suppress

from neuralcodec.errors import UsageError

#: `auto` (the default), `torch` or `onnx`. `ncodec --runtime` sets it.
VARIABLE = "NCODEC_RUNTIME"
DEVICE_VARIABLE = "NCODEC_DEVICE"
TORCH, ONNX = "torch", "onnx"
#: What to say where torch is missing.
NEEDS_TORCH = "it needs PyTorch: pip install 'neuralcodec[torch]'"
_GPU_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


def runtime(device: str | None = None, *, effort: int = 1, graphs: bool = True) -> str:
    """Choose the run time: what `NCODEC_RUNTIME` asks for, or the one that is right for the task.

    By itself that is torch where only torch can do it, or where there is a GPU, and ONNX Runtime elsewhere.

    Args:
        device: as in `wanted_device`.
        effort: that the model will be asked for.
        graphs: whether the weights have graphs, without which ONNX Runtime cannot run them.

    Raises:
        UsageError: it is not installed, cannot do what is asked, or there is no such device.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in ("auto", TORCH, ONNX):
        raise UsageError(f"runtime must be auto, torch or onnx, not {wanted!r}")
    if wanted == TORCH:
        require_torch("runtime torch")
        return TORCH
    device = wanted_device(device)
    if device == "cuda" or effort > 1:
        what = "device cuda" if device == "cuda" else f"effort {effort}"
        require_torch(what)
        if wanted == ONNX:
            lacks = "such device" if device == "cuda" else "gradients"
            raise UsageError(f"{what}: runtime onnx has no {lacks}; leave it to torch")
        return TORCH
    if wanted == "auto" and has_torch() and (not graphs or (device == "auto" and _finds_gpu())):
        return TORCH
    return ONNX


def wanted_device(device: str | None = None) -> str:
    """Return where transforms shall run: `auto` (a GPU if there is one), `cpu` or `cuda`.

    Args:
        device: one of these; by default what `NCODEC_DEVICE` says, which `ncodec --device` sets, or `auto`.

    Raises:
        UsageError: it is none of these.
    """
    device = device or os.environ.get(DEVICE_VARIABLE) or "auto"
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device must be auto, cpu or cuda, not {device!r}")
    return device


def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    try:
        return importlib.util.find_spec("torch") is not None
    except ImportError:
        return False


def require_torch(what: str) -> None:
    """Raise UsageError where there is no torch for what only torch does."""
    if not has_torch():
        raise UsageError(f"{what}: {NEEDS_TORCH}")


def described(*, effort: int = 1) -> str:
    """Name the run time that codes pictures with the package's weights, with its version, for people."""
    from importlib.metadata import version

    names = {TORCH: ("PyTorch", "torch"), ONNX: ("ONNX Runtime", "onnxruntime")}
    name, package = names[runtime(effort=effort)]
    return f"{name} {version(package)}"


def on_gpu() -> bool:
    """Whether models that are loaded now will run on a GPU. Loads torch only where there is a driver for one.

    Raises:
        UsageError: as in `runtime`.
    """
    device = wanted_device()
    return runtime() == TORCH and (device == "cuda" or (device == "auto" and _finds_gpu()))


def _finds_gpu() -> bool:
    return _has_driver() and _torch_finds_gpu()


@functools.cache
def _has_driver() -> bool:
    import ctypes

    for name in _GPU_DRIVERS:
        with suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def _torch_finds_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
