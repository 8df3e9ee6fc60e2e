"""Tables fitted to symbols: right for what was counted, and cheaper than the Gaussians."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import photograph
from PIL import Image
from tiny import TINY_MODEL

from neuralcodec.entropy.coder import SymbolReader, SymbolWriter
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.entropy.tables import SCALE_COUNT, TOTAL, gaussian_tables, tables_of
from neuralcodec.errors import UsageError
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.conv.runner import Model
from neuralcodec.training import export as exporting
from neuralcodec.training import fitting
from neuralcodec.training.checkpoint import CHECKPOINT
from neuralcodec.training.export import arrays_of, export, write_weights
from neuralcodec.training.fitting import (
    REACH,
    SymbolCounter,
    channel_shares,
    fitted_tables,
    scale_mixtures,
    scale_of,
)
from neuralcodec.training.loop import Trainer
from neuralcodec.training.recipe import Recipe
from neuralcodec.training.start import start_from_weights
from neuralcodec.weights import Tradeoff

Counts = npt.NDArray[np.int64]


def counted(symbols: npt.NDArray[np.int64]) -> Counts:
    return np.bincount(symbols + REACH, minlength=2 * REACH + 1)


def laplace(scale: float, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Rounded samples with a sharper peak and longer tails than a Gaussian."""
    return np.rint(np.random.default_rng(seed).laplace(0, scale / np.sqrt(2), count)).astype(np.int64)


def test_symbols_are_counted_by_channel_and_by_scale_index() -> None:
    y = np.zeros((SCALE_COUNT, 2 * REACH + 1), np.int64)
    z = np.zeros((2, 2 * REACH + 1), np.int64)
    counter = SymbolCounter(y, z)
    first = counter.exchange(np.array([1, -2, 1, 400, 0, 0], np.int32), np.full(6, 9, np.uint8))
    assert first.tolist() == [1, -2, 1, 400, 0, 0]
    then = counter.exchange(np.array([5, 5, -1, 3], np.int32), np.array([7, 7, 7, 0], np.uint8))
    assert then.tolist() == [5, 5, -1, 0]  # the last one is silent
    assert z[0, REACH + 1] == 2
    assert z[0, REACH] == z[1, REACH] == z[1, REACH - 2] == z[1, 2 * REACH] == 1
    assert z.sum() == 6
    assert y[7, REACH + 5] == 2
    assert y[7, REACH - 1] == y[0, REACH] == 1
    assert y.sum() == 4
    with pytest.raises(ValueError, match="needs symbols"):
        counter.exchange(None, np.zeros(1, np.uint8))


def test_a_mixture_is_cheaper_where_symbols_are_not_gaussian_and_the_same_where_none_were_seen() -> None:
    index = 20
    counts = np.zeros((SCALE_COUNT, 2 * REACH + 1), np.int64)
    counts[index] = counted(laplace(scale_of(index), 50_000))
    mixed, gaussian = tables_of(scale_mixtures(counts)), gaussian_tables()
    symbols = laplace(scale_of(index), 20_000, seed=1).astype(np.int32)
    symbols = symbols[np.abs(symbols) <= gaussian.radius[index]]
    bits = [float(t.bits(symbols, np.full(len(symbols), index, np.uint8)).sum()) for t in (mixed, gaussian)]
    assert bits[0] < 0.985 * bits[1]
    for other in (5, 40):
        shares, expected = (t.shares()[other] for t in (mixed, gaussian))
        margin = (len(shares) - len(expected)) // 2
        assert np.abs(shares[margin : margin + len(expected) - 1] - expected[:-1]).max() < 2e-3
        assert (shares[:-1] == shares[-2::-1]).all()


def test_a_channel_has_the_shape_that_was_seen() -> None:
    symbols = np.random.default_rng(0).choice([-1, 0, 3], 10_000, p=[0.1, 0.6, 0.3])
    (table,) = tables_of([channel_shares(counted(symbols), 1.0)] * SCALE_COUNT).shares()[:1]
    assert len(table) == 2 * 4 + 2
    for symbol, share in ((-1, 0.1), (0, 0.6), (3, 0.3)):
        assert table[symbol + 4] == pytest.approx(share, abs=0.02)
    assert table.min() >= 1 / TOTAL
    nothing = channel_shares(counted(np.zeros(0, np.int64)), 1.0)
    assert nothing == pytest.approx([0.2417, 0.3829, 0.2417], abs=1e-4)


@pytest.fixture
def untrained() -> ConvCodec:
    torch.manual_seed(0)
    return ConvCodec(TINY_MODEL).eval()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fitting, "ROUNDS", 20)
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(photograph(512, 768, seed=seed)).save(folder / f"{seed}.png")
    return folder


def test_fitted_weights_code_smaller_files(untrained: ConvCodec, photos: Path, tmp_path: Path) -> None:
    arrays = arrays_of("conv", untrained)
    fitted = arrays | fitted_tables(untrained, arrays, photos)
    assert fitted["z.index"].dtype == np.uint16
    assert fitted["z.index"].shape == (101, TINY_MODEL.hyper)
    assert fitted["z.index"].min() == SCALE_COUNT
    assert fitted["z.index"].max() == len(fitted["tables.radius"]) - 1
    sizes = []
    for name, tensors in (("gaussian", arrays), ("fitted", fitted)):
        out = tmp_path / f"{name}.safetensors"
        model = Model(write_weights(out, tensors, "conv", TINY_MODEL, Tradeoff()))
        y = model.analyse(photograph(256, 256, seed=9), 47)
        writer = SymbolWriter(model.prior.tables)
        y_hat = model.prior.code(writer, 47, 16, 16, (y, model.hyper_analyse(y)))
        segment = writer.finish()
        assert (model.prior.code(SymbolReader(model.prior.tables, segment), 47, 16, 16) == y_hat).all()
        sizes.append(len(segment))
    assert sizes[1] < 0.95 * sizes[0]


def test_a_run_can_start_from_fitted_weights(untrained: ConvCodec, photos: Path, tmp_path: Path) -> None:
    arrays = arrays_of("conv", untrained)
    out = tmp_path / "fitted.safetensors"
    fitted = arrays | fitted_tables(untrained, arrays, photos)
    file = write_weights(out, fitted, "conv", TINY_MODEL, Tradeoff())
    model = ConvCodec(TINY_MODEL).eval()
    start_from_weights(model, file)
    assert torch.equal(
        model.transforms.analysis.stem.weight, untrained.transforms.analysis.stem.weight.half()
    )
    _, index = model.prior.z_parameters(torch.tensor([1.0]))
    assert ((index >= 0) & (index <= SCALE_COUNT)).all()


def test_a_table_that_is_not_there_is_refused(untrained: ConvCodec) -> None:
    arrays = arrays_of("conv", untrained)
    arrays["z.index"] = arrays["z.index"].astype(np.uint16) + SCALE_COUNT
    with pytest.raises(ValueError, match="a table that is not there"):
        IntegerPrior(arrays)


@pytest.mark.usefixtures("quick_start")
def test_export_fits(
    recipe: Recipe, images: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MAX_RATE_LOSS", 1.0)  # of a model that was not trained it is large
    Trainer(recipe, images, tmp_path / "run", precision="float32").save()
    _, report = export(tmp_path / "run" / CHECKPOINT, tmp_path / "fitted.safetensors", images, photos)
    assert report["bpp_fitted"] < report["bpp_coded"]


@pytest.mark.usefixtures("quick_start")
def test_export_fits_one_codec_only(gru_recipe: Recipe, images: Path, photos: Path, tmp_path: Path) -> None:
    Trainer(gru_recipe, images, tmp_path / "run", precision="float32").save()
    out = tmp_path / "gru.safetensors"
    with pytest.raises(UsageError, match="not fitted to photographs: leave out --fit"):
        export(tmp_path / "run" / CHECKPOINT, out, None, photos)
    assert not out.exists()
