"""Built-in augmentations: random changes of training patches that leave true what the labels say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

import segkit
from segkit import Unit
from segkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from segkit.contracts import Patch

    Augmentation = Callable[[Patch, np.random.Generator], Patch]


def flips(*, z: bool = True, y: bool = True, x: bool = True) -> Augmentation:
    """Mirrors each axis, or not, with equal chances.

    Parameters
    ----------
    z
        Whether z may be mirrored.
    y
        Whether y may be mirrored.
    x
        Whether x may be mirrored.
    """
    from segkit_augmentations._turns import Flips

    return Flips((z, y, x))


def quarter_turns(*, axes: Literal["z", "all"] = "z") -> Augmentation:
    """Turns by right angles, never mirrored, onto the same extent and voxel size.

    Axes are exchanged only if the patch has as many voxels along both, of the same size; otherwise half turns remain.

    Parameters
    ----------
    axes
        Whether to turn around z only, in the plane of y and x, or around all axes: 24 ways for a cube of cubic voxels.
    """
    from segkit_augmentations._turns import Turns

    return Turns(upright=axes == "z")


def deform(
    *,
    rotation: Annotated[float, Ge(0), Le(180), Unit("degrees")] = 15.0,
    tilt: Annotated[float, Ge(0), Le(180), Unit("degrees")] | None = None,
    scaling: Annotated[float, Ge(0), Le(3)] = 0.1,
    shear: Annotated[float, Ge(0), Le(1)] = 0.05,
    displacement: Annotated[float, Ge(0)] = 6.0,
    spacing: Annotated[float, Ge(2)] = 32.0,
    probability: Annotated[float, Ge(0), Le(1)] = 0.5,
) -> Augmentation:
    """Rotates, scales, shears and bends: affine and elastic deformation in one pass.

    It acts in space, not on the grid: voxels that are longer along z are not turned into the plane as if they were cubes.
    The image is interpolated linearly, and ids are taken from the nearest voxel. What comes from beyond the borders of
    the patch is a reflection in the image and is masked out of the loss.

    Bending is a uniform cubic B-spline with random control points. It never folds over, because the displacement is held
    below 0.4 of the spacing (Choi and Lee, Graphical Models 62, 2000).

    Parameters
    ----------
    rotation
        Largest angle around z, either way.
    tilt
        Largest angle out of the plane of y and x, either way. 0 moves nothing out of its section. None is the same as
        `rotation` for a cube, less for a flat patch, which would soon lose its ends, in proportion to its depth; and as 0
        where voxels are more than 3 times as long along z, as nnU-Net has it.
    scaling
        Largest relative change of size: 0.1 makes objects up to 1.1 times as large or as small.
    shear
        Largest shift along one axis for each step along another.
    displacement
        Largest displacement of a control point along each axis, in voxels of the axis with the smallest ones; equally
        long in space along the others. 0 bends nothing.
    spacing
        Distance between control points, in the same unit.
    probability
        How often anything happens at all; otherwise the patch stays as sharp as it is.

    Raises
    ------
    UsageError
        If `displacement` is above 0.4 of `spacing`.
    """
    if displacement > 0.4 * spacing:
        raise UsageError(
            f"deform(displacement={displacement:g}, spacing={spacing:g}) could fold the image over. Displacements up to "
            f"0.4 of the spacing cannot: at most {0.4 * spacing:g} here, or a spacing of at least {displacement / 0.4:g}."
        )
    from segkit_augmentations._deform import Deform

    return Deform(rotation, tilt, scaling, shear, displacement, spacing, probability)


def intensity(
    *,
    brightness: Annotated[float, Ge(0)] = 0.2,
    contrast: Annotated[float, Ge(0), Lt(1)] = 0.2,
    gamma: Annotated[float, Ge(0), Le(2)] = 0.2,
    noise: Annotated[float, Ge(0)] = 0.1,
    shot: Annotated[float, Ge(0)] = 0.0,
    per_channel: bool = False,
) -> Augmentation:
    """Changes brightness, contrast and gamma, and adds Gaussian noise, each by a random amount up to a limit.

    The image is normalised here: its standard deviation over the data is about 1, and amounts are in that unit.

    Parameters
    ----------
    brightness
        Most that is added or taken away.
    contrast
        Largest relative change of the distance from the mean of the patch.
    gamma
        Values, scaled to 0..1, are raised to a power between exp(-gamma) and exp(gamma).
    noise
        Largest standard deviation of the noise that is everywhere alike.
    shot
        Largest standard deviation, where the patch is brightest, of noise that grows with the root of the brightness:
        shot noise, the normal limit of Poisson's law, for images made of few photons or electrons.
    per_channel
        Whether each channel changes by itself, rather than all alike.
    """
    from segkit_augmentations._intensity import Intensity

    return Intensity(brightness, contrast, gamma, noise, shot, per_channel)


def blur(
    *, sigma: Annotated[float, Ge(0), Le(10)] = 1.0, probability: Annotated[float, Ge(0), Le(1)] = 0.3
) -> Augmentation:
    """Blurs the image with a Gaussian of random width, as if it were out of focus.

    Parameters
    ----------
    sigma
        Largest standard deviation, in voxels of the axis with the smallest ones; equally long in space along the others.
    probability
        How often the image is blurred at all.
    """
    from segkit_augmentations._sharpness import Blur

    return Blur(sigma, probability)


def low_resolution(
    *, factor: Annotated[float, Ge(1), Le(16)] = 2.0, probability: Annotated[float, Ge(0), Le(1)] = 0.2
) -> Augmentation:
    """Shows the image as if it had been taken with larger voxels: averaged, and interpolated linearly between.

    Parameters
    ----------
    factor
        How much larger they may be, compared with the smallest side of a voxel; sides that are longer already stay.
    probability
        How often that happens at all.
    """
    from segkit_augmentations._sharpness import Coarsen

    return Coarsen(factor, probability)


def slices(
    *,
    missing: Annotated[float, Ge(0), Le(1)] = 0.02,
    fill: Literal["blank", "noise", "repeat"] = "blank",
    contrast: Annotated[float, Ge(0), Le(1)] = 0.03,
    defocus: Annotated[float, Ge(0), Le(1)] = 0.02,
    jitter: Annotated[float, Ge(0), Le(1)] = 0.02,
    slip: Annotated[float, Ge(0), Le(1)] = 0.01,
    shift: Annotated[float, Ge(0)] = 6.0,
) -> Augmentation:
    """Imitates faults of serial sections: lost, out of focus, of another contrast, or out of place; for stacks along z.

    A patch of a single section is left alone. Networks for neurons have been trained with such faults since Lee et al.
    2017 (arXiv:1706.00120). A section that *jitters* was only imaged out of place: labels stay, and the network learns
    to look through. From one that *slips* on, everything lies elsewhere, so labels move along, and what comes from
    beyond the borders is masked out of the loss.

    Parameters
    ----------
    missing
        Chance of each section to be lost; never of all at once. Labels stay.
    fill
        What is seen instead of a lost one: a single random grey, noise, or the nearest section that is not lost.
    contrast
        Chance of each section to have between 0.3 and 1 of its contrast, and to be up to 0.5 brighter or darker.
    defocus
        Chance of each section to be blurred by a Gaussian of 1 to 3 voxels.
    jitter
        Chance of each section to lie out of place by itself; labels stay.
    slip
        Chance of each section that it and all that follow lie out of place; labels move along.
    shift
        Largest displacement along y and along x, in voxels of the smaller side, rounded to whole ones.
    """
    from segkit_augmentations._slices import Slices

    return Slices(missing, fill, contrast, defocus, jitter, slip, shift)


def cutout(
    *,
    boxes: Annotated[int, Ge(0), Le(100)] = 4,
    size: Annotated[float, Gt(0), Le(1)] = 0.3,
    channels: Annotated[float, Ge(0), Le(1)] = 0.0,
    probability: Annotated[float, Ge(0), Le(1)] = 0.3,
) -> Augmentation:
    """Hides boxes of the image, or whole channels, so that the network learns to infer them from what is around.

    What is hidden becomes the mean of the patch. Labels stay.

    Parameters
    ----------
    boxes
        Most boxes at a time.
    size
        Largest extent of a box along each axis, as a share of the patch.
    channels
        Chance of each channel to be hidden as a whole; one is always left.
    probability
        How often anything is hidden at all.
    """
    from segkit_augmentations._cutout import Cutout

    return Cutout(boxes, size, channels, probability)


@segkit.hookimpl
def segkit_augmentations() -> dict[str, Callable[..., Augmentation]]:
    """Offer all of them."""
    offered = (blur, cutout, deform, flips, intensity, low_resolution, quarter_turns, slices)
    return {factory.__name__: factory for factory in offered}
