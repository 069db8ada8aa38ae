"""Built-in tracers: thinning, and TEASAR."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit.tracing import Trace

    Tracer = Callable[[Any, tuple[float, float, float]], Trace]


def skeleton(
    *,
    scale: Annotated[float, Ge(0)] = 1.5,
    constant: Annotated[float, Ge(0), segkit.Unit("nm")] | None = None,
    smoothing: Annotated[int, Ge(0)] = 5,
    spacing: Annotated[float, Ge(0), segkit.Unit("nm")] = 0.0,
) -> Tracer:
    """Thin an object to its centreline, then take away the spurs.

    Cavities are filled first. Loops are opened where the object is thinnest, so that the trace is a tree. Thinning counts
    in voxels: where they are anisotropic, branches stay right but the centreline is drawn towards the surface along the
    coarse axis; `teasar` measures in nm throughout.

    Parameters
    ----------
    scale, constant
        A side branch is a spur if it is shorter than `scale` times the radius of the object where it begins, and
        `constant` more; voxels where the volume has no unit. None takes ten voxels, at their longest edge.
    smoothing
        Rounds in which each node between branches moves towards the middle of its neighbours: the path along voxels is
        jagged, which makes the cable longer. 0 for none.
    spacing
        Distance between nodes that are kept along a branch; 0 keeps one for each voxel. Voxels where the volume has no
        unit.

    Notes
    -----
    Thinning by Lee, Kashyap & Chu (1994, https://doi.org/10.1006/cgip.1994.1042) in scikit-image; radii from the
    Euclidean distance transform.
    """
    from segkit_skeletons._thinning import Thinning

    return Thinning(scale, constant, smoothing, spacing)


def teasar(
    *,
    engine: Literal["bioimage_cpp", "kimimaro"] = "bioimage_cpp",
    scale: Annotated[float, Ge(0)] = 1.5,
    constant: Annotated[float, Ge(0), segkit.Unit("nm")] | None = None,
    fix_branching: bool = True,
    smoothing: Annotated[int, Ge(0)] = 5,
    spacing: Annotated[float, Ge(0), segkit.Unit("nm")] = 0.0,
) -> Tracer:
    """Trace with TEASAR: shortest paths from the surface to a root, each claiming what lies around it (Sato 2000).

    Parameters
    ----------
    engine
        Who computes it: bioimage_cpp, or kimimaro with its handling of somata, which is under the GPL 3 and an extra to
        be installed (``segkit-sdk[traces-teasar]``).
    scale
        A path claims everything within this times its radius, so that nothing there becomes another branch.
    constant
        A path claims this more; voxels where the volume has no unit. None takes ten voxels, at their longest edge.
    fix_branching
        Whether branches leave their stem at the nearest point, which costs more time.
    smoothing
        Rounds in which each node between branches moves towards the middle of its neighbours: the path along voxels is
        jagged, which makes the cable longer. 0 for none.
    spacing
        Distance between nodes that are kept along a branch; 0 keeps all. Voxels where the volume has no unit.

    Notes
    -----
    Sato et al. (2000, https://doi.org/10.1109/PCCGA.2000.883951); kimimaro as in Silversmith et al. (2021,
    https://doi.org/10.5281/zenodo.5539913). It measures in nm throughout, so anisotropic voxels do not matter.
    """
    from segkit_skeletons._teasar import Claim, Teasar, by_bioimage_cpp, by_kimimaro

    if engine == "kimimaro":
        import kimimaro

        draw = partial(by_kimimaro, kimimaro.skeletonize)
    else:
        import bioimage_cpp.skeleton

        draw = partial(by_bioimage_cpp, bioimage_cpp.skeleton.teasar)
    return Teasar(draw, Claim(scale, constant, fix_branching), smoothing, spacing)


@segkit.hookimpl
def segkit_tracers() -> Factories:
    """Offer the built-in tracers."""
    return {"skeleton": skeleton, "teasar": teasar}
