"""Add golden files of the weights that are shipped now:  python tests/golden/regenerate.py

Do so when there are new weights, with their date in `pictures`. Files that are there already stay as they
are, as those that are out in the world do; of a format that is no longer read, delete them first.
`golden.json` holds, for each file, what `tests/coding/test_codec.py` compares: the weights it needs, and the
SHA-256 of its latents in sixteenths (int32, little endian, row by row, channels last; stage by stage for
`gru`). The PNG beside each file has its pixels, decoded in float32, for `tests/coding/test_determinism.py`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralcodec import weights
from neuralcodec.coding import stagewise
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.latents import decode_latents
from neuralcodec.format import container
from neuralcodec.format.header import GRU
from neuralcodec.models.conv import runner
from neuralcodec.models.gru import runner as gru_runner
from neuralcodec.picture.picture import Picture, to_pil

FOLDER = Path(__file__).parent
INDEX = FOLDER / "golden.json"


def digest(y_hat: npt.NDArray[np.float32]) -> str:
    """SHA-256 of latents in sixteenths; all of them are whole."""
    sixteenths = y_hat.astype(np.float64) * 16
    whole = np.rint(sixteenths)
    if (whole != sixteenths).any():
        raise ValueError("a latent is no multiple of 1/16")
    return hashlib.sha256(whole.astype("<i4").tobytes()).hexdigest()


def latents(data: bytes) -> npt.NDArray[np.float32]:
    """The latents of a file of either codec: `(h, w, C)`, or `(stages, h, w, C)`."""
    file = container.read(data)
    path = weights.by_id(file.header.weights_id)
    if file.header.codec == GRU:
        return np.stack([*stagewise.decode_latents(gru_runner.load(path), file.tiles, file.header)])
    return decode_latents(file, runner.load(path)).values


def pictures() -> dict[str, tuple[Picture, float, str]]:
    """The pictures by name, each with its quality and model."""
    sys.path.insert(0, str(FOLDER.parent))
    from conftest import photograph

    ramp = np.add.outer(np.arange(65) * 3, np.arange(33)).astype(np.uint8)
    rgb, grey = Picture(photograph(64, 96, seed=1)), Picture(photograph(50, 70, channels=1, seed=2))
    rgba = Picture(photograph(65, 33, seed=3), alpha=ramp)
    return {
        "rgb": (rgb, 60.5, "conv-2026-11-22"),
        "grey": (grey, 30, "conv-2026-11-22"),
        "rgba": (rgba, 99.99, "conv-2026-11-22"),
        "rgb-2026-11-24": (rgb, 60.5, "conv-2026-11-24"),
        "grey-2026-11-24": (grey, 30, "conv-2026-11-24"),
        "rgba-2026-11-24": (rgba, 99.99, "conv-2026-11-24"),
        "rgb-2026-11-24-evening": (rgb, 60.5, "conv-2026-11-24-evening"),
        "grey-2026-11-24-evening": (grey, 30, "conv-2026-11-24-evening"),
        "rgba-2026-11-24-evening": (rgba, 99.99, "conv-2026-11-24-evening"),
        "rgb-2026-11-26": (rgb, 60.5, "conv-2026-11-26"),
        "grey-2026-11-26": (grey, 30, "conv-2026-11-26"),
        "rgba-2026-11-26": (rgba, 99.99, "conv-2026-11-26"),
        "two-layers-2026-11-26": (rgb, 80, "conv-2026-11-26"),
        "rgb-2026-11-27": (rgb, 60.5, "conv"),
        "grey-2026-11-27": (grey, 30, "conv"),
        "rgba-2026-11-27": (rgba, 99.99, "conv"),
        "two-layers-2026-11-27": (rgb, 80, "conv"),
        "stages": (Picture(photograph(70, 100, seed=4)), 100, "gru"),
    }


def main() -> None:
    index = json.loads(INDEX.read_text())
    for name, (picture, quality, model) in pictures().items():
        if (FOLDER / f"{name}.nc").exists():
            continue
        # Tiles of 64 pixels: the larger pictures have several.
        data = encode_picture(picture, quality=quality, model=model, tile=64)
        (FOLDER / f"{name}.nc").write_bytes(data)
        loaded = (gru_runner if model == "gru" else runner).load(weights.by_name(model))
        loaded.bfloat16 = False
        to_pil(decode_picture(data)).save(FOLDER / f"{name}.png")
        y_hat = latents(data)
        index[f"{name}.nc"] = {
            "codec": model.split("-")[0],
            "weights": loaded.id.hex(),
            "shape": list(y_hat.shape),
            "latents_sha256": digest(y_hat),
        }
    INDEX.write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
