"""Where a field of view goes in a training patch: one position after the other, from the map as it is by then.

The map of an object changes between two positions, so a walk is a generator: whoever iterates it calls the network at
the position that it gave, and writes into the map, before asking for the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from segkit.geometry import Box, Triple
from segkit_ffn._movement import Movement, logit
from segkit_ffn._settling import steps_within

__all__ = ["WALKS", "Room"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Room:
    """A patch that is walked in.

    Parameters
    ----------
    movement
        How the field of view moves.
    logits
        The map of the object ``(Z, Y, X)``, which changes meanwhile.
    known
        Where the labels are known, bool ``(Z, Y, X)``.
    seed
        Where every walk begins.
    """

    movement: Movement
    logits: Array
    known: Array
    seed: Triple

    def view(self, position: Triple) -> Box:
        """Return the field of view around a position."""
        radius = self.movement.radius
        return Box.of_shape(self.movement.field_of_view, [p - r for p, r in zip(position, radius, strict=True)])

    def open(self, position: Triple) -> bool:
        """Return whether the field of view may go to a position that the object may have reached, in what is known."""
        view, shape = self.view(position), self.logits.shape
        inside = all(a >= 0 and b <= n for a, b, n in zip(view.start, view.stop, shape, strict=True))
        return inside and bool(self.known[position]) and self.logits[position] >= logit(self.movement.move_threshold)

    def faces(self, position: Triple) -> list[tuple[float, Triple]]:
        """Return the largest logit, and where it is, on each face of the box that is one step away in all directions."""
        deltas, shape = self.movement.deltas, self.logits.shape
        box = [(max(p - d, 0), min(p + d + 1, n)) for p, d, n in zip(position, deltas, shape, strict=True)]
        found = []
        for axis, side in product((axis for axis in range(3) if deltas[axis]), (0, 1)):
            at = box[axis][0] if side == 0 else box[axis][1] - 1
            face = [(at, at + 1) if a == axis else box[a] for a in range(3)]
            part = self.logits[tuple(slice(*bounds) for bounds in face)]
            inner = np.unravel_index(int(part.argmax()), part.shape)
            z, y, x = (int(first) + int(i) for (first, _), i in zip(face, inner, strict=True))
            found.append((float(part[inner]), (z, y, x)))
        return found


def fixed(room: Room, random: np.random.Generator) -> Iterator[Triple]:
    """Go through the places of a grid, the nearest ring first and each ring in random order."""
    yield room.seed
    reach = steps_within(room.movement, room.logits.shape)
    places = np.array(list(product(*(range(-r, r + 1) for r in reach))))
    ring = np.abs(places).max(1)
    for distance in range(1, max(reach) + 1):
        for z, y, x in random.permutation(places[ring == distance]).tolist():
            seed, deltas = room.seed, room.movement.deltas
            position = seed[0] + z * deltas[0], seed[1] + y * deltas[1], seed[2] + x * deltas[2]
            if room.open(position):
                yield position


def frontier(room: Room, random: np.random.Generator) -> Iterator[Triple]:
    """Go where filling goes: to the strongest voxel on each side of the places that were visited, in their order."""
    waiting, done = deque([room.seed]), set[Triple]()
    deltas = np.maximum(room.movement.deltas, 1)
    while waiting:
        position = waiting.popleft()
        z, y, x = ((np.array(position) - room.seed + deltas // 2) // deltas).tolist()
        if (z, y, x) in done or (done and not room.open(position)):
            continue
        done.add((z, y, x))
        yield position
        sides = room.faces(position)
        random.shuffle(sides)  # decides between equals
        waiting.extend(place for _, place in sorted(sides, key=lambda side: -side[0]))


WALKS: Mapping[str, Callable[[Room, np.random.Generator], Iterator[Triple]]] = {"fixed": fixed, "frontier": frontier}
