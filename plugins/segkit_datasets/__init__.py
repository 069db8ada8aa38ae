"""Built-in datasets: files, and neurons, fluorescent beads and points of manifolds made in code.

The synthetic ones need no download, so that a first run, a test or a bug report works anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

import segkit
from segkit import Advanced, Location, Unit

if TYPE_CHECKING:
    from segkit import Sample

Side = Annotated[int, Ge(1), Le(8192)]
Nanometres = Annotated[float, Gt(0), Unit("nm")]


def files(
    *,
    raw: Location,
    labels: Location | None = None,
    mask: Location | None = None,
    boxes: bool = False,
    region: str = "",
    tiles: tuple[Side, Side, Side] | None = None,
    mark_radius: Annotated[float, Ge(0), Le(64), Unit("voxels")] = 0.0,
    unlabelled: int | None = None,
    voxel_size: tuple[Nanometres, Nanometres, Nanometres] | None = None,
    weights: tuple[Annotated[float, Gt(0)], ...] = (),
) -> Sequence[Sample]:
    """Images and labels from files, opened lazily.

    Patterns such as ``images/*.tif`` and ``labels/*.tif`` give one sample for each pair, in natural order (2 before
    10); the patterns must find the same number of files. Alternatives in braces, such as ``{a.zarr,more/b.zarr}`` or
    ``{train,extra}/*.tif``, are taken in the order written, so that any volumes can be mixed.

    Parameters
    ----------
    raw
        The image: a file, store, folder of slices, ``file.h5:dataset``, or a pattern with ``*``, ``?`` or ``**``.
    labels
        Object or class ids of the same extent, or the image to be restored (denoising); none where nothing is known.
    mask
        Where the labels are known (not 0); none for everywhere.
    boxes
        Whether the labels are boxes of the one image that `raw` names, each of which lies where its offset says. Each is a
        sample; what reaches beyond the image is left out.
    region
        The part to use of every image, in voxels, such as ``z0:100, x-512:``; empty for all of it.
    tiles
        Cut every image into pieces of about this extent in voxels (z, y, x), never smaller, each a sample of its own, so that a
        split can hold out pieces of an image; none leaves images whole.
    mark_radius
        For labels in which an object is a mark, such as a click on its centre: the radius, in voxels of the finest axis, of
        the ball that each marked voxel grows to. 0 takes labels as they are.
    unlabelled
        The id in `labels` that means "not annotated", which is not background; none if every voxel is annotated.
    voxel_size
        Size of a voxel (z, y, x); none takes what the files say.
    weights
        How often patches come from each image, relative to its share of labelled voxels, in the order in which the images
        are found; empty for alike.

    Returns
    -------
    sequence of segkit.Sample
        One for each image; files are opened when an element is asked for, and voxels are read when patches are.

    Raises
    ------
    DataError
        If a file is missing or broken, a pattern finds nothing, or the extents of a pair differ.
    UsageError
        If patterns find different files, there are not as many weights, `region` is not inside an image, there are
        `boxes` of several images, or an image is smaller than a tile.
    """
    from ._files import FileSamples, paired, weighted
    from ._tiles import tiled

    sources = paired(raw, labels, mask, boxes)
    weight = weighted(len(sources), raw, weights)
    samples = FileSamples(sources, boxes, region, unlabelled, voxel_size, weight, mark_radius)
    return samples if tiles is None else [tile for sample in samples for tile in tiled(sample, tiles)]


def synthetic_neurons(
    *,
    shape: tuple[Side, Side, Side] = (64, 64, 64),
    count: Annotated[int, Ge(1), Le(100_000)] = 4,
    neurites: Annotated[int, Ge(2), Le(5000)] = 24,
    seed: Annotated[int, Ge(0)] = 0,
    voxel_size: tuple[Nanometres, Nanometres, Nanometres] = (10.0, 10.0, 10.0),
    noise: Annotated[float, Ge(0), Le(0.5)] = 0.04,
    faults: Annotated[float, Ge(0), Le(0.5)] = 0.0,
    mitochondria: Annotated[bool, Advanced] = True,
) -> Sequence[Sample]:
    """Densely packed neurites as an electron microscope shows them, grown in code.

    Branching, tapering neurites with swellings and thin necks fill the volume and touch each other, as in neuropil;
    there is no background. The image (uint8) has dark membranes of uneven strength, mitochondria, vesicles, cytoplasm of
    its own brightness in every neurite, and noise. Labels (uint32) are connected objects, counted from 1.

    Parameters
    ----------
    shape
        Extent of a sample in voxels (z, y, x); at most 2**26 voxels in all, such as 406 x 406 x 406. Making one takes
        about 70 bytes of memory and 5 microseconds a voxel.
    count
        Number of samples.
    neurites
        Neurites grown in each sample. Pieces that a sample's borders leave unconnected are objects of their own.
    seed
        The same seed gives the same samples, on every machine.
    voxel_size
        Size of a voxel (z, y, x); one that is thicker in z, such as 33, 8, 8, gives serial sections.
    noise
        Standard deviation of the detector noise, as a share of the range from black to white.
    faults
        Share of the sections (z) that are missing (black), shifted sideways together with their labels, or out of focus.
    mitochondria
        Whether thick neurites hold mitochondria, whose dark outlines are not borders of neurites.

    Returns
    -------
    sequence of segkit.Sample
        Sample i is made when its voxels are first read, and kept while all kept samples take less than 512 MiB.

    Raises
    ------
    UsageError
        If `shape` has more than 2**26 voxels, or fewer than 8 along y or x.
    """
    from ._neuropil import Neuropil

    return Neuropil(shape, neurites, seed, voxel_size, noise, faults, mitochondria).samples(count)


def synthetic_beads(
    *,
    shape: tuple[Side, Side] = (256, 256),
    count: Annotated[int, Ge(1), Le(100_000)] = 32,
    fewest: Annotated[int, Ge(0), Le(60_000)] = 12,
    most: Annotated[int, Ge(1), Le(60_000)] = 254,
    diameter: Annotated[float, Ge(2), Le(200), Unit("px")] = 9.5,
    clustering: Annotated[float, Ge(0), Le(1)] = 0.35,
    seed: Annotated[int, Ge(0)] = 0,
    pixel_size: Nanometres = 106.0,
    photons: Annotated[float, Ge(5), Le(100_000)] = 180.0,
    unevenness: Annotated[float, Ge(0), Le(0.9)] = 0.35,
) -> Sequence[Sample]:
    """Fluorescent beads in a wide-field microscope: dense, overlapping, unevenly lit, drawn in code.

    With the defaults an image holds 12 to 254 beads, 109 on average, of about 69 visible pixels, which cover 11.5 % of
    it. The image is uint16 ``(1, y, x)``; labels are uint16, counted from 1, where a bead lies over others the upper one.

    Parameters
    ----------
    shape
        Extent of an image in pixels (y, x).
    count
        Number of images.
    fewest
        Fewest beads in an image.
    most
        Most beads in an image; not below `fewest`.
    diameter
        Mean diameter of a bead; the beads vary by 6 %.
    clustering
        Share of the beads that lie against another one.
    seed
        The same seed gives the same images, on every machine.
    pixel_size
        Size of a pixel.
    photons
        Photons that reach a pixel at the centre of a bright bead; fewer give more shot noise.
    unevenness
        How much darker the worst-lit place of an image is than the best-lit one; 0 for even light.

    Returns
    -------
    sequence of segkit.Sample
        Image i is drawn when its pixels are first read, and kept while all kept images take less than 512 MiB.

    Raises
    ------
    ValueError
        If `most` is below `fewest`.
    """
    from ._beads import Beads

    if most < fewest:
        raise ValueError(f"`most` is {most} and below `fewest` ({fewest}). Swap them.")
    return Beads(shape, (fewest, most), diameter, clustering, seed, pixel_size, photons, unevenness).samples(count)


def manifold_points(
    *,
    manifold: Literal[
        "circle", "sphere", "torus", "swiss_roll", "moebius", "knot", "clifford_torus", "moment_curve"
    ] = "swiss_roll",
    dimensions: Annotated[int, Ge(2), Le(65536)] = 16,
    points: Annotated[int, Ge(1)] = 8192,
    noise: Annotated[float, Ge(0)] = 0.1,
    seed: Annotated[int, Ge(0)] = 0,
    draw: Annotated[int, Ge(0)] = 0,
) -> Sequence[Sample]:
    """Noisy points of a curve or surface in a space of many dimensions, and the same points without noise.

    The points lie around the origin at a mean squared distance of 1. Each is a voxel along x, its coordinates are channels;
    the labels are the points without noise, for the task `regression`. Patches such as ``(1, 1, 256)`` are batches of points.

    Parameters
    ----------
    manifold
        The curve or surface; points are uniform in its parameters (on the sphere, in area). Most fill 3 dimensions; the
        Clifford torus fills 4, and ``moment_curve``, made of the cosines and sines of 1 to 8 times an angle, fills 16, so
        that no linear map takes much of the noise away.
    dimensions
        Dimensions of the space, in which the manifold is turned at random.
    points
        How many points there are.
    noise
        Standard deviation of the Gaussian noise on each coordinate; its mean square is that squared, for a denoiser that does
        nothing.
    seed
        Decides how the manifold is turned, and with `draw` all points.
    draw
        Other points and noise on the same manifold, for a test.

    Returns
    -------
    sequence of segkit.Sample
        A single sample, ``(dimensions, 1, 1, points)`` float32.

    Raises
    ------
    UsageError
        If the space has fewer dimensions than the manifold needs, or there would be more than 2**27 numbers.
    """
    from ._manifolds import PointCloud

    return [PointCloud(manifold, dimensions, points, noise, seed, draw).sample()]


@segkit.hookimpl
def segkit_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer all of them."""
    return {
        "files": files,
        "manifold_points": manifold_points,
        "synthetic_beads": synthetic_beads,
        "synthetic_neurons": synthetic_neurons,
    }
