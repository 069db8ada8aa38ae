"""Chunked stores at paths and URLs: neuroglancer precomputed and N5.

Nothing but metadata is read when one is opened. A chunk that is not there is an error unless the user says that it
stands for zeros, every read has a deadline, and all stores that are open share one bounded cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

import segkit
from segkit.parameters import Unit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit_chunked._n5 import N5
    from segkit_chunked._precomputed import Precomputed


def precomputed(
    *,
    scale: Annotated[int, Ge(0)] | None = None,
    box: str = "",
    missing: Literal["error", "fill"] = "error",
    timeout: Annotated[float, Gt(0), Unit("s")] = 60.0,
) -> Precomputed:
    """Neuroglancer precomputed volumes, in a local folder or at a URL.

    Parameters
    ----------
    scale
        Which scale of ``info`` is the finest of the volume, counted from 0. None takes the first one; in a local folder
        the first whose data are there.
    box
        Part of that scale in its own global voxels, which is what neuroglancer shows, such as
        ``x4000:4512,y2000:2512,z100:164``. Empty for all of it.
    missing
        What a chunk that is not there means: an error, or voxels of 0, for volumes whose writer left out empty chunks.
    timeout
        At URLs, the time for an answer, and for each 64 MiB that a read asks for.
    """
    from segkit_chunked._precomputed import Precomputed

    return Precomputed(scale, box, missing, timeout)


def n5(
    *,
    missing: Literal["error", "fill"] = "error",
    timeout: Annotated[float, Gt(0), Unit("s")] = 60.0,
) -> N5:
    """N5 datasets and groups of scales (``s0``, ``s1``, ...), in a local folder or at a URL.

    Parameters
    ----------
    missing
        What a block that is not there means: an error, or voxels of 0, for volumes whose writer left out empty blocks.
    timeout
        At URLs, the time for an answer, and for each 64 MiB that a read asks for.
    """
    from segkit_chunked._n5 import N5

    return N5(missing, timeout)


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer these formats."""
    return {"precomputed": precomputed, "n5": n5}
