"""Muon and AdamW in one."""

import pytest
import torch
from torch import nn

from neuralcodec.training.optimizer import MuonAdamW, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (64, 12), (1, 7)])
def test_orthogonalise_gives_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.manual_seed(0)) * 1e-3
    out = orthogonalise(matrix)
    assert out.shape == shape
    singular = torch.linalg.svdvals(out)
    # Five steps bring the singular values near one, the smallest of a square matrix last.
    assert singular.max() < 1.3
    assert singular.median() > 0.6
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert nn.functional.cosine_similarity(out.flatten(), (u @ v).flatten(), dim=0) > 0.9


def test_orthogonalise_of_zero_is_zero() -> None:
    assert not orthogonalise(torch.zeros(4, 6)).any()


class Quadratic(nn.Module):
    """Distance of a convolution's weights, a depthwise one's and a vector to fixed targets."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.manual_seed(0)
        self.dense = nn.Conv2d(6, 8, 1)
        self.depthwise = nn.Conv2d(5, 5, 3, groups=5)
        self.targets = [torch.randn(p.shape, generator=generator) for p in self.parameters()]

    def forward(self) -> torch.Tensor:
        parts = zip(self.parameters(), self.targets, strict=True)
        return torch.stack([(p - t).square().sum() for p, t in parts]).sum()


def minimise(model: Quadratic, optimizer: MuonAdamW, steps: int) -> float:
    loss = model()
    for step in range(steps):
        loss.backward()
        optimizer.step(0.05 * (1 - step / steps))
        loss = model()
    return float(loss.detach())


def test_a_quadratic_is_minimised() -> None:
    model = Quadratic()
    optimizer = MuonAdamW(model, weight_decay=0.0)
    start = float(model().detach())
    assert optimizer.matrices == {"dense.weight"}
    assert minimise(model, optimizer, 400) < 1e-3 * start


def test_gradients_are_cleared_and_missing_ones_skipped() -> None:
    model = Quadratic()
    optimizer = MuonAdamW(model, weight_decay=0.0)
    kept = model.depthwise.weight.detach().clone()
    model.dense.weight.square().sum().backward()
    optimizer.step(0.1)
    assert all(p.grad is None for p in model.parameters())
    assert model.depthwise.weight.equal(kept)


def test_weight_decay_shrinks_matrices_alone() -> None:
    model = Quadratic()
    optimizer = MuonAdamW(model, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step(0.1)
    for name, p in model.named_parameters():
        factor = 0.95 if name == "dense.weight" else 1.0
        assert torch.allclose(p, factor * before[name], atol=1e-6)


def test_state_restores_the_next_step() -> None:
    """Weights, state and the step count are all there is."""
    model, other = Quadratic(), Quadratic()
    optimizer, resumed = MuonAdamW(model, weight_decay=0.01), MuonAdamW(other, weight_decay=0.01)
    minimise(model, optimizer, 5)
    other.load_state_dict(model.state_dict())
    for name, tensor in optimizer.state.items():
        resumed.state[name].copy_(tensor)
    resumed.steps = optimizer.steps
    minimise(model, optimizer, 3)
    minimise(other, resumed, 3)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert a.equal(b)


def test_matrices_of_one_shape_do_not_know_of_each_other() -> None:
    """Together they get the very updates that each gets alone."""
    generator = torch.manual_seed(0)
    stack = torch.randn((3, 6, 9), generator=generator)
    alone = torch.stack([orthogonalise(matrix) for matrix in stack])
    assert torch.allclose(orthogonalise(stack), alone, atol=1e-5)
