"""Planes or volumes, the network's depth, and the shape and number of patches."""

from __future__ import annotations

from math import ceil, log2, prod

from segkit.planning._choices import Draft
from segkit.planning._facts import Facts

__all__ = ["choose_dimensions", "choose_patch"]

_SIDES = (64, 96, 128, 192, 256, 384, 512)
_FEW_SLICES = 8
_CONTEXT = 4.0  # sides of a planar patch by diameter of an object
_CONTEXT_3D = 1.5


def _room(gpu: bool) -> int:
    """Return about how many voxels one step may hold before it takes too long."""
    return 2**21 if gpu else 2**17


def choose_dimensions(facts: Facts, draft: Draft) -> None:
    """Choose between planes and volumes."""
    found = facts.fingerprint
    draft.choose("architecture.name", "unet", "Learns from few images, and takes patches of any size.")
    if facts.planar:
        draft.choose("architecture.dimensions", "2d", "The images are single planes.")
        return
    side = _cube_side(facts)
    if found.shape[0][0] < _FEW_SLICES:
        draft.choose("architecture.dimensions", "2d", f"There are only {found.shape[0][0]} slices.")
    elif facts.diameter > 0 and side < _CONTEXT_3D * facts.diameter:
        draft.choose(
            "architecture.dimensions",
            "2d",
            f"Objects are {facts.diameter:.0f} voxels across, and a volume of {side} voxels a side, which is what there is time "
            f"for {'on a GPU' if facts.gpu else 'on a CPU'}, would show a part of one; a plane shows all of it for the same time.",
        )
    else:
        about = (
            f"Objects of {facts.diameter:.0f} voxels across fit into a patch"
            if facts.diameter
            else "The images are volumes"
        )
        draft.choose("architecture.dimensions", "3d", f"{about}: neighbouring slices help.")
        if found.voxel_size is None:
            draft.note(
                "The voxel size is not known and taken to be the same along all axes. Give --voxel-size if slices are thicker."
            )
        elif found.anisotropy >= 1.5:
            draft.choose(
                "architecture.anisotropy",
                float(f"{found.anisotropy:.3g}"),
                "So many times longer is a voxel along z than along x: the first levels leave z alone.",
            )


def _cube_side(facts: Facts) -> int:
    """Return the side in y and x of the largest volume that a step may hold, z being as long in nm."""
    return int((_room(facts.gpu) * max(1.0, facts.fingerprint.anisotropy)) ** (1 / 3))


def choose_patch(facts: Facts, draft: Draft) -> None:
    """Choose depth, patch shape and batch size."""
    flat = draft["architecture.dimensions"] == "2d"
    depth, why = _depth(facts, flat)
    wanted, context = _planar_side(facts) if flat else _cubic_sides(facts)
    while depth > 1 and min(min(wanted[1:]), *facts.smallest[1:]) / 2**depth < 4:
        depth, why = depth - 1, "Patches have no more room for poolings."
    stride = _stride(depth, 1.0 if flat else facts.fingerprint.anisotropy, flat)
    shape = [_fitted(side, room, step) for side, room, step in zip(wanted, facts.smallest, stride, strict=True)]
    draft.choose("architecture.depth", depth, why)
    if shape[1:] == list(facts.smallest[1:]):
        context = "The images as a whole."
    draft.choose("sampling.patch_shape", shape, context)
    if flat and not facts.planar and not facts.fingerprint.voxel_size:
        draft.note("The voxel size is not known, so patches are drawn along xy only.")
    elif (
        flat and not facts.planar and 0.8 < facts.fingerprint.anisotropy < 1.25 and facts.smallest[0] >= max(shape[1:])
    ):
        draft.choose("sampling.planes", "all", "Voxels are cubes: planes along xz and yz are as good to learn from.")
    size = _room(facts.gpu) / prod(shape)
    batch = int(min(32, max(4 if flat else 2, 2 ** round(log2(max(1.0, size))))))
    draft.choose(
        "sampling.batch_size",
        batch,
        f"About {batch * prod(shape):,} voxels a step, which {'a GPU' if facts.gpu else 'a processor'} takes well; fewer than "
        f"{'four planes' if flat else 'two volumes'} make gradients noisy.",
    )


def _depth(facts: Facts, flat: bool) -> tuple[int, str]:
    if not facts.diameter:
        return 4 if flat else 3, "The size of objects is not known; four levels see far." if flat else "The usual."
    depth = min(4, max(2, ceil(log2(max(facts.diameter, 4) / 4))))
    return depth, (
        f"Objects are {facts.diameter:.0f} voxels across: halving {depth} times leaves {facts.diameter / 2**depth:.1g} of them at "
        "the coarsest level."
    )


def _planar_side(facts: Facts) -> tuple[list[int], str]:
    highest = 512 if facts.gpu else 256
    if not facts.diameter:
        return [1, highest, highest], "Scenes are judged by what is around."
    needed = max(128.0, _CONTEXT * facts.diameter)
    side = min(highest, next((side for side in _SIDES if side >= needed), highest))
    return [1, side, side], f"{side / facts.diameter:.0f} times the diameter of an object, for what is around it."


def _cubic_sides(facts: Facts) -> tuple[list[int], str]:
    side, anisotropy = _cube_side(facts), max(1.0, facts.fingerprint.anisotropy)
    times = f" ({side / facts.diameter:.2g} diameters of an object)" if facts.diameter else ""
    return [max(1, round(side / anisotropy)), side, side], f"As much as there is time for in a step{times}."


def _stride(depth: int, anisotropy: float, flat: bool) -> tuple[int, int, int]:
    """Return what a U-Net halves along each axis; z waits until its voxels are no longer twice as long (nnU-Net's rule)."""
    along_z = 1
    for _ in range(0 if flat else depth):
        along_z *= 1 if anisotropy >= 2 else 2
        anisotropy /= 2 if anisotropy >= 2 else 1
    return along_z, 2**depth, 2**depth


def _fitted(side: int, room: int, stride: int) -> int:
    side = min(side, room)
    return max(1, side // stride * stride if side >= stride else side)
