"""segkit's own store, OME-Zarr: opening any such image lazily, and writing one block by block.

Read are OME-Zarr 0.4 and 0.5 and plain Zarr v2 and v3 arrays, from a local folder. Written is OME-Zarr 0.5: a shard is
a block, compressed with zstd and checked with crc32c, and blocks of zeros are stored like any other, so that what is
absent has not been computed. Nothing else in segkit's core knows of Zarr.

A chunk that is absent is legal in Zarr and stands for the fill value. segkit follows that for what others wrote; in
its own stores an absent chunk is an error, because silent zeros look like an image.
"""

from segkit.store._blocks import Blocks, create_zarr, set_complete
from segkit.store._ome import NANOMETRES
from segkit.store._opened import open_zarr
from segkit.store._pyramid import level_factors, reduce_block
from segkit.store._shapes import choose_blocks

__all__ = [
    "NANOMETRES",
    "Blocks",
    "choose_blocks",
    "create_zarr",
    "level_factors",
    "open_zarr",
    "reduce_block",
    "set_complete",
]
