"""Checkpoints: everything needed to go on with the same bits, as tensors and JSON.

A checkpoint is a folder published by one rename. ``state.json`` holds the hash of the tensors, so a checkpoint that
verifies is whole, wherever it was copied.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.durable import file_sha256, publish_dir, replace_file, sweep
from segkit.errors import DataError, SegkitError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Progression", "load_checkpoint", "newest_checkpoint", "restore_optimizer", "save_checkpoint"]

SCHEMA = 1


@dataclass(slots=True)
class Progression:
    """What a training has come to, besides its tensors.

    Parameters
    ----------
    step
        Steps done.
    best_score, best_step
        Best validation so far, and the step it was at; None before the first.
    stale
        Validations since then.
    validated
        Step of the last validation; one that was interrupted is made up for first.
    drops
        How often the plateau schedule lowered the rate.
    since_drop
        Validations without improvement that the plateau schedule has counted.
    scaler
        State of the fp16 gradient scaler.
    """

    step: int = 0
    best_score: float | None = None
    best_step: int | None = None
    stale: int = 0
    validated: int = 0
    drops: int = 0
    since_drop: int = 0
    scaler: dict[str, Any] = field(default_factory=dict)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's state into tensors and plain values, both keyed by parameter number and name."""
    import torch

    tensors, values = {}, {}
    for number, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            key = f"{number}.{name}"
            if isinstance(value, torch.Tensor):
                tensors[key] = value
            elif value is not None:
                values[key] = value
    return tensors, values


def save_checkpoint(
    folder: Path,
    progression: Progression,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Publish a checkpoint, and remove those that are neither among the newest two nor the best."""
    from safetensors.torch import save_file

    optimizer_tensors, optimizer_values = _optimizer_tensors(optimizer)
    parts = {"weights": weights, "average": average or {}, "optimizer": optimizer_tensors}
    tensors = {
        f"{part}/{name}": t.detach().cpu().contiguous().clone()
        for part, found in parts.items()
        for name, t in found.items()
    }
    with publish_dir(folder / f"{progression.step:08d}") as target:
        replace_file(target / "tensors.safetensors", lambda path: save_file(tensors, path))
        state = {
            "schema": SCHEMA,
            "sha256": file_sha256(target / "tensors.safetensors"),
            "optimizer": optimizer_values,
            **{name: getattr(progression, name) for name in Progression.__slots__},
        }
        replace_file(target / "state.json", json.dumps(state, indent=1, allow_nan=False).encode())
    steps = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    for step in steps[:-2]:
        if step != progression.best_step:
            shutil.rmtree(folder / f"{step:08d}", ignore_errors=True)


def newest_checkpoint(folder: Path, step: int | None = None) -> tuple[Progression, dict[str, Any]] | None:
    """Return the newest checkpoint whose hash holds, or that of one `step`, or None where there is none.

    Returns
    -------
    tuple or None
        The progression, and ``weights``, ``average``, ``optimizer`` (tensors) and ``values`` (plain).
    """
    if not folder.is_dir():
        return None
    sweep(folder)
    candidates = sorted((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), reverse=True)
    for candidate in candidates if step is None else [step]:
        try:
            return load_checkpoint(folder / f"{candidate:08d}")
        except SegkitError:
            if step is not None:
                raise
    return None


def load_checkpoint(path: Path) -> tuple[Progression, dict[str, Any]]:
    """Read one checkpoint; see `newest_checkpoint` for what is returned.

    Raises
    ------
    DataError
        If it is incomplete or damaged.
    """
    from safetensors.torch import load_file

    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        progression = Progression(**{name: state[name] for name in Progression.__slots__})
        expected = state["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"The checkpoint {path} cannot be read: {error}.") from error
    if state["schema"] != SCHEMA:
        raise DataError(
            f"The checkpoint {path} has the schema {state['schema']}, and this segkit reads {SCHEMA}. Update segkit-sdk."
        )
    if file_sha256(path / "tensors.safetensors") != expected:
        raise DataError(f"The checkpoint {path} is damaged: its tensors do not have the recorded SHA-256.")
    parts: dict[str, Any] = {"weights": {}, "average": {}, "optimizer": {}, "values": state["optimizer"]}
    for key, tensor in load_file(path / "tensors.safetensors").items():
        part, _, name = key.partition("/")
        parts[part][name] = tensor
    return progression, parts


def restore_optimizer(optimizer: torch.optim.Optimizer, parts: Mapping[str, Any]) -> None:
    """Put the state that a checkpoint kept back into an optimizer over the same parameters."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**parts["optimizer"], **parts["values"]}.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
