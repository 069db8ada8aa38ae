"""Joining objects that flood filling broke apart: two that touch are filled again, each from its own seed.

Where they are one, the object that begins in either grows into the other, and both come out the same; where they are two,
each stays what it was (Januszewski et al. 2018, https://doi.org/10.1038/s41592-018-0049-4). Numbers are those published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segkit.geometry import Box, Triple
from segkit_ffn._engine import Engine
from segkit_ffn._movement import logit

__all__ = ["Contact", "Verdict", "agglomerated", "contacts", "judge"]

Array = np.ndarray[Any, Any]
Calls = Callable[[Array, Array], Array]

_TRIES = 8  # seeds in an object before it is given up
_RECOVERED = 0.6  # part of an object that must come back
_ALIKE = 0.8  # intersection over union of what comes out of both
_DELETED = 0.02  # part of an object that may have been found, and then lost again
_OPEN = 30  # pairs of voxels of a contact, those least like a membrane, that say how open it is
_SURE, _GONE = logit(0.8), 0.0


@dataclass(frozen=True)
class Contact:
    """Two objects that touch, and where.

    Parameters
    ----------
    one, two
        Their ids, the smaller first.
    point
        Where what lies between them looks least like a membrane.
    height
        How much it looks like one in the most open part of the contact.
    """

    one: int
    two: int
    point: Triple
    height: float


@dataclass(frozen=True)
class Verdict:
    """What came out of filling two objects again.

    Parameters
    ----------
    alike
        Intersection over union of the two results.
    recovered
        Which part of the first and of the second object came back from the seed in the first, then from that in the second.
    deleted
        Which part of the object of either seed was found and lost again.
    """

    alike: float
    recovered: tuple[float, float, float, float]
    deleted: tuple[float, float]

    @property
    def same(self) -> bool:
        """Whether they are safely one object."""
        return self.alike > _ALIKE and min(self.recovered) > _RECOVERED and min(self.deleted) < _DELETED


def contacts(ids: Array, height: Array) -> list[Contact]:
    """Return the pairs of objects that touch, those with the least of a membrane between them first.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` integers; 0 is empty. Objects should have grown towards each other.
    height
        How much each voxel looks like a membrane, ``(Z, Y, X)``.
    """
    ends, heights, places = [], [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        meet = (ids[low] != ids[high]) & (ids[low] != 0) & (ids[high] != 0)
        ends.append(np.sort(np.stack([ids[low][meet], ids[high][meet]], 1), axis=1))
        heights.append(np.maximum(height[low][meet], height[high][meet]))
        places.append(np.argwhere(meet))
    pairs, between, place = np.concatenate(ends), np.concatenate(heights), np.concatenate(places)
    if not len(pairs):
        return []
    order = np.lexsort((between, *pairs.T[::-1]))
    edges = np.flatnonzero(np.any(np.diff(pairs[order], axis=0), axis=1)) + 1
    found = []
    for rows in np.split(order, edges):  # from the most open place to the least
        z, y, x = (int(p) for p in place[rows[0]])
        one, two = (int(i) for i in pairs[rows[0]])
        found.append(Contact(one, two, (z, y, x), float(between[rows[:_OPEN]].mean())))
    return sorted(found, key=lambda contact: (contact.height, contact.one, contact.two))


class _Watching:
    """A step of the network that counts the voxels which were surely object before it and are not after it."""

    def __init__(self, step: Calls) -> None:
        self._step = step
        self.deleted = 0

    def __call__(self, images: Array, logits: Array) -> Array:
        results = self._step(images, logits)
        self.deleted += int(np.count_nonzero((logits >= _SURE) & (results < _GONE)))
        return results


def judge(engine: Engine, image: Array, ids: Array, contact: Contact, radius: Triple) -> Verdict:
    """Fill two objects again near their contact, each from a seed of its own, with all others in place.

    Parameters
    ----------
    engine
        Fills.
    image
        ``(C, Z, Y, X)`` float32, normalised.
    ids
        ``(Z, Y, X)`` integers.
    contact
        Where.
    radius
        Voxels (z, y, x) around the contact in which results are compared; what is filled reaches half a field of view
        further.
    """
    margin = engine.movement.radius
    whole = Box.of_shape(ids.shape)
    near = _around(contact.point, radius, whole)
    box = _around(contact.point, [r + m for r, m in zip(radius, margin, strict=True)], whole)
    inner = near.relative_to(box.start).slices
    crop, here = np.ascontiguousarray(image[(slice(None), *box.slices)]), ids[box.slices]
    objects = [here == contact.one, here == contact.two]
    free = (here == 0) | objects[0] | objects[1]
    results, recovered, deleted = [], [], []
    for own in objects:
        found, lost = _again(engine, crop, own, free, inner)
        results.append(found[inner])
        recovered += [_share(found[inner], other[inner]) for other in objects]
        deleted.append(lost)
    union = np.count_nonzero(results[0] | results[1])
    alike = np.count_nonzero(results[0] & results[1]) / union if union else 0.0
    first, second, third, fourth = recovered
    return Verdict(alike, (first, second, third, fourth), (deleted[0], deleted[1]))


def _around(point: Triple, radius: Any, whole: Box) -> Box:
    box = Box.of_shape([2 * r + 1 for r in radius], [p - r for p, r in zip(point, radius, strict=True)]) & whole
    assert box is not None
    return box


def _share(found: Array, of: Array) -> float:
    """Return which part of `of` was found."""
    return float(np.count_nonzero(found & of)) / max(1.0, float(np.count_nonzero(of)))


def _again(engine: Engine, image: Array, own: Array, free: Array, inner: tuple[slice, ...]) -> tuple[Array, float]:
    """Fill an object from the seed furthest inside of it, then from others until most of it comes back.

    Returns
    -------
    tuple
        What was found, and which part of the object was found and lost again.
    """
    distance = edt.edt(np.ascontiguousarray(own), black_border=True, parallel=1)
    allowed = np.zeros(own.shape, bool)
    allowed[tuple(slice(m, n - m) for m, n in zip(engine.movement.radius, own.shape, strict=True))] = True
    distance[~allowed] = 0
    best, lost = np.zeros(own.shape, bool), 1.0
    for _ in range(_TRIES):
        place = int(distance.argmax())
        z, y, x = (int(i) for i in np.unravel_index(place, own.shape))
        if distance[z, y, x] <= 0:
            break
        watching = _Watching(engine.step)
        logits = Engine(watching, engine.movement, engine.policy).follow(image, (z, y, x), free)
        with np.errstate(invalid="ignore"):
            found = (logits >= logit(engine.policy.segment_threshold)) & free
        if _share(found[inner], own[inner]) >= _share(best[inner], own[inner]):
            best, lost = found, watching.deleted / max(1.0, float(np.count_nonzero(own)))
        if _share(best[inner], own[inner]) > _RECOVERED:
            break
        apart = engine.movement.deltas
        distance[tuple(slice(max(0, p - d), p + d + 1) for p, d in zip((z, y, x), apart, strict=True))] = 0
    return best, lost


def agglomerated(engine: Engine, image: Array, ids: Array, candidates: list[Contact], radius: Triple) -> Array:
    """Return what each object is called when those are joined that are safely one.

    Parameters
    ----------
    engine, image, ids, radius
        As in `judge`.
    candidates
        The contacts to look at.

    Returns
    -------
    numpy.ndarray
        For each id the least id of the objects that it is joined with, uint32.
    """
    same = [c for c in candidates if judge(engine, image, ids, c, radius).same]
    count = int(ids.max(initial=0)) + 1
    rows, columns = [c.one for c in same], [c.two for c in same]
    graph = coo_array((np.ones(len(same), bool), (rows, columns)), (count, count))
    _, group = connected_components(graph, directed=False)
    least = np.full(count, count, np.uint32)
    np.minimum.at(least, group, np.arange(count, dtype=np.uint32))
    names: Array = least[group]
    return names
