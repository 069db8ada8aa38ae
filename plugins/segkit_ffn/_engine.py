"""Flood filling of an image in memory: objects begun at seeds are followed, several at once where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segkit.geometry import Triple
from segkit_ffn._following import Following
from segkit_ffn._movement import Movement, logit

__all__ = ["Engine", "Filled", "Policy"]

Array = np.ndarray[Any, Any]
Step = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Policy:
    """What is done with a network.

    Parameters
    ----------
    segment_threshold
        Least probability of a voxel of an object.
    min_size
        Objects of fewer voxels are given up.
    min_distance
        Voxels (z, y, x) around a seed that no other object may have.
    skip
        See `Following`.
    objects
        How many objects are followed at the same time. More than one finds slightly other objects than one after the other.
    positions
        How many fields of view of one object are computed at the same time.
    apart
        Least distance (z, y, x) along one of the axes of two of them; None for fields of view that share no voxel.
    """

    segment_threshold: float = 0.6
    min_size: int = 1000
    min_distance: Triple = (1, 1, 1)
    skip: float = 0.15
    objects: int = 1
    positions: int = 1
    apart: Triple | None = None


@dataclass
class Filled:
    """What was found.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` uint32, objects counted from 1 in the order in which they were finished.
    seeds
        For each object where it was begun.
    steps, skipped
        How many fields of view were computed, and how many were not because little of them was undecided.
    wasted
        How many of the steps belong to objects that were given up.
    """

    ids: Array
    seeds: list[Triple] = field(default_factory=list)
    steps: int = 0
    skipped: int = 0
    wasted: int = 0


class Engine:
    """Fills images with objects; holds no state, so that several threads may use one.

    Parameters
    ----------
    step
        Calls the network, as `segkit_ffn._stepping.Step` does.
    movement
        What it was trained with.
    policy
        What is done with it.
    """

    def __init__(self, step: Step, movement: Movement, policy: Policy | None = None) -> None:
        self.step, self.movement, self.policy = step, movement, policy or Policy()

    def fill(self, image: Array, seeds: Array, free: Array | None = None) -> Filled:
        """Follow objects from seeds until all are found.

        Parameters
        ----------
        image
            ``(C, Z, Y, X)`` float32, normalised; at least a field of view.
        seeds
            ``(N, 3)``; earlier ones come first. Those less than half a field of view from the borders are left out.
        free
            Where objects may be, bool ``(Z, Y, X)``; None for everywhere. Neither seeds nor the middles of fields of view
            go elsewhere.

        Returns
        -------
        Filled
            The objects.
        """
        shape = image.shape[1:]
        taken = np.zeros(shape, bool) if free is None else ~free
        filled = Filled(np.zeros(shape, np.uint32))
        waiting = [(int(z), int(y), int(x)) for z, y, x in seeds if self._inside((z, y, x), shape)]
        maps = [np.full(shape, np.nan, np.float32) for _ in range(self.policy.objects)]
        active: list[Following] = []
        while waiting or active:
            for seed in self._next(waiting, active, taken):
                active.append(Following(self.movement, seed, maps.pop(), taken, self.policy.skip))
            for following in self._advance(image, active):
                active.remove(following)
                self._keep(following, filled, taken)
                following.logits[following.touched.slices] = np.nan
                maps.append(following.logits)
        return filled

    def follow(self, image: Array, seed: Triple, free: Array | None = None) -> Array:
        """Return the map of the one object at `seed`: logits ``(Z, Y, X)``, not-a-number where it was not looked at."""
        shape = image.shape[1:]
        taken = np.zeros(shape, bool) if free is None else ~free
        following = Following(self.movement, seed, np.full(shape, np.nan, np.float32), taken, self.policy.skip)
        while not self._advance(image, [following]):
            pass
        return following.logits

    def _inside(self, seed: Triple, shape: tuple[int, ...]) -> bool:
        return all(r <= p < n - r for p, r, n in zip(seed, self.movement.radius, shape, strict=True))

    def _next(self, waiting: list[Triple], active: list[Following], taken: Array) -> Iterator[Triple]:
        """Take seeds from those that wait, as many as may be begun now.

        Beside other objects none is begun within two fields of view of their seeds, or where one of them has been already:
        most of those would be the same object.
        """
        begun = [following.seed for following in active]
        far = [2 * n for n in self.movement.field_of_view]
        sure = logit(self.policy.segment_threshold)
        at = 0
        while at < len(waiting) and len(begun) < self.policy.objects:
            seed = waiting[at]
            near = tuple(slice(max(0, p - d), p + d + 1) for p, d in zip(seed, self.policy.min_distance, strict=True))
            if taken[near].any():
                del waiting[at]
            elif any(all(abs(p - o) <= f for p, o, f in zip(seed, other, far, strict=True)) for other in begun) or any(
                following.logits[seed] >= sure for following in active
            ):
                at += 1
            else:
                del waiting[at]
                begun.append(seed)
                yield seed

    def _advance(self, image: Array, active: list[Following]) -> list[Following]:
        """Compute the next fields of view of all objects, and return the objects that have come to an end."""
        apart = self.policy.apart or self.movement.field_of_view
        chosen = [(one, one.positions(self.policy.positions, apart)) for one in active]
        views = [(one, position) for one, positions in chosen for position in positions]
        if views:
            boxes = [one.view(position) for one, position in views]
            images = np.stack([image[(slice(None), *box.slices)] for box in boxes])
            logits = np.stack([one.logits[box.slices] for (one, _), box in zip(views, boxes, strict=True)])
            np.copyto(logits, np.float32(logit(self.movement.pad)), where=np.isnan(logits))
            for (one, position), result in zip(views, self.step(images, logits), strict=True):
                one.absorb(position, result)
        for one in self._covered(active):
            one.given_up = True
        return [one for one, positions in chosen if not positions or one.given_up]

    def _covered(self, active: list[Following]) -> list[Following]:
        """Return objects whose seed belongs to one that was begun before: both are the same object, found twice."""
        sure = logit(self.movement.move_threshold)
        return [later for at, later in enumerate(active) if any(one.logits[later.seed] >= sure for one in active[:at])]

    def _keep(self, following: Following, filled: Filled, taken: Array) -> None:
        """Give an object that came to an end its id, unless it is none."""
        filled.steps += following.steps
        filled.skipped += following.skipped
        inside = following.touched.slices
        mask = following.logits[inside] >= logit(self.policy.segment_threshold)
        mask &= ~taken[inside]
        if not following.found or np.count_nonzero(mask) < self.policy.min_size:
            filled.wasted += following.steps
            return
        filled.seeds.append(following.seed)
        filled.ids[inside][mask] = len(filled.seeds)
        taken[inside] |= mask
