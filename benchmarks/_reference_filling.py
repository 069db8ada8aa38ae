"""Flood filling as it was published, one field of view after another: what segkit's engine is compared with.

Written for reading and from the description alone (Januszewski et al. 2018, https://doi.org/10.1038/s41592-018-0049-4):
whole arrays, one object at a time, one call of the network a step, float32.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Filling", "PublishedNetwork", "lexicographic_seeds"]

Array = np.ndarray[Any, Any]


def logit(probability: float) -> np.float32:
    return np.float32(np.log(probability / (1 - probability)))


class PublishedNetwork:
    """The network of Google's FIB-25 weights: ``(2, z, y, x)`` of image and object map as logits in, new logits out."""

    def __init__(self, weights: str | Path) -> None:
        import torch

        with np.load(weights) as stored:
            layers = {name.split("/")[1]: name.rsplit("/", 1)[0] for name in stored if name.startswith("seed_update")}
            self.layers = {
                layer: (
                    torch.from_numpy(np.ascontiguousarray(stored[path + "/weights"].transpose(4, 3, 0, 1, 2))),
                    torch.from_numpy(stored[path + "/biases"].copy()),
                )
                for layer, path in layers.items()
            }
        self.depth = sum(name.endswith("_a") for name in self.layers)

    def __call__(self, image: Array, logits: Array) -> Array:
        import torch
        from torch.nn.functional import conv3d, relu

        with torch.inference_mode():
            x = torch.from_numpy(np.stack([image, logits]))[None]
            x = conv3d(x, *self.layers["conv0_a"], padding=1)
            x = conv3d(relu(x), *self.layers["conv0_b"], padding=1)
            for module in range(1, self.depth):
                before = x
                for part in "ab":
                    x = conv3d(relu(x), *self.layers[f"conv{module}_{part}"], padding=1)
                x = x + before
            update: Array = conv3d(relu(x), *self.layers["conv_lom"])[0, 0].numpy()
        return logits + update


def lexicographic_seeds(raw: Array, margin: tuple[int, int, int], voxel_size: tuple[float, ...] = (1, 1, 1)) -> Array:
    """Return ``(N, 3)`` voxels in the middle between edges of the image, sorted by z, y, x."""
    from scipy import ndimage
    from skimage.feature import peak_local_max

    gradient = ndimage.generic_gradient_magnitude(raw.astype(np.float32), ndimage.sobel)
    edges = gradient > ndimage.gaussian_filter(gradient, 49 / 6)
    distance = ndimage.distance_transform_edt(~edges, sampling=voxel_size).astype(np.float32)
    distance += np.random.RandomState(42).random_sample(distance.shape) * 1e-4
    found = peak_local_max(distance, min_distance=3, threshold_abs=0, threshold_rel=0)
    far = np.all((found >= margin) & (found < np.subtract(raw.shape, margin)), axis=1)
    found = found[far]
    return found[np.lexsort(found.T[::-1])]


@dataclass
class Filling:
    """One canvas.

    Parameters
    ----------
    image
        ``(Z, Y, X)`` float32, normalised.
    network
        ``network(image, logits)`` returns the new logits of a field of view.
    field_of_view, deltas, seed, pad, move
        What the network was trained with.
    segment, min_size, min_boundary_dist
        Least probability of a voxel of an object, its least number of voxels, and the distance of seeds to other objects.
    """

    image: Array
    network: Any
    field_of_view: tuple[int, int, int] = (33, 33, 33)
    deltas: tuple[int, int, int] = (8, 8, 8)
    seed: float = 0.95
    pad: float = 0.05
    move: float = 0.9
    segment: float = 0.6
    min_size: int = 1000
    min_boundary_dist: tuple[int, int, int] = (1, 1, 1)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.margin = tuple(n // 2 for n in self.field_of_view)
        self.ids = np.zeros(self.image.shape, np.int32)
        self.canvas = np.full(self.image.shape, np.nan, np.float32)

    def __call__(self, seeds: Array) -> Array:
        """Return the ids of the objects found from `seeds`, one after the other."""
        count = 0
        for start in map(tuple, seeds.tolist()):
            near = tuple(slice(max(0, s - d), s + d + 1) for s, d in zip(start, self.min_boundary_dist))
            if (self.ids[near] > 0).any():
                continue
            self.follow(start)
            if not self.canvas[start] >= logit(self.move):
                continue
            mask = (self.canvas >= logit(self.segment)) & (self.ids <= 0)
            if mask.sum() >= self.min_size:
                count += 1
                self.ids[mask] = count
        return self.ids

    def follow(self, start: tuple[int, ...]) -> None:
        """Fill one object."""
        self.canvas[...] = np.nan
        self.canvas[start] = logit(self.seed)
        done: set[tuple[int, ...]] = set()
        queue = deque([start])
        while queue:
            position = queue.popleft()
            place = tuple((p - s + d // 2) // max(d, 1) for p, s, d in zip(position, start, self.deltas))
            inside = all(m <= p < n - m for p, m, n in zip(position, self.margin, self.image.shape))
            if place in done or not inside or self.ids[position] > 0:
                continue
            if not self.canvas[position] >= logit(self.move):
                continue
            if self.canvas[start] < logit(self.move):
                return
            done.add(place)
            for _, offset in sorted(self.faces(self.step(position)), reverse=True):
                queue.append(tuple(p + o for p, o in zip(position, offset)))

    def step(self, position: tuple[int, ...]) -> Array:
        """Let the network see one field of view, and return its new logits."""
        view = tuple(slice(p - m, p + m + 1) for p, m in zip(position, self.margin))
        before = self.canvas[view]
        after = self.network(self.image[view], np.where(np.isnan(before), logit(self.pad), before))
        if (after >= logit(self.move)).any():
            frozen = (before < 0) & (after > before)  # never so for NaN: what was not seen yet
            after[frozen] = before[frozen]
        self.canvas[view] = after
        self.steps += 1
        return after

    def faces(self, logits: Array) -> list[tuple[float, tuple[int, ...]]]:
        """Return the best voxel of each face of the cube of `deltas` around the middle, with its logit."""
        cube = logits[tuple(slice(m - d, m + d + 1) for m, d in zip(self.margin, self.deltas))]
        found = []
        for axis, delta in enumerate(self.deltas):
            for side in (0, 2 * delta) if delta else ():
                face = cube.take([side], axis)
                best = list(np.unravel_index(face.argmax(), face.shape))
                best[axis] = side
                score = float(cube[tuple(best)])
                if score >= logit(self.move):
                    found.append((score, tuple(int(b) - d for b, d in zip(best, self.deltas))))
        return found
