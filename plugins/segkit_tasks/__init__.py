"""Built-in tasks: classes of voxels, objects that touch (in four ways), and numbers such as a restored image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

import segkit

if TYPE_CHECKING:
    from segkit.contracts import Task
    from segkit.hookspecs import Factories

Id = Annotated[int, Ge(0)]
Threshold = Annotated[float, Ge(0), Le(1)]


def semantic(
    *,
    classes: Annotated[int, Ge(2), Le(65536)] = 2,
    class_ids: tuple[Id, ...] = (),
    class_names: tuple[str, ...] = (),
    foreground_ids: tuple[Id, ...] = (),
    threshold: Threshold = 0.5,
) -> Task:
    """Tell what kind of thing each voxel is: foreground or background, or one of several classes.

    Two classes are learnt as one channel, the probability of foreground, and the labels may then be ids of any kind,
    objects included. More classes exclude each other and get a channel each. Weights are chosen by the Jaccard index,
    its mean over the classes.

    Parameters
    ----------
    classes
        Number of classes, background included where it is one.
    class_ids
        The id of each class in the labels, one for each and in the order of the channels; empty for 0, 1, 2 and so on.
        Only with more than two classes.
    class_names
        What to call each class; empty for names made of their ids.
    foreground_ids
        With two classes, the ids that are foreground. With more, the ids that patches are drawn around. Empty for all
        but 0.
    threshold
        Probability above which a voxel counts as foreground in the scores; with more than two classes the most
        probable one counts.
    """
    from segkit_tasks._semantic import Foreground, make_classes

    if classes > 2:
        return make_classes(classes, class_ids, class_names, foreground_ids)
    return Foreground(class_ids, class_names, foreground_ids, threshold)


def boundaries(
    *,
    thickness: Annotated[int, Ge(1), Le(32)] = 1,
    in_plane_only: bool = False,
    threshold: Threshold = 0.5,
) -> Task:
    """Find objects and the boundaries between them, for objects to be told apart even where they touch.

    From ids of objects it makes two channels: ``object``, which is 1 in every object, and ``boundary``, which is 1
    beside every face between two different ids, background included. Where there is hardly any background the second
    alone separates the objects. Weights are chosen by the Dice coefficient of the boundary.

    Parameters
    ----------
    thickness
        How far a boundary reaches on either side of the face, in voxels of the finest axis; along a coarser one by as
        many voxels as are not thicker, at least 1. As far from what is not annotated and from the border of a patch
        nothing is known, since a boundary may lie just behind it.
    in_plane_only
        Whether only faces within a z slice count: for sections much thicker than a voxel is wide, and for slices that
        are annotated one by one. Patches of a single slice are treated so anyway.
    threshold
        Probability above which a voxel counts as object or boundary in the scores.
    """
    from segkit_tasks._boundaries import Boundaries

    return Boundaries(thickness, in_plane_only, threshold)


def distances(
    *,
    scale: Annotated[float, Gt(0), segkit.Unit("nm")] | None = None,
    signed: bool = False,
    in_plane_only: bool = False,
    activation: Literal["linear", "sigmoid"] = "linear",
) -> Task:
    """Find how deep inside of its object each voxel lies, for objects to be told apart at their shallow rims.

    From ids of objects it makes one channel, the Euclidean distance to the nearest voxel of any other id, background
    included, as a part of `scale`: 0 in the background, 1 at that depth and deeper. A voxel counts as unknown where
    what is not annotated, or outside of the patch, is nearer than that. Weights are chosen by the mean squared error.

    Parameters
    ----------
    scale
        The largest distance that is told apart, about the radius of the objects; voxels where the volume has no unit.
        None takes 10 voxels of the finest axis. Patches should be several times as large.
    signed
        Whether the background gets the distance to the nearest object, below 0 and down to -1; else it is 0.
    in_plane_only
        Whether distances are those within a z slice: for sections much thicker than a voxel is wide, and for slices
        that are annotated one by one. Patches of a single slice are treated so anyway.
    activation
        What makes the output of the network a distance: ``linear`` nothing but a limit, with the losses mse and l1;
        ``sigmoid`` with bce. A loss that does not fit is refused.

    Notes
    -----
    Exact for anisotropic voxels, through the library edt. Distances to the boundary as a target: Bai & Urtasun (2017,
    https://doi.org/10.1109/CVPR.2017.305); signed and limited ones: Heinrich et al. (2018,
    https://doi.org/10.1007/978-3-030-00934-2_36).
    """
    from segkit_tasks._distances import Distances

    return Distances(scale, signed, in_plane_only, activation)


def affinities(
    *,
    offsets: Literal["isotropic", "anisotropic", "planar"] = "isotropic",
    custom_offsets: tuple[int, ...] = (),
    foreground: bool = True,
    threshold: Threshold = 0.5,
) -> Task:
    """Find which voxels belong together: neighbours, and voxels some way apart, in one object or not.

    From ids of objects it makes a channel for each offset: in the prediction, the probability that a voxel and the one at
    that offset are in the same object. Losses see the opposite, since pairs that belong apart are few: a Dice loss is
    about them, and so is the `positive_weight` of bce. Long offsets tell objects apart where their boundary has a gap. A pair counts as unknown where one of both
    is not annotated or outside of the patch. Weights are chosen by the Dice coefficient of the neighbours that belong
    apart.

    Parameters
    ----------
    offsets
        A set of offsets in voxels: ``isotropic`` has 9, of 1, 3 and 9 voxels along each axis; ``anisotropic`` 11, for
        thick sections, shorter along z and diagonal within it; ``planar`` 6, within a z slice.
    custom_offsets
        Other offsets instead, three numbers (z, y, x) each in a row, such as -1, 0, 0, 0, -1, 0, 0, 0, -1; direct
        neighbours among them. Empty for those of `offsets`.
    foreground
        Whether a first channel says where objects are: leave it out for tissue without background.
    threshold
        Probability above which a voxel counts as object in the scores, and a pair as belonging apart.

    Notes
    -----
    Turaga et al. (2010, https://doi.org/10.1162/neco.2009.10-08-881); long offsets: Lee et al. (2017,
    https://arxiv.org/abs/1706.00120) and Wolf et al. (2018, https://doi.org/10.1007/978-3-030-01225-0_34).
    """
    from segkit.affinities import OFFSETS, grouped
    from segkit_tasks._affinities import Affinities

    chosen = grouped(custom_offsets, "task.custom_offsets") or OFFSETS[offsets]
    return Affinities(chosen, foreground, threshold)


def centre_offsets(
    *,
    scale: Annotated[float, Gt(0)] = 10.0,
    in_plane_only: bool = False,
    offset_weight: Annotated[float, Ge(0)] = 1.0,
    threshold: Threshold = 0.5,
) -> Task:
    """Find objects, and from each voxel the way to the centre of its object: for round objects such as nuclei.

    From ids of objects it makes a channel that is 1 in every object, and one for each axis with the way to the centre of
    mass of the connected region, which is known only where all of that lies in the patch. The recipe's losses compare the first; the
    others have a mean absolute error of their own. Weights are chosen by the mean distance of predicted centres from
    true ones.

    Parameters
    ----------
    scale
        How far the way is that the network gives as 1, in voxels of the finest axis; it learns best with about the
        radius of the objects. Predictions are in voxels of the finest axis.
    in_plane_only
        Whether every z slice is by itself, with two channels instead of three for the way: for planar networks.
    offset_weight
        Share of the error of the offsets in the loss.
    threshold
        Probability above which a voxel counts as object in the scores.

    Notes
    -----
    As Neven et al. (2019, https://arxiv.org/abs/1906.11109) and Cheng et al. (2020, https://arxiv.org/abs/1911.10194) do.
    """
    from segkit_tasks._centres import CentreOffsets

    return CentreOffsets(scale, in_plane_only, offset_weight, threshold)


def regression(
    *,
    channels: Annotated[int, Ge(1), Le(65536)] = 1,
    centre: float = 0.0,
    scale: Annotated[float, Gt(0)] = 1.0,
    data_range: Annotated[float, Gt(0)] | None = None,
) -> Task:
    """Predict numbers rather than classes: the labels are an image, such as the same one without noise.

    Patches of a single voxel with many channels make it a regression of vectors. Values that are not finite count as
    not annotated. Weights are chosen by the mean squared error.

    Parameters
    ----------
    channels
        Channels of the labels.
    centre
        The value in the labels at which the network gives 0.
    scale
        How much in the labels a step of 1 of the network is. The network learns best where ``(labels - centre) / scale``
        lies around -1 to 1; predictions and scores are in the numbers of the labels.
    data_range
        Largest minus smallest value of a clean image, for the peak signal-to-noise ratio; None takes `scale`.
    """
    from segkit_tasks._regression import Regression

    return Regression(channels, centre, scale, data_range)


@segkit.hookimpl
def segkit_tasks() -> Factories:
    """Offer the built-in tasks."""
    return {
        "affinities": affinities,
        "boundaries": boundaries,
        "centre_offsets": centre_offsets,
        "distances": distances,
        "regression": regression,
        "semantic": semantic,
    }
