"""The format ``n5``: datasets, and groups of scales as n5-viewer, BigDataViewer and the COSEM project write them.

Source: https://github.com/saalfeldlab/n5 for the format, https://github.com/saalfeldlab/n5-viewer for
``pixelResolution`` and ``downsamplingFactors``, https://github.com/janelia-cosem/schemas for ``transform``. In all but the
last the axes are listed x first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segkit.errors import DataError
from segkit.store import (
    Folder,
    StoredArray,
    context,
    failure,
    find_json,
    in_order,
    kvstore,
    locate,
)
from segkit.volume import Spacing, Volume
from segkit_chunked._claims import check_grid, integers
from segkit_chunked._n5_places import Lattice, lattice_of, level_factors

__all__ = ["N5"]

_PREFIX = "n5://"
_COMPRESSIONS = ("raw", "gzip", "bzip2", "xz", "blosc", "zstd")
_MOST_LEVELS = 32


@dataclass(frozen=True, slots=True)
class N5:
    """See `segkit_chunked.n5`."""

    missing: Literal["error", "fill"] = "error"
    timeout: float = 60.0

    def accepts(self, source: str) -> bool:
        """Return whether it is called so (``.n5`` in it, ``n5://`` before it), or a local folder says so."""
        if source.startswith(_PREFIX):
            return True
        if "://" in source and not source.startswith("file://"):
            return re.search(r"\.n5([/?]|$)", source) is not None and re.match(r"(https?|gs|s3)://", source) is not None
        folder = Path(str(locate(source)))
        if not folder.is_dir():
            return False
        if re.search(r"\.n5([/\\]|$)", str(folder)) or (folder / "s0" / "attributes.json").is_file():
            return True
        try:
            found = find_json(folder / "attributes.json") or {}
        except DataError:  # some other file of that name
            return False
        return "n5" in found or {"dimensions", "blockSize"} <= set(found)

    def open(self, source: str) -> Volume:
        """Open it, reading ``attributes.json`` only."""
        root = locate(source.removeprefix(_PREFIX), self.timeout)
        attributes = find_json(root / "attributes.json")
        if attributes is not None and "dimensions" in attributes:
            return replace(self._dataset(root, attributes, lattice_of(attributes, {}, 0, str(root))), source=source)
        first = find_json(root / "s0" / "attributes.json")
        if first is None or "dimensions" not in first:
            return self._only_child(root, attributes, source)
        stated: dict[str, Any] = {
            key: first[key] for key in ("pixelResolution", "resolution", "units", "unit") if key in first
        }
        group = {**stated, **(attributes or {})}
        levels = [self._level(root / "s0", first, group, 0, None)]
        while len(levels) < _MOST_LEVELS:
            place = root / f"s{len(levels)}"
            entry = find_json(place / "attributes.json")
            if entry is None or "dimensions" not in entry:
                break
            levels.append(self._level(place, entry, group, len(levels), (levels[0], first)))
        return replace(levels[0], levels=tuple(levels[1:]), source=source)

    def _level(
        self,
        place: Folder,
        attributes: Mapping[str, Any],
        group: Mapping[str, Any],
        number: int,
        finest: tuple[Volume, Mapping[str, Any]] | None,
    ) -> Volume:
        lattice = lattice_of(attributes, group, number, str(place))
        if finest is None or lattice.certain:
            return self._dataset(place, attributes, lattice)
        # Nothing says how much coarser this is; the shapes do.
        volume, first = finest
        factors = level_factors(first["dimensions"], attributes["dimensions"], str(place))
        size = tuple(v * f for v, f in zip(volume.voxel_size, factors, strict=True))
        moved = tuple(o + (f - 1) / 2 * v for o, f, v in zip(volume.offset, factors, volume.voxel_size, strict=True))
        return self._dataset(place, attributes, Lattice(_triple(size), _triple(moved), volume.unit, True))

    def _dataset(self, place: Folder, attributes: Mapping[str, Any], lattice: Lattice) -> Volume:
        try:
            shape = integers(attributes["dimensions"], None, "dimensions")
            block = integers(attributes["blockSize"], len(shape), "blockSize")
            check_grid(shape, block, attributes["dataType"])
            compression = attributes.get("compression", {"type": str(attributes.get("compressionType", "raw"))})
            if compression.get("type") not in _COMPRESSIONS:
                raise ValueError(f"its compression {compression.get('type')!r} is none of {', '.join(_COMPRESSIONS)}")
            if not 2 <= len(shape) <= 5:
                raise ValueError(f"it has {len(shape)} axes; an image has 2 to 5")
            letters = attributes.get("axes")
            axes = "".join(map(str, letters)) if isinstance(letters, list) else ""
            axes = axes if len(axes) == len(shape) and set(axes) <= set("xyzct") else "xyzct"[: len(shape)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"it lacks or garbles something ({error!r})"
            raise DataError(f"{place} cannot be opened as an image: {reason}. Convert or write it again.") from error
        metadata = {
            "dimensions": shape,
            "blockSize": block,
            "dataType": attributes["dataType"],
            "compression": dict(compression),
        }
        try:
            array = StoredArray(place, self.timeout, _open_dataset, place, metadata, axes, self.missing == "error")
        except DataError:
            raise
        except (ValueError, OSError, RuntimeError) as error:
            raise failure(place, "", error) from error
        return Volume(
            array,
            "czyx" if "c" in axes else "zyx",
            voxel_size=lattice.voxel_size,
            offset=lattice.offset,
            unit=lattice.unit,
            chunks=array.chunks,
            source=str(place),
        )

    def _only_child(self, root: Folder, attributes: Mapping[str, Any] | None, source: str) -> Volume:
        """Open the one image of a local container that is none itself."""
        if not isinstance(root, Path) or not root.is_dir():
            what = "is no dataset, and has no scale 's0' in it" if attributes is not None else "holds no N5 dataset"
            raise DataError(f"{root} {what}. Give the path of a dataset, or of a group with scales s0, s1 and so on.")
        children = sorted(child for child in root.iterdir() if child.is_dir())
        found = [c for c in children if any((c / name).is_file() for name in ("attributes.json", "s0/attributes.json"))]
        if len(found) == 1:
            return replace(self.open(str(found[0])), source=source)
        names = ", ".join(child.name for child in found[:20]) or "none"
        raise DataError(f"{root} is no N5 dataset; those in it are: {names}. Add one of them to the path.")


def _open_dataset(place: Folder, metadata: Mapping[str, Any], axes: str, strict: bool) -> Any:
    import tensorstore

    spec = {
        "driver": "n5",
        "kvstore": kvstore(place),
        "metadata": metadata,
        "assume_metadata": True,
        "fill_missing_data_reads": not strict,
        "recheck_cached_data": "open",
    }
    array = tensorstore.open(spec, context=context(), open=True, read=True).result()
    return in_order(array.T, axes[::-1], str(place))[0]


def _triple(values: tuple[float, ...]) -> Spacing:
    z, y, x = values
    return z, y, x
