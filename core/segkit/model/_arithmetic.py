"""Which number format and memory layout a network computes fastest in, on this machine: measured once, remembered."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from segkit.durable import make_dirs, replace_file
from segkit.errors import SegkitError

if TYPE_CHECKING:
    from segkit.model._model import Model

__all__ = ["Augmentation", "Layout", "Precision", "choose_arithmetic"]

Precision = Literal["float32", "bfloat16", "float16"]
Layout = Literal["contiguous", "channels_last"]
Augmentation = Literal["none", "flips", "turns"]

_ROUNDS = 3
_WORTH_IT = 0.9  # a choice that is less than a tenth faster than the trained one is not worth other numbers


def choose_arithmetic(model: Model, *, remember: bool = True) -> tuple[Precision, Layout]:
    """Return the fastest number format and memory layout for a model.

    bfloat16 has three digits: it is what many networks are trained in, and halves time and memory where the processor
    computes in it natively; elsewhere it is slower. The layout only changes the last bits.

    Parameters
    ----------
    model
        The model, on the device where it will be used.
    remember
        Whether an earlier answer for the same architecture on the same machine is taken, and a new one kept, in
        ``arithmetic.json`` of the user's cache folder.

    Returns
    -------
    tuple
        Such as ``("bfloat16", "contiguous")``.
    """
    file, key = _cache_folder() / "arithmetic.json", _key(model)
    known = _known(file) if remember else {}
    if key in known:
        precision, layout = known[key]
        return precision, layout
    precision, layout = _measure(model)
    if remember:
        try:
            make_dirs(file.parent)
            replace_file(file, json.dumps({**known, key: [precision, layout]}, indent=1).encode())
        except (OSError, SegkitError):
            pass  # a home that cannot be written costs a measurement each time, nothing else
    return precision, layout


def _cache_folder() -> Path:
    """Return segkit's folder for what can be found out again, by the custom of the system."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    if base:
        return Path(base) / "segkit"
    caches = "Library/Caches" if platform.system() == "Darwin" else ".cache"
    return Path.home() / caches / "segkit"


def _key(model: Model) -> str:
    """Return what the answer depends on: machine, versions, device, threads and architecture, not the weights."""
    import torch

    device = next((p.device for p in model.network.parameters()), torch.device("cpu"))
    computer = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    parts = (
        computer,
        device.type,
        torch.__version__,
        torch.get_num_threads(),
        model.precision,
        model.in_channels,
        model.patch_shape,
        model.architecture_choice,
    )
    return sha256(repr(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(line for line in lines if line.startswith(("model name", "flags")))[:4096]


def _known(file: Path) -> dict[str, list[Any]]:
    """Read the remembered answers; a file that anything is wrong with is as good as none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        str(key): value
        for key, value in content.items()
        if isinstance(value, list)
        and len(value) == 2
        and value[0] in get_args(Precision)
        and value[1] in get_args(Layout)
    }


def _measure(model: Model) -> tuple[Precision, Layout]:
    """Time all formats in turn, several rounds of them, on noise of the shape of a small tile."""
    import torch

    from segkit.model._forward import Forward, in_channels_last, is_out_of_memory
    from segkit.model._tiling import probe_shape

    device = next((p.device for p in model.network.parameters()), torch.device("cpu"))
    shape = probe_shape(model.network, model.patch_shape)
    tile = torch.randn(1, model.in_channels, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    crops = [tuple(slice(0, n) for n in shape)]
    own: Precision = model.precision  # type: ignore[assignment]
    halves: tuple[Precision, ...] = ("bfloat16", "float16") if device.type == "cuda" else ("bfloat16",)
    precisions = dict.fromkeys((own, "float32", *halves))
    networks = {"contiguous": model.network, "channels_last": in_channels_last(model.network)}
    ways: dict[tuple[Precision, Layout], Callable[[], object]] = {}
    for precision, layout in product(precisions, get_args(Layout)):
        forward = Forward(networks[layout], model.task.activate, precision, layout)
        ways[precision, layout] = lambda forward=forward: forward(tile, crops)[0].cpu()  # type: ignore[misc]
    seconds: dict[tuple[Precision, Layout], list[float]] = {way: [] for way in ways}
    for turn in range(_ROUNDS + 1):
        for way, call in ways.items():
            if way not in seconds:
                continue
            began = perf_counter()
            try:
                call()
            except RuntimeError as error:  # a format that this network or device does not know
                if is_out_of_memory(error) and way == (own, "contiguous"):
                    raise
                del seconds[way]
                continue
            if turn:
                seconds[way].append(perf_counter() - began)
    speed = {way: median(times) for way, times in seconds.items()}
    best = min(speed, key=lambda way: speed[way])
    usual: tuple[Precision, Layout] = (own, "contiguous")
    return best if speed[best] < _WORTH_IT * speed[usual] else usual
