"""The segmenter `flood_fill`: an image cut into objects by following one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import fastremap
import numpy as np

from segkit.errors import DataError, UsageError
from segkit.geometry import Triple
from segkit.model import Model, hash_package, locate_package
from segkit.volume import Spacing
from segkit_ffn._engine import Engine, Policy
from segkit_ffn._movement import Movement
from segkit_ffn._passes import Passes
from segkit_ffn._seeds import Order, edges, peaks
from segkit_ffn._stepping import Precision, load_model, load_step, one_thread

__all__ = ["FloodFill", "beyond"]

Array = np.ndarray[Any, Any]

_SCALE = 1.5  # by how much voxels may be larger or smaller than those trained on


@dataclass(frozen=True)
class FloodFill:
    """See `segkit_ffn.flood_fill`; holds the path of the model, which each process loads once."""

    package: Path
    fingerprint: str
    movement: Movement
    policy: Policy
    passes: Passes
    order: Order
    boundary_channel: int | None
    boundary_threshold: float
    mirror: bool
    precision: Precision
    device: str
    halo: Triple
    cell_voxels: int
    stitching: Literal["touching", "overlap"] = "overlap"

    @classmethod
    def of(cls, model: str, move_threshold: float | None, halo: Triple | None, cell: int, **options: Any) -> FloodFill:
        """Return the segmenter for a model.

        Raises
        ------
        DataError
            If there is no model, or it is damaged.
        UsageError
            If it was trained for another task.
        """
        package = locate_package(model).absolute()
        fingerprint = hash_package(package)
        loaded = load_model(package, fingerprint)
        movement = getattr(loaded.task, "movement", None)
        if not isinstance(movement, Movement):
            raise UsageError(
                f"The model {package} was trained for the task '{loaded.task_choice.name}', and flood filling follows objects with "
                "a network that was trained to: one of the task 'flood_filling'. Segment its prediction with another segmenter."
            )
        if move_threshold is not None:
            movement = replace(movement, move_threshold=move_threshold)
        if halo is None:
            halo = movement.radius
        return cls(package, fingerprint, movement, halo=halo, cell_voxels=cell**3, **options)

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of an image ``(C, Z, Y, X)``."""
        model = load_model(self.package, self.fingerprint)
        self._check(model, prediction, voxel_size)
        with one_thread():
            step = load_step(self.package, self.fingerprint, self.precision, self.device)
            added = beyond(prediction.shape[1:], self.movement, self.mirror)
            padded = np.pad(prediction, [(0, 0), *((n, n) for n in added)], mode="symmetric")
            if self.boundary_channel is None:
                walls = edges(padded, voxel_size)
            else:
                walls = padded[self.boundary_channel] >= self.boundary_threshold
                padded = np.delete(padded, self.boundary_channel, axis=0)
            seeds = peaks(walls, voxel_size, self.movement.radius, self.order)
            engine = Engine(step, self.movement, self.policy)
            ids = self.passes(engine, model.normalization(padded), seeds, voxel_size)
        inner = ids[tuple(slice(a, a + n) for a, n in zip(added, prediction.shape[1:], strict=True))]
        counted: Array = fastremap.renumber(inner, preserve_zero=True)[0]
        return counted.astype(np.uint32)

    @property
    def finish_halo(self) -> Triple | None:
        """See `segkit.contracts.Segmenter`."""
        return self.passes.finish_halo

    def finish(self, ids: Array, prediction: Array, voxel_size: Spacing) -> Array:
        """Let objects ``(Z, Y, X)`` that are stitched grow in an image ``(C, Z, Y, X)``."""
        if self.boundary_channel is not None:
            prediction = np.delete(prediction, self.boundary_channel, axis=0)
        image = load_model(self.package, self.fingerprint).normalization(prediction)
        return self.passes.finish(ids, image, voxel_size)

    def _check(self, model: Model, image: Array, voxel_size: Spacing) -> None:
        """Refuse an image that the network was not trained for."""
        own = self.boundary_channel is not None
        if len(image) != model.in_channels + own:
            raise DataError(
                f"The image has {len(image)} channels, and the model {self.package} takes {model.in_channels}"
                f"{', and one of boundaries' if own else ''}. Choose the channels that it was trained on."
            )
        if self.boundary_channel is not None and self.boundary_channel >= len(image):
            raise UsageError(
                f"`boundary_channel` is {self.boundary_channel}, and the last channel of the image is {len(image) - 1}."
            )
        known = model.unit == "nm" and tuple(voxel_size) != (1.0, 1.0, 1.0)
        ratios = [a / b for a, b in zip(voxel_size, model.voxel_size, strict=True)]
        if known and not all(1 / _SCALE <= ratio <= _SCALE for ratio in ratios):
            raise DataError(
                f"The image has voxels of {tuple(voxel_size)} nm (z, y, x), and the model {self.package} was trained on those of "
                f"{model.voxel_size} nm: it would not recognise what it sees. Resample the image, open a fitting level of it, or "
                "correct its voxel size."
            )


def beyond(shape: tuple[int, ...], movement: Movement, mirror: bool) -> Triple:
    """Return by how many voxels (z, y, x) an image of `shape` is continued beyond its sides, as if they were mirrors.

    By a quarter of the field of view, so that its middle gets near the sides; along an axis shorter than the field of view
    by half of it, in any case.
    """
    usual = tuple((radius + 1) // 2 if mirror else 0 for radius in movement.radius)
    z, y, x = (
        radius if n + 2 * some < view else some
        for n, some, view, radius in zip(shape, usual, movement.field_of_view, movement.radius, strict=True)
    )
    return z, y, x
