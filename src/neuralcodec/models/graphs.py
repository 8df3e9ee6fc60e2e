"""The graphs beside a weights file, on ONNX Runtime; `neuralcodec.training.export_graphs` makes them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from neuralcodec.arrays import Floats
from neuralcodec.errors import NeuralCodecError
from neuralcodec.processes import available_cores
from neuralcodec.weights import WeightsFile, by_id


class Graphs:
    """The graphs beside a weights file, each loaded when it is first run; they may be run in threads.

    Args:
        arrays: of the weights, for `gains`.
    """

    def __init__(self, file: WeightsFile, arrays: Mapping[str, Any]) -> None:
        self._encoder, self._arrays = file, arrays
        self._decoder = file if file.decodes else by_id(file.id)
        self._load = functools.cache(self._session)

    def run(self, name: str, outputs: list[str] | None = None, /, **feeds: Floats) -> list[Any]:
        """The outputs of a graph; `__` in the name of an input stands for a point.

        Raises:
            NeuralCodecError: there is no such graph, or it is not that of the weights.
        """
        named = {key.replace("__", "."): value for key, value in feeds.items()}
        return list(self._load(name).run(outputs, named))

    def gains(self, name: str, level: float) -> Floats:
        """Gains `(1, C, 1, 1)` of a table at a level, see `neuralcodec.models.blocks.GainTable`."""
        table = self._arrays[f"transforms.{name}.log_gain"].astype(np.float32)
        low = min(int(level), len(table) - 2)
        share = np.float32(level - low)
        row = table[low] * (1 - share) + table[low + 1] * share
        return np.exp(row, dtype=np.float32).reshape(1, -1, 1, 1)

    def array(self, name: str) -> Floats:
        return np.asarray(self._arrays[f"transforms.{name}"], np.float32)

    def _session(self, name: str) -> Any:
        import onnxruntime  # type: ignore[import-untyped]

        file = self._decoder if name in ("synthesis", "render") else self._encoder
        path = file.path.with_name(f"{file.path.stem}.{name}.onnx")
        if not path.is_file():
            raise NeuralCodecError(f"{path} is missing, without which these weights run on torch alone")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own kinds have no common name that is public
            raise NeuralCodecError(f"{path} cannot be loaded: {' '.join(str(error).split())[:200]}") from None
        told = session.get_modelmeta().custom_metadata_map.get("weights")
        if told != hashlib.sha256(file.path.read_bytes()).hexdigest():
            raise NeuralCodecError(f"{path} is not the graph of {file.path}: export the weights again")
        return session
