"""A component that a caller gives by name or as an object, and what it is called in the plan of an output."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.registry import registries
from segkit.volume import Volume

__all__ = ["choose", "written_at"]


def choose(kind: str, chosen: Any, options: Mapping[str, Any] | None) -> tuple[Any, str]:
    """Return the component, and text that tells it from one with other options, the same in every process.

    Parameters
    ----------
    kind
        Which registry, such as ``"tracers"``.
    chosen
        A name in it, or an object that is one already.
    options
        Options of a component that is named; None for its defaults.

    Raises
    ------
    UsageError
        If the name or an option is not known, or options are given with an object.
    """
    if isinstance(chosen, str):
        component = registries[kind][chosen]
        bound = component.bind(options or {})
        return component(**bound), f"{component.qualified} {dict(sorted(bound.items()))}"
    if options:
        raise UsageError(
            f"The options {dict(options)} were given with {chosen!r}, which is built already. Give the name of a component, "
            "or build the object with them."
        )
    text = repr(chosen)
    # The default repr holds an address, which is another one in each process.
    return chosen, f"{type(chosen).__module__}.{type(chosen).__qualname__}" if " at 0x" in text else text


def written_at(volume: Volume) -> str:
    """Return when the file or store behind a volume was last written, or empty text if it has none.

    An output that was begun before its input was written again is not to be continued.
    """
    source = volume.source
    names = (source, source.rpartition("#")[0], source.rpartition(":")[0])
    path = next((Path(name) for name in names if name and Path(name).exists()), None)
    if path is None or "://" in source:
        return ""
    parts = (
        [
            path / name
            for name in ("zarr.json", ".zarray", ".zattrs", ".segkit/journal.jsonl", "info", "attributes.json")
        ]
        if path.is_dir()
        else [path]
    )
    times = [part.stat().st_mtime for part in parts if part.exists()]
    return datetime.fromtimestamp(max(times), UTC).isoformat() if times else ""
