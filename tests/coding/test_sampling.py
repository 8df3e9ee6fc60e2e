"""The codec as a VAE: files drawn from its prior, and walks between two pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import photograph

import neuralcodec
from neuralcodec import UsageError
from neuralcodec.arrays import Floats
from neuralcodec.coding import sampling
from neuralcodec.coding.codec import decode_file
from neuralcodec.entropy.coder import SymbolSampler
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.entropy.tables import SILENT_INDEX, Index, Int32, Tables
from neuralcodec.format import container
from neuralcodec.models.conv.runner import Model
from neuralcodec.picture.picture import Picture


class Counting(SymbolSampler):
    """Adds up what the tables expect each symbol to cost, and what those that were drawn do cost."""

    def __init__(self, tables: Tables, rng: np.random.Generator) -> None:
        super().__init__(tables, rng)
        self.bits = self.expected = 0.0
        shares = [np.float64(share) for share in tables.shares()]
        self._entropy = np.array([-(share * np.log2(share)).sum() for share in shares])
        self._entropy[SILENT_INDEX] = 0

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        drawn = super().exchange(symbols, index)
        self.bits += float(self._tables.bits(drawn, index).sum())
        self.expected += float(self._entropy[index].sum())
        return drawn


def draw_tile(prior: IntegerPrior, seed: int, quality: int = 40) -> tuple[Counting, Floats]:
    coder = Counting(prior.tables, np.random.default_rng(seed))
    return coder, prior.code(coder, quality, 16, 20)


def test_the_mean_code_length_of_samples_is_the_priors_entropy(model: Model) -> None:
    """Of the whole prior, hyper-latent and means included: each table is given by what was drawn before."""
    coders = [draw_tile(model.prior, seed)[0] for seed in range(24)]
    bits, expected = (np.array([getattr(coder, name) for coder in coders]) for name in ("bits", "expected"))
    error = (bits - expected).mean()
    assert abs(error) < 4 * (bits - expected).std() / np.sqrt(len(coders))
    assert bits.mean() == pytest.approx(expected.mean(), rel=0.02)
    lengths = [8 * len(coder.finish()) for coder in coders]
    assert np.mean(lengths) == pytest.approx(expected.mean(), rel=0.03)


@pytest.mark.parametrize("name", ["conv", "gru"])
def test_a_sample_is_a_file(tiny_models: Path, name: str) -> None:
    file = sampling.sample_file(150, 90, quality=40, model=name, seed=3)
    data = container.write(file)
    assert neuralcodec.info(data).quality == 40
    image = neuralcodec.decode(data)
    assert image.size == (150, 90)
    np.testing.assert_array_equal(np.asarray(image), decode_file(file).pixels)


@pytest.mark.parametrize("name", ["conv", "gru"])
def test_the_seed_decides(tiny_models: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any number of threads: a tile has a generator of its own."""

    def drawn(seed: int, threads: int = 1) -> list[bytes]:
        monkeypatch.setattr("torch.get_num_threads", lambda: threads)
        return sampling.sample_file(1100, 600, quality=30, model=name, seed=seed).tiles

    first = drawn(1)
    assert first == drawn(1, threads=3)
    assert first != drawn(2)
    assert len(set(first)) > 1


def test_temperature(model: Model) -> None:
    sizes = [
        sum(map(len, sampling.sample_file(256, 256, quality=40, temperature=temperature).tiles))
        for temperature in (0.5, 0.8, 1.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.7 * sizes[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be a number above 0"),
        ({"temperature": float("nan")}, "temperature must be a number above 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"quality": 101}, "quality must be a number from 0 to 100"),
        ({"model": "nothing"}, "no model"),
        ({"width": 2**16, "height": 2**16}, "more than"),
        ({"width": 2**15, "model": "gru"}, "more than"),
        ({"width": 0}, "width must be a whole number above 0"),
        ({"height": 1.5}, "height must be a whole number above 0"),
    ],
)
def test_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sampling.sample_file(**{"width": 768, "height": 1024, **arguments})  # type: ignore[arg-type]


# ---- walks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv", "gru"])
def test_a_walk_begins_and_ends_with_the_decoded_pictures(tiny_models: Path, name: str) -> None:
    one, other = (photograph(90, 150, seed=seed) for seed in (0, 1))
    walk = list(sampling.interpolate(Picture(one), Picture(other), [0, 0.5, 1], quality=60, model=name))
    for picture, pixels in ((walk[0], one), (walk[2], other)):
        expected = neuralcodec.decode(neuralcodec.encode(pixels, quality=60, model=name), as_array=True)
        np.testing.assert_array_equal(picture.pixels, expected)
    assert not np.array_equal(walk[1].pixels, walk[0].pixels)
    assert not np.array_equal(walk[1].pixels, walk[2].pixels)


def test_the_middle_of_a_walk_lies_between(model: Model) -> None:
    dark, light = (np.full((64, 64, 3), level, np.uint8) for level in (60, 180))
    [middle] = sampling.interpolate(Picture(dark), Picture(light), [0.5], quality=80)
    assert middle.pixels.mean() == pytest.approx(120, abs=15)


def test_grey_and_colour(tiny_models: Path) -> None:
    grey, colour = photograph(64, 64, channels=1), photograph(64, 64)
    for ends, channels in (((grey, colour), 3), ((grey, grey), 1)):
        one, other = map(Picture, ends)
        [middle] = sampling.interpolate(one, other, [0.5])
        assert middle.pixels.shape == (64, 64, channels)


def test_sizes_must_agree() -> None:
    one, other = (Picture(photograph(64, width)) for width in (64, 80))
    with pytest.raises(UsageError, match=r"64x64 pixels, the other 80x64: make them of one size"):
        list(sampling.interpolate(one, other, [0]))


def test_from_python(tiny_models: Path) -> None:
    data = neuralcodec.sample(80, 64, quality=30, seed=5)
    assert data == neuralcodec.sample(80, 64, quality=30, seed=5)
    assert neuralcodec.decode(data).size == (80, 64)
    walk = neuralcodec.interpolate(photograph(64, 80), photograph(64, 80, seed=1), steps=3)
    assert [image.size for image in walk] == [(80, 64)] * 3
    with pytest.raises(UsageError, match="at least 2"):
        neuralcodec.interpolate(photograph(64, 64), photograph(64, 64), steps=1)
