"""What is painted becomes data for a training: a copy that further painting does not change, and what is held out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_segkit.session.images._boxes import AnnotationBox, Role
from segkit.volume import Spacing, Volume

__all__ = ["SHARE", "UNLABELLED", "Painted", "split", "tables_of"]

Array = np.ndarray[Any, Any]
HoldOut = Literal["auto", "boxes"]
SHARE = 0.15
UNLABELLED = 2**16 - 1


@dataclass(frozen=True, eq=False)
class Painted:
    """A box as it was at one moment.

    Parameters
    ----------
    name, role
        Of the box.
    offset
        Where its first voxel lies.
    voxels
        A copy of what was painted.
    """

    name: str
    role: Role
    offset: Spacing
    voxels: Array

    @classmethod
    def of(cls, box: AnnotationBox, image: Volume) -> Painted:
        """Take down what is painted in a box now."""
        return cls(box.name, box.role, box.offset(image), box.voxels.copy())


def split(voxels: Array, share: float = SHARE) -> tuple[Array, Array]:
    """Divide what is painted in a box in two: where to train, and a far end that is held out.

    The cut goes across the axis along which most is painted. Both results have the extent of the box and 0 where the other
    one is not; the second holds nothing where so little is painted that it cannot be cut.
    """
    lines = [np.flatnonzero((voxels != 0).any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    axis = int(np.argmax([len(line) for line in lines]))
    train, check = voxels.copy(), np.zeros_like(voxels)
    if len(lines[axis]) < 2:
        return train, check
    counts = np.count_nonzero(voxels, axis=tuple(a for a in range(3) if a != axis))
    behind = np.cumsum(counts[::-1])[::-1]  # painted from here to the far end
    wanted = share * behind[0]
    inside = [place for place in lines[axis][1:] if behind[place] >= wanted]
    cut = int(inside[-1]) if inside else int(lines[axis][-1])
    far: list[slice] = [slice(None)] * 3
    far[axis] = slice(cut, None)
    check[tuple(far)] = voxels[tuple(far)]
    train[tuple(far)] = 0
    return train, check


def tables_of(
    painted: Sequence[Painted], image: Volume, source: str, hold_out: HoldOut, folder: Path
) -> dict[str, dict[str, Any]]:
    """Write the boxes for a training, unless the same were written before, and return the tables of a recipe.

    Parameters
    ----------
    painted
        The boxes.
    image
        The image they lie in.
    source
        Where a command finds the image.
    hold_out
        ``"auto"`` holds a part of each box out, ``"boxes"`` those with the role ``"check"``.
    folder
        Where to write.

    Returns
    -------
    dict
        ``dataset``, ``split``, and ``validation_dataset`` where something is held out.
    """
    parts: dict[str, list[tuple[Painted, Array]]] = {"train": [], "check": []}
    for box in painted:
        if hold_out == "boxes":
            parts[box.role].append((box, box.voxels))
        else:
            for part, voxels in zip(("train", "check"), split(box.voxels), strict=True):
                parts[part].append((box, voxels))
    parts = {part: [(box, voxels) for box, voxels in boxes if voxels.any()] for part, boxes in parts.items()}
    what = blake2b(repr((image.voxel_size, image.unit, source, hold_out)).encode(), digest_size=6)
    for part, boxes in parts.items():
        for box, voxels in boxes:
            what.update(repr((part, box.name, box.offset, voxels.shape)).encode() + voxels.tobytes())
    root = folder / f"painted-{what.hexdigest()}"
    for part, boxes in parts.items():
        for number, (box, voxels) in enumerate(boxes, 1):
            _write(root / part / f"{number}.zarr", box, voxels, image)

    def table(part: str) -> dict[str, Any]:
        labels = str(root / part / "*.zarr")
        return {"name": "files", "raw": source, "labels": labels, "boxes": True, "unlabelled": UNLABELLED}

    tables = {"dataset": table("train"), "split": {"share": 0.0}}
    return tables | ({"validation_dataset": table("check")} if parts["check"] else {})


def _write(path: Path, box: Painted, voxels: Array, image: Volume) -> None:
    """Write labels that count from 0; what is not annotated, 0 when it is painted, gets the highest number."""
    from segkit.durable import make_dirs
    from segkit.writing import write_volume

    make_dirs(path.parent)
    labels = voxels - np.uint16(1)
    made = Volume(labels, voxel_size=image.voxel_size, offset=box.offset, unit=image.unit, source=box.name)
    write_volume(made, path, pyramid=1, labels=True, plan={"kind": "painted"})
