"""`write_volume`: any lazy volume to an OME-Zarr store, block by block, continued exactly where it stopped.

A block is computed, written, put on the disk and only then recorded, with a hash of its voxels, in the journal of the
output. Whoever comes back to an unfinished output reads the recorded blocks again and computes those that are missing
or changed. What would make the voxels another result is the plan; an output is only ever continued with its own.

    output.zarr/.segkit/lock           held while somebody writes
    output.zarr/.segkit/plan.json      written last when an output is made, removed first when it is replaced
    output.zarr/.segkit/journal.jsonl  one line a block
"""

from __future__ import annotations

from segkit.writing._write import write_volume

__all__ = ["write_volume"]
