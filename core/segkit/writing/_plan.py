"""The plan of an output: all that decides on its voxels, kept beside them so that no other result is mixed in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from segkit import durable
from segkit.errors import OutputExistsError, UsageError
from segkit.geometry import Triple
from segkit.store import create_zarr, level_factors
from segkit.volume import Volume

__all__ = ["PLAN", "clear", "create", "differences", "hash_of", "make_plan", "read_plan"]

PLAN = Path(".segkit", "plan.json")


def make_plan(
    volume: Volume,
    block: Triple,
    chunk: Triple,
    pyramid: int | None,
    labels: bool | None,
    plan: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Say all that decides on the voxels of the output, as JSON gives it back."""
    ids = volume.dtype.kind == "b" or (volume.dtype.kind in "iu" and volume.dtype.itemsize >= 4)
    wanted = {
        "shape": volume.shape,
        "dtype": volume.dtype.name,
        "axes": volume.axes,
        "voxel_size": volume.voxel_size,
        "offset": volume.offset,
        "unit": volume.unit,
        "channel_names": volume.channel_names,
        "block_shape": block,
        "chunk_shape": chunk,
        "levels": level_factors(volume.spatial_shape, volume.voxel_size, pyramid),
        "labels": ids if labels is None else labels,
        "made_from": {"source": volume.source} if plan is None else dict(plan),
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(wanted, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The plan {plan!r} holds something that JSON cannot say ({error}). Use text and numbers."
        ) from error
    return plain


def hash_of(content: Any) -> str:
    """Return the hash of a plan."""
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def read_plan(path: Path) -> dict[str, Any]:
    """Read the plan of an output.

    Raises
    ------
    OutputExistsError
        If it is damaged.
    """
    try:
        content = json.loads(path.read_bytes())
        found: dict[str, Any] = content["plan"]
        if hash_of(found) != content["hash"]:
            raise ValueError("its hash does not fit")
    except (ValueError, KeyError, TypeError) as error:
        raise OutputExistsError(
            f"{path} is damaged ({error!r}), so the output cannot be continued. Overwrite it (overwrite=True or --overwrite)."
        ) from error
    return found


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield what differs between two plans, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
    elif old != new:
        yield f"{where.removeprefix('made_from.')} was {old!r}, now {new!r}"


def clear(root: Path) -> None:
    """Take away what an earlier writing left; only names that segkit gives are touched."""
    for name in (PLAN, "zarr.json", ".segkit/journal.jsonl"):
        durable.remove(root / name)
    for folder in root.iterdir():
        if folder.name.isdigit():
            durable.remove(folder)


def create(root: Path, volume: Volume, plan: Mapping[str, Any]) -> None:
    """Make an empty output; its plan is written last, and says that it is there."""
    create_zarr(
        root,
        shape=volume.shape,
        dtype=volume.dtype,
        axes=volume.axes,
        voxel_size=volume.voxel_size,
        offset=volume.offset,
        unit=volume.unit,
        block_shape=tuple(plan["block_shape"]),
        chunk_shape=tuple(plan["chunk_shape"]),
        channel_names=volume.channel_names,
        levels=len(plan["levels"]),
        attributes=_plain(volume.metadata),
    )
    content = {"hash": hash_of(plan), "plan": plan}
    durable.replace_file(root / PLAN, json.dumps(content, indent=1).encode())


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the metadata that JSON can say."""
    kept = {}
    for key, value in metadata.items():
        try:
            kept[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            continue
    return kept
