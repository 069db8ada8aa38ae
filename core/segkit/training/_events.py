"""What a training says while it runs. The same events are yielded to the caller and written to the run's journal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = [
    "Checkpoint",
    "Event",
    "Failed",
    "Finished",
    "Patch",
    "Preparing",
    "Preview",
    "Started",
    "Step",
    "Validation",
    "to_record",
]


@dataclass(frozen=True, slots=True)
class Preparing:
    """Labels are being counted before the first step: `done` blocks of `total`. Not journalled."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Started:
    """The loop begins, or goes on, behind `step` finished steps of `steps`; what came later before does not count.

    `data` is a fingerprint of what it is trained and validated on, `training_data` and `validation_data` are those of the two
    parts; empty for no validation.
    """

    step: int
    steps: int
    data: str = ""
    training_data: str = ""
    validation_data: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """An optimizer step is done, the `step`-th; `seconds` is what it took."""

    step: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Validation:
    """The weights behind `step` steps were scored; `best` if they are the best so far.

    The first of `metrics` is the one that decides it.
    """

    step: int
    loss: float
    metrics: dict[str, float]
    best: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything needed to go on behind `step` steps is on the disk."""

    step: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The region that ``preview/request.json`` asked for was predicted into `path`, ``(K, Z, Y, X)`` uint8.

    `start` is its first voxel (z, y, x) in the image, `shape` its extent, `request` the number in the request.
    """

    step: int
    path: str
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    request: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Patch:
    """The middle slice of a training patch, which ``preview/patch.json`` asked for, was written to `path`.

    The file is ``.npz``: ``image`` ``(C, Y, X)``, ``target`` and ``output`` ``(K, Y, X)``, all uint8, and ``mask``
    ``(K, Y, X)``, true where the target is known. `origin` says where the patch is from.
    """

    step: int
    path: str
    origin: str
    request: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The loop has ended behind `step` steps: all of them, early, or because it was asked to."""

    step: int
    reason: Literal["completed", "early_stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Failed:
    """The training ended with an error behind `step` steps. Only journalled: the caller gets the exception."""

    step: int
    message: str


Event = Preparing | Started | Step | Validation | Checkpoint | Preview | Patch | Finished | Failed


def to_record(event: Event) -> dict[str, Any]:
    """Return an event as a journal record; numbers that JSON cannot say become None."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {"event": type(event).__name__.lower(), **plain(asdict(event))}
