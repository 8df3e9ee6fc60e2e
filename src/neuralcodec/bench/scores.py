"""The metrics that score a decoded picture: two are always there, three need the extra `bench`.

No model of ours is trained for HaarPSI (Reisenhofer et al. 2018) or VSI (Zhang, Shen and Li 2014): they show
whether a gain is one only in the metrics of training.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import numpy as np

from neuralcodec.picture.metrics import Image8, ms_ssim, psnr, ssimulacra2

#: The package of each metric that is not part of this one.
PACKAGES = {"ssimulacra2": "ssimulacra2", "haarpsi": "piq", "vsi": "piq"}


def available() -> tuple[str, ...]:
    """Name the further metrics whose package is installed."""
    return tuple(name for name, package in PACKAGES.items() if find_spec(package) is not None)


def score(original: Image8, decoded: Image8, further: tuple[str, ...]) -> dict[str, float | None]:
    """Score a decoded picture by every metric; one that is infinite or not asked for is None.

    Args:
        original, decoded: uint8, `(H, W, 3)` or `(H, W, 1)`.
        further: the metrics of `available` to add to MS-SSIM and PSNR.
    """
    values = {"ms_ssim": ms_ssim(original, decoded), "psnr": finite_or_none(psnr(original, decoded))}
    values["ssimulacra2"] = ssimulacra2(original, decoded) if "ssimulacra2" in further else None
    for name in ("haarpsi", "vsi"):
        values[name] = _by_piq(name, original, decoded) if name in further else None
    return values


def finite_or_none(value: float) -> float | None:
    """Return the value if it is finite, as JSON needs it; else None."""
    return value if math.isfinite(value) else None


def _by_piq(name: str, original: Image8, decoded: Image8) -> float:
    """Score a picture by one of piq's metrics, 0 to 1; grey becomes three equal channels."""
    import torch

    def tensor(picture: Image8) -> Any:
        planes = np.broadcast_to(picture, (*picture.shape[:2], 3)).transpose(2, 0, 1)
        return torch.from_numpy(planes[None].astype(np.float32))  # (1, 3, H, W)

    metric = getattr(_part_of_piq(name), name)
    with torch.inference_mode():
        return float(metric(tensor(decoded), tensor(original), data_range=255.0))


@functools.cache
def _part_of_piq(name: str) -> ModuleType:
    """Load one module of piq without running the package's `__init__`.

    `__init__` imports torchvision, for metrics that are not used here, and PyPI's build of torchvision fails
    beside a CPU build of torch.
    """
    if "piq" not in sys.modules:
        spec = find_spec("piq")
        assert spec is not None
        sys.modules["piq"] = module_from_spec(spec)
    return importlib.import_module(f"piq.{name}")
