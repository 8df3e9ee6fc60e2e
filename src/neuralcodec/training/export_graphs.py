"""From a weights file to ONNX graphs of its transforms, for a run time without torch.

A graph holds no weights: its constants are the float16 arrays of the weights file itself, by offset, and turn
into float32 when the graph is loaded. So a graph takes a few kilobytes, stays beside its weights, and says in
its metadata what the SHA-256 of that file is:

    conv-96604f79.safetensors   conv-96604f79.synthesis.onnx
                                conv-96604f79.features.onnx, .latent.onnx, .hyper_analysis.onnx
                                with a detail layer .detail_synthesis.onnx, .detail_analysis.onnx
    gru-7a5eea88.safetensors    gru-7a5eea88.synthesis.onnx, .analysis.onnx (a pass of one stage)
                                gru-7a5eea88.render.onnx (pixels of the stages so far)
    denoise-ID.safetensors      denoise-ID.network.onnx

`index.json` names, for the id of each decoder in a folder, its file and the SHA-256 of that: web pages read
it. Layers have the names of `docs/format.md`, which says what the graphs compute.

    python -m neuralcodec.training.export_graphs src/neuralcodec/weights
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from neuralcodec.errors import NeuralCodecError
from neuralcodec.models.denoise import GRAPH
from neuralcodec.models.prior import LATENT_UNIT
from neuralcodec.options import MOST_NOISE
from neuralcodec.training.graph import Graph, Shape
from neuralcodec.weights import WeightsFile, at, denoiser
from neuralcodec.weights.denoiser import KIND, DenoiserFile
from neuralcodec.weights.stored import SUFFIX

INDEX = "index.json"


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


def _stem(graph: Graph, x: str, name: str, size: int = 8) -> str:
    """Add a 1x1 convolution of blocks of pixels `(H, W, 3)`."""
    return graph.from_pixels(x, size, graph.array(f"{name}.weight"), graph.array(f"{name}.bias"))


def _conv_encoder(graph: Graph) -> dict[str, bytes]:
    sizes, graphs = graph.model, {}
    graph.begin("analysis")
    x = graph.input("pixels", ["H", "W", 3])  # 8-bit levels
    x = graph.op("Sub", graph.op("Div", x, graph.number(255)), graph.number(0.5))
    fine = graph.blocks(_stem(graph, x, "stem"), "fine", sizes["fine_blocks"])
    shortcut = _stem(graph, x, "shortcut", 16)
    graphs["features"] = graph.finish(fine=fine, shortcut=shortcut)

    graph.begin("analysis")
    f = graph.input("fine", [1, sizes["fine"], "2h", "2w"])
    f = graph.op("Mul", f, graph.input("feature_gain", [1, sizes["fine"], 1, 1]))
    f = graph.down(f, "down")
    f = graph.layer(graph.blocks(f, "coarse", sizes["coarse_blocks"]), "head")
    y = graph.op("Add", f, graph.input("shortcut", [1, sizes["latent"], "h", "w"]))
    y = graph.op("Mul", y, graph.input("latent_gain", [1, sizes["latent"], 1, 1]))
    graphs["latent"] = graph.finish(y=graph.channels_last(y))

    graph.begin("hyper_analysis")
    y = graph.channels_first(graph.input("y", ["h", "w", sizes["latent"]]))
    z = graph.silu(graph.layer(graph.op("Div", y, graph.number(LATENT_UNIT)), "stem"))
    z = graph.silu(graph.down(z, "down"))
    z = graph.down(graph.spatial(z, "spatial"), "head")
    z = graph.op("Mul", z, graph.number(LATENT_UNIT))
    graphs["hyper_analysis"] = graph.finish(z=graph.channels_last(z))
    if sizes.get("detail"):
        graph.begin("synthesis")
        fine, base = _conv_base(graph)
        x = graph.input("pixels", ["H", "W", 3])
        residual = graph.op("Sub", graph.op("Div", x, graph.number(255)), graph.channels_last(base))
        graph.use("detail_analysis")
        f = graph.op("Add", _stem(graph, residual, "stem"), graph.layer(fine, "seen"))
        f = graph.op("Mul", f, graph.input("feature_gain2", _gain(sizes)))
        f = graph.layer(graph.blocks(f, "blocks", sizes["detail_analysis_blocks"]), "head")
        y = graph.op("Add", f, _stem(graph, residual, "shortcut"))
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


def _own(graph: Graph, name: str, inputs: int, outputs: int) -> tuple[str, str]:
    """Add, as inputs, the weight and the bias of a 1x1 convolution that each stage has for itself."""
    weight = graph.input(f"{name}.weight", [outputs, inputs, 1, 1])
    return weight, graph.input(f"{name}.bias", [outputs])


def _gru_decoder(graph: Graph) -> dict[str, bytes]:
    latent, coarse = graph.model["latent"], graph.model["coarse"]
    graph.begin("synthesis")
    y = graph.latent(latent)
    gain = graph.input("feature_gain", [1, coarse, 1, 1])
    before = {name: graph.input(name, shape) for name, shape in _states(graph).items()}
    f = graph.op("Mul", graph.convolve(y, *_own(graph, "stem", latent, coarse)), gain)
    a = graph.gru(f, before["coarse"], "gru_coarse")
    up = graph.shuffle(graph.layer(graph.blocks(a, "block_coarse", 1), "up"), 2)
    b = graph.gru(up, before["fine"], "gru_fine")
    linear = graph.op("Add", before["linear"], graph.convolve(y, *_own(graph, "shortcut", latent, 768)))
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
    x = graph.input("residual", ["H", "W", 3])
    f = graph.op("Mul", _stem(graph, x, "stem"), graph.input("gain", [1, fine, 1, 1]))
    b = graph.gru(graph.blocks(f, "block_fine", 1), graph.input("fine", states["fine"]), "gru_fine")
    a = graph.gru(graph.down(b, "down"), graph.input("coarse", states["coarse"]), "gru_coarse")
    y = graph.convolve(graph.blocks(a, "block_coarse", 1), *_own(graph, "head", coarse, latent))
    y = graph.op("Div", y, graph.input("gain_mean", []))
    y = graph.op("Add", y, graph.from_pixels(x, 16, *_own(graph, "shortcut", 768, latent)))
    y = graph.op("Mul", y, graph.input("latent_gain", [1, latent, 1, 1]))
    return {"analysis": graph.finish(y=graph.channels_last(y), fine_after=b, coarse_after=a)}


def denoiser_graph(graph: Graph) -> dict[str, bytes]:
    """Build the network that takes noise out of pixels `(H, W, 3)`, in 8-bit levels and not clipped."""
    width, blocks = graph.model["width"], graph.model["blocks"]
    graph.begin("")
    pixels = graph.op("Div", graph.input("pixels", ["H", "W", 3]), graph.number(255))
    x = graph.channels_first(graph.op("Sub", pixels, graph.number(0.5)))
    noise = graph.op("Div", graph.input("noise", [1, 1, 1, 1]), graph.number(MOST_NOISE))
    at_2 = graph.op("Add", graph.down(x, "stem"), graph.layer(noise, "level"))
    at_2 = graph.gated_blocks(at_2, "at_2", width, blocks)
    at_4 = graph.gated_blocks(graph.down(at_2, "to_4"), "at_4", 2 * width, blocks)
    at_8 = graph.gated_blocks(graph.down(at_4, "to_8"), "at_8", 4 * width, graph.model["middle_blocks"])
    at_4 = graph.op("Add", at_4, graph.shuffle(graph.layer(at_8, "from_8"), 2))
    at_4 = graph.gated_blocks(at_4, "again_4", 2 * width, blocks)
    at_2 = graph.op("Add", at_2, graph.shuffle(graph.layer(at_4, "from_4"), 2))
    off = graph.shuffle(graph.layer(graph.gated_blocks(at_2, "again_2", width, blocks), "head"), 2)
    cleaned = graph.op("Sub", pixels, graph.channels_last(off))
    return {GRAPH: graph.finish(cleaned=graph.op("Mul", cleaned, graph.number(255)))}


_GRAPHS: dict[str, Callable[[Graph], dict[str, bytes]]] = {"conv": conv_graphs, "gru": gru_graphs}


def write_graphs(path: Path) -> dict[str, Path]:
    """Write the graphs of a weights file beside it.

    Returns:
        Their paths by name; none of a codec or a kind of encoder that has no graphs.

    Raises:
        NeuralCodecError: it is not a weights file, or a graph cannot be written.
    """
    try:
        file = _opened(path)
        make = denoiser_graph if isinstance(file, DenoiserFile) else _GRAPHS.get(file.codec.name)
        made = make(Graph(file)) if make is not None and file.said.get("kind") in (None, KIND) else {}
        paths = {name: path.with_name(f"{path.stem}.{name}.onnx") for name in made}
        for name, graph in paths.items():
            graph.write_bytes(made[name])
    except (OSError, KeyError, ValueError) as error:
        raise NeuralCodecError(f"no graphs can be made of {path}: {error}") from None
    return paths


def _opened(path: Path) -> WeightsFile | DenoiserFile:
    try:
        return at(path)
    except NeuralCodecError as error:
        with suppress(NeuralCodecError):
            return denoiser.at(path)
        raise error from None


def write_index(folder: Path) -> None:
    """Write the graphs of every weights file in a folder, and the index of those that decode."""
    index = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        write_graphs(path)
        file = _opened(path)
        if isinstance(file, WeightsFile) and file.decodes:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            index[file.id.hex()] = {"file": path.name, "sha256": digest}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    write_index(Path(sys.argv[1]))
