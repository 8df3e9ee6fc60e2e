"""Where the transforms run, and what the hardware is good at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

import torch

from neuralcodec.errors import UsageError
from neuralcodec.models.runtime import wanted_device

File = TypeVar("File", bound=Hashable)
File_contra = TypeVar("File_contra", contravariant=True)
Model_co = TypeVar("Model_co", covariant=True)


class Loader(Protocol[File_contra, Model_co]):
    """What loads the model of a weights file."""

    def __call__(self, file: File_contra, device: str | None = None) -> Model_co:
        """Load it, on the device that `transforms_device` finds.

        Raises:
            UsageError: there is no such device here. NeuralCodecError: it is no weights file of this version.
        """


def loader(make: Callable[[File, torch.device], Model_co], *, kept: int) -> Loader[File, Model_co]:
    """Turn what makes the model of a file into what loads it; the last `kept` stay in memory."""
    made = functools.lru_cache(maxsize=kept)(make)

    def load(file: File, device: str | None = None) -> Model_co:
        return made(file, transforms_device(device))

    return load


def transforms_device(wanted: str | None = None) -> torch.device:
    """Find the device that is wanted, see `wanted_device`.

    Raises:
        UsageError: the device is not available, or there is no such device.
    """
    wanted = wanted_device(wanted)
    if wanted != "cpu" and torch.cuda._is_in_bad_fork():
        if wanted == "cuda":
            raise UsageError(
                "device cuda cannot go on in a forked process: start it by spawn, or use the CPU"
            )
        wanted = "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        why = "this PyTorch is built without CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
        raise UsageError(f"device cuda: {why}; use cpu or auto")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 are faster here than in float32, rather than emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # No public function tells this; where the private ones are missing, float32 is the safe answer.
    tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, test, bool)() for test in tests)
