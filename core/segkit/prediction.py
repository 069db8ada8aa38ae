"""`predict`: a lazy prediction, or one written block by block, resumable and with memory that no volume outgrows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit._choice import written_at
from segkit.geometry import Box, Triple
from segkit.model import Model, hash_package, locate_package
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.volume import Volume
from segkit.writing import write_volume

__all__ = ["predict"]


def predict(
    model: Model | str | Path,
    source: Any,
    path: str | Path | None = None,
    *,
    region: str = "",
    block_shape: Triple | None = None,
    halo: Triple | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress = silent,
) -> Volume:
    """Predict an image with a trained model.

    Parameters
    ----------
    model
        The model, its package, or the run folder that made it.
    source
        The image, or anything that `segkit.open_volume` takes.
    path
        Where to write the prediction as OME-Zarr; None returns it lazily, computing what is asked for.
    region
        Part of the image, such as ``"z0:100"``; empty for all of it.
    block_shape, halo
        See `segkit.Model`.
    device
        Where to compute, if `model` is a path.
    overwrite
        Whether a finished prediction at `path` is replaced. One that was interrupted is continued.
    progress
        Called with the blocks done and the blocks in all.

    Returns
    -------
    Volume
        ``(K, Z, Y, X)`` float32, with the position and voxel size of the image.

    Raises
    ------
    DataError
        If model or image are broken or do not fit each other.
    OutputExistsError
        If there is something else at `path`.
    IncompleteError
        If some blocks failed three times; the others are written.
    """
    identity = hash_package(locate_package(model)) if not isinstance(model, Model) else ""
    loaded = model if isinstance(model, Model) else Model.load(model, device=device)
    image = open_volume(source)
    image = image.crop(Box.parse(region, image.box))
    lazy = loaded(image, block_shape=block_shape, halo=halo)
    if path is None:
        return lazy
    array: Any = lazy.array
    plan = {
        "kind": "prediction",
        "model": identity or _weights_hash(loaded),
        "image": [image.source, written_at(image)],
        "region": str(region),
        "prediction_block": list(array.lattice.block_shape),
        "halo": list(array.halo),
    }
    block = array.lattice.block_shape
    z, y, x = (_divisor(length) for length in block)
    return write_volume(
        lazy, path, block_shape=block, chunk_shape=(z, y, x), plan=plan, overwrite=overwrite, progress=progress
    )


def _divisor(length: int) -> int:
    """Return the largest divisor of a length that is at most 64."""
    return next(d for d in range(min(64, length), 0, -1) if length % d == 0)


def _weights_hash(model: Model) -> str:
    """Return a hash of the weights of a model in memory."""
    from hashlib import sha256

    digest = sha256(repr((model.architecture_choice, model.task_choice, model.normalization, model.precision)).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(dtype=_bytes()).numpy().tobytes()
        )
    return digest.hexdigest()


def _bytes() -> Any:
    import torch

    return torch.uint8
