"""The one answer to a file that is not there, for all formats that read files."""

from __future__ import annotations

from pathlib import Path

from segkit.errors import DataError

__all__ = ["existing_file"]


def existing_file(path: Path) -> Path:
    """Return the path of a file, which must be there."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(
            f"{path} {what}; a file was expected. Check the spelling (relative paths start from {Path.cwd()})."
        )
    return path
