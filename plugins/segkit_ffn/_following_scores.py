"""How well an object was followed: its voxels in the patch, and where the map would have the field of view go."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from segkit.geometry import Box
from segkit.metrics import OverlapMetrics
from segkit_ffn._movement import Movement
from segkit_ffn._settling import settled, steps_within

__all__ = ["FollowingScores"]

Array = np.ndarray[Any, Any]


class FollowingScores:
    """Overlap of objects, and of the places one step and more away from the seed that belong to them.

    Parameters
    ----------
    movement
        How the field of view moves.
    threshold
        Probability above which a voxel counts as object.
    """

    def __init__(self, movement: Movement, threshold: float) -> None:
        self._movement = movement
        self._voxels = OverlapMetrics(["object"], threshold=threshold)
        self._moves = OverlapMetrics(["move"], threshold=float(np.nextafter(movement.move_threshold, 0)))

    @property
    def sums(self) -> Array:
        """The counts of voxels and of places, float64 ``(2, 4)``; see `segkit.metrics.OverlapMetrics`."""
        return np.concatenate([self._voxels.sums, self._moves.sums])

    @sums.setter
    def sums(self, value: Array) -> None:
        self._voxels.sums, self._moves.sums = np.asarray(value).reshape(2, 4)

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch; see `segkit.contracts.Metrics`."""
        reach = steps_within(self._movement, prediction.shape)
        steps = np.array([step for step in product(*(range(-r, r + 1) for r in reach)) if any(step)]).reshape(-1, 3)
        far = np.array(self._movement.radius) + np.multiply(reach, self._movement.deltas)
        for one in range(len(target)):
            seed = settled(self._movement, target[one, 0] > 0.5)
            # What whole steps do not lead to was not looked at.
            seen = Box.of_shape((2 * far + 1).tolist(), (seed - far).tolist()) & Box.of_shape(target.shape[2:])
            assert seen is not None
            wanted, found, known = (array[one : one + 1] for array in (target, prediction, mask))
            within = (..., *seen.slices)
            self._voxels.update(found[within], wanted[within], known[within])
            if len(steps):
                z, y, x = (steps * self._movement.deltas + seed).T
                there = (slice(None), slice(None), z, y, x, None, None)
                self._moves.update(found[there], wanted[there], known[there])

    def compute(self) -> dict[str, float]:
        """Return the scores of the objects, the share of moves that are right, and of those wanted that are made."""
        voxels, moves = self._voxels.compute(), self._moves.compute()
        return {
            **{name: voxels[name] for name in ("dice", "precision", "recall")},
            "moves_precision": moves["precision"],
            "moves_recall": moves["recall"],
        }
