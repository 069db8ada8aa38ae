"""Pieces of an image as samples of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from segkit import Box, Sample
from segkit.errors import UsageError
from segkit.geometry import Triple


def tiled(sample: Sample, tiles: Triple) -> Iterator[Sample]:
    """Cut a sample into pieces that cover it without overlap; what does not come out even makes all of them larger."""
    shape = sample.raw.spatial_shape
    if any(side < tile for side, tile in zip(shape, tiles, strict=True)):
        raise UsageError(
            f"`tiles` is {tuple(tiles)}, but '{sample.name}' has the extent {shape} (z, y, x), which holds no such tile. Choose "
            "smaller tiles, or leave `tiles` out."
        )
    counts = [side // tile for side, tile in zip(shape, tiles, strict=True)]
    for at in product(*(range(count) for count in counts)):
        z, y, x = (side * n // count for side, n, count in zip(shape, at, counts, strict=True))
        to_z, to_y, to_x = (side * (n + 1) // count for side, n, count in zip(shape, at, counts, strict=True))
        box = Box((z, y, x), (to_z, to_y, to_x))
        others = {what: v.crop(box) for what in ("labels", "mask") if (v := getattr(sample, what)) is not None}
        yield replace(sample, name=f"{sample.name} [{box}]", raw=sample.raw.crop(box), **others)
