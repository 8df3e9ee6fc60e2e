"""A builder of ONNX graphs whose constants are the arrays of a weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from neuralcodec.models.denoise.network import LEAST as EVENED_LEAST
from neuralcodec.weights.changes import STEP
from neuralcodec.weights.stored import StoredFile, content_of

OPSET, IR_VERSION = 17, 8
#: The types of stored arrays.
_KINDS = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT, "I8": TensorProto.INT8}

Shape = list[int | str]


class Graph:
    """A graph under construction, whose constants are arrays of one weights file.

    A value is the name of a node's output, `(1, C, H, W)` where nothing else is said.
    """

    def __init__(self, file: StoredFile) -> None:
        plain, self._hash = content_of(file)
        length = int.from_bytes(plain[:8], "little")
        described = json.loads(plain[8 : 8 + length])
        self.model: Mapping[str, int] = file.said["model"]
        #: Which halves of a codec are in the file.
        self.encodes, self.decodes = (half in file.said.get("parts", ()) for half in ("encoder", "decoder"))
        self._path, self._described, self._first = file.path, described, 8 + length
        self._clear()

    def begin(self, network: str) -> None:
        """Start the next graph, with the arrays `transforms.<network>.*`, or without a network with all."""
        self._clear()
        self.use(network)

    def use(self, network: str) -> None:
        """Go on in the same graph with the arrays of another network."""
        self._prefix = f"transforms.{network}." if network else ""

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
        """Add an array of the network, as float32; one that is stored in rows of 8 bits is multiplied out."""
        name = self._prefix + name
        values = str(self.op("Cast", self._stored(name), to=TensorProto.FLOAT))
        if name + STEP not in self._described:
            return values
        rows, *others = self._described[name]["shape"]
        step = self.op("Reshape", self._stored(name + STEP), self.integers(rows, *[1] * len(others)))
        return str(self.op("Mul", values, step))

    def _stored(self, name: str) -> str:
        """Add an array of the file, as it is stored."""
        if name not in self._constants:
            entry = self._described[name]
            start, end = entry["data_offsets"]
            kind = _KINDS[entry["dtype"]]
            tensor = TensorProto(name=name, data_type=kind, data_location=TensorProto.EXTERNAL)
            tensor.dims.extend(entry["shape"])
            where = {"location": self._path.name, "offset": self._first + start, "length": end - start}
            for key, value in where.items():
                told = tensor.external_data.add()
                told.key, told.value = key, str(value)
            self._constants[name] = tensor
        return name

    def layer(self, x: str, name: str) -> str:
        """Add a 1x1 convolution."""
        return self.convolve(x, self.array(f"{name}.weight"), self.array(f"{name}.bias"))

    def gated_blocks(self, x: str, name: str, channels: int, count: int) -> str:
        """Add `count` blocks of `neuralcodec.models.denoise.network`, one after another.

        What a gate multiplies are outputs of layers of their own here, so that nothing is copied apart.
        """
        for n in range(count):
            block = f"{name}.{n}"
            even = self._evened(x, channels)
            gates = [self.convolve(even, *half) for half in self._halves(f"{block}.expand")]
            spatial = self._halves(f"{block}.spatial")
            gates = [
                self._by_channel(gate, *half, channels) for gate, half in zip(gates, spatial, strict=True)
            ]
            x = self.op("Add", x, self.layer(self.op("Mul", *gates), f"{block}.project"))
            even = self._evened(x, channels)
            gates = [self.convolve(even, *half) for half in self._halves(f"{block}.mix")]
            x = self.op("Add", x, self.layer(self.op("Mul", *gates), f"{block}.merge"))
        return x

    def _halves(self, name: str) -> list[tuple[str, str]]:
        """Split a layer's weight and bias by their rows."""
        parts = (
            self.op("Split", self.array(f"{name}.{part}"), axis=0, outputs=2) for part in ("weight", "bias")
        )
        return list(zip(*parts, strict=True))

    def _evened(self, x: str, channels: int) -> str:
        """Divide by the root mean square of the channels, whose mean is fastest as a convolution."""
        mean = self._constant(f"mean {channels}", np.full((1, channels, 1, 1), 1 / channels, np.float32))
        square = self.op("Conv", self.op("Mul", x, x), mean, kernel_shape=[1, 1])
        root = self.op("Add", self.op("Sqrt", square), self.number(EVENED_LEAST))
        return str(self.op("Mul", x, self.op("Reciprocal", root)))

    def convolve(self, x: str, weight: str, bias: str) -> str:
        return str(self.op("Conv", x, weight, bias, kernel_shape=[1, 1]))

    def spatial(self, x: str, name: str) -> str:
        """Add a 3x3 convolution of each channel by itself."""
        [channels] = self._described[f"{self._prefix}{name}.bias"]["shape"]
        return self._by_channel(x, self.array(f"{name}.weight"), self.array(f"{name}.bias"), channels)

    def _by_channel(self, x: str, weight: str, bias: str, channels: int) -> str:
        return str(self.op("Conv", x, weight, bias, kernel_shape=[3, 3], pads=[1] * 4, group=channels))

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

    def down(self, x: str, name: str) -> str:
        """Add `torch.nn.functional.pixel_unshuffle(x, 2)` and a 1x1 convolution, as one of 2x2."""
        outputs, inputs, *_ = self._described[f"{self._prefix}{name}.weight"]["shape"]
        weight = self.op("Reshape", self.array(f"{name}.weight"), self.integers(outputs, inputs // 4, 2, 2))
        bias = self.array(f"{name}.bias")
        return str(self.op("Conv", x, weight, bias, kernel_shape=[2, 2], strides=[2, 2]))

    def from_pixels(self, x: str, size: int, weight: str, bias: str) -> str:
        """Unshuffle pixels `(H, W, 3)` by `size`, 8 or 16, and add a 1x1 convolution `(C, 3·size², 1, 1)`.

        It is one product of matrices. A block is taken in the order (row, column, colour), so that runs of a
        block's row move in memory, not single numbers; the weights are brought into that order once.
        """
        whole = self.op("Shape", x)
        sides = [self.op("Slice", whole, self.integers(n), self.integers(n + 1)) for n in (0, 1)]
        rows, columns = [self.op("Div", side, self.integers(size)) for side in sides]
        shape = self.op("Concat", rows, self.integers(size), columns, self.integers(3 * size), axis=0)
        x = self.op("Transpose", self.op("Reshape", x, shape), perm=[0, 2, 1, 3])
        x = self.op("Reshape", x, self.integers(-1, 3 * size * size))
        weight = self.op("Reshape", weight, self.integers(-1, 3, size, size))
        weight = self.op("Transpose", weight, perm=[0, 2, 3, 1])
        weight = self.op("Reshape", weight, self.integers(-1, 3 * size * size))
        x = self.op("Gemm", weight, x, self.op("Reshape", bias, self.integers(-1, 1)), transB=1)
        return str(self.op("Reshape", x, self.op("Concat", self.integers(1, -1), rows, columns, axis=0)))

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
