"""Flood-filling networks: an object is followed from a seed through the image (Januszewski et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

import segkit
from segkit import Advanced, Location, Unit

if TYPE_CHECKING:
    from torch import nn

    from segkit.contracts import Segmenter, Task
    from segkit.hookspecs import Factories
    from segkit.model import Importer


Side = Annotated[int, Ge(1), Le(1025)]
Delta = Annotated[int, Ge(0), Le(512)]
Distance = Annotated[int, Ge(0), Le(512)]
Probability = Annotated[float, Gt(0), Lt(1)]
Length = Annotated[float, Gt(0), Unit("nm")]


def ffn(
    in_channels: int,
    out_channels: int,
    *,
    width: Annotated[int, Ge(1), Le(512)] = 64,
    depth: Annotated[int, Ge(1), Le(64)] = 3,
    normalization: Literal["none", "layer", "group", "batch"] = "none",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    flat_modules: Annotated[int, Ge(0), Le(64)] = 0,
) -> nn.Module:
    """Flood-filling network: residual convolutions at full resolution (Januszewski et al. 2018).

    Its output is added to the map of the object, the last of its input channels, so it is meant for the task
    `flood_filling`. With `width` 32, `depth` 12 and no normalisation it is the network published for FIB-25. Weights
    begin as Glorot and Bengio (2010) propose, biases at 0. The result has `stride` and `halo`, (z, y, x) in voxels.

    Parameters
    ----------
    in_channels
        Channels of the image, and one for the map of the object.
    out_channels
        Channels of the logits.
    width
        Channels of the features.
    depth
        Pairs of convolutions, of which all but the first are residual. Each sees two voxels further in every direction.
    normalization
        What keeps features in range before each nonlinearity: the channels of each voxel (`layer`), groups of channels of a
        sample, or each channel of the batch. Statistics of batches shift between training and filling; prefer `layer`.
    dropout
        Probability that a whole channel is left out, once in each pair of convolutions, in training.
    flat_modules
        How many of the first pairs convolve within slices only, for images whose voxels are long along z.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Z, Y, X)` to logits of the same extent.
    """
    from segkit.errors import UsageError
    from segkit_ffn._network import FFN

    if flat_modules > depth:
        raise UsageError(f"`flat_modules` is {flat_modules}, more than the `depth` of {depth}. Take at most {depth}.")
    return FFN(in_channels, out_channels, width, depth, normalization, dropout, flat_modules)


def google_ffn(
    *,
    field_of_view: tuple[Side, Side, Side] = (33, 33, 33),
    deltas: tuple[Delta, Delta, Delta] = (8, 8, 8),
    seed: Probability = 0.95,
    pad: Probability = 0.05,
    move_threshold: Probability = 0.9,
    centre: float = 128.0,
    scale: Annotated[float, Gt(0)] = 33.0,
    voxel_size: tuple[Length, Length, Length] | None = None,
) -> Importer:
    """Weights of google/ffn: a TensorFlow checkpoint, or its tensors in an .npz archive.

    The defaults are what the network published for FIB-25 was trained with (Januszewski et al. 2018). TensorFlow itself is
    not needed.

    Parameters
    ----------
    field_of_view
        Voxels (z, y, x) that the network sees at once; their `fov_size` counts (x, y, z).
    deltas
        Steps (z, y, x) between fields of view in training; theirs count (x, y, z).
    seed
        Probability at the seed of an object, their `init_activation`.
    pad
        Probability where nothing is known yet, their `pad_value`.
    move_threshold
        Least probability that the field of view moves to.
    centre
        What is subtracted from the voxels of an image, their `image_mean`.
    scale
        By what they are then divided, their `image_stddev`.
    voxel_size
        Voxel size (z, y, x) of the images it was trained on, in nm; none where it is not known. That of the network published
        for FIB-25 is.
    """
    from segkit_ffn._movement import Movement
    from segkit_ffn._published import GoogleFFN

    return GoogleFFN(Movement(field_of_view, deltas, seed, pad, move_threshold), centre, scale, voxel_size)


def flood_filling(
    *,
    field_of_view: tuple[Side, Side, Side] = (33, 33, 33),
    deltas: tuple[Delta, Delta, Delta] = (8, 8, 8),
    seed: Probability = 0.95,
    pad: Probability = 0.05,
    move_threshold: Probability = 0.9,
    walk: Literal["fixed", "frontier"] = "fixed",
    moves: Annotated[int, Ge(1), Le(1000)] = 27,
    softening: Annotated[float, Ge(0), Lt(0.5)] = 0.05,
    smallest: Annotated[int, Ge(1), Unit("voxels")] = 100,
    threshold: Annotated[Probability, Advanced] = 0.6,
) -> Task:
    """Follow one object at a time through the image, from a seed inside of it, so that whole neurites are found.

    The network sees a field of view of the image, and what has been found of the object so far; what it answers moves the
    map of the object, and with it the field of view. Training does the same in patches with an object in the middle: set
    `sampling.patch_shape` to the field of view and three `deltas`, and `sampling.balance` to ``objects``, so that half
    of the patches are about objects drawn equally often, however small. Networks are trained for the numbers here, and
    filling uses the same. Weights are chosen by the Dice coefficient of the object in the whole patch.

    Parameters
    ----------
    field_of_view
        Voxels (z, y, x) that the network sees at once; odd. Fewer along z for thick sections.
    deltas
        Steps (z, y, x) from one field of view to the next, in voxels: about a quarter of it.
    seed
        Probability with which the map begins at the seed.
    pad
        Probability with which it begins everywhere else.
    move_threshold
        Least probability of a voxel that the field of view moves to.
    walk
        Where it moves in training: ``fixed`` to places one step away in every direction, in random order; ``frontier`` to
        the most probable voxel on each side, as in filling. Larger patches let both go further than one step.
    moves
        Most places that are visited in a training patch, the middle included; in validation all are.
    softening
        How far the target stays from 0 and 1, so that the map can still change. Dice losses never get small if it is above 0.
    smallest
        Voxels in its patch that an object must have for anything to be learnt from it.
    threshold
        Probability above which a voxel counts as object in the scores.

    Raises
    ------
    UsageError
        If a field of view is even, `deltas` lead out of it, or the probabilities are out of order.

    Notes
    -----
    Januszewski et al. (2018, https://doi.org/10.1038/s41592-018-0049-4), and its published code for the numbers and for
    both walks. Other pieces of the same id in a patch count as unknown, and the field of view does not go where labels
    are unknown.
    """
    from segkit_ffn._movement import Movement
    from segkit_ffn._task import FloodFilling

    movement = Movement(field_of_view, deltas, seed, pad, move_threshold)
    return FloodFilling(movement, walk, moves, softening, smallest, threshold)


def flood_fill(
    *,
    model: Location,
    skip: Annotated[float, Ge(0), Lt(1)] = 0.15,
    segment_threshold: Probability = 0.6,
    move_threshold: Annotated[Probability | None, Advanced] = None,
    min_size: Annotated[int, Ge(1), Unit("voxels")] = 1000,
    order: Literal["distance", "position"] = "distance",
    boundary_channel: Annotated[int, Ge(0)] | None = None,
    boundary_threshold: float = 0.5,
    mirror: bool = True,
    seed_distance: Annotated[tuple[Distance, Distance, Distance], Advanced] = (1, 1, 1),
    objects: Annotated[int, Ge(1), Le(256), Advanced] = 1,
    positions: Annotated[int, Ge(1), Le(64), Advanced] = 1,
    consensus: bool = False,
    agglomerate: Annotated[int, Ge(0), Le(100_000), Unit("pairs")] = 0,
    grow: Annotated[int, Ge(0), Le(64), Unit("voxels")] = 6,
    membranes: Literal["dark", "bright"] = "dark",
    leftovers: Annotated[int, Ge(0), Unit("voxels")] = 0,
    precision: Literal["auto", "exact", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    halo: Annotated[tuple[Distance, Distance, Distance] | None, Advanced] = None,
    cell: Annotated[int, Ge(8), Le(1024), Unit("voxels")] = 256,
) -> Segmenter:
    """Follow one object after the other through an image with a flood-filling network, from seeds it finds by itself.

    It is given the image, not a prediction. Seeds are the places furthest from edges of the image. Objects take voxels in
    the order in which they are found, and no voxel belongs to two. Cells are filled one by one and stitched where both
    sides agree on an object.

    Parameters
    ----------
    model
        Run or model of the task `flood_filling`.
    skip
        The network is not called where less than this part of its field of view is undecided (0.1 to 0.9, or not seen
        yet); what is known leads on. 0 always calls it, which takes more than twice as long and differs little.
    segment_threshold
        Least probability of a voxel of an object.
    move_threshold
        Least probability of a voxel that the field of view moves to; none takes that of the training, which is best.
    min_size
        Objects of fewer voxels are given up.
    order
        Where to begin: what is furthest from edges first, or by z, y and x.
    boundary_channel
        Channel of the image, counted from 0, with boundaries between objects that another network predicted. Seeds are then
        furthest from those; the network is not shown it. None for edges of the image.
    boundary_threshold
        Voxels of that channel with at least this value are boundary.
    mirror
        Whether the image goes on beyond its sides, as if they were mirrors, for a quarter of the field of view. Without it
        the middle of a field of view stays half of it away from the sides, and what is there is cut into pieces or missed.
    seed_distance
        Voxels (z, y, x) around a seed that no other object may have.
    objects
        Objects of a cell that are followed at the same time, to fill the batches of a GPU. Those that turn out to be the
        same are reduced to one, which costs about a quarter more steps. On a CPU, 1 is fastest.
    positions
        Fields of view of an object that are computed at the same time, if they share no voxel; for GPUs likewise.
    consensus
        Fill the mirror image too, from the seeds in reverse order, and keep together only what is together both times. It
        takes twice as long, and trades mergers for splits.
    agglomerate
        How many pairs of touching objects of a cell are filled again, each from its own seed, to see whether they are one:
        those with the least of a membrane between them. A pair costs a few dozen calls of the network. 0 joins none.
    grow
        How far objects grow into empty space at most, in voxels of the finest axis, across membranes last. It is done when
        cells are stitched. 0 leaves all as the network found it.
    membranes
        What membranes look like in the image, for `grow` and `agglomerate`.
    leftovers
        Connected parts of a cell where nothing is or grows become objects if they have so many voxels, and grow with the
        others. It helps in dense tissue, where all space belongs to some cell; 0 makes none.
    precision
        ``float32`` and ``bfloat16`` compute the network in fast ways that round differently; ``auto`` takes what the
        processor is fast in. ``exact`` computes it as in training: with `skip` 0, `order` ``position``, no `mirror`, no
        passes, and one of `objects` and `positions`, the result is that of the published algorithm, voxel by voxel.
    device
        Where to compute: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    halo
        Voxels (z, y, x) around a cell that it sees; none takes half a field of view.
    cell
        About how many voxels wide a cell is. Larger ones have less seams and overlap, and need more memory: 20 bytes a
        voxel.

    Raises
    ------
    DataError
        If there is no such model.
    UsageError
        If it was trained for another task.

    Notes
    -----
    Januszewski et al. (2018, https://doi.org/10.1038/s41592-018-0049-4).
    """
    from segkit_ffn._engine import Policy
    from segkit_ffn._flood_fill import FloodFill
    from segkit_ffn._passes import Passes

    return FloodFill.of(
        model,
        move_threshold,
        halo,
        cell,
        policy=Policy(segment_threshold, min_size, seed_distance, skip, objects, positions),
        passes=Passes(consensus, agglomerate, grow, membranes == "bright", leftovers),
        order=order,
        boundary_channel=boundary_channel,
        boundary_threshold=boundary_threshold,
        mirror=mirror,
        precision=precision,
        device=device,
    )


@segkit.hookimpl
def segkit_architectures() -> Factories:
    """Offer the networks."""
    return {"ffn": ffn}


@segkit.hookimpl
def segkit_tasks() -> Factories:
    """Offer the task."""
    return {"flood_filling": flood_filling}


@segkit.hookimpl
def segkit_segmenters() -> Factories:
    """Offer the segmenter."""
    return {"flood_fill": flood_fill}


@segkit.hookimpl
def segkit_importers() -> Factories:
    """Offer what reads weights of other programs."""
    return {"google_ffn": google_ffn}
