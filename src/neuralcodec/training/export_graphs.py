"""From a weights file to ONNX graphs of its synthesis, for run times without torch and for browsers.

A graph holds no weights: its constants are the float16 arrays of the weights file itself, by offset, and turn
into float32 when the graph is loaded. So a graph takes a few kilobytes, and stays beside its weights file:

    conv-96604f79.safetensors   conv-96604f79.synthesis.onnx
    gru-7a5eea88.safetensors    gru-7a5eea88.synthesis.onnx (one stage)
                                gru-7a5eea88.render.onnx (pixels of the stages so far)

For the id of each weights file in a folder, `index.json` names the files that belong together, with their
SHA-256. Layers have the names of `docs/format.md`, which says what the graphs compute.

    python -m neuralcodec.training.export_graphs src/neuralcodec/weights
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from neuralcodec.errors import NeuralCodecError
from neuralcodec.weights import at

OPSET, IR_VERSION = 17, 8
INDEX = "index.json"

Shape = list[int | str]


class Graph:
    """A graph under construction, whose constants are arrays of one weights file.

    A value is the name of a node's output, `(1, C, H, W)`.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        described = json.loads(data[8 : 8 + length])
        parts = json.loads(described.pop("__metadata__")["neuralcodec"])
        self.codec: str = parts["codec"]
        self.model: Mapping[str, int] = parts["model"]
        self._path, self._described, self._first = path, described, 8 + length
        self._clear()

    def _clear(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape) -> str:
        """Add a float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def op(self, kind: str, *values: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return its output, or a list of several."""
        names = [f"{kind.lower()}_{len(self._nodes)}_{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(values), names, **attributes))
        return names[0] if outputs == 1 else names

    def number(self, value: float) -> str:
        return self._constant(f"number {value}", np.float32(value))

    def integers(self, *values: int) -> str:
        return self._constant(f"integers {values}", np.array(values, np.int64))

    def _constant(self, name: str, value: Any) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def array(self, name: str) -> str:
        """Add the array `transforms.synthesis.<name>` of the weights file, as float32."""
        name = f"transforms.synthesis.{name}"
        if name not in self._constants:
            start, end = self._described[name]["data_offsets"]
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, data_location=TensorProto.EXTERNAL)
            tensor.dims.extend(self._described[name]["shape"])
            where = {"location": self._path.name, "offset": self._first + start, "length": end - start}
            for key, value in where.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, str(value)
            self._constants[name] = tensor
        return str(self.op("Cast", name, to=TensorProto.FLOAT))

    def dense(self, x: str, name: str) -> str:
        """Add a 1x1 convolution."""
        return str(
            self.op("Conv", x, self.array(f"{name}.weight"), self.array(f"{name}.bias"), kernel_shape=[1, 1])
        )

    def spatial(self, x: str, name: str) -> str:
        """Add a 3x3 convolution of each channel by itself."""
        [channels] = self._described[f"transforms.synthesis.{name}.bias"]["shape"]
        parts = (self.array(f"{name}.weight"), self.array(f"{name}.bias"))
        return str(self.op("Conv", x, *parts, kernel_shape=[3, 3], pads=[1] * 4, group=channels))

    def blocks(self, x: str, name: str, count: int) -> str:
        """Add `count` residual blocks, one after another."""
        for n in range(count):
            hidden = self.dense(self.spatial(x, f"{name}.{n}.spatial"), f"{name}.{n}.expand")
            hidden = self.op("Mul", hidden, self.op("Sigmoid", hidden))
            x = self.op("Add", x, self.dense(hidden, f"{name}.{n}.project"))
        return x

    def gru(self, x: str, state: str, name: str) -> str:
        """Add a gated recurrent unit; return its new state."""
        update_x, reset_x, new_x = self.op("Split", self.dense(x, f"{name}.inputs"), axis=1, outputs=3)
        recurrent = self.dense(self.spatial(state, f"{name}.spatial"), f"{name}.recurrent")
        update_h, reset_h, new_h = self.op("Split", recurrent, axis=1, outputs=3)
        update = self.op("Sigmoid", self.op("Add", update_x, update_h))
        reset = self.op("Sigmoid", self.op("Add", reset_x, reset_h))
        candidate = self.op("Tanh", self.op("Add", new_x, self.op("Mul", reset, new_h)))
        return str(self.op("Add", state, self.op("Mul", update, self.op("Sub", candidate, state))))

    def shuffle(self, x: str, size: int) -> str:
        """Rearrange channels into squares of `size`."""
        return str(self.op("DepthToSpace", x, blocksize=size, mode="CRD"))

    def latent(self, channels: int) -> str:
        """Add the inputs `y_hat` `(h, w, C)`, in quantization steps, and `latent_gain`; multiply them."""
        y = self.op("Unsqueeze", self.input("y_hat", ["h", "w", channels]), self.integers(0))
        y = self.op("Transpose", y, perm=[0, 3, 1, 2])
        return str(self.op("Mul", y, self.input("latent_gain", [1, channels, 1, 1])))

    def pixels(self, x: str) -> str:
        """Round pixels in [0, 1], or a little beyond, to samples `(H, W, 3)`, uint8."""
        x = self.op("Round", self.op("Mul", x, self.number(255)))
        x = self.op("Cast", self.op("Clip", x, self.number(0), self.number(255)), to=TensorProto.UINT8)
        return str(self.op("Squeeze", self.op("Transpose", x, perm=[0, 2, 3, 1]), self.integers(0)))

    def finish(self, outputs: Mapping[str, tuple[str, int, Shape]]) -> bytes:
        """Serialise the graph and begin an empty one; `outputs` has each output's value, type and shape."""
        nodes = self._nodes + [helper.make_node("Identity", [v], [n]) for n, (v, _, _) in outputs.items()]
        declared = [helper.make_tensor_value_info(n, kind, shape) for n, (_, kind, shape) in outputs.items()]
        constants = list(self._constants.values())
        graph = helper.make_graph(nodes, "neuralcodec", self._inputs, declared, constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        self._clear()
        return bytes(model.SerializeToString(deterministic=True))


def conv_graphs(graph: Graph) -> dict[str, bytes]:
    """Build `synthesis`: y_hat and the gains of a level to pixels."""
    sizes = graph.model
    y = graph.latent(sizes["latent"])
    gain = graph.input("feature_gain", [1, sizes["coarse"], 1, 1])
    f = graph.blocks(graph.op("Mul", graph.dense(y, "stem"), gain), "coarse", sizes["coarse_blocks"])
    f = graph.blocks(graph.shuffle(graph.dense(f, "up"), 2), "fine", sizes["fine_blocks"])
    x = graph.op(
        "Add", graph.shuffle(graph.dense(f, "head"), 8), graph.shuffle(graph.dense(y, "shortcut"), 16)
    )
    pixels = graph.pixels(graph.op("Add", x, graph.number(0.5)))
    return {"synthesis": graph.finish({"pixels": (pixels, TensorProto.UINT8, ["H", "W", 3])})}


def gru_graphs(graph: Graph) -> dict[str, bytes]:
    """Build `synthesis`, a pass of a stage from states to states, and `render`, states to pixels.

    Each stage has its own layers `stem` and `shortcut` and its own gains: they are inputs of `synthesis`.
    """
    sizes = graph.model
    latent, fine, coarse = sizes["latent"], sizes["fine"], sizes["coarse"]
    states: dict[str, Shape] = {
        "fine": [1, fine, "2h", "2w"],
        "coarse": [1, coarse, "h", "w"],
        "linear": [1, 768, "h", "w"],
    }

    def own(x: str, name: str, outputs: int) -> str:
        weight = graph.input(f"{name}.weight", [outputs, latent, 1, 1])
        return str(graph.op("Conv", x, weight, graph.input(f"{name}.bias", [outputs]), kernel_shape=[1, 1]))

    y = graph.latent(latent)
    gain = graph.input("feature_gain", [1, coarse, 1, 1])
    before = {name: graph.input(name, shape) for name, shape in states.items()}
    f = graph.op("Mul", own(y, "stem", coarse), gain)
    after = {"coarse": graph.gru(f, before["coarse"], "gru_coarse")}
    up = graph.shuffle(graph.dense(graph.blocks(after["coarse"], "block_coarse", 1), "up"), 2)
    after["fine"] = graph.gru(up, before["fine"], "gru_fine")
    after["linear"] = graph.op("Add", before["linear"], own(y, "shortcut", 768))
    stage = graph.finish(
        {f"{name}_after": (after[name], TensorProto.FLOAT, shape) for name, shape in states.items()}
    )

    before = {name: graph.input(name, states[name]) for name in ("fine", "linear")}
    x = graph.dense(graph.blocks(before["fine"], "render_blocks", sizes["render_blocks"]), "head")
    x = graph.op("Add", graph.shuffle(x, 8), graph.shuffle(before["linear"], 16))
    pixels = graph.pixels(graph.op("Add", x, graph.number(0.5)))
    return {
        "synthesis": stage,
        "render": graph.finish({"pixels": (pixels, TensorProto.UINT8, ["H", "W", 3])}),
    }


_GRAPHS: dict[str, Callable[[Graph], dict[str, bytes]]] = {"conv": conv_graphs, "gru": gru_graphs}


def write_graphs(weights: Path) -> dict[str, Path]:
    """Write the graphs of a weights file beside it.

    Returns:
        Their paths by name.

    Raises:
        NeuralCodecError: it is not a weights file, or a graph cannot be written.
    """
    try:
        graph = Graph(weights)
        made = _GRAPHS[graph.codec](graph)
        paths = {name: weights.with_name(f"{weights.stem}.{name}.onnx") for name in made}
        for name, path in paths.items():
            path.write_bytes(made[name])
    except (OSError, KeyError, ValueError) as error:
        raise NeuralCodecError(f"no graphs can be made of {weights}: {error}") from None
    return paths


def write_index(folder: Path) -> None:
    """Write the graphs of every weights file in a folder, and the index of all of them."""
    index = {}
    for weights in sorted(folder.glob("*.safetensors")):
        graphs = {name: _entry(path) for name, path in write_graphs(weights).items()}
        index[at(weights).id.hex()] = {**_entry(weights), "graphs": graphs}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _entry(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


if __name__ == "__main__":
    write_index(Path(sys.argv[1]))
