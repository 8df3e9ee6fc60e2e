"""The graphs beside a weights file, on ONNX Runtime; `neuralcodec.training.export_graphs` makes them.

A session has threads of its own, which a forked child does not have, though it has the session: to free it
there would be to wait for them for ever. So a child keeps what it inherited, and loads sessions of its own.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralcodec.arrays import Floats
from neuralcodec.errors import NeuralCodecError
from neuralcodec.parallel import computing
from neuralcodec.processes import available_cores
from neuralcodec.weights import WeightsFile, by_id
from neuralcodec.weights.packing import patched
from neuralcodec.weights.stored import StoredFile, content_of

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Graphs of the decoder; the others are of the encoder, and in its folder.
DECODING = ("synthesis", "render", "detail_synthesis")


def has_graphs(file: WeightsFile) -> bool:
    """Whether there are graphs beside a weights file, of the encoder too if it has one."""
    decoder = file if file.decodes else by_id(file.id)
    own = {path.name.split(".")[-2] for path in file.path.parent.glob(f"{file.path.stem}.*.onnx")}
    if file.encodes and own <= set(DECODING):
        return False
    return _path(decoder, "synthesis").is_file()


def has_graph(file: StoredFile, name: str) -> bool:
    """Whether there is a graph of this name beside a file."""
    return _path(file, name).is_file()


def _path(file: StoredFile, name: str) -> Path:
    return file.path.with_name(f"{file.path.stem}.{name}.onnx")


class Sessions:
    """The graphs beside a file, each loaded when it is first run; they may be run in threads."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._sessions: dict[str, Any] = {}
        _all.add(self)

    def run(self, name: str, outputs: list[str] | None = None, /, **feeds: Floats) -> list[Any]:
        """Run a graph and return its outputs; `__` in the name of an input stands for a point.

        Raises:
            NeuralCodecError: there is no such graph, or it is not that of the weights.
        """
        named = {key.replace("__", "."): value for key, value in feeds.items()}
        if name not in self._sessions:
            self._sessions[name] = self._loaded(name)
        return list(self._sessions[name].run(outputs, named))

    def _loaded(self, name: str) -> Any:
        return _load(self._file, name)

    def leave_sessions(self) -> None:
        """Forget the sessions without freeing them."""
        _keep(*self._sessions.values())
        self._sessions = {}


class Graphs(Sessions):
    """The graphs beside the weights file of a codec.

    Args:
        arrays: of the weights, for `gains`.
    """

    def __init__(self, file: WeightsFile, arrays: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._encoder, self._arrays = file, arrays
        self._decoder = file if file.decodes else by_id(file.id)

    def _loaded(self, name: str) -> Any:
        file = self._decoder if name in DECODING else self._encoder
        if file is self._decoder and not (self._encoder.encodes or self._encoder.decodes):
            return _load(file, name, self._arrays)  # another synthesis
        coming = _coming.pop((file, name), None)
        return _load(file, name) if coming is None else coming.result()

    def gains(self, name: str, level: float) -> Floats:
        """Gains `(1, C, 1, 1)` of a table at a level, see `neuralcodec.models.blocks.GainTable`."""
        import numpy as np

        table = self._arrays[f"transforms.{name}.log_gain"].astype(np.float32)
        low = min(int(level), len(table) - 2)
        share = np.float32(level - low)
        row = table[low] * (1 - share) + table[low + 1] * share
        return np.exp(row, dtype=np.float32).reshape(1, -1, 1, 1)

    def array(self, name: str) -> Floats:
        values: Floats = self._arrays[f"transforms.{name}"].astype("float32")
        return values


def prepare(file: WeightsFile, names: Sequence[str]) -> None:
    """Begin to load graphs of a weights file, in a thread, while this one loads what else it needs.

    It is for a process that starts. One that has run graphs has them.
    """
    if _all or _coming:
        return
    from concurrent.futures import ThreadPoolExecutor

    load = computing()(_load)  # a fork waits for it
    thread = ThreadPoolExecutor(1)
    for name in names:
        _coming[file, name] = thread.submit(load, file, name)
    thread.shutdown(wait=False)


def _load(file: StoredFile, name: str, values: Mapping[str, Any] | None = None) -> Any:
    """Load a graph, with other `values` of its arrays where there are some."""
    plain, digest = content_of(file)
    if values is not None:
        plain = patched(plain, values)
    # It would report its use to its makers, by a thread for which a forked child waits at its end.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # type: ignore[import-untyped]

    path = _path(file, name)
    if not path.is_file():
        raise NeuralCodecError(f"{path} is missing, without which these weights run on torch alone")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    # The level beyond would block channels, with which 1x1 convolutions take half as long again.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work needs the cores
    options.log_severity_level = 3
    options.add_external_initializers_from_files_in_memory([file.path.name], [plain], [len(plain)])
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds have no common name that is public
        raise NeuralCodecError(f"{path} cannot be loaded: {' '.join(str(error).split())[:200]}") from None
    told = session.get_modelmeta().custom_metadata_map.get("weights")
    if told != digest:
        raise NeuralCodecError(f"{path} is not the graph of {file.path}: export the weights again")
    return session


_all: weakref.WeakSet[Sessions] = weakref.WeakSet()
#: Sessions that `prepare` loads, until they are first run.
_coming: dict[tuple[WeightsFile, str], Future[Any]] = {}


def _keep(*objects: object) -> None:
    """Never free these."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _after_fork() -> None:
    for graphs in _all:
        graphs.leave_sessions()
    _keep(*_coming.values())
    _coming.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
