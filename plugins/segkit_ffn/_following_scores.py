"""How well an object was followed: its voxels in the patch, and where the map would have the field of view go."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

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
        self._voxels.update(prediction, target, mask)
        reach = steps_within(self._movement, prediction.shape)
        steps = np.array([step for step in product(*(range(-r, r + 1) for r in reach)) if any(step)])
        for one in range(len(target) if len(steps) else 0):
            seed = settled(self._movement, target[one, 0] > 0.5)
            z, y, x = (steps.reshape(-1, 3) * self._movement.deltas + seed).T
            prediction_there, target_there, mask_there = (
                array[one : one + 1, :, z, y, x][..., None, None] for array in (prediction, target, mask)
            )
            self._moves.update(prediction_there, target_there, mask_there)

    def compute(self) -> dict[str, float]:
        """Return the scores of the objects, the share of moves that are right, and of those wanted that are made."""
        voxels, moves = self._voxels.compute(), self._moves.compute()
        return {
            **{name: voxels[name] for name in ("dice", "precision", "recall")},
            "moves_precision": moves["precision"],
            "moves_recall": moves["recall"],
        }
