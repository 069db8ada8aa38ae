"""`predict`: a lazy prediction, or one written block by block, resumable and with memory that no volume outgrows."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

from segkit._choice import written_at
from segkit.errors import UsageError
from segkit.execution import Cluster, ClusterSpec
from segkit.geometry import Box, Triple
from segkit.model import (
    Augmentation,
    Blend,
    Layout,
    Model,
    Precision,
    choose_arithmetic,
    hash_package,
    locate_package,
)
from segkit.model._forward import using_threads
from segkit.model._portable import PortablePrediction
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.volume import Volume
from segkit.writing import write_volume

__all__ = ["plan_prediction", "predict"]


def predict(
    model: Model | str | Path,
    source: Any,
    path: str | Path | None = None,
    *,
    region: str = "",
    block_shape: Triple | None = None,
    halo: Triple | None = None,
    blend: Blend = "none",
    augmentation: Augmentation = "none",
    precision: Precision | Literal["auto"] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
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
    block_shape, halo, blend, augmentation, dtype
        See `segkit.Model`.
    precision
        Number format of the network's arithmetic; None takes that of the training, ``auto`` the fastest on this machine,
        which is measured once, remembered, and kept when a prediction is continued.
    device
        Where to compute, if `model` is a path.
    threads
        Threads of torch for a block on a CPU, on which the last bits depend, so workers of a cluster use as many and a
        prediction goes on with what it was begun with. None takes all that this process has, or what a block has of the
        cores of a `cluster`.
    overwrite
        Whether a finished prediction at `path` is replaced. One that was interrupted is continued.
    cluster
        Where to predict, if there is a `path`: text such as ``"local:4"``, ``"tcp://host:8786"`` or
        ``"slurm:workers=8,cores=4,memory=16GB"``, see `segkit.execution.ClusterSpec.parse`. Its workers see model, image
        and `path` under the same names; each loads the model once. None stays in this process.
    workers
        Number of processes or jobs of a cluster; without one, of threads that write.
    progress
        Called with the blocks done and the blocks in all.

    Returns
    -------
    Volume
        ``(K, Z, Y, X)``, with the position, voxel size and metadata of the image.

    Raises
    ------
    DataError
        If model or image are broken or do not fit each other.
    UsageError
        If the options do not fit the task or each other, or a single tile does not fit into memory.
    OutputExistsError
        If there is something else at `path`.
    IncompleteError
        If some blocks failed three times; the others are written.
    """
    if threads is None:
        threads = _begun_with(None if overwrite else path).get("threads") or _threads_on(cluster, workers)
    build = partial(
        plan_prediction,
        model if isinstance(model, Model) else Path(model).absolute(),
        open_volume(source),
        region=region,
        block_shape=block_shape,
        halo=halo,
        blend=blend,
        augmentation=augmentation,
        precision=precision,
        dtype=dtype,
        device=device,
        threads=threads,
    )
    lazy, plan = build(path=None if overwrite else path)
    if path is None:
        return lazy
    block = cast("Any", lazy.array).lattice.block_shape
    z, y, x = (_divisor(length) for length in block)
    if cluster is not None and not isinstance(model, Model):
        again = partial(build, path=Path(path).absolute(), threads=plan["threads"])
        lazy = replace(lazy, array=PortablePrediction(cast("Any", lazy.array), plan, again))
    return write_volume(
        lazy,
        path,
        block_shape=block,
        chunk_shape=(z, y, x),
        plan=plan,
        overwrite=overwrite,
        cluster=cluster,
        workers=workers,
        progress=progress,
    )


def plan_prediction(
    model: Model | str | Path,
    source: Any,
    path: str | Path | None = None,
    *,
    region: str = "",
    block_shape: Triple | None = None,
    halo: Triple | None = None,
    blend: Blend = "none",
    augmentation: Augmentation = "none",
    precision: Precision | Literal["auto"] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    device: str = "auto",
    threads: int | None = None,
) -> tuple[Volume, dict[str, Any]]:
    """Return a lazy prediction, and all that decides on its voxels; see `predict` for the parameters."""
    import torch

    identity = hash_package(locate_package(model)) if not isinstance(model, Model) else ""
    loaded = model if isinstance(model, Model) else Model.load(model, device=device)
    image = open_volume(source)
    image = image.crop(Box.parse(region, image.box))
    layout: Layout = "contiguous"
    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise UsageError(f"`threads` is {threads}; it takes a number of at least 1.")
    if precision == "auto":
        with using_threads(threads):
            precision, layout = _begun_with(path).get("arithmetic") or choose_arithmetic(loaded)
    lazy = loaded(
        image,
        block_shape=block_shape,
        halo=halo,
        blend=blend,
        augmentation=augmentation,
        precision=precision,
        layout=layout,
        dtype=dtype,
        threads=threads,
    )
    array: Any = lazy.array
    return lazy, {
        "kind": "prediction",
        "model": identity or _weights_hash(loaded),
        "image": [image.source, written_at(image)],
        "region": str(region),
        "prediction_block": list(array.tiling.block_shape),
        "tile": list(array.tiling.tile_shape),
        "halo": list(array.tiling.halo),
        "blend": blend,
        "augmentation": augmentation,
        "arithmetic": [array.forward.precision, array.forward.layout],
        "threads": threads,
    }


def _begun_with(path: str | Path | None) -> dict[str, Any]:
    """Return what an output that may be continued goes on with: ``arithmetic`` and ``threads``, as far as it tells."""
    if path is None:
        return {}
    try:
        made_from = json.loads((Path(path) / ".segkit" / "plan.json").read_bytes())["plan"]["made_from"]
        precision, layout = made_from["arithmetic"]
        threads = int(made_from["threads"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}  # no output, or one that writing refuses in words of its own
    known = precision in get_args(Precision) and layout in get_args(Layout)
    return {"arithmetic": (precision, layout), "threads": threads} if known and threads > 0 else {}


def _threads_on(cluster: Cluster | str | None, workers: int | None) -> int | None:
    """Return how many threads a block has on the workers of a cluster, as far as it tells."""
    if cluster is None:
        return None
    spec = ClusterSpec.parse(cluster).with_workers(workers) if isinstance(cluster, str) else cluster.spec
    return spec.torch_threads or None


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
