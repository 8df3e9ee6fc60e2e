"""Training pictures: decode a folder, of any readable format, once into one flat file of pixels."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.picture.formats import SUFFIXES
from neuralcodec.picture.reading import load
from neuralcodec.terminal import say
from neuralcodec.training.drawn import draw

Pixels = npt.NDArray[np.uint8]
_BATCH = 32  # files that are decoded at a time


@dataclass(frozen=True)
class PixelStore:
    """Decoded pictures, one after another in a memory-mapped file; picture i has shape `shapes[i]`."""

    data: Pixels
    shapes: list[tuple[int, int]]
    offsets: npt.NDArray[np.int64]

    def picture(self, index: int) -> Pixels:
        """Return picture `index` as `(H, W, 3)`, without a copy."""
        height, width = self.shapes[index]
        start = int(self.offsets[index])
        return self.data[start : start + height * width * 3].reshape(height, width, 3)


def open_store(folder: Path, cache: Path, *, minimum: int) -> PixelStore:
    """Decode every picture below `folder` with both sides at least `minimum` into `cache`, or reuse it.

    Raises:
        UsageError: there is no usable picture, or `folder` is not a folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; --data names a folder of images")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    listing = [[str(p.relative_to(folder)), p.stat().st_size] for p in files]
    index_file = cache.with_suffix(".json")
    index = json.loads(index_file.read_text()) if index_file.exists() and cache.exists() else {}
    if index.get("listing") != listing or index.get("minimum") != minimum:
        index = {"listing": listing, "minimum": minimum, "shapes": _decode_all(files, cache, minimum)}
        index_file.write_text(json.dumps(index))
    shapes = [(h, w) for h, w in index["shapes"]]
    if not shapes:
        raise UsageError(f"no image of at least {minimum} px on both sides in {folder}")
    sizes = np.array([h * w * 3 for h, w in shapes], np.int64)
    offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return PixelStore(np.memmap(cache, np.uint8, mode="c"), shapes, offsets)


def _decode_all(files: list[Path], cache: Path, minimum: int) -> list[tuple[int, int]]:
    shapes: list[tuple[int, int]] = []
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_suffix(".partial")
    with partial.open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
        # In batches: else memory would fill with what is decoded ahead of the writer.
        batches = (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))
        for pixels in chain.from_iterable(pool.map(_decode, batch) for batch in batches):
            if pixels is not None and min(pixels.shape[:2]) >= minimum:
                out.write(pixels.tobytes())
                shapes.append((pixels.shape[0], pixels.shape[1]))
    partial.replace(cache)
    return shapes


def _decode(file: Path) -> Pixels | None:
    try:
        pixels = load(file).pixels
    except NeuralCodecError as error:
        if file.suffix.lower() in SUFFIXES:  # a folder of images may hold a README as well
            say(f"ncodec: warning: left out: {error}")
        return None
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


class CropSampler:
    """Batches of random crops, a pure function of (seed, rank, step), so that a resumed run draws the same.

    Pictures are chosen in proportion to the square root of their area, so that neither a few large ones nor
    the many small ones dominate. A crop is a synthetic drawing with probability `drawn_share`. Of the others,
    `reduced_share` are reduced to between two thirds and half of their size, which hides most of the
    compression that the pictures had. `grain_share` get a little film grain, which compression removes.

    Args:
        device: where crops are made; it holds all the pixels.
    """

    def __init__(
        self,
        store: PixelStore,
        *,
        size: int,
        batch: int,
        seed: int,
        rank: int = 0,
        drawn_share: float = 0.0,
        reduced_share: float = 0.0,
        grain_share: float = 0.0,
        device: torch.device | None = None,
    ) -> None:
        # All pixels move to the device at once; on the CPU, they stay in the mapped file.
        self.pixels = torch.from_numpy(store.data).to(device or "cpu")
        self.store, self.size, self.batch, self.seed, self.rank = store, size, batch, seed, rank
        self.drawn_share, self.reduced_share, self.grain_share = drawn_share, reduced_share, grain_share
        weights = np.sqrt([h * w for h, w in store.shapes])
        self.odds = weights / weights.sum()

    def crops(self, step: int) -> Tensor:
        """Draw the crops of a step: pixels `(B, 3, size, size)`, uint8, on the device of the pixels."""
        rng = np.random.default_rng((self.seed, self.rank, step))
        out = []
        for index in rng.choice(len(self.odds), self.batch, p=self.odds):
            if rng.random() < self.drawn_share:
                out.append(torch.tensor(draw(rng, self.size)).permute(2, 0, 1).to(self.pixels.device))
                continue
            crop = self._crop(rng, int(index))
            if rng.random() < self.grain_share:
                crop = _grainy(rng, crop)
            out.append(crop.flip(2) if rng.random() < 0.5 else crop)
        return torch.stack(out)

    def _crop(self, rng: np.random.Generator, index: int) -> Tensor:
        """Cut a crop `(3, size, size)` out of a picture."""
        height, width = self.store.shapes[index]
        reduced = rng.random() < self.reduced_share
        side = round(self.size * rng.uniform(1.5, 2.0)) if reduced else self.size
        side = min(side, height, width)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        start = int(self.store.offsets[index])
        picture = self.pixels[start : start + height * width * 3].view(height, width, 3)
        crop = picture[top : top + side, left : left + side].permute(2, 0, 1)
        if side == self.size:
            return crop
        size = (self.size, self.size)
        smaller = F.interpolate(crop[None].float(), size, mode="bicubic", antialias=True)[0]
        return smaller.round().clamp(0, 255).to(torch.uint8)

    def levels(self, step: int, highest: float, samples: int | None = None) -> Tensor:
        """Draw quality levels in `[0, highest]`, spread evenly over the samples and then jittered.

        Args:
            samples: how many; by default a batch.
        """
        samples = self.batch if samples is None else samples
        rng = np.random.default_rng((self.seed, self.rank, step, 1))
        strata = rng.permutation(samples) + rng.random(samples)
        return torch.from_numpy((strata / samples * highest).astype(np.float32))

    def choose(self, step: int, count: int, size: int) -> list[int]:
        """Draw `size` different numbers below `count`, in ascending order."""
        rng = np.random.default_rng((self.seed, self.rank, step, 2))
        return [int(n) for n in np.sort(rng.choice(count, size, replace=False))]


def _grainy(rng: np.random.Generator, crop: Tensor) -> Tensor:
    """Add film grain, of standard deviation 1 to 4, three parts grey and one coloured, to `(3, H, W)`."""
    generator = torch.Generator(crop.device).manual_seed(int(rng.integers(2**62)))

    def noise(channels: int) -> Tensor:
        return torch.randn((channels, *crop.shape[1:]), generator=generator, device=crop.device)

    grain = (noise(1) + noise(3) / 3) * rng.uniform(1, 4)
    return (crop + grain).round().clamp(0, 255).to(torch.uint8)


def load_crops(folder: Path, *, width: int, height: int, limit: int | None = None) -> list[Tensor]:
    """Read the centre `(1, 3, height, width)`, uint8, of every picture in `folder` that is large enough.

    Args:
        limit: look at no more files than this, evenly spread over the folder.
    """
    crops = []
    files = sorted(file for file in folder.iterdir() if file.is_file())
    for file in files[:: -(-len(files) // limit) if limit and files else 1]:
        pixels = _decode(file)
        if pixels is None or pixels.shape[0] < height or pixels.shape[1] < width:
            continue
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        crop = pixels[top : top + height, left : left + width]
        crops.append(torch.from_numpy(crop.copy()).permute(2, 0, 1)[None])
    if not crops:
        raise UsageError(f"no image of at least {width}x{height} px in {folder}")
    return crops


def block_components(store: PixelStore, count: int, *, block: int = 16, samples: int = 40_000) -> Tensor:
    """Compute the leading principal components `(count, 3·block²)` of pixel blocks.

    Their elements are in `pixel_unshuffle` order. The mean is not removed: the first component is then the
    flat block itself.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(len(store.shapes), size=samples)
    blocks = np.empty((samples, 3, block, block), np.float32)
    for row, index in enumerate(np.sort(picks)):
        picture = store.picture(int(index))
        top = rng.integers(picture.shape[0] - block + 1)
        left = rng.integers(picture.shape[1] - block + 1)
        blocks[row] = picture[top : top + block, left : left + block].transpose(2, 0, 1)
    # pixel_unshuffle orders channels as (colour, row, column), as this array does.
    flat = torch.from_numpy(blocks.reshape(samples, -1) / 255 - 0.5)
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    return vectors.T.flip(0)[:count].contiguous()
