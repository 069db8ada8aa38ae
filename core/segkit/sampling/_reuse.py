"""The neighbourhoods of a training: which one a patch comes from, and those that are decoded just now.

Which one is a pure function of step and sample. Every patch of a batch has a neighbourhood of its own, drawn by itself;
it serves again `spread` steps later, `times` times in all. Where neighbourhoods begin is staggered, so that only a few
change in any one step. What is held in memory decides how fast a patch is read, never which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from segkit.addressing import rng
from segkit.contracts import Sample
from segkit.geometry import Triple
from segkit.sampling._neighbourhood import Neighbourhood, neighbourhood_around
from segkit.sampling._placing import Placing
from segkit.sampling._plan import Reuse

__all__ = ["Neighbourhoods"]

_GOLDEN = 0.6180339887498949


@dataclass(slots=True)
class _Entry:
    """A neighbourhood that is decoded, or about to be by whoever holds `busy`; it serves steps `first` to `last`."""

    first: int
    last: int
    nbytes: int
    found: Neighbourhood
    busy: Any = field(default_factory=Lock)


class Neighbourhoods:
    """Neighbourhoods by the address of a patch.

    Parameters
    ----------
    samples, placing
        What is drawn from, and how.
    shapes
        Shapes that a patch may have; one is drawn for each neighbourhood.
    reuse
        What neighbourhoods are like.
    seed
        Seed of the run.
    """

    def __init__(
        self, samples: Sequence[Sample], placing: Placing, shapes: Sequence[Triple], reuse: Reuse, seed: int
    ) -> None:
        self._samples, self._placing, self._shapes = samples, placing, tuple(shapes)
        self._reuse, self._seed = reuse, seed
        self._lock, self._live = Lock(), dict[tuple[int, int], _Entry]()
        self._spare = Lock()

    def address(self, step: int, sample: int) -> tuple[int, int, int]:
        """Return generation and slot of the neighbourhood of a patch, and the last step that it serves."""
        times, spread = self._reuse.times, self._reuse.spread
        slot = sample * spread + step % spread
        phase = int((slot + 1) * _GOLDEN % 1 * times)
        generation = (step // spread + phase) // times
        last = ((generation + 1) * times - phase - 1) * spread + step % spread
        return generation, slot, last

    def drawn(self, generation: int, slot: int) -> Neighbourhood:
        """Return a neighbourhood without its voxels."""
        g = rng(self._seed, generation, slot, "neighbourhood")
        plane = int(g.integers(len(self._shapes))) if len(self._shapes) > 1 else 0
        place = self._placing.place(g, self._shapes[plane])
        cell = self._reuse.cells[plane][place.which]
        return neighbourhood_around(place, self._samples[place.which], cell, self._placing.centred)

    def at(self, step: int, sample: int) -> Neighbourhood:
        """Return the decoded neighbourhood of a patch."""
        generation, slot, last = self.address(step, sample)
        key = generation, slot
        with self._lock:
            entry = self._live.get(key)
        if entry is None:
            entry = self._admit(key, step, last)
        if entry is None:  # memory is full: one at a time, and let go at once
            with self._spare:
                return self._decoded(self.drawn(generation, slot))
        with entry.busy:
            if entry.found.voxels is None:
                entry.found = self._decoded(entry.found)
        if step == last:
            with self._lock:
                self._live.pop(key, None)
        return entry.found

    @property
    def nbytes(self) -> int:
        """Bytes of what is alive."""
        with self._lock:
            return sum(entry.nbytes for entry in self._live.values())

    def _decoded(self, found: Neighbourhood) -> Neighbourhood:
        return found.read(self._samples[found.place.which], self._placing)

    def _admit(self, key: tuple[int, int], step: int, last: int) -> _Entry | None:
        """Make room for a neighbourhood, and return it; None where there is none."""
        found = self.drawn(*key)
        sample = self._samples[found.place.which]
        size = found.bytes_of(sample)
        length = self._reuse.times * self._reuse.spread
        with self._lock:
            if key in self._live:  # another thread was faster
                return self._live[key]
            for other, entry in list(self._live.items()):
                if not entry.first - length <= step <= entry.last:  # over, or from before a return to earlier steps
                    del self._live[other]
            if sum(entry.nbytes for entry in self._live.values()) + 2 * size > self._reuse.budget:
                return None
            self._live[key] = entry = _Entry(last - length + 1, last, size, found)
            return entry
