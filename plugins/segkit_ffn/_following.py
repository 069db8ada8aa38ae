"""One object on its way: its map, and where the field of view may go next."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from segkit.compiling import compiled
from segkit.geometry import Box, Triple
from segkit_ffn._frontier import Entry, Frontier
from segkit_ffn._movement import Movement, logit

__all__ = ["Following"]

Array = np.ndarray[Any, Any]

_UNDECIDED = logit(0.1), logit(0.9)


class Following:
    """Follows one object from a seed.

    Parameters
    ----------
    movement
        How the field of view moves.
    seed
        Voxel that the object is known to hold.
    logits
        The map ``(Z, Y, X)`` float32, not-a-number everywhere; it is written to, in `touched` only.
    taken
        Where the field of view may not go, ``(Z, Y, X)``; it may change meanwhile.
    skip
        A field of view is not computed if less than this part of it is undecided; the object is followed through it by what
        is known, and goes where most is undecided first. 0 computes all, in the order in which they are reached.

    Attributes
    ----------
    touched
        The voxels that have been seen.
    steps, skipped
        How many fields of view were computed, and how many not.
    given_up
        Whether it turned out to be another object.
    """

    def __init__(self, movement: Movement, seed: Triple, logits: Array, taken: Array, skip: float) -> None:
        self.movement, self.seed, self.logits, self.taken = movement, seed, logits, taken
        self.steps = self.skipped = 0
        self.given_up = False
        self._move = np.float32(logit(movement.move_threshold))
        self._least = skip * np.prod(movement.field_of_view)
        self._done: set[Triple] = set()
        self._frontier = Frontier(self._undecided if skip else lambda _: 0)
        logits[seed] = logit(movement.seed)
        self._frontier.add(seed)
        self.touched = Box(seed, (seed[0] + 1, seed[1] + 1, seed[2] + 1))

    @property
    def found(self) -> bool:
        """Whether the seed is still believed to be part of the object."""
        return not self.given_up and bool(self.logits[self.seed] >= self._move)

    def view(self, position: Triple) -> Box:
        """Return the field of view around a position."""
        radius = self.movement.radius
        return Box.of_shape(self.movement.field_of_view, [p - r for p, r in zip(position, radius, strict=True)])

    def positions(self, count: int, apart: Triple) -> list[Triple]:
        """Return up to `count` positions to compute next, in the order in which they were reached; none at the end.

        Any two of them are at least `apart` voxels from each other along some axis.
        """
        chosen: list[Triple] = []
        near: list[Entry] = []
        while len(chosen) < count and (entry := self._frontier.take()):
            position = entry[2]
            if not self._open(position):
                continue
            if not self.found:
                self._frontier.clear()
                return chosen
            others = (*chosen, *(other for _, _, other in near))
            if any(all(abs(p - o) < a for p, o, a in zip(position, other, apart, strict=True)) for other in others):
                near.append(entry)
                continue
            self._done.add(self._place(position))
            if self._undecided(position) < self._least:
                self.skipped += 1
                self._go_on(position)
            else:
                chosen.append(position)
        for entry in near:
            self._frontier.put_back(entry)
        return chosen

    def absorb(self, position: Triple, result: Array) -> None:
        """Take over the logits that the network made of a field of view, and note where to go from there.

        Where the object was found, voxels that were seen before and thought to be outside stay so: else two objects
        that touch would run into each other (Januszewski et al. 2018).
        """
        view = self.view(position)
        before = self.logits[view.slices]
        if (result >= self._move).any():
            np.copyto(result, before, where=(before < 0) & (result > before))
        before[...] = result
        self.steps += 1
        start = [min(a, b) for a, b in zip(self.touched.start, view.start, strict=True)]
        stop = [max(a, b) for a, b in zip(self.touched.stop, view.stop, strict=True)]
        self.touched = Box.of_shape([b - a for a, b in zip(start, stop, strict=True)], start)
        self._go_on(position)

    def _place(self, position: Triple) -> Triple:
        """Return which step of the grid around the seed a position belongs to."""
        z, y, x = (
            (p - s + d // 2) // max(d, 1) for p, s, d in zip(position, self.seed, self.movement.deltas, strict=True)
        )
        return z, y, x

    def _open(self, position: Triple) -> bool:
        view, shape = self.view(position), self.logits.shape
        return (
            self._place(position) not in self._done
            and all(a >= 0 and b <= n for a, b, n in zip(view.start, view.stop, shape, strict=True))
            and not self.taken[position]
            and bool(self.logits[position] >= self._move)
        )

    def _undecided(self, position: Triple) -> int:
        """Return how many voxels of a field of view inside the volume are not known to be in the object, or not."""
        view = self.view(position)
        inside = all(a >= 0 and b <= n for a, b, n in zip(view.start, view.stop, self.logits.shape, strict=True))
        return _count_between(self.logits[view.slices], *_UNDECIDED) if inside else 0

    def _go_on(self, position: Triple) -> None:
        """Queue the surest voxel of each face of the box that is one step away, the surest of all first."""
        deltas = self.movement.deltas
        box = self.logits[tuple(slice(p - d, p + d + 1) for p, d in zip(position, deltas, strict=True))]
        found = []
        for axis, side in product((axis for axis in range(3) if deltas[axis]), (0, -1)):
            face = box[(slice(None),) * axis + (side,)]
            best = int(np.argmax(np.where(np.isnan(face), -np.inf, face)))
            score = float(face.flat[best])
            if score >= self._move:
                inner = [int(i) for i in np.unravel_index(best, face.shape)]
                inner.insert(axis, 2 * deltas[axis] if side else 0)
                z, y, x = (p - d + i for p, d, i in zip(position, deltas, inner, strict=True))
                found.append((score, (z, y, x)))
        for _, place in sorted(found, reverse=True):
            if self._place(place) not in self._done:
                self._frontier.add(place)


@compiled
def _count_between(logits: Array, low: float, high: float) -> int:
    """Count the numbers between two others, and those that are none."""
    count = 0
    for z in range(logits.shape[0]):
        for y in range(logits.shape[1]):
            for x in range(logits.shape[2]):
                count += not (logits[z, y, x] <= low or logits[z, y, x] >= high)
    return count
