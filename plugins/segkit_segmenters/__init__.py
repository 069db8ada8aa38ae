"""Built-in segmenters: connected components, and a seeded watershed for objects that touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

import segkit

if TYPE_CHECKING:
    from segkit.contracts import Segmenter
    from segkit.hookspecs import Factories


def components(
    *,
    threshold: float = 0.5,
    channel: Annotated[int, Ge(0)] = 0,
    connectivity: Literal[6, 18, 26] = 6,
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
        Neighbours of a voxel: 6 across faces, 18 across edges too, 26 across corners too.

    Notes
    -----
    Labelled by connected-components-3d (Silversmith 2021, https://doi.org/10.5281/zenodo.5719536).
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
    halo: tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)], Annotated[int, Ge(0)]] = (16, 16, 16),
) -> Segmenter:
    """Separate objects that touch: grow seeds from the middle of each until they meet at a boundary.

    Reads channel 0 as the probability of an object and channel 1, where there is one, as the probability of a boundary
    between objects. The inside of objects is where the first exceeds the second by more than `seed_threshold`. Basins of
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


@segkit.hookimpl
def segkit_segmenters() -> Factories:
    """Offer the built-in segmenters."""
    return {"components": components, "watershed": watershed}
