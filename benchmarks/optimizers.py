"""Optimizers to try in place of `MuonAdamW`; `benchmarks/trials.py` trains with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralcodec.training.optimizer import BETAS, MuonAdamW


class AdamW(MuonAdamW):
    """AdamW (Loshchilov and Hutter 2019) for every parameter."""

    def __init__(self, model: nn.Module, *, weight_decay: float) -> None:
        super().__init__(model, weight_decay=weight_decay)
        self.decayed, self.matrices = self.matrices, set()
        for name in self.decayed:
            self.state[f"second.{name}"] = torch.zeros_like(self.parameters[name])

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for name in self.decayed:
            self.parameters[name].mul_(1 - learning_rate * self.weight_decay)
        super().step(learning_rate)


class Soap(AdamW):
    """SOAP (Vyas et al. 2024): Adam in the eigenbasis of Shampoo's preconditioner, for matrices.

    A side of more than `LARGEST` keeps its own basis. Every `EVERY` steps the bases follow by a step of power
    iteration and a QR decomposition.
    """

    LARGEST = 512
    EVERY = 10

    def __init__(self, model: nn.Module, *, weight_decay: float) -> None:
        super().__init__(model, weight_decay=weight_decay)
        self.bases: dict[str, list[_Side]] = {}
        for name in self.decayed:
            shape = self.parameters[name].flatten(1).shape
            self.bases[name] = [_Side(size) if size <= self.LARGEST else _Side(0) for size in shape]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for name, (rows, columns) in self.bases.items():
            parameter = self.parameters[name]
            if parameter.grad is None:
                continue
            grad = parameter.grad.flatten(1)
            parameter.grad = None
            rows.see(grad)
            columns.see(grad.T)
            first = self.state[f"first.{name}"].view_as(grad)
            second = self.state[f"second.{name}"].view_as(grad)
            first.lerp_(grad, 1 - BETAS[0])  # in the parameter's own basis
            turned = columns.into(rows.into(grad).T).T
            second.lerp_(turned.square(), 1 - BETAS[1])
            corrections = tuple(1 - beta ** (self.steps + 1) for beta in BETAS)
            update = columns.into(rows.into(first).T).T / corrections[0]
            update = update / ((second / corrections[1]).sqrt() + 1e-8)
            update = columns.back(rows.back(update).T).T
            parameter.sub_(update.view_as(parameter), alpha=learning_rate)
            if self.steps % self.EVERY == 0:
                rows.turn()
                columns.turn()
        super().step(learning_rate)  # the decay, and all that is no matrix


class _Side:
    """One side's covariance of gradients and the basis that follows its eigenvectors; none of size 0."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.covariance = torch.zeros(size, size)
        self.basis = torch.eye(size)
        self.seen = 0

    def see(self, grad: Tensor) -> None:
        if self.size:
            self.covariance.lerp_(grad @ grad.T, 0.05 if self.seen else 1.0)
            self.seen += 1

    def turn(self) -> None:
        if self.size == 0:
            return
        if self.seen == 1:
            self.basis = torch.linalg.eigh(self.covariance)[1]
        else:
            self.basis = torch.linalg.qr(self.covariance @ self.basis)[0]

    def into(self, x: Tensor) -> Tensor:
        return self.basis.T @ x if self.size else x

    def back(self, x: Tensor) -> Tensor:
        return self.basis @ x if self.size else x
