"""The task `flood_filling`: the object in the middle of a patch, followed from there as filling will follow it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import cc3d
import numpy as np
import torch

from segkit.contracts import Batch, Loss, Patch, call_network
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Triple
from segkit_ffn._following_scores import FollowingScores
from segkit_ffn._movement import Movement, logit
from segkit_ffn._settling import middle_of, settled
from segkit_ffn._walks import WALKS, Room

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FloodFilling"]

Array = np.ndarray[Any, Any]


class FloodFilling:
    """One channel, the object in the middle; see `segkit_ffn.flood_filling`."""

    best: tuple[str, Literal["max", "min"]] = ("dice", "max")
    channel_names: tuple[str, ...] = ("object",)
    out_channels = 1
    own_channels = 1
    centred = True

    def __init__(
        self,
        movement: Movement,
        walk: Literal["fixed", "frontier"],
        moves: int,
        softening: float,
        smallest: int,
        threshold: float,
    ) -> None:
        self.movement = movement
        self._walk, self._moves = WALKS[walk], moves
        self._softening, self._smallest, self._threshold = softening, smallest, threshold

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return the object in the middle ``(1, Z, Y, X)``, and where that is known.

        Other pieces of the same id, which may or may not be joined with it outside of the patch, are not known. Nothing
        is where the middle is background, not annotated, or in an object that is too small.

        Raises
        ------
        DataError
            If the labels are not ids.
        UsageError
            If the patch is smaller than a field of view.
        """
        labels = patch.labels[0] if patch.labels.ndim == 4 else patch.labels
        if (patch.labels.ndim == 4 and len(patch.labels) > 1) or labels.dtype.kind not in "biu":
            raise DataError(
                f"{patch.origin}: the labels are an image ({labels.dtype}, shape {patch.labels.shape}), and flood filling follows "
                "objects with ids, which are whole numbers in one channel. Choose labels of that kind."
            )
        self._check_shape(labels.shape)
        middle = middle_of(labels.shape)
        same = (labels == labels[middle]) & patch.mask
        pieces = cc3d.connected_components(same, connectivity=26)
        target = np.full((1, *labels.shape), self._softening, np.float32)
        nothing = np.zeros(labels.shape, bool)
        if labels[middle] == 0 or not same[middle]:
            return target, nothing
        chosen = pieces == pieces[middle]
        if np.count_nonzero(chosen) < self._smallest:
            return target, nothing
        target[0][chosen] = 1 - self._softening
        return target, patch.mask & (chosen | ~same)

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return np.asarray((labels[0] if labels.ndim == 4 else labels) != 0)

    def step(self, network: nn.Module, batch: Batch, loss: Loss) -> Iterator[tuple[Tensor, float]]:
        """Yield the mean loss of the fields of view that are seen at once, and how many there are for each patch."""

        def views_of(tensor: Tensor, views: list[tuple[int, Box]]) -> Tensor:
            return torch.stack([tensor[(which, slice(None), *view.slices)] for which, view in views])

        for views, logits in self._moving(network, batch, *self._blank(batch)):
            yield (
                loss(logits, views_of(batch.target, views), views_of(batch.mask, views)),
                len(views) / len(batch.raw),
            )

    def respond(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the maps of the objects ``(N, 1, Z, Y, X)`` after all moves, as logits."""
        maps, seeds = self._blank(batch)
        for _ in self._moving(network, batch, maps, seeds):
            pass
        return maps.to(batch.raw.device)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probability of the object."""
        return logits.sigmoid()

    def metrics(self) -> FollowingScores:
        """Return empty scores of the object in the whole patch, and of where the map would have the field of view go."""
        return FollowingScores(self.movement, self._threshold)

    def _blank(self, batch: Batch) -> tuple[Tensor, list[Triple]]:
        """Return maps in which nothing is known but the seeds, on the CPU, and the seeds."""
        shape = batch.raw.shape[2:]
        self._check_shape(tuple(shape))
        maps = torch.full((len(batch.raw), 1, *shape), logit(self.movement.pad))
        seeds = [settled(self.movement, inside) for inside in (batch.target[:, 0] > 0.5).cpu().numpy()]
        for which, seed in enumerate(seeds):
            maps[(which, 0, *seed)] = logit(self.movement.seed)
        return maps, seeds

    def _moving(
        self, network: nn.Module, batch: Batch, maps: Tensor, seeds: list[Triple]
    ) -> Iterator[tuple[list[tuple[int, Box]], Tensor]]:
        """Follow all objects of a batch side by side from their seeds, writing into their maps.

        Yields
        ------
        tuple
            For each call of the network which patches it was for and which part of each, and the logits that it made of
            them, with their gradient.
        """
        # Of the numbers of this very step in training; in validation the same each time.
        seed = torch.initial_seed() % 2**64 if network.training else 0
        known = batch.mask.cpu().numpy()[:, 0] > 0
        rooms = [Room(self.movement, maps[which, 0].numpy(), known[which], seed) for which, seed in enumerate(seeds)]
        # Where nothing is known nothing could be learnt; but the network is called at least once.
        worthwhile = np.flatnonzero(known.any((1, 2, 3))) if known.any() else np.arange(1)
        limit = self._moves if network.training else None
        walks = {
            which: islice(self._walk(rooms[which], np.random.Generator(np.random.Philox(key=[seed, which]))), limit)
            for which in worthwhile.tolist()
        }
        while True:
            places = [(which, next(walk, None)) for which, walk in walks.items()]
            views = [(which, rooms[which].view(place)) for which, place in places if place is not None]
            if not views:
                return
            before = torch.stack([maps[(which, slice(None), *view.slices)] for which, view in views])
            before = before.to(batch.raw.device)
            images = torch.stack([batch.raw[(which, slice(None), *view.slices)] for which, view in views])
            logits = before + call_network(network, torch.cat([images, before], 1)).float()
            for (which, view), result in zip(views, logits.detach().cpu(), strict=True):
                maps[(which, slice(None), *view.slices)] = result
            yield views, logits

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        view = self.movement.field_of_view
        if any(n < v for n, v in zip(shape, view, strict=True)):
            raise UsageError(
                f"The patches are {tuple(shape)} voxels (z, y, x) and the field of view of the task is {view}. Set "
                f"sampling.patch_shape to {tuple(v + 3 * d for v, d in zip(view, self.movement.deltas, strict=True))}, in which it "
                "can move one step to each side of a seed inside the object, or take a smaller `field_of_view`."
            )
