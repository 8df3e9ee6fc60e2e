"""From a weights file to ONNX graphs of its transforms, for run times without torch and for browsers.

A graph holds no weights: its constants are the float16 arrays of the weights file itself, by offset, and turn
into float32 when the graph is loaded. So a graph takes a few kilobytes, stays beside its weights, and says in
its metadata what the SHA-256 of that file is:

    conv-96604f79.safetensors   conv-96604f79.synthesis.onnx
                                conv-96604f79.features.onnx, .latent.onnx, .hyper_analysis.onnx
                                with a detail layer .detail_synthesis.onnx, .detail_analysis.onnx
    gru-7a5eea88.safetensors    gru-7a5eea88.synthesis.onnx, .analysis.onnx (a pass of one stage)
                                gru-7a5eea88.render.onnx (pixels of the stages so far)

`index.json` names, for the id of each weights file in a folder, the files that decoding takes, with their
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
from neuralcodec.models.graphs import DECODING
from neuralcodec.models.prior import LATENT_UNIT
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
        self._hash = hashlib.sha256(data).hexdigest()
        #: Which halves are in the file.
        self.encodes, self.decodes = (
            any(name.startswith(f"transforms.{half}.") for name in described)
            for half in ("analysis", "synthesis")
        )
        self._clear()

    def begin(self, network: str) -> None:
        """Start the next graph, with the arrays `transforms.<network>.*`."""
        self._clear()
        self._network = network

    def use(self, network: str) -> None:
        """Go on in the same graph with the arrays of another network."""
        self._network = network

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
        """Add an array of the network, as float32."""
        name = f"transforms.{self._network}.{name}"
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

    def layer(self, x: str, name: str) -> str:
        """Add a 1x1 convolution."""
        return self.convolve(x, self.array(f"{name}.weight"), self.array(f"{name}.bias"))

    def convolve(self, x: str, weight: str, bias: str) -> str:
        return str(self.op("Conv", x, weight, bias, kernel_shape=[1, 1]))

    def spatial(self, x: str, name: str) -> str:
        """Add a 3x3 convolution of each channel by itself."""
        [channels] = self._described[f"transforms.{self._network}.{name}.bias"]["shape"]
        parts = (self.array(f"{name}.weight"), self.array(f"{name}.bias"))
        return str(self.op("Conv", x, *parts, kernel_shape=[3, 3], pads=[1] * 4, group=channels))

    def blocks(self, x: str, name: str, count: int) -> str:
        """Add `count` residual blocks, one after another."""
        for n in range(count):
            hidden = self.silu(self.layer(self.spatial(x, f"{name}.{n}.spatial"), f"{name}.{n}.expand"))
            x = self.op("Add", x, self.layer(hidden, f"{name}.{n}.project"))
        return x

    def silu(self, x: str) -> str:
        return str(self.op("Mul", x, self.op("Sigmoid", x)))

    def gru(self, x: str, state: str, name: str) -> str:
        """Add a gated recurrent unit; return its new state."""
        update_x, reset_x, new_x = self.op("Split", self.layer(x, f"{name}.inputs"), axis=1, outputs=3)
        recurrent = self.layer(self.spatial(state, f"{name}.spatial"), f"{name}.recurrent")
        update_h, reset_h, new_h = self.op("Split", recurrent, axis=1, outputs=3)
        update = self.op("Sigmoid", self.op("Add", update_x, update_h))
        reset = self.op("Sigmoid", self.op("Add", reset_x, reset_h))
        candidate = self.op("Tanh", self.op("Add", new_x, self.op("Mul", reset, new_h)))
        return str(self.op("Add", state, self.op("Mul", update, self.op("Sub", candidate, state))))

    def shuffle(self, x: str, size: int) -> str:
        """Rearrange channels into squares of `size`."""
        return str(self.op("DepthToSpace", x, blocksize=size, mode="CRD"))

    def unshuffle(self, x: str, size: int, channels: int) -> str:
        """Rearrange squares of `size` into channels, as `torch.nn.functional.pixel_unshuffle` orders them."""
        shape = self.op("Shape", x)
        rows, columns = (self.op("Slice", shape, *self._at(axis)) for axis in (2, 3))
        parts = (self.op("Div", side, self.integers(size)) for side in (rows, columns))
        high, wide = parts
        ones, step = self.integers(1, channels), self.integers(size)
        x = self.op("Reshape", x, self.op("Concat", ones, high, step, wide, step, axis=0))
        x = self.op("Transpose", x, perm=[0, 1, 3, 5, 2, 4])
        packed = self.integers(1, channels * size * size)
        return str(self.op("Reshape", x, self.op("Concat", packed, high, wide, axis=0)))

    def _at(self, axis: int) -> tuple[str, str]:
        return self.integers(axis), self.integers(axis + 1)

    def channels_first(self, x: str) -> str:
        """Turn `(h, w, C)` into `(1, C, h, w)`."""
        return str(self.op("Transpose", self.op("Unsqueeze", x, self.integers(0)), perm=[0, 3, 1, 2]))

    def channels_last(self, x: str) -> str:
        """Turn `(1, C, h, w)` into `(h, w, C)`."""
        return str(self.op("Squeeze", self.op("Transpose", x, perm=[0, 2, 3, 1]), self.integers(0)))

    def latent(self, channels: int, name: str = "y_hat", gain: str = "latent_gain", scale: str = "") -> str:
        """Add the inputs of a latent `(h, w, C)`, in quantization steps, and of its gain; multiply them."""
        y = self.channels_first(self.input(name, [f"{scale}h", f"{scale}w", channels]))
        return str(self.op("Mul", y, self.input(gain, [1, channels, 1, 1])))

    def pixels(self, x: str) -> str:
        """Round pixels in [0, 1], or a little beyond, to samples `(H, W, 3)`, uint8."""
        x = self.op("Round", self.op("Mul", x, self.number(255)))
        x = self.op("Cast", self.op("Clip", x, self.number(0), self.number(255)), to=TensorProto.UINT8)
        return self.channels_last(x)

    def finish(self, **outputs: str) -> bytes:
        """Serialise the graph, given the value of each output; `pixels` are uint8, others float32."""
        nodes = self._nodes + [helper.make_node("Identity", [v], [n]) for n, v in outputs.items()]
        kinds = {"pixels": TensorProto.UINT8}
        declared = [helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), None) for n in outputs]
        constants = list(self._constants.values())
        graph = helper.make_graph(nodes, "neuralcodec", self._inputs, declared, constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, {"weights": self._hash})
        return bytes(model.SerializeToString(deterministic=True))


def conv_graphs(graph: Graph) -> dict[str, bytes]:
    """Build the parts of both transforms, each with numpy's `(h, w, C)` where nothing else is said.

    Of a decoder `synthesis`, y_hat and the gains of a level to pixels, and `detail_synthesis`, the same with
    y2_hat and its gains. Of an encoder `features`, pixels to
    what is the same for every level, `latent`, that and the gains to y, `hyper_analysis`, y to z, and
    `detail_analysis`, pixels and y_hat to y2.
    """
    return (_conv_decoder(graph) if graph.decodes else {}) | (_conv_encoder(graph) if graph.encodes else {})


def _conv_decoder(graph: Graph) -> dict[str, bytes]:
    sizes = graph.model
    graph.begin("synthesis")
    _, x = _conv_base(graph)
    graphs = {"synthesis": graph.finish(pixels=graph.pixels(x))}
    if sizes.get("detail"):
        graph.begin("synthesis")
        fine, x = _conv_base(graph)
        graph.use("detail_synthesis")
        y = graph.latent(sizes["detail"], "y2_hat", "latent_gain2", "2")
        stem = graph.op("Mul", graph.layer(y, "stem"), graph.input("feature_gain2", _gain(sizes)))
        f = graph.op("Add", stem, graph.layer(fine, "seen"))
        f = graph.blocks(f, "blocks", sizes["detail_synthesis_blocks"])
        added = graph.op("Add", graph.layer(f, "head"), graph.layer(y, "shortcut"))
        x = graph.op("Add", x, graph.shuffle(added, 8))
        graphs["detail_synthesis"] = graph.finish(pixels=graph.pixels(x))
    return graphs


def _gain(sizes: Mapping[str, int]) -> Shape:
    return [1, sizes["detail_width"], 1, 1]


def _conv_base(graph: Graph) -> tuple[str, str]:
    """Add the synthesis of the base; return its features at 1/8, and pixels in [0, 1]."""
    sizes = graph.model
    y = graph.latent(sizes["latent"])
    gain = graph.input("feature_gain", [1, sizes["coarse"], 1, 1])
    f = graph.blocks(graph.op("Mul", graph.layer(y, "stem"), gain), "coarse", sizes["coarse_blocks"])
    f = graph.blocks(graph.shuffle(graph.layer(f, "up"), 2), "fine", sizes["fine_blocks"])
    deep, linear = graph.shuffle(graph.layer(f, "head"), 8), graph.shuffle(graph.layer(y, "shortcut"), 16)
    return f, str(graph.op("Add", graph.op("Add", deep, linear), graph.number(0.5)))


def _conv_encoder(graph: Graph) -> dict[str, bytes]:
    sizes, graphs = graph.model, {}
    graph.begin("analysis")
    x = graph.channels_first(graph.input("pixels", ["H", "W", 3]))  # 8-bit levels
    x = graph.op("Sub", graph.op("Div", x, graph.number(255)), graph.number(0.5))
    fine = graph.blocks(graph.layer(graph.unshuffle(x, 8, 3), "stem"), "fine", sizes["fine_blocks"])
    shortcut = graph.layer(graph.unshuffle(x, 16, 3), "shortcut")
    graphs["features"] = graph.finish(fine=fine, shortcut=shortcut)

    graph.begin("analysis")
    f = graph.input("fine", [1, sizes["fine"], "2h", "2w"])
    f = graph.op("Mul", f, graph.input("feature_gain", [1, sizes["fine"], 1, 1]))
    f = graph.layer(graph.unshuffle(f, 2, sizes["fine"]), "down")
    f = graph.layer(graph.blocks(f, "coarse", sizes["coarse_blocks"]), "head")
    y = graph.op("Add", f, graph.input("shortcut", [1, sizes["latent"], "h", "w"]))
    y = graph.op("Mul", y, graph.input("latent_gain", [1, sizes["latent"], 1, 1]))
    graphs["latent"] = graph.finish(y=graph.channels_last(y))

    graph.begin("hyper_analysis")
    y = graph.channels_first(graph.input("y", ["h", "w", sizes["latent"]]))
    z = graph.silu(graph.layer(graph.op("Div", y, graph.number(LATENT_UNIT)), "stem"))
    z = graph.silu(graph.layer(graph.unshuffle(z, 2, sizes["latent"]), "down"))
    z = graph.layer(graph.unshuffle(graph.spatial(z, "spatial"), 2, sizes["latent"]), "head")
    z = graph.op("Mul", z, graph.number(LATENT_UNIT))
    graphs["hyper_analysis"] = graph.finish(z=graph.channels_last(z))
    if sizes.get("detail"):
        graph.begin("synthesis")
        fine, base = _conv_base(graph)
        x = graph.channels_first(graph.input("pixels", ["H", "W", 3]))
        residual = graph.unshuffle(graph.op("Sub", graph.op("Div", x, graph.number(255)), base), 8, 3)
        graph.use("detail_analysis")
        f = graph.op("Add", graph.layer(residual, "stem"), graph.layer(fine, "seen"))
        f = graph.op("Mul", f, graph.input("feature_gain2", _gain(sizes)))
        f = graph.layer(graph.blocks(f, "blocks", sizes["detail_analysis_blocks"]), "head")
        y = graph.op("Add", f, graph.layer(residual, "shortcut"))
        y = graph.op("Mul", y, graph.input("latent_gain2", [1, sizes["detail"], 1, 1]))
        graphs["detail_analysis"] = graph.finish(y=graph.channels_last(y))
    return graphs


def gru_graphs(graph: Graph) -> dict[str, bytes]:
    """Build `synthesis` and `analysis`, a pass of a stage each, and `render`, states to pixels.

    What each stage has of its own are inputs: gains, `stem` or `head`, and `shortcut`.
    """
    return (_gru_decoder(graph) if graph.decodes else {}) | (_gru_encoder(graph) if graph.encodes else {})


def _states(graph: Graph) -> dict[str, Shape]:
    return {
        "fine": [1, graph.model["fine"], "2h", "2w"],
        "coarse": [1, graph.model["coarse"], "h", "w"],
        "linear": [1, 768, "h", "w"],
    }


def _own(graph: Graph, x: str, name: str, inputs: int, outputs: int) -> str:
    """Add a 1x1 convolution that each stage has for itself."""
    weight = graph.input(f"{name}.weight", [outputs, inputs, 1, 1])
    return graph.convolve(x, weight, graph.input(f"{name}.bias", [outputs]))


def _gru_decoder(graph: Graph) -> dict[str, bytes]:
    latent, coarse = graph.model["latent"], graph.model["coarse"]
    graph.begin("synthesis")
    y = graph.latent(latent)
    gain = graph.input("feature_gain", [1, coarse, 1, 1])
    before = {name: graph.input(name, shape) for name, shape in _states(graph).items()}
    f = graph.op("Mul", _own(graph, y, "stem", latent, coarse), gain)
    a = graph.gru(f, before["coarse"], "gru_coarse")
    up = graph.shuffle(graph.layer(graph.blocks(a, "block_coarse", 1), "up"), 2)
    b = graph.gru(up, before["fine"], "gru_fine")
    linear = graph.op("Add", before["linear"], _own(graph, y, "shortcut", latent, 768))
    stage = graph.finish(fine_after=b, coarse_after=a, linear_after=linear)

    graph.begin("synthesis")
    b, linear = (graph.input(name, _states(graph)[name]) for name in ("fine", "linear"))
    x = graph.layer(graph.blocks(b, "render_blocks", graph.model["render_blocks"]), "head")
    x = graph.op("Add", graph.shuffle(x, 8), graph.shuffle(linear, 16))
    pixels = graph.pixels(graph.op("Add", x, graph.number(0.5)))
    return {"synthesis": stage, "render": graph.finish(pixels=pixels, x_hat=graph.channels_last(x))}


def _gru_encoder(graph: Graph) -> dict[str, bytes]:
    latent, fine, coarse = (graph.model[name] for name in ("latent", "fine", "coarse"))
    states = _states(graph)
    graph.begin("analysis")
    x = graph.channels_first(graph.input("residual", ["H", "W", 3]))
    f = graph.layer(graph.unshuffle(x, 8, 3), "stem")
    f = graph.op("Mul", f, graph.input("gain", [1, fine, 1, 1]))
    b = graph.gru(graph.blocks(f, "block_fine", 1), graph.input("fine", states["fine"]), "gru_fine")
    down = graph.layer(graph.unshuffle(b, 2, fine), "down")
    a = graph.gru(down, graph.input("coarse", states["coarse"]), "gru_coarse")
    y = _own(graph, graph.blocks(a, "block_coarse", 1), "head", coarse, latent)
    y = graph.op("Div", y, graph.input("gain_mean", []))
    y = graph.op("Add", y, _own(graph, graph.unshuffle(x, 16, 3), "shortcut", 768, latent))
    y = graph.op("Mul", y, graph.input("latent_gain", [1, latent, 1, 1]))
    return {"analysis": graph.finish(y=graph.channels_last(y), fine_after=b, coarse_after=a)}


_GRAPHS: dict[str, Callable[[Graph], dict[str, bytes]]] = {"conv": conv_graphs, "gru": gru_graphs}


def write_graphs(weights: Path) -> dict[str, Path]:
    """Write the graphs of a weights file beside it.

    Returns:
        Their paths by name; none of a codec that has no graphs.

    Raises:
        NeuralCodecError: it is not a weights file, or a graph cannot be written.
    """
    try:
        graph = Graph(weights)
        made = _GRAPHS[graph.codec](graph) if graph.codec in _GRAPHS else {}
        paths = {name: weights.with_name(f"{weights.stem}.{name}.onnx") for name in made}
        for name, path in paths.items():
            path.write_bytes(made[name])
    except (OSError, KeyError, ValueError) as error:
        raise NeuralCodecError(f"no graphs can be made of {weights}: {error}") from None
    return paths


def write_index(folder: Path) -> None:
    """Write the graphs of every weights file in a folder, and the index of those that decode."""
    index = {}
    for weights in sorted(folder.glob("*.safetensors")):
        graphs, file = write_graphs(weights), at(weights)
        if file.decodes:
            needed = {name: _entry(path) for name, path in graphs.items() if name in DECODING}
            index[file.id.hex()] = {**_entry(weights), "graphs": needed}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _entry(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


if __name__ == "__main__":
    write_index(Path(sys.argv[1]))
