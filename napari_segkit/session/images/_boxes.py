"""Annotation boxes: small pieces of an image that people paint in, each kept whole in memory and safe on disk.

Each save writes a new store, then the index that names it, then removes the store before it; a crash at any moment
leaves the last complete save behind. Voxel 0 means *not annotated*; classes or objects count from 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Literal, cast

import numpy as np
from psygnal import Signal

from napari_segkit.session._project import Project
from segkit.durable import make_dirs, remove, replace_file
from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.volume import Spacing, Volume

__all__ = ["CLASSES", "SHAPE", "AnnotationBox", "Boxes", "Role"]

Array = np.ndarray[Any, Any]
Role = Literal["train", "check"]
SHAPE: Triple = (32, 256, 256)
CLASSES = ("background", "object")
DTYPE = np.dtype(np.uint16)


@dataclass(eq=False)
class AnnotationBox:
    """One box.

    Parameters
    ----------
    name
        What people call it; no two boxes have the same.
    image
        Source of the image it lies in.
    start
        Its first voxel in the image, ``(z, y, x)``.
    voxels
        What is painted, uint16 ``(z, y, x)``: 0 where nothing is annotated, else 1 and up.
    role
        Whether it is trained on, or held out for checks.
    store
        Name of the folder of the last save; empty before the first.
    saved
        When that was, ISO 8601.
    counts
        Painted voxels of each class at the last count.
    kept
        The voxels as they were saved last; None where something else changed since.
    """

    name: str
    image: str
    start: Triple
    voxels: Array = field(repr=False)
    role: Role = "train"
    store: str = ""
    saved: str = ""
    counts: dict[int, int] = field(default_factory=dict)
    kept: Array | None = field(default=None, repr=False)

    @property
    def box(self) -> Box:
        """The region of the image it covers."""
        return Box.of_shape(self.voxels.shape, self.start)

    @property
    def dirty(self) -> bool:
        """Whether it holds something that is not saved."""
        return self.kept is None or not np.array_equal(self.kept, self.voxels)

    @property
    def painted(self) -> int:
        """Voxels that are annotated, at the last count."""
        return sum(self.counts.values())

    @property
    def share(self) -> float:
        """Share of its voxels that are annotated, 0..1, at the last count."""
        return self.painted / self.voxels.size

    def offset(self, image: Volume) -> Spacing:
        """Return where its first voxel lies, in the unit of the image."""
        z, y, x = (o + s * v for o, s, v in zip(image.offset, self.start, image.voxel_size, strict=True))
        return z, y, x

    def count(self, voxels: Array) -> None:
        """Count what is painted in these voxels."""
        found = np.bincount(voxels.ravel())
        self.counts = {int(value): int(found[value]) for value in np.flatnonzero(found) if value}


class Boxes:
    """The annotation boxes of a project.

    Parameters
    ----------
    project
        The project; boxes lie in its folder ``annotations``.
    """

    changed = Signal()
    """A box came, went, was saved, or got another name or role; or the classes changed."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = RLock()
        self.classes = list(CLASSES)
        self.all: list[AnnotationBox] = []
        self._unread: list[dict[str, Any]] = []  # what the index says of boxes that are damaged

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self._project.folder / "annotations"

    def of(self, image: Volume | None) -> list[AnnotationBox]:
        """Return the boxes of an image."""
        return [] if image is None else [box for box in self.all if box.image == image.source]

    def named(self, name: str) -> AnnotationBox | None:
        """Return a box by its name."""
        return next((box for box in self.all if box.name == name), None)

    # ---- what people do

    def new(self, image: Volume, centre: Sequence[float], shape: Triple = SHAPE) -> AnnotationBox:
        """Make a box around a place, moved and cut so that it lies inside the image.

        Parameters
        ----------
        image
            The image.
        centre
            A voxel of the image, ``(z, y, x)``.
        shape
            Its extent, ``(z, y, x)``.
        """
        extent = tuple(min(side, n) for side, n in zip(shape, image.spatial_shape, strict=True))
        wanted = (round(c - side / 2) for c, side in zip(centre, extent, strict=True))
        start = tuple(
            min(max(0, first), n - side) for first, n, side in zip(wanted, image.spatial_shape, extent, strict=True)
        )
        number = 1
        taken = {*(box.name for box in self.all), *(str(entry["name"]) for entry in self._unread)}
        while f"box {number}" in taken:
            number += 1
        box = AnnotationBox(f"box {number}", image.source, cast("Triple", start), np.zeros(extent, DTYPE))
        self.all.append(box)
        self.changed.emit()
        return box

    def rename(self, box: AnnotationBox, name: str) -> bool:
        """Give a box another name, unless another box has it or it is empty."""
        name = name.strip()
        if not name or self.named(name) not in (None, box):
            return False
        box.name = name
        self.write_index()
        self.changed.emit()
        return True

    def set_role(self, box: AnnotationBox, role: Role) -> None:
        """Train on a box, or hold it out."""
        box.role = role
        self.write_index()
        self.changed.emit()

    def set_classes(self, names: Sequence[str]) -> None:
        """Name the classes, the first being that of voxels painted 1."""
        self.classes = list(names)
        self.write_index()
        self.changed.emit()

    def remove(self, box: AnnotationBox) -> Callable[[], None]:
        """Take a box away, and return a function that brings it back exactly as it was saved last."""
        at = self.all.index(box)
        self.all.remove(box)
        self.write_index()
        store = self.folder / box.store
        trashed = self._project.trash(store) if box.store and store.exists() else None
        self.changed.emit()

        def undo() -> None:
            if trashed is not None:
                trashed.rename(store)
            self.all.insert(min(at, len(self.all)), box)
            self.write_index()
            self.changed.emit()

        return undo

    # ---- on disk

    def saver(self, box: AnnotationBox, image: Volume) -> Callable[[], AnnotationBox]:
        """Return a function that saves a box as it is now; it may run in a thread while people paint on.

        It does nothing if another one was asked for in the meantime, which saves what is newer.
        """
        voxels = box.kept = box.voxels.copy()

        def save() -> AnnotationBox:
            from segkit.writing import write_volume

            with self._lock:
                if box.kept is not voxels:
                    return box
                try:
                    make_dirs(self.folder)
                    store = self._project.free("annotations", box.name.replace("/", "-").replace(" ", "-"), ".zarr")
                    written = Volume(
                        voxels,
                        voxel_size=image.voxel_size,
                        offset=box.offset(image),
                        unit=image.unit,
                        source=box.name,
                    )
                    write_volume(written, store, block_shape=_block(voxels.shape), chunk_shape=_block(voxels.shape),
                                 pyramid=1, labels=True, plan={"kind": "annotation"})  # fmt: skip
                    old, box.store = box.store, store.name
                    box.saved = datetime.now().isoformat(timespec="seconds")
                    box.count(voxels)
                    self.write_index()
                except Exception:
                    box.kept = None  # not saved, whatever was done of it
                    raise
                if old:
                    remove(self.folder / old)
            return box

        return save

    def write_index(self) -> None:
        """Write what is known of the boxes beside their voxels."""
        with self._lock:
            body = {
                "classes": self.classes,
                "boxes": [
                    {
                        "name": box.name,
                        "image": box.image,
                        "start": list(box.start),
                        "role": box.role,
                        "store": box.store,
                        "saved": box.saved,
                    }
                    for box in self.all
                    if box.store
                ]
                + self._unread,
            }
            make_dirs(self.folder)
            replace_file(self.folder / "boxes.json", json.dumps(body, indent=1).encode())

    def read(self) -> None:
        """Read the boxes that an earlier session saved; what is in memory already stays.

        Raises
        ------
        DataError
            If the index or a box is damaged; the others are there.
        """
        from segkit.store import open_zarr

        path = self.folder / "boxes.json"
        if not path.exists():
            return
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            entries, classes = list(body["boxes"]), [str(name) for name in body["classes"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged ({error}). The painted boxes beside it are whole and can be opened one by one."
            ) from error
        self.classes = classes or list(CLASSES)
        damaged = []
        for entry in entries:
            if self.named(entry["name"]) is not None:
                continue
            try:
                voxels = open_zarr(self.folder / entry["store"]).read().astype(DTYPE)
            except DataError as error:
                damaged.append(f"{entry['name']}: {error}")
                self._unread.append(entry)
                continue
            z, y, x = entry["start"]
            role: Role = "check" if entry["role"] == "check" else "train"
            box = AnnotationBox(entry["name"], entry["image"], (z, y, x), voxels, role, entry["store"], entry["saved"])
            box.kept = voxels.copy()
            box.count(voxels)
            self.all.append(box)
        if damaged:
            raise DataError(f"{len(damaged)} painted boxes cannot be read. {' '.join(damaged)}")


def _block(shape: Sequence[int]) -> Triple:
    """Return one block for all of a box: it is saved and read whole."""
    return cast("Triple", tuple(shape))
