"""Built-in tasks: classes of voxels, boundaries between objects, and numbers such as a restored image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
        How far a boundary reaches on either side of the face, in voxels. As far from what is not annotated and from the
        border of a patch nothing is known, since a boundary may lie just behind it.
    in_plane_only
        Whether only faces within a z slice count: for sections much thicker than a voxel is wide, and for slices that
        are annotated one by one. Patches of a single slice are treated so anyway.
    threshold
        Probability above which a voxel counts as object or boundary in the scores.
    """
    from segkit_tasks._boundaries import Boundaries

    return Boundaries(thickness, in_plane_only, threshold)


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
    return {"boundaries": boundaries, "regression": regression, "semantic": semantic}
