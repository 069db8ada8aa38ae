"""segkit's own store, OME-Zarr: opening any such image lazily, and writing one block by block.

Read are OME-Zarr 0.4 and 0.5 and plain Zarr v2 and v3 arrays, from a local folder or a URL. Written is OME-Zarr 0.5: a
shard is a block, compressed with zstd and checked with crc32c, and blocks of zeros are stored like any other, so that
what is absent has not been computed. Nothing else in segkit's core knows of Zarr.

A chunk that is absent is legal in Zarr and stands for the fill value. segkit follows that for what others wrote to a
local folder; in its own stores and over a network an absent chunk is an error, because silent zeros look like an image.

Formats of other chunked stores reach theirs by what is here too: `locate`, `kvstore`, `context` and `StoredArray`.
"""

from segkit.store._blocks import Blocks, create_zarr, set_complete
from segkit.store._coarser import coarser
from segkit.store._metadata import find_json
from segkit.store._ome import NANOMETRES
from segkit.store._opened import in_order, open_zarr
from segkit.store._place import TIMEOUT, Folder, Remote, context, failure, kvstore, locate, read_file, wait
from segkit.store._pyramid import level_factors, reduce_block
from segkit.store._shapes import choose_blocks
from segkit.store._stored import StoredArray

__all__ = [
    "NANOMETRES",
    "TIMEOUT",
    "Blocks",
    "Folder",
    "Remote",
    "StoredArray",
    "choose_blocks",
    "coarser",
    "context",
    "create_zarr",
    "failure",
    "find_json",
    "in_order",
    "kvstore",
    "level_factors",
    "locate",
    "open_zarr",
    "read_file",
    "reduce_block",
    "set_complete",
    "wait",
]
