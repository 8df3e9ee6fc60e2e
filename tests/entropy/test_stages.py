"""The integer priors of the stages: against the trained form, and against themselves as a reader."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from threadpoolctl import threadpool_limits
from tiny import TINY_RECURRENT
from torch import nn

from neuralcodec.entropy.coder import SilentCoder, SymbolReader, SymbolWriter
from neuralcodec.entropy.exact import ONE
from neuralcodec.entropy.stages import StagePriors
from neuralcodec.errors import DamagedFileError
from neuralcodec.models.gru.prior import StagePriors as TrainedPriors
from neuralcodec.training.gru import stage_tensors
from neuralcodec.training.integers import CountingWriter

Floats = npt.NDArray[np.float32]
STAGES = 4
CHANNELS = TINY_RECURRENT.latent


@pytest.fixture(scope="module")
def trained() -> TrainedPriors:
    """Weights with some life in them: fresh ones would leave every mean near zero."""
    torch.manual_seed(0)
    prior = TrainedPriors(STAGES, CHANNELS, TINY_RECURRENT.features, TINY_RECURRENT.width).eval()
    with torch.no_grad():
        for module in prior.modules():
            if isinstance(module, nn.Conv2d):
                assert module.bias is not None
                module.bias.add_(0.03 * torch.randn_like(module.bias))
    return prior


@pytest.fixture(scope="module")
def prior(trained: TrainedPriors) -> StagePriors:
    return StagePriors(stage_tensors(trained), STAGES)


def latent(stage: int, height: int, width: int) -> Floats:
    rng = np.random.default_rng((stage, height, width))
    y = np.rint(rng.laplace(0, 2, (height + height % 2, width + width % 2, CHANNELS)) * 64) / 64
    y[height:], y[:, width:] = 0, 0
    return y.astype(np.float32)


def write(prior: StagePriors, height: int, width: int) -> tuple[list[bytes], list[Floats], Floats]:
    """Segments, y_hat of each stage, and the features after the last."""
    features = prior.start(height, width)
    segments, decoded = [], []
    for stage in range(STAGES):
        writer = SymbolWriter(prior.tables)
        y_hat, features = prior.code(writer, stage, features, (height, width), latent(stage, height, width))
        segments.append(writer.finish())
        decoded.append(y_hat)
    return segments, decoded, features


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 7), (16, 12)])
def test_a_reader_gets_what_was_written(prior: StagePriors, size: tuple[int, int]) -> None:
    segments, expected, last = write(prior, *size)
    features = prior.start(*size)
    for stage, segment in enumerate(segments):
        y_hat, features = prior.code(SymbolReader(prior.tables, segment), stage, features, size)
        assert y_hat.shape == (*size, CHANNELS)
        assert (y_hat == expected[stage]).all()
        assert np.abs(y_hat - latent(stage, *size)[: size[0], : size[1]]).max() <= 0.5 + 1 / 32
    assert (features == last).all()


def test_integers_say_what_was_trained(prior: StagePriors, trained: TrainedPriors) -> None:
    """Rates and features of the two forms, given the same latents."""
    size = (16, 12)
    exact, features = prior.start(*size), trained.start(torch.zeros(1), *size)
    for stage in range(STAGES):
        y = latent(stage, *size)
        writer = CountingWriter(prior.tables)
        _, exact = prior.code(writer, stage, exact, size, y)
        with torch.no_grad():
            _, bits, features = trained(stage, torch.from_numpy(y).permute(2, 0, 1)[None], features)
        assert writer.bits == pytest.approx(bits.item(), rel=0.02)
        assert np.abs(exact / ONE - features[0].permute(1, 2, 0).numpy()).mean() < 0.05
        features = torch.from_numpy(exact / ONE).permute(2, 0, 1)[None]


def test_all_that_leaves_a_stage_is_whole(prior: StagePriors) -> None:
    _, decoded, features = write(prior, 6, 8)
    for array in (*(16 * y for y in decoded), features):
        assert (array == np.rint(array)).all()


def test_earlier_stages_sharpen_later_ones(prior: StagePriors) -> None:
    """The features carry what was decoded: another first stage changes the segment of the second."""
    size = (6, 8)

    def second(first: Floats) -> bytes:
        _, features = prior.code(SymbolWriter(prior.tables), 0, prior.start(*size), size, first)
        writer = SymbolWriter(prior.tables)
        prior.code(writer, 1, features, size, latent(1, *size))
        return writer.finish()

    assert second(latent(0, *size)) != second(-latent(0, *size))


def test_threads_do_not_change_a_bit(prior: StagePriors) -> None:
    with threadpool_limits(1, "blas"):
        segments, _, features = write(prior, 16, 12)
    with threadpool_limits(2, "blas"):
        again, _, same = write(prior, 16, 12)
    assert segments == again
    assert (features == same).all()


def test_no_segment_stands_for_the_means(prior: StagePriors) -> None:
    size = (6, 8)
    zeros, _ = prior.code(SilentCoder(), 0, prior.start(*size), size)
    writer = SymbolWriter(prior.tables)
    written, _ = prior.code(writer, 0, prior.start(*size), size, np.ascontiguousarray(zeros))
    assert (written == zeros).all()


def test_damage_gives_an_error_or_other_latents(prior: StagePriors) -> None:
    size = (6, 8)
    segments, expected, _ = write(prior, *size)
    for byte in range(len(segments[0])):
        damaged = bytearray(segments[0])
        damaged[byte] ^= 0xFF
        try:
            y_hat, _ = prior.code(SymbolReader(prior.tables, bytes(damaged)), 0, prior.start(*size), size)
        except DamagedFileError:
            continue
        assert y_hat.shape == expected[0].shape
