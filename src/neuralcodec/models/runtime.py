"""What runs the transforms: torch, or ONNX Runtime, a tenth of its size and loaded in a tenth of the time.

A run time gives a model with numpy going in and out. torch has the GPU, bfloat16, batches of tensors and the
gradients that efforts above 1 take; ONNX Runtime has the rest.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress

from neuralcodec.errors import UsageError

#: `auto` (the default: torch where it is installed), `torch` or `onnx`. `ncodec --runtime` sets it.
VARIABLE = "NCODEC_RUNTIME"
TORCH, ONNX = "torch", "onnx"
#: What to say where torch is missing.
NEEDS_TORCH = "it needs PyTorch: pip install 'neuralcodec[torch]'"
_GPU_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


def runtime(device: str | None = None) -> str:
    """Find the run time that `NCODEC_RUNTIME` asks for, or the best that is there for a device.

    Raises:
        UsageError: it is not installed, or has no such device.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in ("auto", TORCH, ONNX):
        raise UsageError(f"runtime must be auto, torch or onnx, not {wanted!r}")
    found = TORCH if wanted != ONNX and has_torch() else ONNX
    if wanted == TORCH and found != TORCH:
        raise UsageError(f"runtime torch: {NEEDS_TORCH}")
    if found == ONNX and (device or os.environ.get("NCODEC_DEVICE")) == "cuda":
        why = "runtime onnx has none" if has_torch() else NEEDS_TORCH
        raise UsageError(f"device cuda: {why}")
    return found


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


def described() -> str:
    """Name the run time that is used now, with its version, for people."""
    from importlib.metadata import version

    names = {TORCH: ("PyTorch", "torch"), ONNX: ("ONNX Runtime", "onnxruntime")}
    name, package = names[runtime()]
    return f"{name} {version(package)}"


def on_gpu() -> bool:
    """Whether models that are loaded now will run on a GPU. Loads torch only where there is a driver for one.

    Raises:
        UsageError: as in `runtime`.
    """
    wanted = os.environ.get("NCODEC_DEVICE") or "auto"
    if runtime() == ONNX:
        return False
    return wanted == "cuda" or (wanted == "auto" and _has_driver() and _torch_finds_gpu())


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
