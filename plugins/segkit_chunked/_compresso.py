"""The encoding ``compresso`` of label volumes, which tensorstore does not know, through the package of that name.

Source: Matejek et al., "Compresso: efficient compression of segmentation data for connectomics", MICCAI 2017, as
https://github.com/seung-lab/compresso writes it. Damaged data crash that package or keep it busy for ever (seen in 3.3.3),
so it decodes in a process of its own.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.opening import Isolated
from segkit.store import Folder, context
from segkit_chunked._chunk_files import read_chunk
from segkit_chunked._info import Info

__all__ = ["open_compresso"]


def open_compresso(root: Folder, info: Info, index: int, strict: bool) -> Any:
    """Return a scale as a tensorstore array ``(z, y, x)``, whose chunks are fetched and decoded when they are read.

    Raises
    ------
    DataError
        If it cannot be encoded so, or without the package ``compresso``.
    """
    import tensorstore

    try:
        importlib.import_module("compresso")
    except ImportError as error:
        raise DataError(
            f"{root} is encoded by compresso, which needs a package that is not installed ({error}). Install it with: pip "
            "install 'segkit-sdk[compresso]'"
        ) from error
    scale, dtype = info.scales[index], np.dtype(info.dtype)
    if info.channels != 1 or dtype.kind != "u":
        raise DataError(
            f"{root}/info says that its {info.channels} channels of {dtype} are encoded by compresso, which knows one "
            "channel of unsigned integers. Copy or write it again."
        )
    place = root / scale.key

    def fetch(domain: Any, voxels: np.ndarray[Any, Any], _: Any) -> None:
        start = domain.origin[::-1]  # x, y, z
        position = [a // c for a, c in zip(start, scale.chunk, strict=True)]
        encoded = read_chunk(place, scale, position, ("", ".gz"))
        if encoded is None:
            if strict:
                raise FileNotFoundError(f"NOT_FOUND: the chunk {tuple(position)} (x, y, z) of the grid is missing")
            voxels[...] = 0
            return
        shape = tuple(min(c, n - p * c) for c, n, p in zip(scale.chunk, scale.size, position, strict=True))
        text, whole = base64.b64encode(encoded).decode(), tuple(map(slice, shape))
        try:
            chunk = Isolated(_open_chunk, f"the chunk {tuple(position)}", text, list(shape), dtype.name)[whole]
        except DataError as error:
            raise ValueError(str(error).rstrip(".")) from error
        inside = tuple(
            slice(a - p * c, a - p * c + n) for a, p, c, n in zip(start, position, scale.chunk, domain.shape[::-1])
        )
        voxels[...] = chunk[inside].T

    layout = tensorstore.ChunkLayout(read_chunk_shape=scale.chunk[::-1])
    domain = tensorstore.IndexDomain(shape=scale.size[::-1])
    # Reading waits for answers, so more of it may go on at once than there are processors.
    own = tensorstore.Context({"data_copy_concurrency": {"limit": 8}}, parent=context())
    return tensorstore.virtual_chunked(fetch, dtype=dtype, domain=domain, chunk_layout=layout, context=own)


def _open_chunk(name: str, text: str, shape: list[int], dtype: str) -> tuple[_Chunk, dict[str, Any]]:
    del name  # for messages
    return _Chunk(base64.b64decode(text), tuple(shape), np.dtype(dtype)), {}


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The voxels ``(x, y, z)`` of a chunk, decoded when they are read and not kept."""

    encoded: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        import compresso

        encoded, most = self.encoded, math.prod(self.shape) * 16 + 2**16
        if encoded[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(encoded)) as file:
                encoded = file.read(most)
        header = compresso.header(encoded)
        found = tuple(int(header[name]) for name in ("sx", "sy", "sz"))
        if header["magic"] != b"cpso" or found != self.shape:
            raise ValueError(f"it says that it holds {found} voxels (x, y, z), where {self.shape} were due")
        if not _has_whole_windows(encoded, header):
            raise ValueError("its windows do not fill its voxels")
        voxels: np.ndarray[Any, Any] = compresso.decompress(encoded)
        if voxels.dtype.itemsize > self.dtype.itemsize:
            raise ValueError(f"it holds voxels of {voxels.dtype}, where {self.dtype} were due")
        return voxels.reshape(self.shape, order="F")[key]


def _has_whole_windows(encoded: bytes, header: dict[str, Any]) -> bool:
    """Whether each window of boundaries has a value, which the package does not ask before it looks them up in memory.

    An odd entry stands for a run of empty windows, an even one for twice the number of its value; behind them the version 1
    keeps two numbers per section.
    """
    import compresso

    windows = np.asarray(compresso.raw_windows(encoded))
    if header["format_version"]:
        width = compresso.zindex_byte_width(header["sx"], header["sy"])
        windows = windows[: max(windows.size - 2 * header["sz"] * width // windows.itemsize, 0)]
    runs = (windows & 1).astype(bool)
    due = math.prod(-(-header[f"s{axis}"] // header[f"{axis}step"]) for axis in "xyz")
    found = int((windows[runs] >> 1).sum(dtype=np.uint64)) + int(np.count_nonzero(~runs))
    return bool(found == due and int((windows[~runs] >> 1).max(initial=0)) < max(header["value_size"], 1))
