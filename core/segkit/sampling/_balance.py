"""Which blocks hold each class or object, so that ids can be drawn equally often whatever their size.

A row for each id in each block, sorted by id: the memory depends on how many objects there are, not on the volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError, UsageError
from segkit.sampling._index import LabelIndex

__all__ = ["Balance", "IdPlaces"]

Array = np.ndarray[Any, Any]
Balance = Literal["none", "classes", "objects"]


@dataclass(frozen=True, eq=False)
class IdPlaces:
    """Where each id is.

    Parameters
    ----------
    ids
        The id of each class, or of each object of each sample, int64 ``(G,)``.
    chances
        Running sum of how often each is to be drawn, float64 ``(G,)``.
    stops
        For each of them the row behind its last one, int64 ``(G,)``.
    blocks
        The block of each row, ``(P,)``.
    voxels
        Running sum of the (weighted) voxels of all rows, float64 ``(P,)``.
    """

    ids: Array
    chances: Array
    stops: Array
    blocks: Array
    voxels: Array

    @classmethod
    def of(
        cls,
        index: LabelIndex,
        weights: Sequence[float],
        balance: Literal["classes", "objects"],
        class_weights: Sequence[float] = (),
    ) -> IdPlaces:
        """Sort the counts of an index by id.

        Parameters
        ----------
        index
            Built with ``ids=True``.
        weights
            Weight of each sample.
        balance
            A class is the same in all samples; an object with the same id in two samples is two objects.
        class_weights
            How often the labels 0, 1, 2, ... are drawn relative to each other; empty for equally often.

        Raises
        ------
        DataError
            If there is no foreground.
        UsageError
            If `class_weights` is too short, or gives nothing to all that there is.
        """
        assert index.pairs is not None
        ids, blocks, counts = index.pairs.T
        if not len(ids):
            raise DataError(
                'There is no foreground whose ids could be balanced. Check the labels, or set sampling.balance = "none".'
            )
        which = index.sample_of[blocks]
        order = np.lexsort((blocks, ids, which)) if balance == "objects" else np.lexsort((blocks, ids))
        ids, blocks, counts, which = ids[order], blocks[order], counts[order], which[order]
        new = ids[1:] != ids[:-1]
        if balance == "objects":
            new |= which[1:] != which[:-1]
        stops = np.append(np.flatnonzero(new) + 1, len(ids))
        firsts = np.append(0, stops[:-1])
        of_sample = np.asarray(weights, float)
        chances = of_sample[which[firsts]] if balance == "objects" else np.ones(len(stops))
        if balance == "classes" and class_weights:
            if ids[-1] >= len(class_weights) or ids[0] < 0:
                raise UsageError(
                    f"`sampling.class_weights` has {len(class_weights)} weights, for labels of 0 to {len(class_weights) - 1}, but "
                    f"there are labels from {ids[0]} to {ids[-1]}. Give a weight for each of them, from label 0 on."
                )
            chances = np.asarray(class_weights, float)[ids[firsts]]
            if not chances.any():
                raise UsageError(
                    "`sampling.class_weights` is 0 for every class that there is. Give one of them a weight."
                )
        return cls(ids[firsts], np.cumsum(chances), stops, blocks, np.cumsum(counts * of_sample[which]))

    def draw(self, g: np.random.Generator) -> tuple[int, int]:
        """Return an id, and a block that holds it, drawn in proportion to how much of it lies there."""
        group = _pick(self.chances, g.random() * self.chances[-1])
        first = int(self.stops[group - 1]) if group else 0
        rows = self.voxels[first : self.stops[group]]
        before = self.voxels[first - 1] if first else 0.0
        row = _pick(rows, before + g.random() * (rows[-1] - before))
        return int(self.ids[group]), int(self.blocks[first + row])


def _pick(cumulative: Array, value: float) -> int:
    return min(int(np.searchsorted(cumulative, value, side="right")), len(cumulative) - 1)
