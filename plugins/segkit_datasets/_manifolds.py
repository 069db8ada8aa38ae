"""Points of a curved surface in a space of many dimensions, with noise: what a denoiser has to take away again.

Points are voxels along x and coordinates are channels, so that a network which sees the channels of one voxel at a time
sees points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit import Sample, Volume
from segkit.addressing import rng
from segkit.errors import UsageError

__all__ = ["MANIFOLDS", "PointCloud"]

Array = np.ndarray[Any, Any]
MOST_VALUES = 2**27


def _circle(u: Array) -> Array:
    angle = 2 * np.pi * u[0]
    return np.stack([np.cos(angle), np.sin(angle)])


def _sphere(u: Array) -> Array:
    height, angle = 2 * u[0] - 1, 2 * np.pi * u[1]  # uniform in area (Archimedes)
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(angle), around * np.sin(angle), height])


def _torus(u: Array) -> Array:
    one, other = 2 * np.pi * u[0], 2 * np.pi * u[1]
    radius = 1 + 0.4 * np.cos(other)
    return np.stack([radius * np.cos(one), radius * np.sin(one), 0.4 * np.sin(other)])


def _swiss_roll(u: Array) -> Array:
    angle = 1.5 * np.pi * (1 + 2 * u[0])
    return np.stack([angle * np.cos(angle), 6 * np.pi * (u[1] - 0.5), angle * np.sin(angle)])


def _moebius(u: Array) -> Array:
    angle, across = 2 * np.pi * u[0], 0.8 * (u[1] - 0.5)
    radius = 1 + across * np.cos(angle / 2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), across * np.sin(angle / 2)])


def _knot(u: Array) -> Array:
    angle = 2 * np.pi * u[0]
    radius = 2 + np.cos(3 * angle)
    return np.stack([radius * np.cos(2 * angle), radius * np.sin(2 * angle), np.sin(3 * angle)])


def _clifford_torus(u: Array) -> Array:
    one, other = 2 * np.pi * u[0], 2 * np.pi * u[1]
    return np.stack([np.cos(one), np.sin(one), np.cos(other), np.sin(other)])


def _moment_curve(u: Array) -> Array:
    angles = 2 * np.pi * u[0] * np.arange(1, 9)[:, None]
    return np.concatenate([np.cos(angles), np.sin(angles)])


MANIFOLDS: Mapping[str, Callable[[Array], Array]] = {
    "circle": _circle,
    "sphere": _sphere,
    "torus": _torus,
    "swiss_roll": _swiss_roll,
    "moebius": _moebius,
    "knot": _knot,
    "clifford_torus": _clifford_torus,
    "moment_curve": _moment_curve,
}
"""From two numbers in 0..1 for each point, ``(2, P)``, to its place ``(2 or more, P)``."""


@dataclass(frozen=True)
class PointCloud:
    """See `segkit_datasets.manifold_points`."""

    manifold: str
    dimensions: int
    points: int
    noise: float
    seed: int
    draw: int

    def __post_init__(self) -> None:
        if self.points * self.dimensions > MOST_VALUES:
            raise UsageError(
                f"{self.points:,} points of {self.dimensions} coordinates are {self.points * self.dimensions:,} numbers; at most "
                f"{MOST_VALUES:,} are made at once. Take fewer `points` or `dimensions`."
            )
        places = len(MANIFOLDS[self.manifold](np.zeros((2, 1))))
        if self.dimensions < places:
            raise UsageError(
                f"A {self.manifold} needs {places} dimensions, and `dimensions` is {self.dimensions}. Take at least {places}."
            )

    def sample(self) -> Sample:
        """Return the points with noise as the image, and without it as the labels, ``(dimensions, 1, 1, points)``."""
        clean = self._clean()
        noise = rng(self.seed, self.draw, 0, "noise").normal(0, self.noise, clean.shape)
        name = repr(self)
        raw, labels = (
            Volume.from_array(part.astype(np.float32)[:, None, None], axes="czyx", source=f"{name} ({what})")
            for part, what in ((clean + noise, "noisy"), (clean, "clean"))
        )
        return Sample(self.manifold.replace("_", " "), raw, labels)

    def _clean(self) -> Array:
        """Return points ``(dimensions, points)`` around the origin, at a mean squared distance of 1 from it."""
        place = MANIFOLDS[self.manifold]
        # Centre and size are those of the manifold, not of these points, so that all draws lie on the same one.
        grid = place(np.stack(np.meshgrid(*2 * [(np.arange(512) + 0.5) / 512], indexing="ij")).reshape(2, -1))
        centre = grid.mean(axis=1, keepdims=True)
        size = np.sqrt(np.square(grid - centre).sum(axis=0).mean())
        points = (place(rng(self.seed, self.draw, 0, "points").random((2, self.points))) - centre) / size
        axes, _ = np.linalg.qr(rng(self.seed, 0, 0, "axes").normal(size=(self.dimensions, len(points))))
        return np.asarray(axes @ points)
