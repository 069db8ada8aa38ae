"""Built-in segmenters: connected components, and for objects that touch one for each of the tasks that tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

import segkit

if TYPE_CHECKING:
    from segkit.contracts import Segmenter
    from segkit.hookspecs import Factories

Probability = Annotated[float, Ge(0), Le(1)]
Stride = Annotated[int, Ge(1)]
Halo = tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)], Annotated[int, Ge(0)]]


def components(
    *,
    threshold: float = 0.5,
    channel: Annotated[int, Ge(0)] = 0,
    connectivity: Literal[4, 6, 18, 26] = 6,
) -> Segmenter:
    """Make an object of every connected region of one channel.

    Blocks are stitched where objects touch, so that the result is that of the whole volume in one piece.

    Parameters
    ----------
    threshold
        Voxels above this value belong to an object.
    channel
        Channel of the prediction, counted from 0.
    connectivity
        Neighbours of a voxel: 6 across faces, 18 across edges too, 26 across corners too; 4 across faces within a z slice,
        for stacks whose slices are images of their own.

    Notes
    -----
    Voxels are taken together as runs along x, and the runs that touch joined by union-find (Wu, Otoo and Suzuki 2009,
    https://doi.org/10.1007/s10044-008-0109-y), without Python's lock, so that several threads share the work.
    """
    from segkit_segmenters._components import Components

    return Components(threshold, channel, connectivity)


def watershed(
    *,
    threshold: Annotated[float, Ge(0), Le(1)] = 0.5,
    seed_threshold: Annotated[float, Ge(0), Le(1)] = 0.5,
    neck: Annotated[float, Ge(0), Le(1)] = 0.5,
    smoothing: Annotated[float, Ge(0)] = 1.0,
    min_radius: Annotated[float, Ge(0), segkit.Unit("nm")] = 0.0,
    merge_below: Annotated[float, Ge(0), Le(1)] = 0.0,
    halo: Halo = (16, 16, 16),
) -> Segmenter:
    """Separate objects that touch: grow seeds from the middle of each until they meet at a boundary.

    Reads the channels of the task `boundaries`, or of `semantic`: channel 0 as the probability of an object and channel
    1, where there is one, as the probability of a boundary between objects. The inside of objects is where the first exceeds the second by more than `seed_threshold`. Basins of
    its distance transform become seeds, joined where the passage between them is wide enough (`neck`); seeds then grow
    over all voxels above `threshold`, along the boundary map. Sizes are physical, so voxels may be anisotropic.

    Parameters
    ----------
    threshold
        Voxels whose object probability is above this belong to an object. With 0, all do: for tissue without
        background.
    seed_threshold
        By how much the object probability must exceed the boundary probability inside an object.
    neck
        Two basins stay one object where the passage between them is at least this wide, relative to the narrower of
        both: 1 makes an object of every basin, 0 cuts only where the boundary map does. Neurites want about 0.5, round
        cells about 0.7.
    smoothing
        Standard deviation of the smoothing of the distances before their maxima are sought, in voxels of the finest
        axis; 0 for none.
    min_radius
        Objects that are nowhere as thick as this radius get no seed; voxels where the volume has no unit.
    merge_below
        Neighbours whose common face has a mean boundary probability below this become one, the faintest face first; 0
        for never. Goes well with a `neck` of 1: first too many pieces, then those joined that no boundary keeps apart.
    halo
        Voxels (z, y, x) around a block that it sees; more than the radius of the objects.

    Notes
    -----
    Flooding as in Meyer (1991) through bioimage_cpp; the seeds are maxima of the Euclidean distance transform with a
    criterion relative to their height, after the dynamics of Grimaud (1992, https://doi.org/10.1117/12.60650).
    """
    from segkit_segmenters._watershed import Watershed

    return Watershed(threshold, seed_threshold, neck, smoothing, min_radius, merge_below, halo)


def distance_watershed(
    *,
    threshold: Annotated[float, Ge(-1), Le(1)] = 0.05,
    seed_threshold: Annotated[float, Ge(-1), Le(1)] = 0.15,
    neck: Probability = 0.3,
    smoothing: Annotated[float, Ge(0)] = 0.5,
    absorb_below: Annotated[int, Ge(0)] = 20,
    halo: Halo = (16, 16, 16),
) -> Segmenter:
    """Cut where predicted distances are shallow: grow the deep inside of each object until it meets another.

    Reads the channel of the task `distances`. Voxels deeper than `seed_threshold` become seeds, one for each basin that
    no wide passage (`neck`) joins with another; seeds then grow over all voxels above `threshold`, deep ones first.

    Parameters
    ----------
    threshold
        Voxels with a distance above this belong to an object, as a part of the task's `scale`.
    seed_threshold
        Depth of the inside of objects: above what the rims of two objects have that touch, which is one voxel (of the
        coarsest axis) by the task's `scale`.
    neck
        Two basins stay one object where the passage between them is at least this deep, relative to the shallower of
        both: 1 makes an object of every basin, 0 cuts only where `seed_threshold` does.
    smoothing
        Standard deviation of the smoothing of the distances before their maxima are sought, in voxels of the finest
        axis; 0 for none.
    absorb_below
        Objects of fewer voxels go to a neighbour that they touch, or vanish where there is none; 0 keeps all.
    halo
        Voxels (z, y, x) around a block that it sees; more than the radius of the objects.

    Notes
    -----
    Flooding as in Meyer (1991) through bioimage_cpp; distances to the border as a height as in Bai & Urtasun (2017,
    https://doi.org/10.1109/CVPR.2017.305).
    """
    from segkit_segmenters._distance_watershed import DistanceWatershed

    return DistanceWatershed(threshold, seed_threshold, neck, smoothing, absorb_below, halo)


def mutex_watershed(
    *,
    threshold: Probability = 0.5,
    strides: tuple[Stride, Stride, Stride] = (1, 2, 2),
    absorb_below: Annotated[int, Ge(0)] = 20,
    custom_offsets: tuple[int, ...] = (),
    halo: Halo = (16, 16, 16),
) -> Segmenter:
    """Join neighbours and keep apart what far affinities keep apart, the surest pairs of voxels first.

    Reads the channels of the task `affinities`, far ones among them, within the object channel where there is one. It
    needs no seeds and no threshold on the affinities.

    Parameters
    ----------
    threshold
        Voxels whose object probability is above this belong to an object.
    strides
        Far pairs are looked at for every so-manieth voxel (z, y, x). With 1, 1, 1 it takes twice as long and leaves more
        small pieces where affinities are noisy; more than 2 may miss what is thin.
    absorb_below
        Objects of fewer voxels go to a neighbour, across the highest affinity, or vanish where there is none; 0 keeps all.
    custom_offsets
        The task's `custom_offsets`, for a prediction whose channels have no names. Empty reads the names, or else takes
        the set of offsets that has as many.
    halo
        Voxels (z, y, x) around a block that it sees; more than the radius of the objects.

    Notes
    -----
    Wolf et al. (2018, https://doi.org/10.1007/978-3-030-01225-0_34), through bioimage_cpp.
    """
    from segkit.affinities import grouped
    from segkit_segmenters._mutex import MutexWatershed

    return MutexWatershed(grouped(custom_offsets, "custom_offsets"), threshold, strides, absorb_below, halo)


def agglomeration(
    *,
    affinity: Probability = 0.5,
    threshold: Probability = 0.5,
    smoothing: Annotated[float, Ge(0)] = 1.0,
    absorb_below: Annotated[int, Ge(0)] = 20,
    custom_offsets: tuple[int, ...] = (),
    halo: Halo = (16, 16, 16),
) -> Segmenter:
    """Cut into many fragments along faint affinities, then join those whose common face has a high mean affinity.

    Reads the channels of the task `affinities`, within the object channel where there is one. Unlike in
    `mutex_watershed`, `affinity` chooses between too many pieces and too few. For a boundary map, the segmenter
    `watershed` with `neck` 1 and `merge_below` does the same.

    Parameters
    ----------
    affinity
        Neighbours are joined while the mean affinity of all pairs of voxels across their face is above this.
    threshold
        Voxels whose object probability is above this belong to an object.
    smoothing
        Standard deviation of the smoothing of the distances whose maxima become fragments, in voxels of the finest
        axis; 0 for none.
    absorb_below
        Objects of fewer voxels go to a neighbour, across the highest affinity, or vanish where there is none; 0 keeps all.
    custom_offsets
        The task's `custom_offsets`, for a prediction whose channels have no names. Empty reads the names, or else takes
        the set of offsets that has as many.
    halo
        Voxels (z, y, x) around a block that it sees; more than the radius of the objects.

    Notes
    -----
    Average linkage as in Bailoni et al. (2022, https://doi.org/10.1109/CVPR52688.2022.01135), through bioimage_cpp.
    """
    from segkit.affinities import grouped
    from segkit_segmenters._agglomerated import Agglomeration

    offsets = grouped(custom_offsets, "custom_offsets")
    return Agglomeration(offsets, threshold, affinity, smoothing, absorb_below, halo)


def centres(
    *,
    threshold: Probability = 0.5,
    radius: Annotated[float, Ge(0)] = 1.5,
    neck: Probability = 0.5,
    min_votes: Annotated[int, Ge(0)] = 20,
    halo: Halo = (16, 16, 16),
) -> Segmenter:
    """Make an object of all voxels that point to the same centre.

    Reads the channels of the task `centre_offsets`. Every voxel of an object votes for the place that it points to;
    crowds of votes become objects, wherever their voxels lie.

    Parameters
    ----------
    threshold
        Voxels whose object probability is above this vote.
    radius
        How far votes for one centre scatter (standard deviation), in voxels of the finest axis.
    neck
        Two crowds are one where they are at least this dense between both, relative to the smaller: 1 makes an object
        of every crowd.
    min_votes
        Crowds of fewer votes make no object: their voxels go to an object that they touch, or vanish.
    halo
        Voxels (z, y, x) around a block that it sees; more than the radius of the objects.

    Notes
    -----
    Votes for a centre as in Cheng et al. (2020, https://arxiv.org/abs/1911.10194), with the basins of the density of
    votes instead of a predicted map of centres.
    """
    from segkit_segmenters._centres import Centres

    return Centres(threshold, radius, neck, min_votes, halo)


@segkit.hookimpl
def segkit_segmenters() -> Factories:
    """Offer the built-in segmenters."""
    return {
        "agglomeration": agglomeration,
        "centres": centres,
        "components": components,
        "distance_watershed": distance_watershed,
        "mutex_watershed": mutex_watershed,
        "watershed": watershed,
    }
