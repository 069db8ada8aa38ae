"""How far an image looks like itself: its autocorrelation along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.addressing import rng
from segkit.analysis._places import Place, place_of
from segkit.contracts import Sample
from segkit.geometry import Box, Triple

__all__ = ["AxisCorrelation", "autocorrelation"]

Array = np.ndarray[Any, Any]

_ANCHORS = 160
_REGIONS = 4  # pairs of regions from which a correlation is believed
_SIDE = 96  # longest side of the region that is compared with shifted ones
_SOLID = 24
_DISTANCES = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256)


@dataclass(frozen=True, slots=True)
class AxisCorrelation:
    """How the correlation of two voxels falls with their distance along an axis.

    Parameters
    ----------
    axis
        ``"z"``, ``"y"`` or ``"x"``.
    distances, values
        Distances in voxels, and the correlation there, about -1..1; noise that differs from voxel to voxel is left out.
    half, tenth
        Distance in voxels where it falls below 0.5 and 0.1, interpolated and rounded up; None where it does not as far as
        was looked.
    """

    axis: str
    distances: tuple[int, ...]
    values: tuple[float, ...]
    half: int | None
    tenth: int | None

    def at(self, distance: int) -> float:
        """Return the correlation at a distance in voxels, interpolated."""
        return float(np.interp(distance, (0, *self.distances), (1.0, *self.values)))


def autocorrelation(samples: Sequence[Sample], *, seed: int = 0) -> tuple[AxisCorrelation, ...]:
    """Measure how far the images look like themselves, along each axis on which they can be followed.

    Samples cut from one volume are followed from one into the next, so that single slices have a correlation along z too.
    Noise that differs from voxel to voxel is left out: the curve is divided by what it would be at distance 0 if it went on as
    straight as between 1 and 2 voxels.

    Parameters
    ----------
    samples
        The images; up to 160 regions of them are looked at, and channels are averaged.
    seed
        Decides which regions.

    Returns
    -------
    tuple of AxisCorrelation
        One for each axis along which there are neighbours, in the order z, y, x.
    """
    places = [place_of(sample) for sample in samples]
    by_source: dict[tuple[str, str], list[int]] = {}
    for number, (sample, place) in enumerate(zip(samples, places, strict=True)):
        by_source.setdefault((place.origin, sample.raw.source), []).append(number)
    return tuple(
        found
        for axis in range(3)
        if (found := _along(samples, places, list(by_source.values()), axis, seed)) is not None
    )


def _along(
    samples: Sequence[Sample], places: Sequence[Place], groups: Sequence[list[int]], axis: int, seed: int
) -> AxisCorrelation | None:
    sizes = np.cumsum([sum(places[n].box.size for n in members) for members in groups], dtype=np.float64)
    ends: dict[int, tuple[Array, Array]] = {}
    sums: dict[int, dict[int, list[Array]]] = {}
    for number in range(_ANCHORS):
        g = rng(seed, axis, number, "autocorrelation")
        group = int(np.searchsorted(sizes, g.random() * sizes[-1], side="right").clip(0, len(groups) - 1))
        members = groups[group]
        which = members[int(g.integers(len(members)))]
        anchor, within = _anchor(places[which].box, axis, g), places[which].box
        # What lies in the same sample is read at once, what lies behind its end is looked for in its neighbours.
        room = min(within.stop[axis] - anchor.stop[axis], _DISTANCES[-1])
        strip = _read(samples[which], places[which], _longer(anchor, axis, room))
        own = _cut(strip, axis, 0, anchor.shape[axis])
        for distance in _DISTANCES:
            if distance <= room:
                other = _cut(strip, axis, distance, anchor.shape[axis])
            elif len(members) > 1:
                if group not in ends:
                    boxes = [places[n].box for n in members]
                    ends[group] = np.array([box.start for box in boxes]), np.array([box.stop for box in boxes])
                shifted = anchor.shift([distance if a == axis else 0 for a in range(3)])
                holds = (ends[group][0] <= shifted.start) & (ends[group][1] >= shifted.stop)
                found = np.flatnonzero(holds.all(axis=1))
                if not len(found):
                    continue
                neighbour = members[int(found[0])]
                other = _read(samples[neighbour], places[neighbour], shifted)
            else:
                break
            sums.setdefault(group, {}).setdefault(distance, []).append(_moments(own, other))
    return _curve("zyx"[axis], _centred(sums))


def _longer(box: Box, axis: int, more: int) -> Box:
    stop = [end + (more if a == axis else 0) for a, end in enumerate(box.stop)]
    return Box(box.start, (stop[0], stop[1], stop[2]))


def _cut(strip: Array, axis: int, start: int, length: int) -> Array:
    part: Array = np.moveaxis(np.moveaxis(strip, axis, 0)[start : start + length], 0, axis)
    return part


def _anchor(box: Box, axis: int, g: np.random.Generator) -> Box:
    """Return a region of up to 96 x 96 (24^3 in solids) voxels, not longer along the axis than a quarter of the sample."""
    side = _SIDE if box.shape[0] == 1 else _SOLID
    limits = [max(1, n // 4) if a == axis else n for a, n in enumerate(box.shape)]
    shape: Triple = (min(side, limits[0]), min(side, limits[1]), min(side, limits[2]))
    # Near its beginning, so that there is as much as possible behind it to be compared with.
    room = [n - s for n, s in zip(box.shape, shape, strict=True)]
    start = [int(g.integers(0, (r // 4 if a == axis else r) + 1)) for a, r in enumerate(room)]
    return Box.of_shape(shape, [a + b for a, b in zip(box.start, start, strict=True)])


def _read(sample: Sample, place: Place, region: Box) -> Array:
    block = sample.raw.read(region.relative_to(place.box.start)).reshape(sample.raw.channels, *region.shape)
    found: Array = block.mean(axis=0, dtype=np.float64)
    return found


def _moments(a: Array, b: Array) -> Array:
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    return np.array([a.size, a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()])


def _centred(sums: dict[int, dict[int, list[Array]]]) -> dict[int, Array]:
    """Return the squares and the product at each distance, counted from the mean of each source.

    Images of a set differ in brightness, which would look like a correlation that never ends.
    """
    total: dict[int, Array] = {}
    for by_distance in sums.values():
        n, a, b = (sum(m[k] for moments in by_distance.values() for m in moments) for k in range(3))
        mean = (a + b) / (2 * n) if n else 0.0
        for distance, moments in by_distance.items():
            for n, a, b, aa, bb, ab in moments:
                both = (aa - 2 * mean * a, bb - 2 * mean * b, ab - mean * (a + b))
                found = np.array([value + n * mean * mean for value in both] + [1.0])
                total[distance] = total.get(distance, np.zeros(4)) + found
    return total


def _curve(axis: str, sums: dict[int, Array]) -> AxisCorrelation | None:
    distances, values = [], []
    for distance, (aa, bb, ab, regions) in sorted(sums.items()):
        if regions >= _REGIONS and aa > 0 and bb > 0:
            distances.append(distance)
            values.append(float(ab / np.sqrt(aa * bb)))
    if not distances or distances[0] != 1:
        return None
    start = min(1.0, 2 * values[0] - values[1]) if len(values) > 1 and distances[1] == 2 else values[0]
    if start > 0.1:
        values = [min(1.0, value / start) for value in values]
    return AxisCorrelation(
        axis, tuple(distances), tuple(values), _below(distances, values, 0.5), _below(distances, values, 0.1)
    )


def _below(distances: Sequence[int], values: Sequence[float], level: float) -> int | None:
    """Return where a falling curve that is 1 at distance 0 first crosses a level."""
    before, high = 0, 1.0
    for distance, value in zip(distances, values, strict=True):
        if value < level:
            return max(1, int(np.ceil(before + (distance - before) * (high - level) / max(high - value, 1e-9))))
        before, high = distance, value
    return None
