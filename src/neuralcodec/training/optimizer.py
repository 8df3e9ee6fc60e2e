"""Muon for matrices, AdamW for everything else; the state is plain tensors, ready to be saved."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.99)


class MuonAdamW:
    """One optimizer over a model's named parameters.

    Weights of convolutions with more than one input channel are updated with the orthogonalised momentum
    (Jordan et al. 2024, "Muon"), scaled by `0.2·sqrt(largest dimension)` to the size of an Adam update (Liu
    et al. 2025), so that one learning rate serves both. Everything else gets AdamW.
    """

    def __init__(self, model: nn.Module, *, weight_decay: float, momentum: float = 0.95) -> None:
        self.weight_decay, self.momentum = weight_decay, momentum
        self.parameters = dict(model.named_parameters())
        self.matrices = {n for n, p in self.parameters.items() if p.dim() == 4 and p.shape[1] > 1}
        self.steps = 0
        self.state: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            self.state[f"first.{name}"] = torch.zeros_like(parameter)
            if name not in self.matrices:
                self.state[f"second.{name}"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters in place from their gradients, and clear these."""
        self.steps += 1
        corrections = tuple(1 - beta**self.steps for beta in BETAS)
        for name, parameter in self.parameters.items():
            grad = parameter.grad
            if grad is None:
                continue
            first = self.state[f"first.{name}"]
            if name in self.matrices:
                first.mul_(self.momentum).add_(grad)
                matrix = grad.add(first, alpha=self.momentum).flatten(1)
                update = orthogonalise(matrix).view_as(parameter) * (0.2 * math.sqrt(max(matrix.shape)))
                parameter.mul_(1 - learning_rate * self.weight_decay)
            else:
                second = self.state[f"second.{name}"]
                first.lerp_(grad, 1 - BETAS[0])
                second.lerp_(grad.square(), 1 - BETAS[1])
                update = (first / corrections[0]) / ((second / corrections[1]).sqrt() + 1e-8)
            parameter.sub_(update, alpha=learning_rate)
            parameter.grad = None


def orthogonalise(matrix: Tensor) -> Tensor:
    """Approximate the nearest semi-orthogonal matrix by five Newton-Schulz steps in float32."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.float()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.T).to(matrix.dtype)
