"""The format `bioio`: which files it is for, what to install for them, and how one becomes a volume."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from segkit import Volume
from segkit.errors import PluginError
from segkit.opening import Arranged, Isolated, Reopening, arrange, existing_file
from segkit_bioio._scene import open_scene

__all__ = ["Bioio"]

# Which package reads a kind of file, as bioio's documentation lists them.
_READERS = {
    ".czi": "bioio-czi",
    ".lif": "bioio-lif",
    ".nd2": "bioio-nd2",
    ".dv": "bioio-dv",
    ".r3d": "bioio-dv",
    ".sld": "bioio-bioformats",
    ".oib": "bioio-bioformats",
    ".oif": "bioio-bioformats",
    ".vsi": "bioio-bioformats",
    ".zvi": "bioio-bioformats",
}


@dataclass(frozen=True, slots=True)
class Bioio:
    """See `segkit_bioio.bioio`."""

    scene: str = ""
    time: int | None = None

    def accepts(self, source: str) -> bool:
        """Return whether it is a file that is called like one of a microscope."""
        path = Path(source)
        return path.suffix.lower() in _READERS and path.is_file()

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path = existing_file(Path(source))
        _require(path)
        array = Reopening(_open, str(path.absolute()), self.scene, self.time)
        arranged: Arranged = array._array
        facts = arranged.array.facts
        sizes = {axis: size * 1e3 for axis, size in facts["pixel_sizes_um"].items() if size}
        z, y, x = (sizes.get(axis, sizes.get("Y", 1.0)) for axis in "ZYX")
        known = {"X", "Y"} <= sizes.keys()
        chunks = facts["chunks"]
        names = tuple(facts["channel_names"])
        return Volume(
            array,
            arranged.axes,
            (z, y, x) if known else (1.0, 1.0, 1.0),
            unit="nm" if known else "voxel",
            chunks=tuple(1 if axis is None else chunks[axis] for axis in arranged.order),
            source=source,
            channel_names=names if arranged.axes == "czyx" and len(names) == arranged.shape[0] else (),
            metadata={"scene": facts["scene"], "scenes": facts["scenes"]},
        )


def _require(path: Path) -> None:
    """Refuse a file for which a package is missing, and name it."""
    reader = _READERS.get(path.suffix.lower())
    if find_spec("bioio") is None:
        more = f" {reader}" if reader not in (None, "bioio-czi") else ""
        raise PluginError(
            f'Reading {path} takes bioio, which is not installed. Install it with: pip install "segkit-sdk[bioio]"{more}'
        )
    if reader is not None and find_spec(reader.replace("-", "_")) is None:
        raise PluginError(
            f"Reading {path} takes a reader for bioio that is not installed. Install it with: pip install {reader}"
        )


def _open(path: str, scene: str, time: int | None) -> Arranged:
    """Return a scene as (c, z, y, x) or (z, y, x)."""
    stored = Isolated(open_scene, path, scene, time)
    return arrange(stored, stored.facts["axes"], path)
