"""Two players in one loss."""

from dataclasses import replace

import pytest
import torch
from tiny import TINY_MODEL, TINY_SIZES

from neuralcodec.models.conv.config import VividConfig
from neuralcodec.training import vivid
from neuralcodec.training.vivid import VividCodec


@pytest.fixture
def players() -> VividCodec:
    torch.manual_seed(0)
    shipped = VividConfig(**TINY_SIZES["vivid"])
    config = replace(shipped, statistics=0.0, grid=0.0, colour=0.0, edges=0.0)
    model = VividCodec(TINY_MODEL, config)
    model.begin()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("vivid", "adversary.")))
    with torch.no_grad():
        model.vivid.head.weight.normal_(std=0.1)
    return model


def gradients(model: VividCodec, adversarial: float) -> dict[str, float]:
    model.objective = replace(model.objective, adversarial=adversarial, features=1e-12)
    model.zero_grad()
    x, level = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)), torch.tensor([0.3, 1.5])
    torch.manual_seed(3)
    model(x, level)[1].mean().backward()
    return {
        part: sum(
            float(p.grad.abs().sum())
            for name, p in model.named_parameters()
            if name.startswith(part) and p.grad is not None
        )
        for part in ("vivid", "adversary")
    }


def test_neither_player_moves_the_other(players: VividCodec) -> None:
    alone, against, twice = (gradients(players, weight) for weight in (0.0, 1.0, 2.0))
    assert alone["vivid"] < 1e-6 < against["vivid"]
    assert twice["vivid"] == pytest.approx(2 * against["vivid"], rel=1e-3)
    assert alone["adversary"] > 1e-6
    assert against["adversary"] == pytest.approx(alone["adversary"], rel=1e-4)


def test_it_starts_as_the_true_decoder_but_for_noise(
    players: VividCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    players.begin()
    x_hat, true, _ = players.decode(torch.rand(1, 3, 64, 64), torch.tensor([1.0]))
    assert 0 < (x_hat - true).abs().mean() < 0.05
    monkeypatch.setattr(vivid, "DITHER", 0.0)
    x_hat, true, bits = players.decode(torch.rand(1, 3, 64, 64), torch.tensor([1.0]))
    torch.testing.assert_close(x_hat, true)
    assert bits.shape == (1,)
