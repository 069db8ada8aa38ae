"""What travels between data, task, network and loss, and the contracts of tasks and segmenters.

A task says what is learnt from labels, how the network is called on a batch, which metrics are reported and how its
outputs become a prediction. The trainer knows no task; it only calls these methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.volume import Spacing, Volume

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Batch",
    "Metrics",
    "Normalization",
    "Patch",
    "Sample",
    "Segmenter",
    "Task",
    "call_network",
    "channels_for",
    "parts_of",
    "respond",
]

Array = np.ndarray[Any, Any]
Loss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and what is known about it.

    Parameters
    ----------
    name
        What to call it in messages.
    raw
        The image.
    labels
        Class or object ids of the same extent as `raw`, or an image (denoising); None where nothing is known.
    mask
        Where `labels` are known: not 0. None means everywhere but at the value `unlabelled`.
    unlabelled
        The id that means *not annotated*, which is never the same as background; None where every voxel is.
    weight
        How often patches come from here, relative to the other samples and to its share of labelled voxels; above 0.

    Raises
    ------
    DataError
        If the extents differ.
    """

    name: str
    raw: Volume
    labels: Volume | None = None
    mask: Volume | None = None
    unlabelled: int | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        for what in ("labels", "mask"):
            other = getattr(self, what)
            if other is not None and other.spatial_shape != self.raw.spatial_shape:
                raise DataError(
                    f"In sample '{self.name}' the image {self.raw.source} has the extent {self.raw.spatial_shape} (z, y, x), but "
                    f"its {what} {other.source} have {other.spatial_shape}. They must cover the same voxels: crop or resample "
                    "one of them."
                )

    def read(self, box: Box) -> Patch:
        """Read a region of everything that is known; beyond the borders the image is reflected and nothing is known."""
        raw = self.raw.read(box)
        known = np.zeros(box.shape, bool)
        inside = box & self.raw.box
        if inside is not None:
            known[inside.relative_to(box.start).slices] = True
        labels = np.zeros(box.shape, np.uint8) if self.labels is None else self.labels.read(box)
        if self.labels is None:
            known[:] = False
        if self.mask is not None:
            known &= self.mask.read(box).reshape(-1, *box.shape)[0] != 0
        if self.unlabelled is not None:
            known &= labels.reshape(-1, *box.shape)[0] != self.unlabelled
        return Patch(raw.reshape(-1, *box.shape), labels, known, self.raw.voxel_size, f"{self.name} at {box}")


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of a sample in memory.

    Parameters
    ----------
    raw
        ``(C, Z, Y, X)``, in the numbers of the file, or normalised where the sampler says so.
    labels
        ``(Z, Y, X)`` ids, or ``(K, Z, Y, X)`` for an image to be restored.
    mask
        ``(Z, Y, X)``, true where `labels` are known.
    voxel_size
        ``(z, y, x)``, in the unit of the volume.
    origin
        Where it came from, for messages.
    """

    raw: Array
    labels: Array
    mask: Array
    voxel_size: Spacing = (1.0, 1.0, 1.0)
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Batch:
    """What the network and the loss see.

    Parameters
    ----------
    raw
        ``(N, C, Z, Y, X)`` float32, normalised.
    target
        ``(N, K, Z, Y, X)`` float32, or ``(N, Z, Y, X)`` int64 class indices; what the task made of the labels.
    mask
        ``(N, 1, Z, Y, X)`` float32, 1 where the target is known; ``(N, K, Z, Y, X)`` from a task that does not know all
        channels in the same places.
    origins
        Where each of the N patches came from.
    """

    raw: Tensor
    target: Tensor
    mask: Tensor
    origins: tuple[str, ...] = ()


class Metrics(Protocol):
    """Scores of a whole data set, accumulated patch by patch as sums (never as a mean of means)."""

    @property
    def sums(self) -> Array:
        """Everything accumulated so far, as one array of float64 that adds up across processes; may be assigned."""

    @sums.setter
    def sums(self, value: Array) -> None: ...

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch: activated outputs ``(N, K, Z, Y, X)``, with target and mask as in `Batch`."""

    def compute(self) -> dict[str, float]:
        """Return the scores; NaN for one that is not defined, such as a Jaccard index without any foreground."""


@runtime_checkable
class Task(Protocol):
    """What is learnt from labels.

    Attributes
    ----------
    out_channels
        Number of channels K that the network must have.
    channel_names
        A name for each of them.
    best
        The metric that decides which weights are the best, and whether more or less of it is better.
    directional
        Optional: true where outputs belong to directions, such as affinities, so that they cannot be averaged over mirror
        images.
    centred
        Optional: true where a patch is about what lies at its middle voxel (``n // 2`` along each axis), so that this voxel
        is the one that sampling draws. Such a patch may reach beyond the sample.
    own_channels
        Optional: how many channels the network sees after those of the image, which the task fills, such as the object
        followed so far. A task that has any also has the method ``respond(network, batch)``, which returns the logits that
        are scored in validation, of the shape of ``batch.target``. Its models predict nothing by themselves: a segmenter
        of theirs calls the network.
    """

    out_channels: int
    channel_names: tuple[str, ...]
    best: tuple[str, Literal["max", "min"]]

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return what the loss compares with, and where it is known.

        Returns
        -------
        tuple
            The target, float32 or bool ``(K, Z, Y, X)`` or int64 ``(Z, Y, X)``, and the mask, bool ``(Z, Y, X)``; with a
            target of K channels also ``(K, Z, Y, X)``, for channels that are known in different places. In the batch bool
            is float32, 0 or 1. A task always returns the same of both.
        """

    def foreground(self, labels: Array) -> Array:
        """Return where in `labels` the sampler should prefer to look, bool ``(Z, Y, X)``."""

    def step(self, network: nn.Module, batch: Batch, loss: Loss) -> Tensor | Iterable[tuple[Tensor, float]]:
        """Call the network on a batch and return the scalar to minimise.

        A task that calls the network several times may yield parts of the scalar, which is their weighted mean, one by
        one with their weights. The gradient of each is computed before the next is asked for, so that only one call's
        activations are in memory.
        """

    def activate(self, logits: Tensor) -> Tensor:
        """Turn logits ``(N, K, Z, Y, X)`` into the prediction, of the same shape, voxel by voxel."""

    def metrics(self) -> Metrics:
        """Return empty scores."""


@runtime_checkable
class Segmenter(Protocol):
    """Cuts a prediction into objects, block by block; called from several threads at once.

    Attributes
    ----------
    halo
        Voxels (z, y, x) around a block that must be known to cut it.
    stitching
        How objects of neighbouring blocks are recognised as one: ``"touching"`` joins all that touch across the face
        between two blocks (exact for connected components); ``"overlap"`` compares what both blocks say about the
        voxels that their halos share, and joins objects of which a connected piece there mostly coincides.
    connectivity
        Optional, for ``"touching"``: which neighbours of a voxel it touches, 6 (across faces, the default), 18 (edges
        too) or 26 (corners too); 4 for faces within a z slice.
    cell_voxels
        Optional, where the result depends on what is cut at once: about how many voxels that is, without the halo. None
        takes about 192^3; fewer for a segmenter that needs hundreds of bytes for each.
    fingerprint
        Optional: text that changes with whatever else it reads, such as the weights of a model; what was begun with another
        is not continued.
    for_channels
        Optional method: given the names of the prediction's channels, where they are known, it returns the segmenter to
        use, set up for them, or raises a `DataError` that says which task makes what it reads.
    finish, finish_halo
        Optional method, and how far it looks (z, y, x) in voxels: ``finish(ids, prediction, voxel_size)`` returns the ids
        ``(Z, Y, X)`` uint64 of a part of the volume as they are to be, of the same objects, given those that all blocks agreed
        on. It is called on blocks of any shape, so what it says of a voxel follows from what is around it alone. None as
        `finish_halo` leaves it out.
    """

    @property
    def halo(self) -> Triple:
        """See above."""

    @property
    def stitching(self) -> Literal["touching", "overlap"]:
        """See above."""

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return object ids ``(Z, Y, X)`` for a prediction ``(K, Z, Y, X)``, counted from 1; 0 is background."""


def call_network(network: nn.Module, raw: Tensor) -> Tensor:
    """Call a network on ``(N, C, Z, Y, X)``; a planar one sees each z slice as an image of its own.

    Returns
    -------
    torch.Tensor
        Logits ``(N, K, Z, Y, X)``.
    """
    if not getattr(network, "planar", False):
        result: Tensor = network(raw)
        return result
    n, c, z, y, x = raw.shape
    # Squeezed where it can be: a reshaped single channel would forget that it lies voxel by voxel.
    planes = raw.squeeze(2) if z == 1 else raw.transpose(1, 2).reshape(n * z, c, y, x)
    logits: Tensor = network(planes)
    return logits.reshape(n, z, *logits.shape[1:]).transpose(1, 2)


def channels_for(task: Task, image_channels: int) -> int:
    """Return how many channels a network sees: those of the image, and those that the task adds."""
    return image_channels + int(getattr(task, "own_channels", 0))


def parts_of(loss: Tensor | Iterable[tuple[Tensor, float]]) -> Iterable[tuple[Tensor, float]]:
    """Return the parts of what a task's step returned, and their weights: a scalar is its only part."""
    from torch import Tensor

    return ((loss, 1.0),) if isinstance(loss, Tensor) else loss


def respond(task: Task, network: nn.Module, batch: Batch) -> Tensor:
    """Return the logits of a network for a batch, ``(N, K, Z, Y, X)``, called as its task calls it."""
    own = getattr(task, "respond", None)
    logits: Tensor = call_network(network, batch.raw) if own is None else own(network, batch)
    return logits


@dataclass(frozen=True)
class Normalization:
    """How voxel values become network inputs: ``(value - centre) / scale`` for each channel, compressed or not.

    Parameters
    ----------
    centre
        One number for each channel.
    scale
        One number above 0 for each channel.
    compressed
        Whether the inverse hyperbolic sine follows, which hardly changes what is within `scale` of the centre and is
        logarithmic far from it (Lupton et al. 1999, https://doi.org/10.1086/301004).
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    compressed: bool = False

    def __call__(self, raw: Array, out: Array | None = None) -> Array:
        """Return ``(C, Z, Y, X)`` float32 of any numeric raw of that shape, in `out` where there is one."""
        shape = (-1, 1, 1, 1)
        centre = np.asarray(self.centre, np.float32).reshape(shape)
        scaled = np.empty(raw.shape, np.float32) if out is None else out
        np.copyto(scaled, raw, casting="unsafe")  # converting while subtracting would take numpy longer than both
        scaled -= centre
        scaled /= np.asarray(self.scale, np.float32).reshape(shape)
        return np.arcsinh(scaled, out=scaled) if self.compressed else scaled
