"""The metadata files of Zarr v2 and v3, read and checked for plausibility before any library opens the store."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.store._place import Folder, read_file

__all__ = ["AXES_OF_RANK", "TYPES", "Node", "check_plausible", "find_json", "read_json", "read_node"]

_MOST_METADATA = 64 * 2**20
_LARGEST_CHUNK = 2 * 2**30
_LARGEST_ARRAY = 2**62
TYPES = ("bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32", "float64")
AXES_OF_RANK = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}


@dataclass(frozen=True, slots=True)
class Node:
    """The metadata of one group or array."""

    folder: Folder
    version: int
    array: Mapping[str, Any] | None
    attributes: Mapping[str, Any]


def find_json(place: Folder) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if there is no such file."""
    text = read_file(place, _MOST_METADATA)
    if text is None:
        return None
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} cannot be read: {error}. The store is damaged; copy or write it again.") from error
    return content


def read_json(place: Folder) -> dict[str, Any]:
    content = find_json(place)
    if content is None:
        raise DataError(f"{place} does not exist. The store is damaged; copy or write it again.")
    return content


def read_node(folder: Folder) -> Node | None:
    """Return the metadata at a folder, or None where there are none."""
    content = find_json(folder / "zarr.json")
    if content is not None:
        attributes = content.get("attributes", {})
        array = content if content.get("node_type") == "array" else None
        return Node(folder, 3, array, attributes if isinstance(attributes, dict) else {})
    attributes = find_json(folder / ".zattrs") or {}
    array = find_json(folder / ".zarray")
    if array is not None:
        return Node(folder, 2, array, attributes)
    return Node(folder, 2, None, attributes) if attributes or find_json(folder / ".zgroup") is not None else None


def check_plausible(node: Node) -> tuple[int, ...]:
    """Refuse implausible metadata before anything is allocated for them; return the shape."""
    array = node.array or {}
    problem = ""
    try:
        shape = tuple(int(n) for n in array["shape"])
        grid = array["chunks"] if node.version == 2 else array["chunk_grid"]["configuration"]["chunk_shape"]
        if node.version == 3:
            for codec in array.get("codecs", ()):
                if codec.get("name") == "sharding_indexed":
                    grid = codec["configuration"]["chunk_shape"]
        chunk = tuple(int(n) for n in grid)
        kind = array["dtype"] if node.version == 2 else array["data_type"]
        match = re.fullmatch(r"[<>|=]?([biuf])([1248])", kind) if node.version == 2 and isinstance(kind, str) else None
        name = kind if node.version == 3 else match and np.dtype(kind).name
        if name not in TYPES:
            problem = f"its voxels are of type {kind!r}, which is none of {', '.join(TYPES)}"
        elif len(shape) not in AXES_OF_RANK:
            problem = f"it has {len(shape)} axes; an image has 2 to 5"
        elif len(chunk) != len(shape):
            problem = f"its chunks {chunk} do not fit its shape {shape}"
        elif min(shape) < 1 or min(chunk) < 1:
            problem = f"its shape {shape}, in chunks of {chunk}, holds nothing"
        elif math.prod(shape) * np.dtype(name).itemsize > _LARGEST_ARRAY:
            problem = f"its shape {shape} is beyond any disk"
        elif math.prod(chunk) * np.dtype(name).itemsize > _LARGEST_CHUNK:
            problem = f"its chunks {chunk} are larger than 2 GiB each"
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        problem = f"its metadata lack or garble something ({error!r})"
    if problem:
        raise DataError(f"{node.folder} cannot be opened as an image: {problem}. Convert or write it again.")
    return shape
