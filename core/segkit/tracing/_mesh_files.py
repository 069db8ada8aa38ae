"""Meshes as files: binary PLY, and the legacy meshes of neuroglancer.

A mesh goes to the disk piece by piece as it is drawn, since that of a large neuron may not fit into memory. Source of the
second format: https://github.com/google/neuroglancer, src/datasource/precomputed/meshes.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segkit import __version__
from segkit.durable import make_dirs, replace_file
from segkit.geometry import Box
from segkit.tracing._surface import surface
from segkit.volume import Volume

__all__ = ["write_mesh_info", "write_object_mesh"]

Array = np.ndarray[Any, Any]

_FACE = np.dtype([("count", "u1"), ("corners", "<u4", 3)])


def write_object_mesh(segmentation: Volume, id: int, box: Box, ply: Path, legacy: Path | None = None) -> None:
    """Write the surface of an object.

    Parameters
    ----------
    segmentation, id, box
        The object and its bounding box.
    ply
        The file; its folder is made.
    legacy
        Folder of neuroglancer meshes that gets the same mesh; None for none.
    """
    make_dirs(ply.parent)
    with TemporaryDirectory(prefix=".segkit-tmp-", dir=ply.parent) as name:
        vertices, faces = Path(name) / "vertices", Path(name) / "faces"
        counts = _spool(surface(segmentation, id, box), vertices, faces)
        header = (
            f"ply\nformat binary_little_endian 1.0\ncomment segkit {__version__}, object {id}, unit {segmentation.unit}\n"
            f"element vertex {counts[0]}\nproperty float x\nproperty float y\nproperty float z\n"
            f"element face {counts[1]}\nproperty list uchar uint vertex_indices\nend_header\n"
        )
        if legacy is not None:
            make_dirs(legacy)
            replace_file(
                legacy / f"{id}:0:0", lambda path: _join(path, np.uint32(counts[0]).tobytes(), vertices, faces)
            )
            replace_file(legacy / f"{id}:0", json.dumps({"fragments": [f"{id}:0:0"]}).encode())
        # Last, because what is here is not drawn again.
        replace_file(ply, lambda path: _join(path, header.encode(), vertices, faces, counted=True))


def _spool(pieces: Iterable[tuple[Array, Array]], vertices: Path, faces: Path) -> tuple[int, int]:
    counts = [0, 0]
    with vertices.open("wb") as points, faces.open("wb") as triangles:
        for places, corners in pieces:
            points.write(np.ascontiguousarray(places[:, ::-1], "<f4").tobytes())
            triangles.write(corners.astype("<u4").tobytes())
            counts = [counts[0] + len(places), counts[1] + len(corners)]
    return counts[0], counts[1]


def _join(path: Path, head: bytes, vertices: Path, faces: Path, *, counted: bool = False) -> None:
    with path.open("wb") as file:
        file.write(head)
        with vertices.open("rb") as points:
            shutil.copyfileobj(points, file)
        with faces.open("rb") as triangles:
            while chunk := triangles.read(12 * 2**16):
                if counted:
                    rows = np.empty(len(chunk) // 12, _FACE)
                    rows["count"], rows["corners"] = 3, np.frombuffer(chunk, "<u4").reshape(-1, 3)
                    chunk = rows.tobytes()
                file.write(chunk)


def write_mesh_info(folder: Path) -> None:
    """Say that a folder holds neuroglancer's legacy meshes."""
    make_dirs(folder)
    replace_file(folder / "info", json.dumps({"@type": "neuroglancer_legacy_mesh"}).encode())
