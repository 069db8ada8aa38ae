"""Networks that see each voxel's channels as a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["DeepFC", "Features", "SimpleFC"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


@dataclass(frozen=True)
class Features:
    """What stands between the layers; the parameters are those of the factories."""

    normalization: Literal["none", "batch", "layer"]
    activation: str
    dropout: float

    def norm(self, width: int) -> nn.Module:
        """Return the normalisation of vectors ``(P, width)``."""
        if self.normalization == "none":
            return nn.Identity()
        return nn.BatchNorm1d(width) if self.normalization == "batch" else nn.LayerNorm(width)

    def act(self) -> nn.Module:
        """Return the activation."""
        return _ACTIVATIONS[self.activation]()

    def drop(self) -> nn.Module:
        """Return the dropout."""
        return nn.Dropout(self.dropout) if self.dropout else nn.Identity()


class Vectors(nn.Module):
    """Puts the channels of all voxels through layers that take vectors ``(P, C)``."""

    stride = (1, 1, 1)
    halo = (0, 0, 0)

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, raw: Tensor) -> Tensor:
        """Map ``(N, C, Z, Y, X)`` to ``(N, K, Z, Y, X)``."""
        vectors = raw.movedim(1, -1)
        made: Tensor = self.layers(vectors.reshape(-1, vectors.shape[-1]))
        return made.reshape(*vectors.shape[:-1], made.shape[-1]).movedim(-1, 1)


class SimpleFC(Vectors):
    """Hidden layers one after the other."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, features: Features) -> None:
        hidden = [
            nn.Sequential(
                nn.Linear(width if number else inputs, width), features.norm(width), features.act(), features.drop()
            )
            for number in range(depth)
        ]
        super().__init__(nn.Sequential(*hidden, nn.Linear(width, outputs)))


class DeepFC(Vectors):
    """Residual blocks between a first and a last linear layer."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, features: Features) -> None:
        blocks = [ResidualBlock(width, features) for _ in range(depth)]
        super().__init__(
            nn.Sequential(
                nn.Linear(inputs, width), *blocks, features.norm(width), features.act(), nn.Linear(width, outputs)
            )
        )


class ResidualBlock(nn.Module):
    """Adds what two linear layers make of a vector to it, times a learnt factor (He et al. 2016, with the activation first)."""

    def __init__(self, width: int, features: Features) -> None:
        super().__init__()
        self.residual_branch = nn.Sequential(
            features.norm(width),
            features.act(),
            nn.Linear(width, width),
            features.norm(width),
            features.act(),
            features.drop(),
            nn.Linear(width, width),
        )
        self.residual_gate = nn.Parameter(torch.ones(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """Map ``(P, width)`` to the same shape."""
        result: Tensor = vectors + self.residual_gate * self.residual_branch(vectors)
        return result
