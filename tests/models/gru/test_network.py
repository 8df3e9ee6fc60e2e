"""The recurrent codec in its trained form."""

import itertools
from dataclasses import replace

import pytest
import torch
from conftest import photograph
from tiny import TINY_RECURRENT

from neuralcodec.models.gru.network import ConvGRU, RecurrentCodec, RecurrentConfig, StageSynthesis
from neuralcodec.training.data import PixelStore, block_components


@pytest.fixture
def x() -> torch.Tensor:
    picture = torch.from_numpy(photograph(64, 96, seed=4)).permute(2, 0, 1)[None]
    return picture.float() / 255


@pytest.fixture
def codec() -> RecurrentCodec:
    torch.manual_seed(0)
    return RecurrentCodec(TINY_RECURRENT).eval()


def test_a_gru_keeps_its_state_where_the_update_gate_is_shut() -> None:
    torch.manual_seed(0)
    gru = ConvGRU(4)
    x, h = torch.randn(1, 4, 6, 6), torch.rand(1, 4, 6, 6) - 0.5
    with torch.no_grad():
        gru.inputs.bias[:4] = -40.0
        assert torch.allclose(gru(x, h), h, atol=1e-6)
        gru.inputs.bias[:4] = 40.0
        opened = gru(x, h)
    assert opened.abs().max() <= 1.0  # the candidate alone, a tanh
    assert not torch.allclose(opened, h, atol=1e-2)


def test_stages_have_the_shapes_and_rates_they_claim(codec: RecurrentCodec, x: torch.Tensor) -> None:
    stages = codec(x, 8)
    assert len(stages) == 8
    for stage in stages:
        assert stage.x_hat.shape == x.shape
        assert stage.bits.shape == (1,)
        assert stage.bits.item() > 0


def test_fewer_stages_are_the_first_of_more(codec: RecurrentCodec, x: torch.Tensor) -> None:
    with torch.no_grad():
        for few, many in zip(codec(x, 3), codec(x, 8), strict=False):
            assert few.x_hat.equal(many.x_hat)
            assert few.bits.equal(many.bits)


def test_the_linear_start_is_a_transform_codec_with_ever_finer_steps(x: torch.Tensor) -> None:
    """Untrained, each stage that has finer steps for the same components must come nearer to the picture."""
    torch.manual_seed(0)
    codec = RecurrentCodec(replace(RecurrentConfig(), fine=8, coarse=16, features=12, width=12)).eval()
    pixels = photograph(256, 256, seed=5)
    store = PixelStore(pixels.reshape(-1), [(256, 256)], torch.zeros(1).long().numpy())
    codec.transforms.start_from_components(block_components(store, 192, samples=2000))
    with torch.no_grad():
        for head in codec.transforms.analysis.heads:
            head.weight.zero_()  # type: ignore[operator, union-attr]
        errors = [(stage.x_hat - x).square().mean().item() for stage in codec(x, 8)]
    assert all(later < earlier * 1.001 for earlier, later in itertools.pairwise(errors))
    assert errors[-1] < errors[0] / 3


def test_what_is_left_over_drives_the_next_stage(codec: RecurrentCodec, x: torch.Tensor) -> None:
    """The second stage codes another picture's remainder differently though the first latent was the same."""
    transforms = codec.transforms
    with torch.no_grad():
        state, _ = transforms.start(x, 4, 6)
        y_1, after = transforms.analysis(x - 0.5, state, 0, 2)
        assert after.coarse.shape == (1, 12, 4, 6)
        y_near, _ = transforms.analysis(torch.zeros_like(x), after, 1, 1)
        y_far, _ = transforms.analysis(x - 0.5, after, 1, 1)
    assert y_1.shape == (1, 8, 4, 6)
    assert not torch.allclose(y_near, y_far)


def test_priming_is_for_the_first_stage(codec: RecurrentCodec) -> None:
    assert [codec.transforms.passes(stage) for stage in range(3)] == [2, 1, 1]


def test_rendering_is_no_part_of_the_recurrence(x: torch.Tensor) -> None:
    torch.manual_seed(1)
    synthesis = StageSynthesis(TINY_RECURRENT).eval()
    start, linear = RecurrentCodec(TINY_RECURRENT).transforms.start(x, 4, 6)
    y_hat = torch.randn(1, 8, 4, 6)
    with torch.no_grad():
        once, _ = synthesis(y_hat, start, linear, 0, 1)
        synthesis.render(once, linear)
        again, _ = synthesis(y_hat, start, linear, 0, 1)
    assert once.fine.equal(again.fine)
