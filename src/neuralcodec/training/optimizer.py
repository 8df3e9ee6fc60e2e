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
        grads = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        by_shape: dict[torch.Size, list[str]] = {}
        for name in self.matrices & grads.keys():
            by_shape.setdefault(self.parameters[name].shape, []).append(name)
        for names in by_shape.values():
            self._step_matrices(sorted(names), grads, learning_rate)
        others = [name for name in grads if name not in self.matrices]
        if others:
            self._step_others(others, grads, learning_rate)
        for name in grads:
            self.parameters[name].grad = None

    def _step_matrices(self, names: list[str], grads: dict[str, Tensor], learning_rate: float) -> None:
        """Update matrices of one shape: together, because one at a time would keep a GPU waiting."""
        parameters: list[Tensor] = [self.parameters[name] for name in names]
        first = [self.state[f"first.{name}"] for name in names]
        torch._foreach_mul_(first, self.momentum)
        torch._foreach_add_(first, [grads[name] for name in names])
        ahead = torch._foreach_add([grads[name] for name in names], first, alpha=self.momentum)
        updates = orthogonalise(torch.stack([each.flatten(1) for each in ahead]))
        updates = updates * (0.2 * math.sqrt(max(updates.shape[1:])))
        torch._foreach_mul_(parameters, 1 - learning_rate * self.weight_decay)
        changes = [update.view_as(parameters[0]) for update in updates]
        torch._foreach_sub_(parameters, list(torch._foreach_mul(changes, learning_rate)))

    def _step_others(self, names: list[str], grads: dict[str, Tensor], learning_rate: float) -> None:
        corrections = tuple(1 - beta**self.steps for beta in BETAS)
        gradients = [grads[name] for name in names]
        first = [self.state[f"first.{name}"] for name in names]
        second = [self.state[f"second.{name}"] for name in names]
        torch._foreach_lerp_(first, gradients, 1 - BETAS[0])
        torch._foreach_lerp_(second, torch._foreach_mul(gradients, gradients), 1 - BETAS[1])
        width = torch._foreach_sqrt(torch._foreach_div(second, corrections[1]))
        torch._foreach_add_(width, 1e-8)
        changes = torch._foreach_div(torch._foreach_mul(first, learning_rate / corrections[0]), width)
        torch._foreach_sub_([self.parameters[name] for name in names], changes)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Approximate the nearest semi-orthogonal matrix of each `(..., m, n)` by five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.float()
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrix.dtype)
