"""The model package: a folder with ``model.json`` and ``weights.safetensors``. Data only: no code and no pickle.

The network is built by the registered architecture that the package names, so a package can do nothing that an
installed plugin cannot. The hash of the weights is checked before they are parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.durable import file_sha256, publish_dir, replace_file, storage_errors
from segkit.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hash_package", "locate_package", "read_package", "write_package"]

SCHEMA = 1


def locate_package(path: str | Path) -> Path:
    """Return the model package at `path`, which may be the package, its run folder or a file in it.

    Raises
    ------
    DataError
        If there is none.
    """
    path = Path(path)
    for folder in (path, path / "model", path.parent):
        if (folder / "model.json").is_file():
            return folder
    if (path / "run.json").is_file():
        raise DataError(
            f"The run {path} has no model yet: it was stopped before its first validation. Train it further."
        )
    raise DataError(
        f"There is no trained model at {path}. Name a run folder, or a model folder with model.json in it. "
        "'segkit convert' makes one from weights of another program."
    )


def write_package(path: Path, description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Publish a model package as a whole; one that is there is replaced."""
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    with storage_errors(path), publish_dir(path) as folder:
        replace_file(folder / "weights.safetensors", lambda target: save_file(contiguous, target))
        complete = {"schema": SCHEMA, **description, "weights_sha256": file_sha256(folder / "weights.safetensors")}
        replace_file(folder / "model.json", json.dumps(complete, indent=1, allow_nan=False).encode())


def read_package(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the description and the weights of a package.

    Raises
    ------
    DataError
        If it is incomplete, damaged, or of a newer segkit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        description = json.loads((path / "model.json").read_text(encoding="utf-8"))
        schema, expected = description["schema"], description["weights_sha256"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"The description {path / 'model.json'} cannot be read ({error}). Copy the model again, whole."
        ) from error
    if schema != SCHEMA:
        raise DataError(f"The model {path} has the schema {schema}, and this segkit reads {SCHEMA}. Update segkit-sdk.")
    found = file_sha256(path / "weights.safetensors")
    if found != expected:
        size = (path / "weights.safetensors").stat().st_size
        raise DataError(
            f"The weights of the model {path} are incomplete or damaged ({size} bytes, SHA-256 {found[:12]}…, expected "
            f"{str(expected)[:12]}…). Copy the model again, whole."
        )
    try:
        return description, load((path / "weights.safetensors").read_bytes())
    except SafetensorError as error:
        raise DataError(f"The weights of the model {path} cannot be read: {error}.") from error


def hash_package(path: Path) -> str:
    """Return a hash of everything in a package that decides what it predicts."""
    return sha256((path / "model.json").read_bytes()).hexdigest()
